"""What weights are worth: accuracy, symmetry, and where APG loses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.scoring.match import match
from benchmark.scoring.metrics import mean_segmentation_accuracy, true_positives
from benchmark.scoring.protocol import THRESHOLD_GRIDS
from models.apg import APG
from models.common.images import to_rgb8
from models.common.masks import Patch, cut, merge
from models.common.overlaps import Overlaps, suppress
from models.musam import AIS, AMG
from models.prompting.masks import decode
from models.prompting.promptable import PromptableSam
from models.prompting.prompts import split, stack
from models.prompting.sources import OF_LABELS, of_labels

GRID = 16  # points of mask generation along each side
MODES: Mapping[str, Callable[..., Any]] = {"ais": AIS, "apg": APG, "amg": AMG}
PARAMETERS: Mapping[str, Mapping[str, Any]] = {"amg": {"points_per_side": GRID}}

Array = NDArray[Any]
Labels = NDArray[np.integer]
TURNS: Mapping[str, Callable[[Array], Array]] = {
    "transposed": lambda a: a.swapaxes(0, 1),
    "flipped": lambda a: a[::-1],
    "rotated": lambda a: np.rot90(a),
}
_STRICTER = 0.5  # IoU
_PROMPTED = 16  # objects of an image, the masks of whose prompts are scored


def load(mode: str, weights: str = "demo") -> Any:
    """A mode's adapter with weights by card or path."""
    adapter = MODES[mode]
    found = adapter.find_weights(weights).fetch()  # type: ignore[attr-defined]
    return adapter(found, **PARAMETERS.get(mode, {}))


def accuracy(true: Labels, found: Labels) -> float | None:
    """Mean segmentation accuracy over the ten exact thresholds; None where both are empty."""
    overlap = match(true.astype(np.int64), found.astype(np.int64))
    sizes = len(overlap.true), len(overlap.predicted)
    hits = true_positives(overlap, THRESHOLD_GRIDS["exact"])
    return mean_segmentation_accuracy(hits, *sizes) if any(sizes) else None


def symmetry(model: Any, images: Sequence[Array]) -> dict[str, float]:
    """The mSA between the labels of a turned image and the turned labels of an image.

    Args:
        model: an adapter.
        images: H x W or H x W x C.

    Returns:
        For each way to turn, the mean over images.
    """
    plain = [model.predict(image) for image in images]
    scores = {
        name: [
            accuracy(turn(labels), model.predict(np.ascontiguousarray(turn(image)))) or 0.0
            for image, labels in zip(images, plain, strict=True)
        ]
        for name, turn in TURNS.items()
    }
    return {name: float(np.mean(values)) for name, values in scores.items()}


def stages(model: APG, images: Iterable[tuple[Array, Labels]]) -> dict[str, float]:
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
        for name, value in _stages_of(model, image, true).items():
            found.setdefault(name, []).extend(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def prompting(model: APG, images: Iterable[tuple[Array, Labels]]) -> dict[str, float]:
    """How well the true prompts of objects become masks, and how well the network knows it.

    Args:
        model: with its defaults.
        images: with their true labels; of each, some 16 objects that are spread over it count.

    Returns:
        For `points`, `boxes` and `both`, the mean over images of the mean IoU of masks with their
        objects; `score_error`, the mean absolute difference between scores and IoU.
    """
    found: dict[str, list[float]] = {}
    for image, true in images:
        for name, value in _prompting_of(model, image, true).items():
            found.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def _prompting_of(model: APG, image: Array, true: Labels) -> dict[str, float]:
    every = np.unique(true[true > 0]).tolist()
    if not every:
        return {}
    ids = every[:: -(-len(every) // _PROMPTED)]
    chosen = np.where(np.isin(true, ids), true, 0)
    promptable = PromptableSam(model._backbone.predictor)
    way = model.setting.way(promptable)
    found: dict[str, float] = {}
    errors: list[float] = []
    with model.predicting():
        model._backbone.encode(to_rgb8(image), model)
        for kind in OF_LABELS:
            prompts = split(of_labels(chosen, kind).arrays)
            pool = decode(promptable, [(way, prompts)], 8)[0][way]
            ious = [_iou(pool.of(one), true == own) for one, own in zip(prompts, ids, strict=True)]
            scores = np.nan_to_num([pool.scores[pool.numbers[one]] for one in prompts])
            errors += np.abs(scores - ious).tolist()
            found[kind] = float(np.mean(ious))
    return found | {"score_error": float(np.mean(errors))}


def _stages_of(model: APG, image: Array, true: Labels) -> dict[str, list[float]]:
    backbone, setting = model._backbone, model.setting
    with model.predicting():
        rgb = to_rgb8(image)
        maps = backbone.decode(rgb, model, backbone.encode(rgb, model))
        prompts = setting.derive(maps)
        way = setting.way(PromptableSam(backbone.predictor))
        pool = decode(PromptableSam(backbone.predictor), [(way, prompts)], 1)[0][way]
    points = stack(prompts)["points"][:, 0] if prompts else np.zeros((0, 2))
    ids = [int(true[int(y), int(x)]) for x, y in points]
    masks = [cut(true == own) for own in ids if own]
    ious: list[float] = []
    kept: list[tuple[Patch, float, float]] = []  # with SAM's score and the true IoU
    for mask, score, own in zip(pool.masks, pool.scores, ids, strict=True):
        if not mask.area:
            continue
        iou = _iou(mask, true == own) if own else 0.0
        ious += [iou] if own else []
        kept += [(mask, float(score), iou)] if mask.area > setting.min_size else []
    large = [mask for mask, _, _ in kept]
    own_scores, true_scores = [score for _, score, _ in kept], [iou for _, _, iou in kept]

    def msa(
        masks: list[Patch], scores: list[float], overlap: float = setting.nms_threshold
    ) -> list[float]:
        chosen = suppress(Overlaps(masks), range(len(masks)), np.array(scores, np.float32), overlap)
        best = [masks[number] for number in chosen]
        labels = merge(best, true.shape, exclusive=True, min_size=setting.min_size)
        return [accuracy(true, labels) or 0.0]

    return {
        "as it is": msa(large, own_scores),
        "true masks": msa(masks, [1.0] * len(masks)),
        "true scores": msa(large, true_scores),
        "stricter NMS": msa(large, own_scores, _STRICTER),
        "mask IoU": ious,
    }


def _iou(mask: Patch, true: NDArray[np.bool_]) -> float:
    height, width = mask.mask.shape
    there = true[mask.row : mask.row + height, mask.column : mask.column + width]
    both = int(np.count_nonzero(mask.mask & there))
    return both / (mask.area + int(true.sum()) - both)
