"""Means, ranks and head-to-heads, from a matrix of scores: (modality, data) x method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd


def averages(matrix: pd.DataFrame) -> pd.DataFrame:
    """Mean and median per modality, over the data sets that a method has a number for.

    So does the study: what is not reported is passed over. How many data sets a mean is over
    stands beside it.

    Returns:
        Indexed by (modality, method): mean, median, sets.
    """
    long = matrix.rename_axis(columns="method").reset_index("modality")
    long = long.melt("modality", value_name="score").dropna()
    return long.groupby(["modality", "method"], sort=False).agg(
        mean=("score", "mean"), median=("score", "median"), sets=("score", "count")
    )


def ranks(matrix: pd.DataFrame) -> pd.DataFrame:
    """The rank of each method on each data set, 1 the highest; equals share the mean of theirs.

    A metric of which lower is better comes with its sign changed.

    Returns:
        Of the matrix' shape, but only data sets that every method has a number for: ranks
        among fewer methods are no ranks of the same kind.
    """
    return matrix.dropna().rank(axis=1, ascending=False, method="average")


def ranks_without_ties(matrix: pd.DataFrame, tie_order: Sequence[str] = ()) -> pd.DataFrame:
    """Ranks as the study gave them: of equals one is simply first.

    Args:
        matrix: as for `ranks`.
        tie_order: methods in the order in which equals are ranked; others after them, in the
            order of columns.

    Returns:
        As `ranks`.
    """
    order = [name for name in tie_order if name in matrix] + [
        name for name in matrix if name not in tie_order
    ]
    common = matrix.dropna()[order]
    return common.rank(axis=1, ascending=False, method="first")[list(matrix)]


def mean_ranks(ranked: pd.DataFrame) -> pd.DataFrame:
    """Mean rank per modality: modality x method, and `sets`, the data sets it is over."""
    grouped = ranked.groupby(level="modality", sort=False)
    return grouped.mean().assign(sets=grouped.size())


def complete_block(table: pd.DataFrame) -> pd.DataFrame:
    """The methods that have (nearly) all data sets, on the data sets that all of these have.

    A method on few data sets would cost all others theirs: of the methods, from the one with
    the most data sets down, as many are taken as keep the most cells.
    """
    counts = table.notna().sum().sort_values(ascending=False, kind="stable")
    blocks = [table[list(counts.index[:n])].dropna() for n in range(1, len(counts) + 1)]
    best = max(blocks, key=lambda block: (block.size, block.shape[1]), default=table)
    return best[[label for label in table.columns if label in best.columns]]


class HeadToHead(NamedTuple):
    """Two methods on the data sets that both have.

    Attributes:
        sets: how many those are.
        wins: on how many of them the first is better.
        losses: on how many the second is.
        ties: on how many they are equal, as far as the numbers tell.
        mean_a: mean score of the first.
        mean_b: of the second.
        difference: mean of a - b; NaN where there is no data set.
    """

    sets: int
    wins: int
    losses: int
    ties: int
    mean_a: float
    mean_b: float
    difference: float


def head_to_head(matrix: pd.DataFrame, a: str, b: str, sign: int = 1) -> HeadToHead:
    """Set two methods against each other, on common data sets only.

    Args:
        matrix: of scores.
        a: a method.
        b: another.
        sign: of the metric, see `benchmark.scoring.metrics.Metric.sign`.
    """
    both = matrix[[a, b]].dropna()
    # Equal as printed: 0.3 - 0.1 is not 0.2 in floats.
    difference = (both[a] - both[b]).round(12)
    values = (both[a], both[b], difference)
    mean_a, mean_b, mean = (float(of.mean()) if len(both) else np.nan for of in values)
    wins, losses = int((sign * difference > 0).sum()), int((sign * difference < 0).sum())
    ties = len(both) - wins - losses
    return HeadToHead(len(both), wins, losses, ties, mean_a, mean_b, mean)


def by_domain(cells: pd.DataFrame) -> pd.DataFrame:
    """Mean score over data sets of which the weights had seen data, and over the others.

    Args:
        cells: at most one for each method and data set, all with a number.

    Returns:
        By method: mean_in, sets_in, mean_out, sets_out, and unknown: data sets of which nobody
        knows.
    """
    seen = cells["in_domain"]
    groups = {"in": cells[seen.fillna(False)], "out": cells[~seen.fillna(True)]}
    columns: dict[str, Any] = {}
    for name, rows in groups.items():
        grouped = rows.groupby("method")["score"]
        columns |= {f"mean_{name}": grouped.mean(), f"sets_{name}": grouped.size()}
    columns["unknown"] = cells[seen.isna()].groupby("method").size()
    frame = pd.DataFrame(columns).reindex(pd.unique(cells["method"]))
    counts = ["sets_in", "sets_out", "unknown"]
    return frame.assign(**frame[counts].fillna(0).astype(int))
