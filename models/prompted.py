"""Any source of prompts, any promptable model: one finds the cells, the other outlines them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from benchmark.errors import UsageError
from benchmark.types import Attending, Image, Sample, Weights
from models.backbone import Backbone, open_backbone
from models.common.cache import open_cache
from models.common.checks import check_at_least_one
from models.common.images import Normalise
from models.musam import MicroSam
from models.prompting.path import PathSetting, Prompting
from models.prompting.promptable import (
    RGB,
    Promptable,
    PromptableSam,
    PromptableSam2,
    PromptableSam3,
)
from models.prompting.prompts import Prompt, split
from models.prompting.sources import check_source, prompts_of
from models.sam2 import Sam2
from models.sam3 import Sam3, load_tracker


@dataclass(frozen=True, kw_only=True)
class Setting(PathSetting):
    """The parameters that shape results; `Prompted` describes them."""

    prompts: str


class Prompted(Prompting):
    """Prompts of another model, masks of a promptable one, the best of them merged to objects.

    Args:
        weights: of the model that makes the masks; complete and verified.
        source: the segmenter whose objects become prompts, or a
            `models.prompting.sources.PromptSource`. In a configuration, the name of a model in
            `configs/model/` or of a source in `configs/model_source/`; `source_options` are its
            parameters.
        device: `cuda`, `mps` or `cpu`.
        prompts: what prompts for an object of the source: its innermost point (`points`), its box
            (`boxes`), or `both`. `own`: prompts that the source itself gives.
        masks: the model that makes the masks: `musam`, `sam`, `sam2` or `sam3`.
        min_size: masks and objects have to be larger. In pixels.
        nms_threshold: of two masks with a higher overlap, the worse is dropped.
        batch_size: prompts at a time.
        cache: bytes that µSAM's and SAM's embeddings may take on disk; 0 to keep none.
        multimasking: whether there are three masks for a prompt, of which the one is taken that
            the model expects the highest IoU of; else there is one.
        intersection_over_min: whether overlap is the intersection over the smaller area, else over
            the union.
        mask_threshold: logits above it belong to a mask; `auto` for one by Otsu's method for each
            mask; None for the model's own, 0.
        refine_with_box_prompts: whether the box of each mask is a prompt in turn, whose mask takes
            the place of the first.
        normalise: how intensities become the 8 bit that the model that makes the masks sees, as for
            `models.apg.APG`. The source has its own, in `source_options`.
        precision: of the model that makes the masks: `default`, `float32`, `tf32` or `bfloat16`,
            see `models.common.precision.Precision`. The source has its own, if any.

    Raises:
        ValueError: the source gives no such prompts, there is no such `normalise`,
            `mask_threshold` is another text than auto, or `batch_size` is below 1.

    The steps after the prompts are those of `models.apg.APG`, which is the case of µSAM's decoder
    as a source.
    """

    version: ClassVar[int] = 1
    execution: ClassVar[tuple[str, ...]] = ("batch_size",)
    models: ClassVar[tuple[str, ...]] = ("source",)
    added: ClassVar[tuple[str, ...]] = ("normalise", "precision")
    chosen_by: ClassVar[tuple[str, ...]] = ("masks", "normalise", "precision")

    attend: Callable[[Sample], None]
    """Only where the source is given the whole sample."""

    def __init__(
        self,
        weights: Weights,
        source: Any,
        device: str = "cpu",
        prompts: str = "points",
        masks: str = "musam",
        min_size: int = 25,
        nms_threshold: float = 0.9,
        batch_size: int = 32,
        cache: int = 0,
        multimasking: bool = False,
        intersection_over_min: bool = False,
        mask_threshold: float | str | None = None,
        refine_with_box_prompts: bool = False,
        normalise: Normalise = "min_max",
        precision: str = "default",
    ) -> None:
        check_at_least_one(batch_size=batch_size)
        check_source(source, prompts)
        self.setting = Setting(
            prompts=prompts,
            multimasking=multimasking,
            mask_threshold=mask_threshold,
            refine_with_box_prompts=refine_with_box_prompts,
            min_size=min_size,
            nms_threshold=nms_threshold,
            intersection_over_min=intersection_over_min,
        )
        self._batch_size = batch_size
        self._source = source
        if isinstance(source, Attending):
            self.attend = source.attend
        super().__init__(device, open_cache(cache), normalise, precision)
        with self.loading():
            self._model = self._open(weights)

    @classmethod
    def adapter_for(cls, parameters: Mapping[str, Any]) -> type[Prompted]:
        """The class for the value of `masks`.

        Raises:
            UsageError: there is none.
        """
        masks = parameters.get("masks", "musam")
        if masks not in MASKS:
            raise UsageError(f"model.masks is '{masks}'; give one of {', '.join(MASKS)}.")
        return MASKS[masks]

    @abstractmethod
    def _open(self, weights: Weights) -> Promptable:
        """Load the model that makes the masks."""

    @property
    def _promptable(self) -> Promptable:
        return self._model

    def _prompts(self, image: Image, rgb: RGB, settings: Sequence[Any]) -> Sequence[list[Prompt]]:
        with self.stage("source"), self.precision.suspended():
            kinds = [setting.prompts for setting in settings]
            found = prompts_of(self._source, image, kinds)
            single = {kind: split(prompts.arrays) for kind, prompts in found.items()}
        self._encode(rgb)
        return [single[kind] for kind in kinds]

    def _encode(self, rgb: RGB) -> None:
        with self.stage("encode"):
            self._model.encode(rgb)


class PromptedMicroSam(Prompted):
    """Masks of µSAM."""

    like: ClassVar[type[MicroSam]] = MicroSam
    family: ClassVar[str] = MicroSam.family
    input_size: ClassVar[int] = MicroSam.input_size
    libraries: ClassVar[tuple[str, ...]] = MicroSam.libraries
    requires: ClassVar[tuple[str, ...]] = MicroSam.requires
    install: ClassVar[str] = MicroSam.install

    _backbone: Backbone

    def _open(self, weights: Weights) -> Promptable:
        import micro_sam.instance_segmentation  # noqa: F401  # not first in `predict`

        self._backbone = open_backbone(weights, self.device, self.like.architectures)
        return PromptableSam(self._backbone.predictor)

    def _encode(self, rgb: RGB) -> None:
        self._backbone.encode(rgb, self)  # it measures, and shares embeddings with other modes


class PromptedSam(PromptedMicroSam):
    """Masks of SAM."""

    family: ClassVar[str] = "sam"


class PromptedSam2(Prompted):
    """Masks of SAM 2."""

    like: ClassVar[type[Sam2]] = Sam2
    family: ClassVar[str] = Sam2.family
    input_size: ClassVar[int] = Sam2.input_size
    libraries: ClassVar[tuple[str, ...]] = Sam2.libraries
    requires: ClassVar[tuple[str, ...]] = Sam2.requires

    def _open(self, weights: Weights) -> Promptable:
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        model = self.like.load(weights).to(self.device).eval()
        return PromptableSam2(SAM2ImagePredictor(model))


class PromptedSam3(Prompted):
    """Masks of SAM 3."""

    family: ClassVar[str] = Sam3.family
    input_size: ClassVar[int] = Sam3.input_size
    libraries: ClassVar[tuple[str, ...]] = Sam3.libraries
    requires: ClassVar[tuple[str, ...]] = Sam3.requires

    def _open(self, weights: Weights) -> Promptable:
        model, processor = load_tracker(weights)
        return PromptableSam3(model.to(self.device).eval(), processor)


MASKS: Mapping[str, type[Prompted]] = {
    "musam": PromptedMicroSam,
    "sam": PromptedSam,
    "sam2": PromptedSam2,
    "sam3": PromptedSam3,
}
"""By the value of the parameter `masks`."""
