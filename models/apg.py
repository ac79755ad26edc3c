"""Automatic prompt generation (APG): micro-sam's decoder says where, SAM's says what."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from benchmark.errors import ModelError
from benchmark.store.code_digest import code_digests
from benchmark.types import Image, Labels, Weights
from models.backbone import Maps
from models.common.checks import check_at_least_one
from models.common.images import Normalise
from models.common.masks import Patch
from models.musam import MicroSam
from models.prompting import points as derive
from models.prompting.path import PathSetting, Prompting
from models.prompting.promptable import RGB, Promptable, PromptableSam
from models.prompting.prompts import Prompt, Prompts, of_points, split
from models.prompting.tiled import by_tile, joined, placed


class Source(NamedTuple):
    """One way to derive prompts from the decoder's maps.

    Attributes:
        derive: takes the maps and the parameters, gives the prompts.
        parameters: names of those that it depends on.
    """

    derive: Callable[..., list[Prompt]]
    parameters: tuple[str, ...]


SOURCES: Mapping[str, Source] = {
    "connected_components": Source(
        lambda maps, **thresholds: of_points(derive.of_components(*maps, **thresholds)),
        ("foreground_threshold", "center_distance_threshold", "boundary_distance_threshold"),
    ),
    "boundary_distance": Source(
        lambda maps, **limits: of_points(derive.of_maxima(maps[0], maps[2], **limits)),
        ("foreground_threshold", "min_distance", "threshold_abs"),
    ),
}
"""By the value of the parameter `prompts`."""


@dataclass(frozen=True, kw_only=True)
class Setting(PathSetting):
    """The parameters of APG that shape its results; `APG` describes them.

    Raises:
        ValueError: there are no such `prompts`, or `mask_threshold` is neither a number nor auto.
    """

    prompts: str
    prompt_function: str | None
    foreground_threshold: float
    center_distance_threshold: float
    boundary_distance_threshold: float
    min_distance: int
    threshold_abs: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompts not in SOURCES:
            raise ValueError(f"prompts is '{self.prompts}': give one of {', '.join(SOURCES)}")

    @property
    def source(self) -> Source:
        """How its prompts are derived."""
        if self.prompt_function is None:
            return SOURCES[self.prompts]
        # Upstream gives a function the thresholds that its own has.
        parameters = SOURCES["connected_components"].parameters
        return Source(partial(_by_function, self.prompt_function), parameters)

    @property
    def derived_by(self) -> dict[str, float]:
        """The parameters that its prompts depend on."""
        return {name: getattr(self, name) for name in self.source.parameters}

    def derive(self, maps: Maps) -> list[Prompt]:
        """Its prompts, of the decoder's maps."""
        return self.source.derive(maps, **self.derived_by)


