"""The prompting of APG on transformers' port of SAM: for machines without segment-anything."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Image, Labels, Weights
from models.common.images import to_rgb8
from models.common.masks import merge
from models.common.overlaps import Overlaps, suppress
from models.common.torch_adapter import TorchAdapter
from models.prompting.masks import Way, decode
from models.prompting.points import Points
from models.prompting.promptable import PromptableSam
from models.prompting.prompts import of_points
from models.weights import find_weights

_MIN_SIZE = 25  # pixels, as APG's
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class PromptedSam(TorchAdapter):
    """SAM on a grid of points, by the same steps as APG: `decode`, `suppress`, `merge`.

    Args:
        weights: a folder with `config.json` and safetensors of `transformers.SamModel`.
        device: `cuda`, `mps` or `cpu`.
        points_per_side: points along one side of the grid.
        batch_size: points at a time.
    """

    version: ClassVar[int] = 1
    requires: ClassVar[tuple[str, ...]] = ("transformers>=5,<6",)
    install: ClassVar[str] = "pip install 'transformers>=5,<6'"
    execution: ClassVar[tuple[str, ...]] = ("batch_size",)
    find_weights = staticmethod(partial(find_weights, family="sam", untrained=True))

    def __init__(
        self, weights: Weights, device: str = "cpu", points_per_side: int = 16, batch_size: int = 64
    ) -> None:
        super().__init__(device)
        self._per_side, self._batch_size = points_per_side, batch_size
        with self.loading():
            from transformers import SamModel

            folder = weights.paths["config.json"].parent
            model = SamModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
            self._predictor = _Predictor(model.to(device).eval())

    def predict(self, image: Image) -> Labels:
        """Segment one image; H x W uint32."""
        with self.predicting():
            rgb = to_rgb8(image)
            with self.stage("encode"):
                self._predictor.set_image(rgb)
            with self.stage("prompt"):
                prompts = of_points(_grid(rgb.shape[:2], self._per_side))
                masks = partial(decode, PromptableSam(self._predictor), [(Way(), prompts)])
                pool = self.halving(masks, self._batch_size)[0][Way()]
            with self.stage("postprocess"):
                large = [n for n, mask in enumerate(pool.masks) if mask.area > _MIN_SIZE]
                scores = np.array([pool.scores[number] for number in large], np.float32)
                best = suppress(Overlaps(pool.masks), large, scores, 0.9)
                found = [pool.masks[number] for number in best]
                return merge(found, rgb.shape[:2], exclusive=True, min_size=_MIN_SIZE)


def _grid(shape: tuple[int, int], per_side: int) -> Points:
    """N x 2, x and y in pixels."""
    y, x = np.meshgrid(*((2 * np.arange(per_side) + 1) * side // (2 * per_side) for side in shape))
    return np.stack([x.ravel(), y.ravel()], axis=1)


class _Model:
    mask_threshold = 0.0


class _Predictor:
    """What `decode` asks of segment-anything's `SamPredictor`, by transformers' model."""

    model = _Model

    def __init__(self, network: Any) -> None:
        self._network = network
        self.transform = self
        self._side = int(network.config.vision_config.image_size)
        self._embedding: Any = None
        self.original_size = self._input_size = (0, 0)

    @property
    def device(self) -> Any:
        return self._network.device

    def set_image(self, rgb: NDArray[np.uint8]) -> None:
        import torch
        from torch.nn.functional import interpolate, pad

        height, width = self.original_size = rgb.shape[:2]
        scale = self._side / max(height, width)
        self._input_size = (round(height * scale), round(width * scale))
        pixels = torch.from_numpy(rgb.copy()).to(self.device).permute(2, 0, 1)[None].float()
        mean, std = (torch.tensor(v, device=self.device)[:, None, None] for v in (_MEAN, _STD))
        pixels = interpolate(pixels, self._input_size, mode="bilinear", antialias=True)
        right, below = self._side - self._input_size[1], self._side - self._input_size[0]
        pixels = pad((pixels - mean) / std, (0, right, 0, below))
        self._embedding = self._network.get_image_embeddings(pixels)

    def apply_coords(self, points: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float64]:
        return points * np.array(
            [self._input_size[1] / size[1], self._input_size[0] / size[0]], np.float64
        )

    def predict_torch(
        self, point_coords: Any, point_labels: Any, multimask_output: bool, return_logits: bool
    ) -> tuple[Any, Any, None]:
        import torch
        from torch.nn.functional import interpolate

        assert return_logits
        with torch.no_grad():
            found = self._network(
                image_embeddings=self._embedding,
                input_points=point_coords[None],
                input_labels=point_labels[None],
                multimask_output=multimask_output,
            )
            logits = interpolate(found.pred_masks[0], (self._side, self._side), mode="bilinear")
            logits = logits[..., : self._input_size[0], : self._input_size[1]]
            logits = interpolate(logits, self.original_size, mode="bilinear")
        return logits, found.iou_scores[0], None
