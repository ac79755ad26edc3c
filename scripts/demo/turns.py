"""The eight ways to lay down a square image, by number, 0 as it is; for images, maps and points."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

COUNT = 8
_QUARTERS = 4
_CORNERS = np.s_[:2], np.s_[2:]


def turned(image: NDArray[Any], turn: int) -> NDArray[Any]:
    """Turn the last two axes `turn % 4` quarters anticlockwise, and transpose them from 4 on."""
    found = np.rot90(image, turn % _QUARTERS, axes=(-2, -1))
    return found.swapaxes(-2, -1) if turn >= _QUARTERS else found


def turned_maps(maps: Tensor, turn: int) -> Tensor:
    """Turn a tensor as `turned` does an array."""
    found = torch.rot90(maps, turn % _QUARTERS, dims=(-2, -1))
    return found.transpose(-2, -1) if turn >= _QUARTERS else found


def turned_points(points: NDArray[Any], turn: int, side: int) -> NDArray[Any]:
    """Turn points, P x 2, x and y in pixels, with their image of `side` pixels.

    Whole numbers are the middles of pixels.
    """
    x, y = points.T
    for _ in range(turn % _QUARTERS):
        x, y = y, side - 1 - x
    return np.stack([y, x] if turn >= _QUARTERS else [x, y], axis=1)


def turned_boxes(boxes: NDArray[Any], turn: int, side: int) -> NDArray[Any]:
    """Turn boxes, P x 4, left, top, right and bottom in pixels, as `turned_points` does points.

    0 is where the first pixel begins, `side` where the last one ends.
    """
    first, second = (turned_points(boxes[:, part] - 0.5, turn, side) + 0.5 for part in _CORNERS)
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)
