"""The sign-flip permutation test: whether a mean difference may be due to chance."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST_FOR_P = 6
"""Of five groups all 32 flips together can't give a p below 0.05."""

_EXACT_UP_TO = 18  # groups: 2^17 sums, half of all flips; the other half mirrors them
_DRAWS = 20_000
_EIGHTS_KEPT = 1000  # 20 MB of draws
_ROUNDING = 1e-9  # of the largest possible sum: two sums that near are one


def sign_flip_p(differences: ArrayLike, seed: int = 0) -> float | None:
    """Compute the two-sided p-value of the null hypothesis that signs are random.

    It holds if two methods are interchangeable. If differences are skewed about a mean of 0, it
    does not, and the test rejects more often than its 5 % (`results/baselines/statistics.txt`,
    "skewed").

    With up to 18 groups p is exact: the share of all 2^groups choices of signs whose sum is at
    least as far from 0 as the observed one. With more it is the share among 20,000 seeded draws
    and the observed one, an upper estimate that is never 0 (Phipson and Smyth 2010).

    Args:
        differences: one mean difference per group; independent of each other.
        seed: of the draws.

    Returns:
        p; 1 where all differences are 0; None with fewer than six groups. With exactly six the
        smallest p is 1/32, so at 0.05 the test rejects only 3.1 % of true null hypotheses.
    """
    values = np.asarray(differences, float)
    if len(values) < FEWEST_FOR_P:
        return None
    # In an order of their own, so that neither their order nor a change of all signs matters.
    sizes = np.sort(np.abs(values))
    seen = abs(float(values.sum())) - _ROUNDING * float(sizes.sum())
    if len(values) <= _EXACT_UP_TO:
        return float(np.mean(np.abs(_all_sums(sizes)) >= seen))
    return (1 + _drawn_at_least(sizes, seen, seed)) / (1 + _DRAWS)


def smallest_p(groups: int) -> float:
    """The smallest p-value that `sign_flip_p` can have, whatever the differences.

    Returns:
        It; NaN with fewer than six groups.
    """
    if groups < FEWEST_FOR_P:
        return math.nan
    return 2.0 ** (1 - groups) if groups <= _EXACT_UP_TO else 1 / (1 + _DRAWS)


def _all_sums(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum for every choice of signs but that of the first, which stays positive."""
    sums = sizes[:1]
    for size in sizes[1:]:
        sums = np.concatenate([sums + size, sums - size])
    return sums


def _drawn_at_least(sizes: NDArray[np.float64], seen: float, seed: int) -> int:
    """Of the drawn choices of signs, how many have a sum at least that far from 0.

    A drawn byte holds the signs of eight groups, and a table their sum.
    """
    signs = 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, np.newaxis], axis=1) - 1
    eights = np.pad(sizes, (0, -len(sizes) % 8)).reshape(-1, 8)
    sums = np.zeros(_DRAWS)
    draws = _kept_draws if len(eights) <= _EIGHTS_KEPT else _draws
    for table, drawn in zip(eights @ signs.T, draws(len(eights), seed), strict=True):
        sums += table[drawn]
    return int((np.abs(sums) >= seen).sum())


def _draws(eights: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield for each eight groups a byte of signs for each draw."""
    rng = np.random.default_rng(seed)
    for _ in range(eights):
        yield rng.integers(256, size=_DRAWS, dtype=np.uint8)


@functools.lru_cache(4)
def _kept_draws(eights: int, seed: int) -> tuple[NDArray[np.uint8], ...]:
    """The same, for the next test of as many groups: a data set has one for each pair."""
    return tuple(_draws(eights, seed))
