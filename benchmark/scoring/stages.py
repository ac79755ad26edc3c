"""Where a method with prompts lost each true object: the stage account.

Such a method prompts, makes a mask of each prompt (and possibly another of that mask's box),
suppresses masks, and merges those that are kept. Of each true object it is measured how well each
stage still has it; from that follows, at any IoU threshold, where it was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring.match import MATCH_IOU, Bools, Floats, Ids, match
from benchmark.types import CutMask, Labels, PromptArrays, SegmentationStages

NO_PROMPT, NO_MASK, REFINEMENT, SUPPRESSION, MERGING, FOUND = OUTCOMES = (
    "no prompt",
    "no mask",
    "lost by refinement",
    "lost by suppression",
    "lost in merging",
    "found",
)
"""What becomes of a true object, in the order of the stages.

- no prompt: no prompt is for it;
- no mask: it was prompted, but of no prompt the mask has an IoU of at least t with it;
- lost by refinement: a first mask has it, but no refined one;
- lost by suppression: a mask that can be chosen has it, but none that is kept (the size of masks is
  a criterion of this stage);
- lost in merging: a kept mask has it, but it is matched with no object of the result;
- found: it is matched with an object of the result.

The last that applies counts, so that each object has one; the first five add up to the misses.
"""


@dataclass(frozen=True, eq=False)
class Evidence:
    """How well each stage has each true object; N values each, in ascending order of the ids.

    Attributes:
        ids: as found in the truth.
        prompted: whether a prompt is for it.
        first: the highest IoU with a first mask; 0 where none overlaps it.
        last: likewise with a refined mask; of a method that refines none, as `first`.
        kept: likewise with a mask that is kept.
        result: the IoU with the object of the result that it is matched with; 0 without a match.
    """

    ids: Ids
    prompted: Bools
    first: Floats
    last: Floats
    kept: Floats
    result: Floats

    @classmethod
    def of_columns(cls, columns: Mapping[str, Sequence[Any]]) -> Evidence:
        """The opposite of `columns`."""
        rest = (np.array(columns[name], float) for name in ("first", "last", "kept", "result"))
        ids, prompted = np.array(columns["id"], np.uint64), np.array(columns["prompted"], bool)
        return cls(ids, prompted, *rest)

    def columns(self) -> dict[str, list[Any]]:
        """As it is stored; numbers are exact."""
        return {
            "id": self.ids.tolist(),
            "prompted": self.prompted.tolist(),
            "first": self.first.tolist(),
            "last": self.last.tolist(),
            "kept": self.kept.tolist(),
            "result": self.result.tolist(),
        }


def evidence(truth: Labels, stages: SegmentationStages) -> Evidence:
    """Measure what each stage has of each true object.

    Memory grows with the number of objects and prompts, and with the size of one mask.

    Args:
        truth: H x W integers, 0 = background.
        stages: of the image.

    Raises:
        ValueError: a mask lies outside of the image, or `kept` names a prompt that is not there.
    """
    overlap = match(truth, stages.labels)
    pairs = overlap.matched_pairs
    result = np.zeros(len(overlap.true))
    result[overlap.true_index[pairs]] = overlap.iou[pairs]

    ids, areas = overlap.true.ids, overlap.true.areas
    numbers = np.searchsorted(ids, truth).astype(np.int64)
    numbers[truth == 0] = -1
    first = [_ious(mask, numbers, areas) for mask in stages.first.masks]
    last = first
    if stages.refined is not None:
        last = [_ious(mask, numbers, areas) for mask in stages.refined.masks]
    kept = np.asarray(stages.kept, np.int64)
    if kept.size and not (kept.min() >= 0 and kept.max() < len(last)):
        raise ValueError(f"kept names prompts up to {kept.max()}, and there are {len(last)}")
    return Evidence(
        ids,
        _prompted(stages.prompts, numbers, len(ids)),
        _highest(first, len(ids)),
        _highest(last, len(ids)),
        _highest((last[number] for number in kept), len(ids)),
        result,
    )


def outcomes(found: Evidence, threshold: float = MATCH_IOU) -> NDArray[np.str_]:
    """Return what became of each true object, N of `OUTCOMES`.

    Args:
        found: how well each stage has it.
        threshold: an object is had at an IoU of at least this; at least 0.5.

    Raises:
        ValueError: it is below 0.5, where an object of the result can have several partners.
    """
    if threshold < MATCH_IOU:
        raise ValueError(f"the threshold is at least {MATCH_IOU}, got {threshold}")
    reached = [
        found.result >= threshold,
        found.kept >= threshold,
        found.last >= threshold,
        found.first >= threshold,
        found.prompted,
    ]
    return np.select(reached, [FOUND, MERGING, SUPPRESSION, REFINEMENT, NO_MASK], NO_PROMPT)


def account(found: Iterable[Evidence], threshold: float = MATCH_IOU) -> dict[str, int]:
    """Count the true objects of several images by what became of them.

    Args:
        found: of each image.
        threshold: as of `outcomes`.

    Returns:
        A number for each of `OUTCOMES`; they add up to the true objects.
    """
    every = [str(outcome) for one in found for outcome in outcomes(one, threshold)]
    return {outcome: every.count(outcome) for outcome in OUTCOMES}


Overlapping = tuple[NDArray[np.int64], Floats]
"""Numbers of the true objects that a mask overlaps, and its IoU with each."""


def _ious(mask: CutMask, numbers: NDArray[np.int64], areas: NDArray[np.int64]) -> Overlapping:
    (height, width), row, column = mask.mask.shape, mask.row, mask.column
    rows, columns = numbers.shape
    if min(row, column) < 0 or row + height > rows or column + width > columns:
        raise ValueError(
            f"a mask of {height} x {width} pixels at row {row}, column {column} is not within an "
            f"image of {rows} x {columns}"
        )
    covered = numbers[row : row + height, column : column + width][mask.mask]
    under, shared = np.unique(covered[covered >= 0], return_counts=True)
    return under, shared / (areas[under] + covered.size - shared)


def _highest(found: Iterable[Overlapping], count: int) -> Floats:
    highest = np.zeros(count)
    for under, iou in found:
        highest[under] = np.maximum(highest[under], iou)
    return highest


def _prompted(prompts: PromptArrays, numbers: NDArray[np.int64], count: int) -> Bools:
    """Which objects a prompt is for.

    A point in an object (label 1, or without labels) is for it. A box is for the object whose own
    bounding box has the highest IoU with it (of equals the first), if they overlap.
    """
    prompted = np.zeros(count, bool)
    if prompts.points is not None:
        points = np.asarray(prompts.points, float)
        inside = np.ones(points.shape[:-1], bool)
        if prompts.point_labels is not None:
            inside = np.asarray(prompts.point_labels) == 1
        columns, rows = np.floor(points[inside] + 0.5).astype(np.int64).T  # whole: mid-pixel
        height, width = numbers.shape
        there = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        under = numbers[rows[there], columns[there]]
        prompted[under[under >= 0]] = True
    if prompts.boxes is not None and count:
        own = _bounding_boxes(numbers, count)
        for box in np.asarray(prompts.boxes, float):
            iou = _box_ious(box, own)
            best = iou.argmax()
            prompted[best] |= iou[best] > 0
    return prompted


def _bounding_boxes(numbers: NDArray[np.int64], count: int) -> Floats:
    """Of each object left, top, right and bottom, in pixels, the last ones included; N x 4."""
    from scipy.ndimage import find_objects

    return np.array(
        [
            (columns.start, rows.start, columns.stop - 1, rows.stop - 1)
            for rows, columns in find_objects(numbers + 1, max_label=count)
        ],
        float,
    )


def _box_ious(box: Floats, others: Floats) -> Floats:
    """The IoU of a box with each of N others, in pixels."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]) + 1
    shared = sides.clip(0).prod(axis=1)
    area, areas = (np.prod(each[..., 2:] - each[..., :2] + 1, axis=-1) for each in (box, others))
    iou: Floats = shared / (area + areas - shared)
    return iou
