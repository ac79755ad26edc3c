"""A bootstrap interval of a mean over images, over groups."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.compiled import compiled

Floats = NDArray[np.float64]

FEWEST_GROUPS = 5
"""With fewer groups a bootstrap interval is not reported."""

EQUAL, ALIKE = "equal", "alike"
CAUTIONS = {
    EQUAL: "more than half of the groups have exactly the same value, so that few others decide",
    ALIKE: "the groups are so alike that one further group of mean size which scores 0 would move "
    "the mean by more than twice the distance to the lower end; failures that no group shows are "
    "not accounted for",
}
"""When an interval may be too narrow: what `interval_caution` returns, in words."""

_DECIMALS = 12  # of group means: below lies what adding floats leaves
_LEVEL = 0.95
_DRAWS_AT_ONCE = 2_000_000  # group indices held in memory: 8 MB
_DRAWS_KEPT = 10_000_000  # likewise, of intervals over as many groups: 20 MB
# A resample of groups that happen to be equal has no spread; taken at its word it would put
# an end at infinity. A fifth keeps the end where a single differing group of many belongs.
_SMALLEST_ERROR = 0.2


def bootstrap_interval(
    values: ArrayLike, groups: Sequence[str], seed: int = 0, resamples: int = 10_000
) -> tuple[float, float] | None:
    """Compute the 95 % bootstrap-t interval of the mean over images, clustered by group.

    Images of one volume, slide or movie resemble each other, so whole groups are drawn
    with replacement; the statistic is the mean over all images drawn (a ratio of sums,
    since groups differ in size). Each drawn mean is divided by its own standard error, which
    widens the interval where groups are few and shifts it where scores are skewed (Efron and
    Tibshirani 1993, chapter 12). The quantiles are scaled by the jackknife's standard error
    over groups, which one large group among small ones does not make too small. The ends are
    clipped to the smallest and the largest value, so for scores they are in [0, 1].

    Its coverage in percent, measured by `scripts/simulate_statistics.py` (more in
    `results/baselines/statistics.txt`; in brackets that of the plain percentile interval):

    ====== ================ =============== ==============
    groups symmetric uneven near_one uneven near_one heavy
    ====== ================ =============== ==============
    5      94.2 (82.0)      92.1 (77.8)     91.6 (79.5)
    10     94.2 (88.7)      93.6 (84.7)     91.8 (82.1)
    30     95.2 (93.7)      95.6 (91.6)     93.2 (88.0)
    100    95.0 (94.2)      95.5 (94.2)     92.8 (89.5)
    ====== ================ =============== ==============

    `symmetric` scores are around 0.5, `near_one` are mostly near 1; groups have 1 to 20 images
    (`uneven`), or 1 to 200, of which a few groups hold most (`heavy`). From ten groups on coverage
    is within 2 of 95 %, but 92 % if a few groups hold most images, 93 % for differences as skewed
    as an exponential distribution with ten groups, and up to 98 % if a third of the groups scores
    0. With five groups it is 88 to 94 %. It is far lower if one group in twenty scores 0 and the
    others are alike, or if most differences are exactly 0 (`docs/statistics.md`);
    `interval_caution` recognises both.

    The interval covers the choice of images only, not another annotator, another training run or
    another microscope.

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
    group, numbers = group[order], numbers[kept][order]
    sizes = np.bincount(group).astype(float)
    mean = float(numbers.mean())
    # The groups' sums of deviations from the mean: they add up to 0.
    excess = np.bincount(group, numbers) - mean * sizes
    lowest, highest = np.quantile(
        _studentised_means(excess, sizes, seed, resamples),
        [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2],
    )
    error = _jackknife_error(excess, sizes)
    ends = np.array([mean - highest * error, mean - lowest * error])
    low, high = ends.clip(numbers.min(), numbers.max())
    return float(low), float(high)


