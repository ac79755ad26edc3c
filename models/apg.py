"""Automatic prompt generation (APG): micro-sam's decoder says where, SAM's says what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Image, Labels, Weights
from models.backbone import Maps
from models.common.checks import check_at_least_one
from models.common.images import to_rgb8
from models.common.masks import Patch, cut, merge
from models.musam import MicroSam
from models.prompting import points as derive

_STABILITY_OFFSET = 1.0  # in logits, on either side of SAM's threshold


class Scored(NamedTuple):
    """What SAM made of the prompts: masks, and how good each is."""

    masks: list[Patch]
    scores: NDArray[np.float32]


class APG(MicroSam):
    """Prompts from the decoder's maps, masks from SAM, the best of them merged to objects.

    Args:
        weights: complete and verified, with a decoder.
        device: `cuda`, `mps` or `cpu`.
        prompts: where they are: in each of the `connected_components` of what is near the
            middle of an object, or at each maximum of the `boundary_distance`.
        min_size: masks and objects have to be larger. In pixels.
        foreground_threshold: prompts are where the foreground is not below it.
        center_distance_threshold: for components: prompts are where it is below.
        boundary_distance_threshold: for components: prompts are where it is below.
        min_distance: for maxima: between two of them, in pixels.
        threshold_abs: for maxima: no lower one counts.
        nms_threshold: of two masks with a higher IoU, the worse is dropped.
        batch_size: prompts at a time.
        cache: bytes that embeddings and maps may take on disk; 0 to keep none.

    Raises:
        ValueError: there are no such `prompts`, or `batch_size` is below 1.

    Source: `micro_sam.instance_segmentation.AutomaticPromptGenerator`, which it equals.
    """

    version: ClassVar[int] = 1

    def __init__(
        self,
        weights: Weights,
        device: str = "cpu",
        prompts: str = "connected_components",
        min_size: int = 25,
        foreground_threshold: float = 0.5,
        center_distance_threshold: float = 0.5,
        boundary_distance_threshold: float = 0.5,
        min_distance: int = 5,
        threshold_abs: float = 0.25,
        nms_threshold: float = 0.9,
        batch_size: int = 32,
        cache: int = 0,
    ) -> None:
        ways: dict[str, Callable[[Maps], derive.Points]] = {
            "connected_components": lambda maps: derive.of_components(
                *maps,
                foreground_threshold=foreground_threshold,
                center_distance_threshold=center_distance_threshold,
                boundary_distance_threshold=boundary_distance_threshold,
            ),
            "boundary_distance": lambda maps: derive.of_maxima(
                maps[0],
                maps[2],
                foreground_threshold=foreground_threshold,
                min_distance=min_distance,
                threshold_abs=threshold_abs,
            ),
        }
        if prompts not in ways:
            raise ValueError(f"prompts is '{prompts}': give one of {', '.join(ways)}")
        check_at_least_one(batch_size=batch_size)
        super().__init__(weights, device, cache)
        self._points = ways[prompts]
        self._min_size = min_size
        self._nms_threshold = nms_threshold
        self._batch_size = batch_size

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C (C 1 to 4), any integer or finite float dtype.

        Returns:
            H x W uint32, 0 = background, ids consecutive.

        Raises:
            ValueError: another shape, or values that are not finite.
        """
        with self.predicting():
            rgb = to_rgb8(image)
            embeddings = self._backbone.encode(rgb, self)
            maps = self._backbone.decode(rgb, self, embeddings)
            with self.stage("prompt"):
                points = self._points(maps)
                masks = partial(prompted, self._backbone.predictor, points, self._min_size)
                found = self.halving(masks, self._batch_size)
            with self.stage("postprocess"):
                best = suppress(found.masks, found.scores, self._nms_threshold)
                labels = merge(best, image.shape[:2], exclusive=True, min_size=self._min_size)
            self.details.update(prompts=len(points), masks=len(best))
        return labels


