"""SAM 2: the automatic mask generator of Meta's `sam2`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import DictConfig, OmegaConf

from benchmark.types import Image, Labels, Weights
from models.common.checks import check_at_least_one
from models.common.images import Normalise
from models.common.precision import keep_places_exact
from models.common.torch_adapter import TorchAdapter
from models.prompting.promptable import PromptableSam2
from models.prompting.proposals import Proposals, merged, propose
from models.weights.checkpoint import (
    another_architecture,
    load_parameters,
    open_checkpoint,
    tensors,
)

_ARCHITECTURES = {12: "hiera_t", 16: "hiera_s", 24: "hiera_b+", 48: "hiera_l"}
"""By the number of blocks of the image encoder."""

_BLOCK = "image_encoder.trunk.blocks."

_POSTPROCESSING = {
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}
"""What `build_sam2` adds to the packaged configuration by default."""


_Grid = tuple[int, int]
"""What masks depend on before they are chosen: `points_per_side`, `min_mask_region_area`."""


class Sam2(TorchAdapter):
    """Points on a grid, a mask for each, the good ones merged into one label image.

    Args:
        weights: a checkpoint of SAM 2.1, as its authors publish it.
        device: `cuda`, `mps` (preliminary, says upstream; never tried here) or `cpu`.
        points_per_side: points along one side of the grid.
        pred_iou_thresh: masks that the model itself gives a lower IoU are dropped.
        stability_score_thresh: so are those that change more than this with their threshold.
        box_nms_thresh: of two masks whose boxes overlap more (IoU), the better is kept.
        min_mask_region_area: pixels of the model's own mask of 256 x 256; smaller holes are
            filled and smaller islands removed. Above 0 it needs CUDA and sam2's extension.
        batch_size: points at a time.
        normalise: how intensities become the 8 bit that the network sees: each channel over its
            own range (`min_max`), between its percentiles 1 and 99 (`percentiles`) or two others
            (`[0.5,99.5]`), or all channels over one (`min_max_joint`, `percentiles_joint`).
        precision: `default`, `float32`, `tf32` or `bfloat16`, see
            `models.common.precision.Precision`.

    Raises:
        ModelError: the checkpoint is none, or of another architecture.
        ValueError: `points_per_side` or `batch_size` is below 1, there is no such `normalise`, or
            `min_mask_region_area` is asked for where upstream would only warn.

    The study set SAM 2 up and never ran it, so there is no published way from its masks to a
    label image. This is the one for the masks of SAM's own generator, by micro-sam: larger
    masks first, smaller ones on top, each connected part an object, the largest background;
    so that the two can be compared. By default, precision is that of the generator when it is
    called by itself: the parameters' float32, without the autocast of upstream's notebooks.

    Source: `sam2.automatic_mask_generator.SAM2AutomaticMaskGenerator`, its defaults.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("sam2",)
    requires: ClassVar[tuple[str, ...]] = ("sam2>=1.1,<2",)
    execution: ClassVar[tuple[str, ...]] = ("batch_size",)
    family: ClassVar[str] = "sam2"
    input_size: ClassVar[int] = 1024
    added: ClassVar[tuple[str, ...]] = ("normalise", "precision")
    chosen_by: ClassVar[tuple[str, ...]] = ("normalise", "precision")

    def __init__(
        self,
        weights: Weights,
        device: str = "cpu",
        points_per_side: int = 32,
        pred_iou_thresh: float = 0.8,
        stability_score_thresh: float = 0.95,
        box_nms_thresh: float = 0.7,
        min_mask_region_area: int = 0,
        batch_size: int = 64,
        normalise: Normalise = "min_max",
        precision: str = "default",
    ) -> None:
        check_at_least_one(batch_size=batch_size)
        super().__init__(device, normalise=normalise, precision=precision)
        self._batch_size = batch_size
        self._choices = {
            "points_per_side": points_per_side,
            "pred_iou_thresh": pred_iou_thresh,
            "stability_score_thresh": stability_score_thresh,
            "box_nms_thresh": box_nms_thresh,
            "min_mask_region_area": min_mask_region_area,
        }
        with self.loading():
            from sam2.sam2_image_predictor import SAM2ImagePredictor

            self._check(self._choices)
            self._predictor = SAM2ImagePredictor(self.load(weights).to(device).eval())
        self._predictor.set_image = self.timed("encode", self._predictor.set_image)

    def _check(self, choices: Mapping[str, Any]) -> None:
        check_at_least_one(points_per_side=choices["points_per_side"])
        area = choices["min_mask_region_area"]
        if area and (self.device != "cuda" or importlib.util.find_spec("sam2._C") is None):
            raise ValueError(
                f"min_mask_region_area is {area}: without CUDA and sam2's own extension nothing "
                "would be filled or removed; give 0"
            )

    def predict(self, image: Image) -> Labels:
        """Segment everything in an image.

        Args:
            image: H x W or H x W x C (C 1 to 4), integer or finite float.

        Returns:
            H x W uint32, ids consecutive.

        Raises:
            ValueError: no image of this kind.
            ModelError: the device has no memory even for one point at a time.
        """
        [labels] = self.predict_each(image, [{}])
        return labels

    def predict_each(self, image: Image, settings: Sequence[Mapping[str, Any]]) -> Iterator[Labels]:
        """Segment one image under each of several settings, as `benchmark.types.Sharing` has it.

        The image is encoded once, the masks of each grid of points are made once, and equal
        choices of masks are merged once. `details` has the `prompts` of all settings, and the
        `decodes` that were made of them.
        """
        chosen = [{**self._choices, **each} for each in settings]
        grids: dict[_Grid, list[Mapping[str, Any]]] = {}
        for each in chosen:
            self._check(each)
            grids.setdefault(_grid_of(each), []).append(each)
        with self.predicting():
            rgb = self.to_rgb8(image)
            with self.stage("decode"):
                made = self.halving(partial(self._masks, rgb, grids), self._batch_size)
            # It encodes inside; the two are shown apart.
            self.stages["decode"] -= self.stages["encode"]
        self.details.update(
            prompts=sum(each["points_per_side"] ** 2 for each in chosen),
            decodes=sum(side**2 for side, _ in grids),
        )
        pairs = [(made[_grid_of(each)], each) for each in chosen]
        return merged(pairs, rgb.shape[:2], partial(self.later_stage, "postprocess"))

    def _masks(
        self, rgb: Any, grids: Mapping[_Grid, Sequence[Mapping[str, Any]]], batch_size: int
    ) -> dict[_Grid, Proposals]:
        """Of each grid the masks that its settings choose among.

        As `SAM2AutomaticMaskGenerator._process_crop` of the whole image.
        """
        predictor = self._predictor
        model = PromptableSam2(predictor)
        made = {}
        predictor.set_image(rgb)
        for grid, settings in grids.items():
            side, area = grid
            predictor._transforms.max_hole_area = predictor._transforms.max_sprinkle_area = area
            made[grid] = propose(model, rgb.shape[:2], side, settings, batch_size)
        predictor.reset_predictor()
        return made

    @staticmethod
    def _describe(weights: Weights, key: str, blocks: int) -> DictConfig:
        """The configuration to build from, for a checkpoint with so many encoder blocks."""
        architecture = weights.architecture or _ARCHITECTURES.get(blocks)
        if architecture is None:
            known = ", ".join(f"{count} ({name})" for count, name in _ARCHITECTURES.items())
            raise another_architecture(
                weights, key, f"its image encoder has {blocks} blocks; known are {known}"
            )
        return packaged(architecture)

    @classmethod
    def load(cls, weights: Weights) -> Any:
        """The network with its weights, on the CPU.

        Raises:
            ModelError: the checkpoint is none, or of another architecture.
        """
        from hydra.utils import instantiate

        key = next(iter(weights.paths))
        saved = open_checkpoint(weights, key).get("model")
        if not isinstance(saved, Mapping):
            raise another_architecture(weights, key, "it has no parameters under 'model'")
        parameters = tensors(saved)
        blocks = {name.split(".")[3] for name in parameters if name.startswith(_BLOCK)}
        # Not `build_sam2`, which composes: Hydra's global state is the application's, if anyone's.
        model = instantiate(cls._describe(weights, key, len(blocks)), _recursive_=True)
        load_parameters(model, parameters, weights, key)
        keep_places_exact(model)
        return model


def _grid_of(setting: Mapping[str, Any]) -> _Grid:
    return setting["points_per_side"], setting["min_mask_region_area"]


def packaged(architecture: str) -> DictConfig:
    """The library's own configuration of a model of SAM 2.1, as `build_sam2` completes it.

    Args:
        architecture: `hiera_t`, `hiera_s`, `hiera_b+` or `hiera_l`.
    """
    import sam2

    path = Path(sam2.__path__[0], "configs", "sam2.1", f"sam2.1_{architecture}.yaml")
    added = OmegaConf.create({"sam_mask_decoder_extra_args": _POSTPROCESSING})
    merged = OmegaConf.merge(OmegaConf.load(path).model, added)
    assert isinstance(merged, DictConfig)
    return merged
