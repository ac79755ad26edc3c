"""Two effect sizes: how large a difference is, independent of the number of groups.

The rank-biserial correlation belongs to Wilcoxon's test, and one extreme group affects it as
little as that. The standardised mean difference belongs to the mean, which the permutation test
is about.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def rank_biserial(differences: ArrayLike) -> float:
    """Compute the matched-pairs rank-biserial correlation (Kerby 2014), in [-1, 1].

    It is the sum of ranks in favour of a minus that in favour of b, over the sum of all ranks.
    Zeros are ranked, as Pratt does, and count for neither, so methods that tie on most groups
    have a value near 0.

    Args:
        differences: a - b, one per group.

    Returns:
        1 where a is ahead in every group; NaN for no groups.
    """
    values = np.asarray(differences, float)
    if not values.size:
        return float("nan")
    from scipy.stats import rankdata

    ranks = rankdata(np.abs(values))
    return float((np.sign(values) * ranks).sum() / ranks.sum())


def standardised_difference(differences: ArrayLike) -> float:
    """Compute the mean difference in standard deviations of the differences (d_z).

    It is corrected for few groups, for which it would be too large: by 4 % for 20, by 9 % for 10
    (Hedges 1981, with the usual approximation 1 - 3 / (4 df - 1)).

    Args:
        differences: a - b, one per group.

    Returns:
        The effect size; NaN where it is undefined: fewer than three groups, or all alike.
    """
    values = np.asarray(differences, float)
    if len(values) < 3 or np.ptp(values) == 0:
        return float("nan")
    correction = 1 - 3 / (4 * (len(values) - 1) - 1)
    return float(correction * values.mean() / values.std(ddof=1))
