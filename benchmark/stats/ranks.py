"""Ranks of several methods over many data sets: Friedman's test, and Nemenyi's after it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

FEWEST_METHODS, FEWEST_DATA_SETS = 3, 5

NOT_INDEPENDENT = (
    "Data sets are not independent of each other (several come from one laboratory or one "
    "challenge, or show the same cells), as Friedman's and Nemenyi's tests take them to be: read "
    "p-values and critical difference as a guide, not as proof."
)
"""The note that belongs below a table or figure of these tests."""

_ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class FriedmanResult:
    """The result of Friedman's and Nemenyi's tests.

    Attributes:
        data: the data sets with a score of every method.
        left_out: the others.
        mean_ranks: method -> mean rank, the best first; 1 is the best, ties are averaged.
        statistic: Friedman's chi squared, corrected for ties.
        p: that all methods rank alike.
        nemenyi: p-value of each pair of methods, a square frame; it corrects for all pairs.
        critical_difference: of mean ranks; methods that differ by less are not significantly
            different at 5 %.
        note: on what the tests assume.
    """

    data: tuple[str, ...]
    left_out: tuple[str, ...]
    mean_ranks: pd.Series[float]
    statistic: float
    p: float
    nemenyi: pd.DataFrame
    critical_difference: float
    note: str = NOT_INDEPENDENT


def friedman(scores: pd.DataFrame) -> FriedmanResult | None:
    """Rank methods on each data set and compare their mean ranks (Demsar 2006).

    Args:
        scores: one row per data set, one column per method; higher is better, NaN where there
            is no score.

    Returns:
        The result; None with fewer than three methods, or fewer than five data sets that have
        a score of each.
    """
    complete = scores.dropna()
    if scores.shape[1] < FEWEST_METHODS or len(complete) < FEWEST_DATA_SETS:
        return None
    from scikit_posthocs import posthoc_nemenyi_friedman  # seconds: it imports statsmodels
    from scipy.stats import friedmanchisquare

    ranks = complete.rank(axis=1, ascending=False, method="average").mean()
    ranks = ranks.sort_values(kind="stable")
    columns = complete[ranks.index].to_numpy(float)
    found = friedmanchisquare(*columns.T)
    pairs = posthoc_nemenyi_friedman(columns)
    return FriedmanResult(
        data=tuple(map(str, complete.index)),
        left_out=tuple(map(str, scores.index.difference(complete.index, sort=False))),
        mean_ranks=ranks,
        statistic=float(found.statistic),
        p=float(found.pvalue),
        nemenyi=pd.DataFrame(pairs.to_numpy(), index=ranks.index, columns=ranks.index),
        critical_difference=critical_difference(len(ranks), len(complete)),
    )


def critical_difference(methods: int, data_sets: int) -> float:
    """Compute Nemenyi's critical difference of mean ranks at 5 %."""
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - _ALPHA, methods, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(methods * (methods + 1) / (6 * data_sets))
