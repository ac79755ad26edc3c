"""Agreement of methods with each other, where there is no truth: matrix, ranking, worst images.

An array of agreements is samples x methods x methods, symmetric, each in [0, 1]; NaN on the
diagonal, and where two methods can't be compared (both found nothing).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEWEST_FAMILIES = 3
"""With fewer families of methods there is no ranking: two would give each other the same vote."""

NEAR_COPIES = 0.9
"""Methods of one family that agree at least so well on average count as one in its vote."""


def mean_matrix(agreements: Floats) -> Floats:
    """Mean over samples: methods x methods, NaN where there is no sample to compare on."""
    return _mean(agreements, 0)


def cross_family(agreements: Floats, families: Sequence[str]) -> Floats:
    """Agreement of each method with the other families, on each sample.

    Each other family has one vote, and a method's own family none: any number of variants of one
    model neither praise each other nor outvote others. A family's vote is the mean over its
    members, of which those that are nearly copies of each other count as one.

    Args:
        agreements: samples x methods x methods.
        families: the family of each method.

    Returns:
        Samples x methods; NaN where no other family can be compared with.
    """
    votes = _votes(agreements, families)
    own = np.array([[family == name for name in _names(families)] for family in families])
    return _mean(np.where(own, np.nan, votes), 2)


def ranks_of_families(values: Sequence[float], families: Sequence[str]) -> list[int | None]:
    """Rank of each family by its best member; None for all other members, and without a value.

    Families are ranked, not methods: a family is not placed lower because another has many members.

    Args:
        values: of each method, higher is better; NaN where there is none.
        families: the family of each method.

    Returns:
        Of each method 1 for the best; families with equal values share a rank.
    """
    best: dict[str, int] = {}
    for place, (value, family) in enumerate(zip(values, families, strict=True)):
        if value == value and (family not in best or value > values[best[family]]):
            best[family] = place
    found: list[int | None] = [None] * len(values)
    for place in best.values():
        found[place] = 1 + sum(values[other] > values[place] for other in best.values())
    return found


def agreement_of_samples(agreements: Floats, families: Sequence[str]) -> Floats:
    """How well the families agree on each sample; the methods, where all are of one family.

    Args:
        agreements: samples x methods x methods.
        families: the family of each method.

    Returns:
        One number per sample; NaN where nothing can be compared.
    """
    if len(set(families)) < 2:
        return _mean(_mean(agreements, 2), 1)
    of_methods = cross_family(agreements, families)
    members = [np.array([family == name for family in families]) for name in _names(families)]
    return _mean(np.stack([_mean(of_methods[:, of], 1) for of in members], 1), 1)


def _votes(agreements: Floats, families: Sequence[str]) -> Floats:
    """Agreement of each method with each family: samples x methods x families."""
    means = mean_matrix(agreements)
    votes = []
    for name in _names(families):
        members = [place for place, family in enumerate(families) if family == name]
        kinds = [_mean(agreements[:, :, kind], 2) for kind in _kinds(means, members)]
        votes.append(_mean(np.stack(kinds, 2), 2))
    return np.stack(votes, 2)


def _kinds(means: Floats, members: Sequence[int]) -> list[list[int]]:
    """Group the members of a family, so that near copies are together."""
    kinds: list[list[int]] = []
    for member in members:
        near = [k for k in kinds if any(means[member, other] >= NEAR_COPIES for other in k)]
        kinds = [k for k in kinds if k not in near]
        kinds.append([member, *(other for k in near for other in k)])
    return kinds


def _names(families: Sequence[str]) -> list[str]:
    return sorted(set(families))


def _mean(values: Floats, axis: int) -> Floats:
    """The mean of what is not NaN; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # mean of an empty slice
        return np.asarray(np.nanmean(values, axis=axis))
