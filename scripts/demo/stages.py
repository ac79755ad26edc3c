"""Where APG loses what it loses: each of its stages in turn is replaced by the truth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo.scoring import Labels, accuracy
from models.apg import APG
from models.common.images import to_rgb8
from models.common.masks import Patch, cut, merge
from models.common.overlaps import Overlaps, suppress
from models.prompting.masks import decode
from models.prompting.prompts import stack

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
    backbone, setting = model._backbone, model.setting
    with model.predicting():
        rgb = to_rgb8(image)
        maps = backbone.decode(rgb, model, backbone.encode(rgb, model))
        prompts = setting.derive(maps)
        way = setting.way(backbone.predictor)
        pool = decode(backbone.predictor, [(way, prompts)], 1)[0][way]
    points = stack(prompts)["points"][:, 0] if prompts else np.zeros((0, 2))
    ids = [int(true[int(y), int(x)]) for x, y in points]
    masks = [cut(true == own) if own else None for own in ids]
    ious, made = [], []
    for mask, score, own in zip(pool.masks, pool.scores, ids, strict=True):
        if not mask.area:
            continue
        iou = _iou(mask, true == own) if own else 0.0
        made.append((mask, score, iou))
        ious += [iou] if own else []
    large = [part for part in made if part[0].area > setting.min_size]

    def scored(
        parts: list[tuple[Patch, float]], overlap: float = setting.nms_threshold
    ) -> list[float]:
        patches = [mask for mask, _ in parts]
        scores = np.array([score for _, score in parts], np.float32)
        kept = suppress(Overlaps(patches), range(len(patches)), scores, overlap)
        best = [patches[number] for number in kept]
        labels = merge(best, true.shape, exclusive=True, min_size=setting.min_size)
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
