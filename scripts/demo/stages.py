"""Where APG loses what it loses: each of its stages in turn is replaced by the truth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo.scoring import Labels, accuracy
from models.apg import APG, Scored, prompted, suppress
from models.common.images import to_rgb8
from models.common.masks import Patch, cut, merge

_STRICTER = 0.5  # IoU


def stages(model: APG, images: Iterable[tuple[NDArray[Any], Labels]]) -> dict[str, float]:
    """The mean mSA of APG, and what it would be if one stage made no mistakes.

    Args:
        model: with its defaults.
        images: with their true labels.

    Returns:
        `as it is`; `true masks`: every prompt gets the object that it lies in, or none;
        `true scores`: masks are ranked by their true IoU with that object; `stricter NMS`: of
        two masks with an IoU of 0.5 the worse is dropped; and `mask IoU`, the mean over prompts
        that lie in an object.
    """
    found: dict[str, list[float]] = {}
    for image, true in images:
        for name, value in _of_image(model, image, true).items():
            found.setdefault(name, []).extend(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def _of_image(model: APG, image: NDArray[Any], true: Labels) -> dict[str, list[float]]:
    backbone = model._backbone
    with model.predicting():
        rgb = to_rgb8(image)
        maps = backbone.decode(rgb, model, backbone.encode(rgb, model))
        points = model._points(maps)
        # One by one, so that each mask's prompt is known.
        each = [prompted(backbone.predictor, points[i : i + 1], 0, 1) for i in range(len(points))]
    ids = [int(true[int(y), int(x)]) for x, y in points]
    masks = [cut(true == own) if own else None for own in ids]
    ious, made = [], []
    for one, own in zip(each, ids, strict=True):
        if not one.masks:
            continue
        iou = _iou(one.masks[0], true == own) if own else 0.0
        made.append((one.masks[0], float(one.scores[0]), iou))
        ious += [iou] if own else []
    large = [part for part in made if part[0].area > model._min_size]

    def scored(
        parts: list[tuple[Patch, float]], overlap: float = model._nms_threshold
    ) -> list[float]:
        best = Scored([p for p, _ in parts], np.array([s for _, s in parts], np.float32))
        kept = suppress(best.masks, best.scores, overlap) if best.masks else []
        labels = merge(kept, true.shape, exclusive=True, min_size=model._min_size)
        return [accuracy(true, labels) or 0.0]

    return {
        "as it is": scored([(mask, score) for mask, score, _ in large]),
        "true masks": scored([(mask, 1.0) for mask in masks if mask is not None]),
        "true scores": scored([(mask, iou) for mask, _, iou in large]),
        "stricter NMS": scored([(mask, score) for mask, score, _ in large], _STRICTER),
        "mask IoU": ious,
    }


def _iou(mask: Patch, true: NDArray[np.bool_]) -> float:
    height, width = mask.mask.shape
    there = true[mask.row : mask.row + height, mask.column : mask.column + width]
    both = int(np.count_nonzero(mask.mask & there))
    return both / (mask.area + int(true.sum()) - both)