def prompted(predictor: Any, points: derive.Points, min_size: int, batch_size: int) -> Scored:
    """One mask for each point, by SAM; those that are not larger than `min_size` are dropped.

    Args:
        predictor: `segment_anything`'s, set to an image.
        points: N x 2, each x and y in the image's pixels.
        min_size: in pixels.
        batch_size: points at a time. Only so many masks are whole at once; they are kept cut.

    Returns:
        The masks that are left, in the points' order, and their scores: the IoU that SAM
        itself expects, times how little the mask depends on where its logits are cut.
    """
    import torch

    if not len(points):
        return Scored([], np.zeros(0, np.float32))
    # By the predictor's own image size. Upstream scales to 1024 whatever that is, which is the
    # same for every published model and would misplace the points of any other.
    scaled = predictor.transform.apply_coords(points, predictor.original_size)
    prompts = torch.as_tensor(scaled, dtype=torch.float32, device=predictor.device)[:, None]
    cutoff = predictor.model.mask_threshold
    kept, scores = [], []
    for batch in prompts.split(batch_size):
        logits, ious, _ = predictor.predict_torch(
            point_coords=batch,
            point_labels=torch.ones(batch.shape[:2], device=predictor.device),
            multimask_output=False,
            return_logits=True,
        )
        areas = [
            torch.count_nonzero(logits > cutoff + offset, dim=(1, 2, 3))
            for offset in (_STABILITY_OFFSET, -_STABILITY_OFFSET)
        ]
        quality = ious[:, 0] * (areas[0] / areas[1])
        masks = (logits[:, 0] > cutoff).cpu().numpy()
        for mask, score in zip(map(cut, masks), quality.tolist(), strict=True):
            if mask.area > min_size:
                kept.append(mask)
                scores.append(score)
    return Scored(kept, np.array(scores, np.float32))


def suppress(masks: Sequence[Patch], scores: NDArray[np.float32], threshold: float) -> list[Patch]:
    """Non-maximum suppression: of masks that are nearly the same, the best alone is left.

    Args:
        masks: none of them empty.
        scores: the higher the better; of equals the first wins.
        threshold: a mask is dropped when its IoU with a better one exceeds it.

    Returns:
        What is left, best first.

    Source: `micro_sam.util._batched_mask_nms`. As there, boxes reach from the first to the last
    pixel's centre, so masks overlap only where they share two rows and two columns; IoU and
    threshold are compared in float32. Between equal scores its order is the processor's choice.
    """
    starts = np.array([(m.row, m.column) for m in masks]).reshape(-1, 2)
    ends = starts + np.array([m.mask.shape for m in masks]).reshape(-1, 2) - 1
    areas = np.array([m.area for m in masks], np.float32)
    limit = np.float32(threshold)

    kept = []
    left = np.argsort(-scores, kind="stable")
    while left.size:
        best, left = left[0], left[1:]
        kept.append(masks[best])
        shared = np.minimum(ends[left], ends[best]) - np.maximum(starts[left], starts[best])
        smaller, larger = np.minimum(areas[left], areas[best]), np.maximum(areas[left], areas[best])
        # The ratio of two areas is the highest IoU they can have: most pairs need no pixels.
        close = (shared > 0).all(axis=1) & (smaller / larger > limit)
        close[close] = [iou(masks[best], masks[other]) > limit for other in left[close]]
        left = left[~close]
    return kept


def iou(first: Patch, second: Patch) -> np.float32:
    """Intersection over union of two masks."""
    row, column = max(first.row, second.row), max(first.column, second.column)
    inside = [m.mask[row - m.row :, column - m.column :] for m in (first, second)]
    height, width = np.minimum(inside[0].shape, inside[1].shape)
    both = np.count_nonzero(inside[0][:height, :width] & inside[1][:height, :width])
    return np.float32(both) / np.float32(first.area + second.area - both)