def interval_caution(
    values: ArrayLike, groups: Sequence[str], low: float, worst: float | None = None
) -> str:
    """Whether values are such that their `bootstrap_interval` is known to be too narrow.

    A bootstrap repeats only what it has seen. In simulations (`tests/stats/test_stats_caution.py`)
    this warns of nearly all intervals that miss the true mean where one group in twenty scores 0
    and the others 0.90 +- 0.03, or where nine differences in ten are exactly 0. Of other data it
    warns in less than 5 %; but in 7 % where scores are near 1 with ten groups, and in 31 % with
    five, where 11 % of the intervals miss.

    Args:
        values: one number per image; NaN is dropped.
        groups: the group of each image.
        low: the lower end of the interval; NaN where there is none.
        worst: what an image scores on which a method fails; None where no such number is known, as
            for differences.

    Returns:
        A key of `CAUTIONS`, or an empty string.
    """
    if np.isnan(low):
        return ""
    numbers = np.asarray(values, float)
    kept = ~np.isnan(numbers)
    _, group = np.unique(np.asarray(groups, str)[kept], return_inverse=True)
    numbers = numbers[kept]
    sizes = np.bincount(group)
    means = (np.bincount(group, numbers) / sizes).round(_DECIMALS)
    if 2 * np.unique(means, return_counts=True)[1].max() > len(means):
        return EQUAL
    mean = float(numbers.mean())
    if worst is not None and (mean - worst) / (len(sizes) + 1) > 2 * (mean - low):
        return ALIKE
    return ""


def _jackknife_error(excess: Floats, sizes: Floats) -> float:
    """The standard error of the mean: what it changes by when each group is left out."""
    changes = -excess / (sizes.sum() - sizes)
    return float(np.sqrt((len(sizes) - 1) / len(sizes) * (changes**2).sum()))


def _studentised_means(excess: Floats, sizes: Floats, seed: int, resamples: int) -> Floats:
    """Of each resample, how far its mean is off, in its own (linearised) standard errors."""
    groups = len(sizes)
    least = _SMALLEST_ERROR * float(np.sqrt((excess**2).sum())) / sizes.sum()
    if least == 0:  # all values are equal
        return np.zeros(resamples)
    draws = _kept_draws if groups * resamples <= _DRAWS_KEPT else _draws
    parts = [_studentise(excess, sizes, least, drawn) for drawn in draws(groups, seed, resamples)]
    studentised: Floats = np.concatenate(parts) * np.sqrt((groups - 1) / groups)
    return studentised


def _draws(groups: int, seed: int, resamples: int) -> Iterator[NDArray[Any]]:
    """Yield resamples, a row of drawn groups for each, as many as are held in memory at once."""
    rng = np.random.default_rng(seed)
    index = np.uint16 if groups <= 2**16 else np.uint32  # drawn twice as fast
    chunk = max(1, _DRAWS_AT_ONCE // groups)
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        yield rng.integers(groups, size=(rows, groups), dtype=index)


@functools.lru_cache(4)
def _kept_draws(groups: int, seed: int, resamples: int) -> tuple[NDArray[Any], ...]:
    """The same, for the next interval over as many groups: a data set has one for each pair."""
    return tuple(_draws(groups, seed, resamples))


@compiled
def _studentise(excess: Floats, sizes: Floats, least: float, drawn: NDArray[np.uint16]) -> Floats:
    """For each row of drawn groups, the mean's distance by its standard error, `least` at least."""
    result = np.empty(len(drawn))
    for row in range(len(drawn)):
        total = images = squares = products = square_sizes = 0.0
        for place in range(drawn.shape[1]):
            group = drawn[row, place]
            beyond, size = excess[group], sizes[group]
            total += beyond
            images += size
            squares += beyond * beyond
            products += beyond * size
            square_sizes += size * size
        off = total / images
        # The sum of (excess - off * size)^2; rounding may leave a negative nothing.
        spread = squares - 2 * off * products + off * off * square_sizes
        result[row] = off / max(np.sqrt(max(spread, 0.0)) / images, least)
    return result