class APG(Prompting, MicroSam):
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
        nms_threshold: of two masks with a higher overlap, the worse is dropped.
        batch_size: prompts at a time.
        cache: bytes that embeddings and maps may take on disk; 0 to keep none.
        multimasking: whether SAM offers three masks for a prompt, of which the one is taken that
            it expects the highest IoU of; else it gives one.
        intersection_over_min: whether overlap is the intersection over the smaller area, else over
            the union.
        mask_threshold: logits above it belong to a mask; `auto` for one by Otsu's method for each
            mask; None for SAM's own, 0.
        refine_with_box_prompts: whether the box of each mask is a prompt in turn, whose mask takes
            the place of the first.
        prompt_function: dotted name of a function that derives the prompts, in place of `prompts`.
            It is called with the maps (`foreground`, `center_distances`, `boundary_distances`, each
            H x W float32) and the three thresholds, all by name; it returns a mapping with arrays
            of `models.prompting.prompts.KINDS`, or None for no prompt.
        normalise: how intensities become the 8 bit that the network sees: each channel over its
            own range (`min_max`), between its percentiles 1 and 99 (`percentiles`) or two others
            (`[0.5,99.5]`), or all channels over one (`min_max_joint`, `percentiles_joint`).
        precision: `default`, `float32`, `tf32` or `bfloat16`, see
            `models.common.precision.Precision`.

    Raises:
        ValueError: there are no such `prompts` or `normalise`, `mask_threshold` is another text
            than auto, or `batch_size` is below 1.

    Source: `micro_sam.instance_segmentation.AutomaticPromptGenerator`, which it equals.
    """

    version: ClassVar[int] = 1
    added: ClassVar[tuple[str, ...]] = (
        "multimasking",
        "intersection_over_min",
        "mask_threshold",
        "refine_with_box_prompts",
        "prompt_function",
        "normalise",
        "precision",
    )

    setting: Setting

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
        multimasking: bool = False,
        intersection_over_min: bool = False,
        mask_threshold: float | str | None = None,
        refine_with_box_prompts: bool = False,
        prompt_function: str | None = None,
        normalise: Normalise = "min_max",
        precision: str = "default",
    ) -> None:
        check_at_least_one(batch_size=batch_size)
        self.setting = Setting(
            prompts=prompts,
            prompt_function=prompt_function,
            foreground_threshold=foreground_threshold,
            center_distance_threshold=center_distance_threshold,
            boundary_distance_threshold=boundary_distance_threshold,
            min_distance=min_distance,
            threshold_abs=threshold_abs,
            multimasking=multimasking,
            mask_threshold=mask_threshold,
            refine_with_box_prompts=refine_with_box_prompts,
            min_size=min_size,
            nms_threshold=nms_threshold,
            intersection_over_min=intersection_over_min,
        )
        self._batch_size = batch_size
        super().__init__(weights, device, cache, normalise, precision)

    @classmethod
    def identity(cls, parameters: dict[str, Any]) -> Mapping[str, Any]:
        """The parameters, with the code of a `prompt_function` beside its name."""
        name = parameters.get("prompt_function")
        if name is None:
            return parameters
        code = code_digests(str(name).rpartition(".")[0])
        return parameters | {"prompt_function": {"name": name, "code": code}}

    @property
    def _promptable(self) -> Promptable:
        return PromptableSam(self._backbone.predictor)

    def _prompts(self, image: Image, rgb: RGB, settings: Sequence[Any]) -> Sequence[list[Prompt]]:
        maps = self._backbone.decode(rgb, self, self._backbone.encode(rgb, self))
        with self.stage("prompt"):
            return _derived(maps, settings)

    def predict_tiled(self, image: Image, tile: tuple[int, int], halo: tuple[int, int]) -> Labels:
        """Segment one image in tiles, as `benchmark.types.Tiled` has it.

        Prompts are derived from the maps of the image as a whole, and each is decoded in one tile
        (`models.prompting.tiled.by_tile`).

        Raises:
            ModelError: as for `predict`, or a `prompt_function` gives `logits_masks`.

        Source: `micro_sam.instance_segmentation.TiledAutomaticPromptGenerator`, which it equals.
        There `mask_threshold` has no effect, and `refine_with_box_prompts` is not implemented.
        """
        setting = self.setting
        embeddings: list[Mapping[str, Any]] = []
        masks: list[Patch] = []
        scores: list[float] = []
        decodes = 0
        with self.predicting():
            tiling = self._tiling(image, tile, halo)
            maps = self._tiled_maps(image, tiling, lambda one: embeddings.append(_on_host(one)))
            with self.stage("prompt"):
                prompts = setting.derive(maps)
                for number, own in by_tile(prompts, tiling).items():
                    self._backbone.show(embeddings[number])
                    shape = tiling[number].shape
                    size = self.details.get("batch_size", self._batch_size)
                    candidates = partial(self._candidates, [setting], [own], shape)
                    [found], decoded = self.halving(candidates, size)
                    decodes += decoded
                    chosen = [found.pool.numbers[prompt] for prompt in dict.fromkeys(found.prompts)]
                    masks += [placed(found.pool.masks[n], tiling[number]) for n in chosen]
                    scores += [found.pool.scores[n] for n in chosen]
            with self.stage("postprocess"):
                ranks = np.array(scores, np.float32)
                labels, kept = joined(masks, ranks, tiling.shape, setting)
        twice = 2 if setting.refine_with_box_prompts else 1
        self.details.update(prompts=len(prompts) * twice, decodes=decodes, masks=kept)
        return labels

    def prompts(self, image: Image) -> Prompts:
        """The prompts that it derives from the decoder's maps, before any is decoded.

        Args:
            image: as for `predict`.
        """
        with self.predicting():
            [found] = self._prompts(image, self.to_rgb8(image), [self.setting])
        return Prompts.joined(found)


def _on_host(embeddings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The embeddings of a tile where all of an image have room."""
    return {**embeddings, "features": embeddings["features"].cpu()}


def _derived(maps: Maps, settings: Sequence[Setting]) -> list[list[Prompt]]:
    """The prompts of each setting; those that agree in what they depend on are derived once."""
    found: dict[Any, list[Prompt]] = {}
    every = []
    for setting in settings:
        key = (setting.prompts, setting.prompt_function, *setting.derived_by.values())
        if key not in found:
            found[key] = setting.derive(maps)
        every.append(found[key])
    return every


def _by_function(name: str, maps: Maps, **thresholds: float) -> list[Prompt]:
    """The prompts that a function derives.

    Raises:
        ModelError: it can't be imported, or returns something else than prompts.
    """
    module, _, attribute = name.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # of a module of one's own
        raise ModelError(
            f"model.prompt_function: {name} can't be imported ({type(error).__name__}: {error}). "
            "It is the dotted name of a function in a module that Python finds (PYTHONPATH)."
        ) from error
    if not callable(function):
        raise ModelError(f"model.prompt_function: {name} is not a function.")
    names = ("foreground", "center_distances", "boundary_distances")
    copies = {name: one.copy() for name, one in zip(names, maps, strict=True)}
    found = function(**copies, **thresholds)
    try:
        return [] if found is None else split(found)
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(
            f"model.prompt_function: {name} returned no valid prompts: {error}."
        ) from error
