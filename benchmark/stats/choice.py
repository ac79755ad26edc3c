"""Choosing the best of many candidates: whether its gain over the default is real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.stats.permutation import FEWEST_FOR_P

Floats = NDArray[np.float64]

RULES = ("best", "safe")
"""`best`: the highest mean. `safe`: the same, if its gain is real, else the default."""

_LEVEL = 0.975  # of the lower end of a 95 % interval
_EXACT_UP_TO = 12  # groups: 4,096 choices of signs
_DRAWS = 5_000
_RESAMPLES = 1_000
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Choice:
    """The best of many candidates, the first of which is the default.

    Attributes:
        best: its number; of candidates with equal means the one nearest the default.
        gain: its mean score above that of the default: what it promises.
        by_chance: the gain that it would promise on average if no candidate were better; None with
            fewer than six groups, as `lower`.
        lower: the lower bound of the gain, which accounts for the choice among all candidates.
        differs: how often another candidate is the best of a bootstrap resample of the groups;
            None with a single group.
        groups: how many there are.
    """

    best: int
    gain: float
    by_chance: float | None
    lower: float | None
    differs: float | None
    groups: int

    def of_rule(self, rule: str) -> int:
        """The candidate that one of `RULES` chooses."""
        is_real = self.lower is not None and self.lower > 0
        return self.best if rule == "best" or is_real else 0


def choose(
    scores: ArrayLike,
    groups: Sequence[str],
    distance: ArrayLike | None = None,
    seed: int = 0,
) -> Choice:
    """Find the best candidate, and what part of its gain choosing alone explains.

    The best of many candidates promises a gain even where none is better. If no candidate differs
    from the default, the signs of the differences in a group are random. So they are flipped, for
    all candidates together, and the largest gain of any candidate is noted each time, in units of
    the root of the sum of its squared differences: no flip changes that, and candidates that are
    far worse do not count for more. The lower bound is the promised gain minus the 97.5 % quantile
    of these. It is positive only where the one-sided test of the largest gain rejects at 2.5 % (the
    max-T test of Westfall and Young 1993).

    With up to twelve groups every choice of signs is made, with more 5,000 seeded ones, and the
    observed one.

    Args:
        scores: images x candidates, finite, higher is better; column 0 is the default.
        groups: the group of each image. A group is flipped and drawn as a whole.
        distance: of each candidate from the default.
        seed: of the draws; the order of images has no effect.

    Raises:
        ValueError: there is no image or no candidate, or a score is not finite.
    """
    values = np.asarray(scores, float)
    if values.ndim != 2 or 0 in values.shape or len(values) != len(groups):
        raise ValueError(f"scores of shape {values.shape}, but {len(groups)} images with a group")
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite")
    names, group = np.unique(np.asarray(groups, str), return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, group, values - values[:, :1])
    sums /= len(values)  # their column sums are mean gains over images
    gains = sums.sum(0)
    far = np.zeros(len(gains)) if distance is None else np.asarray(distance, float)
    ties = np.flatnonzero(gains >= gains.max() - _ROUNDING)
    best = int(ties[np.argmin(far[ties])])
    gain = float(gains[best])
    rng = np.random.default_rng(seed)
    distinct = np.unique(sums, axis=1)  # many candidates give the same label images
    by_chance = lower = differs = None
    if len(names) >= FEWEST_FOR_P:
        sizes = np.sqrt((distinct**2).sum(0))
        units = distinct[:, sizes > 0] / sizes[sizes > 0]
        largest = np.sort((_signs(len(names), rng) @ units).max(1, initial=0.0))
        size = float(np.sqrt((sums[:, best] ** 2).sum()))
        by_chance = size * float(largest.mean())
        lower = gain - size * float(largest[int(np.ceil(_LEVEL * len(largest))) - 1])
        lower = 0.0 if abs(lower) < _ROUNDING else lower
    if len(names) > 1:
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), _RESAMPLES)
        wins = (drawn @ distinct).max(1) <= drawn @ sums[:, best] + _ROUNDING
        differs = float(1 - wins.mean())
    return Choice(best, gain, by_chance, lower, differs, len(names))


def _signs(groups: int, rng: np.random.Generator) -> Floats:
    """Choices of signs x groups; the observed one is among them."""
    if groups <= _EXACT_UP_TO:
        flipped = np.arange(2**groups)[:, np.newaxis] >> np.arange(groups) & 1
    else:
        flipped = rng.integers(2, size=(_DRAWS, groups))
        flipped[0] = 0
    return np.where(flipped == 1, -1.0, 1.0)
