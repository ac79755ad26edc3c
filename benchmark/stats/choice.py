"""Choosing the best of many candidates: whether its gain over the default is real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.stats.permutation import FEWEST_FOR_P

Floats = NDArray[np.float64]

RULES = ("best", "safe")
"""`best`: the highest mean. `safe`: see `Choice.safe`; the default, unless a gain is real."""

_LEVEL = 0.975  # of the lower end of a 95 % interval
_EXACT_UP_TO = 12  # groups: 4,096 choices of signs
_DRAWS = 5_000
_RESAMPLES = 1_000
_FLIPS = 2_000  # of nested folds
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
        safe: of the candidates whose gain is real, and which the best can't be told apart from,
            the one nearest the default; 0, the default, where there is none.
        safe_gain: its gain.
        safe_lower: its lower bound; None where the default is kept.
        differs: how often another candidate is the best of a bootstrap resample of the groups;
            None with a single group.
        groups: how many there are.
    """

    best: int
    gain: float
    by_chance: float | None
    lower: float | None
    safe: int
    safe_gain: float
    safe_lower: float | None
    differs: float | None
    groups: int

    def of_rule(self, rule: str) -> int:
        """The candidate that one of `RULES` chooses."""
        return self.best if rule == "best" else self.safe


def choose(
    scores: ArrayLike,
    groups: Sequence[str],
    distance: ArrayLike | None = None,
    seed: int = 0,
) -> Choice:
    """Find the best candidate, what part of its gain choosing alone explains, and a safe one.

    The best of many candidates promises a gain even where none is better. If no candidate differs
    from the default, the signs of the differences in a group are random. So they are flipped, for
    all candidates together, and the largest gain of any candidate is noted each time, in units of
    the root of the sum of its squared differences: no flip changes that, and candidates that are
    far worse do not count for more. The lower bound of a gain is the gain minus the 97.5 % quantile
    of these. It is positive only where the one-sided test of the largest gain rejects at 2.5 % (the
    max-T test of Westfall and Young 1993).

    The same test of the best against all other candidates says which it can't be told apart from.
    The safe candidate is the one nearest the default of those, with a bound above 0.

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
    values = _checked(scores, groups)
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
    by_chance = lower = differs = safe_lower = None
    safe = 0
    if len(names) >= FEWEST_FOR_P:
        signs = _signs(len(names), rng)
        chance = _largest(signs, distinct)
        sizes = np.sqrt((sums**2).sum(0))
        by_chance = float(sizes[best] * chance.mean())
        lowers = gains - sizes * _quantile(chance)
        lowers[abs(lowers) < _ROUNDING] = 0.0
        lower = float(lowers[best])
        behind = sums[:, [best]] - sums
        as_good = behind.sum(0) <= np.sqrt((behind**2).sum(0)) * _quantile(
            _largest(signs, np.unique(behind, axis=1))
        )
        if (real := np.flatnonzero(as_good & (lowers > 0))).size:
            safe = int(min(real, key=lambda n: (far[n], -gains[n])))
            safe_lower = float(lowers[safe])
    if len(names) > 1:
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), _RESAMPLES)
        wins = (drawn @ distinct).max(1) <= drawn @ sums[:, best] + _ROUNDING
        differs = float(1 - wins.mean())
    return Choice(
        best, gain, by_chance, lower, safe, float(gains[safe]), safe_lower, differs, len(names)
    )


@dataclass(frozen=True)
class Delivered:
    """What a choice delivers on images that did not choose.

    Attributes:
        gain: the mean over images of the score above that of the default.
        low: the lower end of its 95 % interval; None with fewer than six groups.
        high: likewise.
        chosen: the candidate that was chosen without each fold.
    """

    gain: float
    low: float | None
    high: float | None
    chosen: tuple[int, ...]


def delivered(
    scores: ArrayLike,
    groups: Sequence[str],
    rule: str,
    folds: int,
    distance: ArrayLike | None = None,
    seed: int = 0,
) -> Delivered:
    """Find what a choice delivers on images that did not choose: nested cross-validation.

    Groups are dealt out to folds. For each fold the others choose, by the same rule, and it is
    scored with what they chose.

    An image is scored by what the others chose, and helps to choose for them, so that a bootstrap
    of these gains is too narrow. The interval is the gain less the quantiles of what the same
    folds deliver by the highest mean when the signs of the differences of groups from the mean of
    their candidate are flipped.

    Args:
        scores: images x candidates, as of `choose`.
        groups: the group of each image; a group is in one fold.
        rule: one of `RULES`.
        folds: how many, at most one for each group.
        distance: of each candidate from the default.
        seed: of the folds and the draws.

    Raises:
        ValueError: as `choose`; there are fewer than two folds, or fewer groups than folds.
    """
    values = _checked(scores, groups)
    names, group = np.unique(np.asarray(groups, str), return_inverse=True)
    if not 2 <= folds <= len(names):
        raise ValueError(f"{folds} folds of {len(names)} groups")
    rng = np.random.default_rng(seed)
    fold_of_group = rng.permutation(len(names)) % folds
    fold = fold_of_group[group]
    gains = np.zeros(len(values))
    chosen = []
    for number in range(folds):
        out = fold == number
        others = [name for name, is_out in zip(groups, out, strict=True) if not is_out]
        chosen.append(choose(values[~out], others, distance, seed).of_rule(rule))
        gains[out] = values[out, chosen[-1]] - values[out, 0]
    gain, low, high = float(gains.mean()), None, None
    if not any(chosen):
        low = high = 0.0
    elif len(names) >= FEWEST_FOR_P:
        sums = np.zeros((len(names), values.shape[1]))
        np.add.at(sums, group, (values - values[:, :1]) / len(values))
        sums -= sums.mean(0)  # candidates that are far worse do not count for more
        sums *= np.sqrt(len(names) / (len(names) - 1))
        by_chance = _delivered_by_chance(np.unique(sums, axis=1), fold_of_group, rng)
        low, high = (gain - float(np.quantile(by_chance, q)) for q in (_LEVEL, 1 - _LEVEL))
    return Delivered(gain, low, high, tuple(chosen))


def _delivered_by_chance(sums: Floats, fold: NDArray[np.int_], rng: np.random.Generator) -> Floats:
    """Of each choice of signs what folds deliver by the highest mean of the others."""
    signs = rng.permutation(_signs(len(sums), rng))[:_FLIPS]
    every = signs @ sums
    total = np.zeros(len(signs))
    for number in np.unique(fold):
        out = fold == number
        held_out = signs[:, out] @ sums[out]
        best = (every - held_out).argmax(1)
        total += held_out[np.arange(len(signs)), best]
    return total


def _checked(scores: ArrayLike, groups: Sequence[str]) -> Floats:
    values = np.asarray(scores, float)
    if values.ndim != 2 or 0 in values.shape or len(values) != len(groups):
        raise ValueError(f"scores of shape {values.shape}, but {len(groups)} images with a group")
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite")
    return values


def _largest(signs: Floats, sums: Floats) -> Floats:
    """Of each choice of signs the largest gain of any candidate, in units of its size; sorted."""
    sizes = np.sqrt((sums**2).sum(0))
    units = sums[:, sizes > 0] / sizes[sizes > 0]
    return np.sort((signs @ units).max(1, initial=0.0))


def _quantile(largest: Floats) -> float:
    return float(largest[int(np.ceil(_LEVEL * len(largest))) - 1])


def _signs(groups: int, rng: np.random.Generator) -> Floats:
    """Choices of signs x groups; the observed one is among them."""
    if groups <= _EXACT_UP_TO:
        flipped = np.arange(2**groups)[:, np.newaxis] >> np.arange(groups) & 1
    else:
        flipped = rng.integers(2, size=(_DRAWS, groups))
        flipped[0] = 0
    return np.where(flipped == 1, -1.0, 1.0)
