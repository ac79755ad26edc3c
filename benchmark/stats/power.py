"""How many groups a difference would take to be found: a rough estimate."""

from __future__ import annotations

import math
from statistics import NormalDist

from benchmark.stats.permutation import FEWEST_FOR_P, smallest_p

POWER = 0.8


def groups_needed(
    difference: float, deviation: float, alpha: float, power: float = POWER
) -> int | None:
    """Estimate how many groups a two-sided test of a mean difference takes.

    The normal approximation (z of alpha / 2 + z of power)^2 (deviation / difference)^2, as if
    difference and deviation were known. Both are themselves estimates, so that it is a rough one.

    Args:
        difference: mean over groups of the paired differences.
        deviation: their standard deviation.
        alpha: level of the test.
        power: chance to find a difference of that size.

    Returns:
        The number, at least as many as a sign-flip test needs to reach `alpha`; None where the
        difference is 0 or a number is undefined: no number of groups is enough.
    """
    if not (math.isfinite(difference) and math.isfinite(deviation)) or difference == 0:
        return None
    normal = NormalDist()
    quantiles = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
    wanted = (quantiles * deviation / difference) ** 2
    return max(fewest_groups(alpha), math.ceil(min(wanted, 1e9)))


def fewest_groups(alpha: float) -> int:
    """With how many groups a sign-flip test can be significant at all at this level."""
    groups = FEWEST_FOR_P
    while smallest_p(groups) > alpha and smallest_p(groups + 1) < smallest_p(groups):
        groups += 1
    return groups
