"""What of two label images is not at a true boundary: where annotators themselves differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring.match import Match, match
from benchmark.types import Labels


def interior(true: Labels) -> NDArray[np.bool_]:
    """Return which pixels have the same true label as each of their (up to four) neighbours.

    The others are within one pixel of a true boundary, on either side of it.

    Args:
        true: H x W integers, 0 = background.
    """
    inside = np.ones(true.shape, bool)
    for labels, within in ((true, inside), (true.T, inside.T)):  # a view: it is written into
        alike = labels[1:] == labels[:-1]
        within[1:] &= alike
        within[:-1] &= alike
    return inside


def match_interior(true: Labels, predicted: Labels) -> Match:
    """Overlap two label images without the pixels within one pixel of a true boundary.

    An object all of whose pixels are there is left out, of the truth and of the prediction alike.

    Args:
        true: H x W integers, 0 = background.
        predicted: the same shape.

    Raises:
        ValueError: as `benchmark.scoring.match.match`.
    """
    if true.shape != predicted.shape or true.ndim != 2:
        return match(true, predicted)  # which says what is wrong
    inside = interior(true)
    return match(true * inside, predicted * inside)  # much quicker than np.where
