"""From many rows to a claim: how sure a mean over images is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST_GROUPS = 5
"""With fewer clusters a bootstrap interval says nothing one should print."""

_LEVEL = 0.95
_DRAWS_AT_ONCE = 4_000_000  # group indices held in memory: 32 MB


def bootstrap_interval(
    values: ArrayLike, groups: Sequence[str], seed: int = 0, resamples: int = 10_000
) -> tuple[float, float] | None:
    """The 95 % bootstrap interval of the mean over images, clustered by group.

    Images of one volume, slide or movie resemble each other, so whole groups are drawn
    with replacement; the statistic is the mean over all images drawn (a ratio of sums,
    since groups differ in size). Percentile method (Efron and Tibshirani 1993, chapter 13).

    What it does not promise: 95 % coverage with few groups. Percentile intervals are then
    too narrow. Coverage measured on 4,000 simulated data sets each (normal group effects of
    SD 0.15, images of SD 0.10, 1 to 20 images per group, so that groups weigh unequally):

    ====== ========
    groups coverage
    ====== ========
    5      81.5 %
    10     89.7 %
    30     92.1 %
    100    93.9 %
    ====== ========

    Nor does it cover anything but the choice of images: not another annotator, another
    training run or another microscope.

    Args:
        values: one number per image; NaN (an excluded sample) is dropped first.
        groups: the group of each image.
        seed: of the resampling; the same input in any order gives the same interval.
        resamples: how many bootstrap means are drawn.

    Returns:
        (low, high) in the unit of `values`; None with fewer than five groups.

    Raises:
        ValueError: `values` and `groups` differ in length.
    """
    numbers, names = np.asarray(values, float), np.asarray(groups, str)
    if numbers.shape != names.shape:
        raise ValueError(f"{numbers.shape} values, but {names.shape} groups")
    kept = ~np.isnan(numbers)
    found, group = np.unique(names[kept], return_inverse=True)
    if len(found) < FEWEST_GROUPS:
        return None
    # Sorted within groups too: sums of floats depend on their order in the last bit.
    order = np.lexsort((numbers[kept], group))
    sums = np.asarray(np.bincount(group[order], numbers[kept][order]), float)
    means = _resampled_means(sums, np.bincount(group), np.random.default_rng(seed), resamples)
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def _resampled_means(
    sums: NDArray[np.float64],
    counts: NDArray[np.intp],
    rng: np.random.Generator,
    resamples: int,
) -> NDArray[np.float64]:
    """The mean over images of each resample, in chunks that bound the memory."""
    chunk = max(1, _DRAWS_AT_ONCE // len(sums))
    parts = []
    for start in range(0, resamples, chunk):
        drawn = rng.integers(len(sums), size=(min(chunk, resamples - start), len(sums)))
        parts.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(parts)
