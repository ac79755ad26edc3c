"""How much masks overlap, and non-maximum suppression by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.common.masks import Patch

Counts = NDArray[np.int64]
Measure = Callable[[Counts, Any, Counts], NDArray[np.float32]]
"""Of shared pixels, the area of one mask and the areas of others: their overlap, 0 to 1."""


def iou(shared: Counts, area: Any, areas: Counts) -> NDArray[np.float32]:
    """Intersection over union."""
    found: NDArray[np.float32] = _float32(shared) / _float32(area + areas - shared)
    return found


def over_smaller(shared: Counts, area: Any, areas: Counts) -> NDArray[np.float32]:
    """Intersection over the smaller of two areas."""
    smaller = _float32(np.minimum(area, areas)) + np.float32(1e-6)
    found: NDArray[np.float32] = _float32(shared) / smaller
    return found


class Overlaps:
    """How many pixels each mask shares with each other one, counted when first asked for.

    Boxes reach from the first to the last pixel's centre, so that masks overlap only where they
    share two rows and two columns, as in `micro_sam.util._overlap_matrix`.

    Args:
        masks: an empty one overlaps none.
        measure: how overlap is going to be measured: by the one that gives more, of several.
        least: pairs are left out where that can't exceed this, without a look at their pixels.
    """

    def __init__(self, masks: Sequence[Patch], measure: Measure = iou, least: float = 0.0) -> None:
        self.masks, self._measure, self._least = masks, measure, np.float32(least)
        self.areas: Counts = np.array([mask.area for mask in masks], np.int64)
        self._starts = np.array([(m.row, m.column) for m in masks], np.int64).reshape(-1, 2)
        shapes = np.array([m.mask.shape for m in masks], np.int64).reshape(-1, 2)
        self._ends = self._starts + shapes - 1
        self._found: dict[int, tuple[Counts, Counts]] = {}

    def of(self, number: int) -> tuple[Counts, Counts]:
        """The numbers of the masks that overlap one, and how many pixels they share with it."""
        if number not in self._found:
            self._found[number] = self._count(number)
        return self._found[number]

    def _count(self, number: int) -> tuple[Counts, Counts]:
        own, start, end = self.masks[number], self._starts[number], self._ends[number]
        sides = np.minimum(self._ends, end) - np.maximum(self._starts, start)
        touching = (sides > 0).all(axis=1)
        touching[number] = False
        others = np.flatnonzero(touching)
        areas = self.areas[others]
        most = np.minimum(np.minimum(areas, own.area), (sides[others] + 1).prod(axis=1))
        others = others[self._measure(most, own.area, areas) > self._least]
        shared = [shared_pixels(own, self.masks[other]) for other in others]
        return others, np.array(shared, np.int64)


def shared_pixels(first: Patch, second: Patch) -> int:
    """How many pixels two masks share."""
    row, column = max(first.row, second.row), max(first.column, second.column)
    inside = [m.mask[row - m.row :, column - m.column :] for m in (first, second)]
    height, width = np.minimum(inside[0].shape, inside[1].shape)
    return int(np.count_nonzero(inside[0][:height, :width] & inside[1][:height, :width]))


def suppress(
    overlaps: Overlaps,
    numbers: Sequence[int] | Counts,
    scores: NDArray[np.float32],
    threshold: float,
    measure: Measure = iou,
) -> list[int]:
    """Non-maximum suppression: of masks that are nearly the same, the best alone is left.

    Args:
        overlaps: of the masks, and perhaps of others.
        numbers: the masks that there are, none of them empty.
        scores: of these; the higher the better, of equals the first wins.
        threshold: a mask is dropped when its overlap with a better one exceeds it; not below what
            `overlaps` leaves out.
        measure: of the overlap.

    Returns:
        The numbers of what is left, best first.

    Source: `micro_sam.util._batched_mask_nms`. As there, overlap and threshold are compared in
    float32. Between equal scores its order is the processor's choice.
    """
    limit = np.float32(threshold)
    dropped = np.zeros(len(overlaps.masks), bool)
    kept = []
    for number in np.asarray(numbers, np.int64)[np.argsort(-scores, kind="stable")].tolist():
        if not dropped[number]:
            kept.append(number)
            others, shared = overlaps.of(number)
            overlap = measure(shared, overlaps.areas[number], overlaps.areas[others])
            dropped[others[overlap > limit]] = True
    return kept


def _float32(values: Any) -> Any:
    return np.asarray(values, np.float32)
