"""Automatic mask generation: masks of a grid of points, the good ones merged into labels."""

from __future__ import annotations

import contextlib
import math
import operator
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Labels
from models.common.masks import Runs, coded, merge
from models.prompting.promptable import MaskLogits, Promptable

Setting = Mapping[str, Any]
_NONE = np.zeros(0, np.uint32)
Stage = Callable[[], contextlib.AbstractContextManager[None]]
_STABILITY_OFFSET = 1.0  # in logits, on either side of the threshold
_PIXELS_AT_ONCE = 1 << 26  # of masks on a GPU: 256 MB of logits
_RESOLUTION = 1024  # of SAM's encoder: masks pass it on their way to the image's size


class Proposals:
    """The masks of an image that a setting may keep: those that pass the loosest thresholds.

    Masks are filtered by their expected IoU as the decoder made them, a few at a time brought to
    the image's size and filtered by their stability, and the rest kept on the host, run-length
    coded. A generator of upstream's has all masks of a batch at the image's size, and keeps all.

    Args:
        settings: they have `pred_iou_thresh` and `stability_score_thresh`.
        mask_threshold: the logit above which a pixel belongs to a mask.
        device: that masks are suppressed on.
    """

    def __init__(
        self, settings: Iterable[Setting], mask_threshold: float, device: str = "cpu"
    ) -> None:
        self._device = device
        settings = list(settings)
        self._least = {name: min(each[name] for each in settings) for name in _PASSES}
        self._threshold = mask_threshold
        # Nothing of its own is kept for a mask: it would lie where the next one's logits, now
        # freed, could have lain, and the process would grow by their size with each.
        self._lengths = array("I")
        self._runs: list[tuple[slice, Runs]] = []
        self._scores: dict[str, list[float]] = {name: [] for name in _PASSES}

    @property
    def masks(self) -> list[Runs]:
        """The masks, in the order of the points; there is no adding while one is held."""
        lengths: NDArray[np.uint32] = np.asarray(self._lengths)
        return [runs._replace(lengths=lengths[where]) for where, runs in self._runs]

    def add(self, found: MaskLogits, at_once: int) -> None:
        """Take the masks of some points over, as far as they pass.

        Args:
            found: of N points, as the decoder made them.
            at_once: masks that are brought to the image's size at a time; a multiple of 3.
        """
        import torch

        small, ious = found.logits.flatten(0, 1), found.ious.flatten(0, 1)
        passing = torch.nonzero(_passing("pred_iou_thresh", ious, self._least))[:, 0]
        for numbers in passing.split(at_once) if len(passing) else ():
            logits = small[numbers]
            made = found.upsampling.thresholded(logits, self._threshold, _STABILITY_OFFSET)
            areas = torch.tensor([(one.inner, one.outer) for one in made])
            stability = areas[:, 0] / areas[:, 1]  # NaN where nothing is left
            kept = _passing("stability_score_thresh", stability, self._least)
            for number in torch.nonzero(kept)[:, 0].tolist():
                self._append(coded(made[number].mask))
            self._scores["pred_iou_thresh"] += ious[numbers].cpu()[kept].tolist()
            self._scores["stability_score_thresh"] += stability[kept].tolist()

    def _append(self, runs: Runs) -> None:
        start = len(self._lengths)
        self._lengths.frombytes(runs.lengths.tobytes())
        self._runs.append((slice(start, len(self._lengths)), runs._replace(lengths=_NONE)))

    def kept(self, setting: Setting) -> list[int]:
        """The numbers of the masks that pass the thresholds and are not suppressed, best first."""
        import torch
        from torchvision.ops.boxes import batched_nms

        scores = {
            name: torch.tensor(values, dtype=torch.float32, device=self._device)
            for name, values in self._scores.items()
        }
        passing = torch.ones_like(scores["pred_iou_thresh"], dtype=torch.bool)
        for name, values in scores.items():
            passing &= _passing(name, values, setting)
        numbers = torch.nonzero(passing)[:, 0]
        boxes = torch.tensor([runs.box for _, runs in self._runs], device=self._device)
        boxes = boxes.reshape(-1, 4)[numbers]
        best = batched_nms(
            boxes.float(),
            scores["pred_iou_thresh"][numbers],
            torch.zeros_like(boxes[:, 0]),  # categories
            iou_threshold=setting["box_nms_thresh"],
        )
        kept: list[int] = numbers[best].tolist()
        return kept


_PASSES: Mapping[str, Callable[[Any, float], Any]] = {
    "pred_iou_thresh": operator.gt,
    "stability_score_thresh": operator.ge,
}
"""As upstream compares."""


def _passing(name: str, values: Any, thresholds: Mapping[str, float]) -> Any:
    """Which masks pass a threshold, N bool."""
    import torch

    threshold = thresholds[name]
    if threshold <= 0:  # as upstream; it lets NaN pass as well, the stability of nothing
        return torch.ones_like(values, dtype=torch.bool)
    return _PASSES[name](values, threshold)


def point_grid(side: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Points in the middle of so many cells along each side of an image, N x 2, x and y.

    Source: `segment_anything.utils.amg.build_point_grid`.
    """
    offset = 1 / (2 * side)
    along = np.linspace(offset, 1 - offset, side)
    cells = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
    points: NDArray[np.float64] = cells * np.array(shape)[None, ::-1]
    return points


def propose(
    model: Promptable,
    shape: tuple[int, int],
    side: int,
    settings: Iterable[Setting],
    batch_size: int,
) -> Proposals:
    """Make the masks of a grid of points.

    Args:
        model: it has encoded the image.
        shape: height and width of the image.
        side: points along each side.
        settings: that choose among the masks.
        batch_size: points that are decoded at a time.
    """
    points = point_grid(side, shape)
    proposals = Proposals(settings, model.mask_threshold, model.device)
    for start in range(0, len(points), batch_size):
        batch = points[start : start + batch_size, None]
        prompts = {"points": batch, "point_labels": np.ones(batch.shape[:2])}
        found = model.decode(prompts, multimask=True)
        proposals.add(found, _at_once(model.device, shape))
    return proposals


def _at_once(device: str, shape: tuple[int, int]) -> int:
    """Masks at the image's size at a time: on a CPU, more are no quicker."""
    if device == "cpu":
        return 3
    return 3 * max(1, _PIXELS_AT_ONCE // (3 * max(_RESOLUTION**2, math.prod(shape))))


def merged(
    chosen: Iterable[tuple[Proposals, Setting]], shape: tuple[int, int], stage: Stage
) -> Iterator[Labels]:
    """Make the label image of each setting; equal choices of masks give the same one.

    Larger masks first, smaller ones on top; each connected part is an object. The largest is
    background, unless the setting has another `with_background`.

    Args:
        chosen: settings, and the masks of which they choose.
        shape: height and width.
        stage: around the making of each.
    """
    made: dict[Any, Labels] = {}
    for proposals, setting in chosen:
        with stage():
            kept, background = proposals.kept(setting), setting.get("with_background", True)
            key = (id(proposals), background, *kept)
            if key not in made:
                masks = proposals.masks
                chosen_masks = [masks[number] for number in kept]
                made[key] = merge(chosen_masks, shape, exclusive=False, drop_largest=background)
        yield made[key]
