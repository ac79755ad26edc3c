"""Two methods on one data set: is there a difference, and how large is it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.stats.effect import rank_biserial, standardised_difference
from benchmark.stats.interval import FEWEST_GROUPS, bootstrap_interval, interval_caution
from benchmark.stats.pairing import Exclusion, Failed, pair
from benchmark.stats.permutation import FEWEST_FOR_P, sign_flip_p

WEIGHTS = (
    "The difference and its interval weigh images alike, as means in tables do; tests and effect "
    "sizes weigh groups alike: they see the mean difference of each group."
)
"""What has to stand below a table of comparisons."""

DISAGREE = (
    "they ask different questions. The interval is of the mean over images, one comparison alone; "
    "the test is whether the groups' signs may be due to chance. Neither confirms the other"
)
"""Why an interval without 0 may stand beside a large p, or one with 0 beside a small p."""

ALPHA = 0.05

_DECIMALS = 12  # of group means: below lies what adding floats leaves, which is no rank


@dataclass(frozen=True)
class Comparison:
    """What the scores say of a against b; every difference is a - b.

    Attributes:
        metric: which score.
        samples: that both have, and that count.
        groups: of these samples.
        mean_a: over these samples.
        mean_b: likewise.
        difference: mean over samples.
        interval: 95 %, of `difference`; None with fewer than five groups.
        group_difference: mean over groups of their mean differences, which the tests are about.
        p: two-sided, by the sign-flip permutation test; None with fewer than six groups.
        p_wilcoxon: two-sided, by the Wilcoxon signed-rank test (zeros by Pratt); likewise.
        rank_biserial: effect size in [-1, 1]; NaN with fewer than five groups.
        standardised: mean difference of groups in their standard deviations; likewise, and
            NaN where all groups differ by the same.
        a_better: samples on which a is better.
        b_better: likewise.
        exclusions: samples that are left out for both.
        caution: why the interval may be too narrow, a key of `CAUTIONS`; else empty.
        group_deviation: standard deviation of the groups' mean differences; NaN of fewer than two.
    """

    metric: str
    samples: int
    groups: int
    mean_a: float
    mean_b: float
    difference: float
    interval: tuple[float, float] | None
    group_difference: float
    p: float | None
    p_wilcoxon: float | None
    rank_biserial: float
    standardised: float
    a_better: int
    b_better: int
    exclusions: tuple[Exclusion, ...]
    caution: str = ""
    group_deviation: float = math.nan

    @property
    def equal(self) -> int:
        """Samples on which both score the same."""
        return self.samples - self.a_better - self.b_better

    @property
    def weights_disagree(self) -> bool:
        """Whether the larger groups favour one method and most groups the other."""
        return self.difference * self.group_difference < 0

    @property
    def interval_and_test_disagree(self) -> bool:
        """Whether one of them alone finds a difference at 5 %."""
        if self.interval is None or self.p is None:
            return False
        low, high = self.interval
        return (low > 0 or high < 0) != (self.p <= ALPHA)


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    metric: str = "msa",
    failed_a: Failed | None = None,
    failed_b: Failed | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare two methods on the samples that both have; see `pair` for the arguments.

    Raises:
        ValueError: as `pair`.
    """
    pairs, exclusions = pair(a, b, metric=metric, failed_a=failed_a, failed_b=failed_b)
    return compare_pairs(pairs, exclusions, metric=metric, seed=seed)


def compare_pairs(
    pairs: pd.DataFrame,
    exclusions: tuple[Exclusion, ...] = (),
    *,
    metric: str = "msa",
    sign: int = 1,
    seed: int = 0,
    resamples: int = 10_000,
) -> Comparison:
    """As `compare`, of what `pair` returned; with sign -1 lower scores are better."""
    by_group = pairs.groupby("group")["difference"].mean().round(_DECIMALS).to_numpy()
    enough = len(by_group) >= FEWEST_GROUPS
    differences, groups = pairs["difference"].to_numpy(), list(pairs["group"])
    interval = bootstrap_interval(differences, groups, seed, resamples)
    return Comparison(
        metric=metric,
        samples=len(pairs),
        groups=len(by_group),
        mean_a=float(pairs["a"].mean()),
        mean_b=float(pairs["b"].mean()),
        difference=float(pairs["difference"].mean()),
        interval=interval,
        group_difference=float(by_group.mean()) if len(by_group) else math.nan,
        p=sign_flip_p(by_group, seed),
        p_wilcoxon=_wilcoxon(by_group),
        rank_biserial=rank_biserial(by_group) if enough else math.nan,
        standardised=standardised_difference(by_group) if enough else math.nan,
        a_better=int((sign * pairs["difference"] > 0).sum()),
        b_better=int((sign * pairs["difference"] < 0).sum()),
        exclusions=exclusions,
        caution=interval_caution(differences, groups, interval[0]) if interval else "",
        group_deviation=float(by_group.std(ddof=1)) if len(by_group) > 1 else math.nan,
    )


def _wilcoxon(differences: NDArray[np.float64]) -> float | None:
    """Two-sided, zeros by Pratt; 1 where all differences are 0."""
    if len(differences) < FEWEST_FOR_P:
        return None
    if not differences.any():
        return 1.0
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences, zero_method="pratt").pvalue)
