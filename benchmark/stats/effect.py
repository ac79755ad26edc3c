"""How large a difference is, whatever the number of groups: two effect sizes.

A p-value shrinks with every image added; these don't. The rank-biserial correlation belongs
to the Wilcoxon test (which asks who is ahead, and by what rank) and is no more moved by one
extreme group than it; the standardised mean difference belongs to the mean, which the
permutation test is about.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def rank_biserial(differences: ArrayLike) -> float:
    """Matched-pairs rank-biserial correlation (Kerby 2014), in [-1, 1].

    The sum of ranks that speak for a less that of those for b, over the sum of all ranks.
    Zeros are ranked, as Pratt does, and speak for nobody: methods that tie on most groups
    are not far apart, however the others fall.

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
    """The mean difference in standard deviations of the differences (d_z), as Hedges corrects it.

    Uncorrected it is too large for few groups: by 4 % for 20, by 9 % for 10 (Hedges 1981,
    with the usual approximation 1 - 3 / (4 df - 1)).

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
