"""Automatic prompt generation (APG): micro-sam's decoder says where, SAM's says what."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from benchmark.errors import ModelError
from benchmark.store.code_digest import code_digests
from benchmark.types import Image, Labels, Weights
from models.backbone import Maps
from models.common.checks import check_at_least_one
from models.common.images import to_rgb8
from models.common.masks import merge
from models.common.overlaps import Overlaps, iou, over_smaller, suppress
from models.musam import MicroSam
from models.prompting import points as derive
from models.prompting.masks import Pool, Way, decode
from models.prompting.prompts import Prompt, around, of_points, split


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


@dataclass(frozen=True)
class Setting:
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
    multimasking: bool
    mask_threshold: float | str | None
    refine_with_box_prompts: bool
    min_size: int
    nms_threshold: float
    intersection_over_min: bool

    def __post_init__(self) -> None:
        if self.prompts not in SOURCES:
            raise ValueError(f"prompts is '{self.prompts}': give one of {', '.join(SOURCES)}")
        if isinstance(self.mask_threshold, str) and self.mask_threshold != "auto":
            raise ValueError(f"mask_threshold is '{self.mask_threshold}': give a number, or auto")

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

    def way(self, predictor: Any) -> Way:
        """How its prompts become masks."""
        threshold: Any = self.mask_threshold
        if threshold is None:
            threshold = predictor.model.mask_threshold
        return Way(self.multimasking, threshold)


class Candidates(NamedTuple):
    """What one setting chooses from: the masks of its prompts, in a pool that others use too."""

    pool: Pool
    prompts: list[Prompt]


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

    Raises:
        ValueError: there are no such `prompts`, `mask_threshold` is another text than auto, or
            `batch_size` is below 1.

    Source: `micro_sam.instance_segmentation.AutomaticPromptGenerator`, which it equals.
    """

    version: ClassVar[int] = 1
    added: ClassVar[tuple[str, ...]] = (
        "multimasking",
        "intersection_over_min",
        "mask_threshold",
        "refine_with_box_prompts",
        "prompt_function",
    )

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
        super().__init__(weights, device, cache)

    @classmethod
    def identity(cls, parameters: dict[str, Any]) -> Mapping[str, Any]:
        """The parameters, with the code of a `prompt_function` beside its name."""
        name = parameters.get("prompt_function")
        if name is None:
            return parameters
        code = code_digests(str(name).rpartition(".")[0])
        return parameters | {"prompt_function": {"name": name, "code": code}}

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C (C 1 to 4), any integer or finite float dtype.

        Returns:
            H x W uint32, 0 = background, ids consecutive.

        Raises:
            ValueError: another shape, or values that are not finite.
            ModelError: the `prompt_function` can't be imported, or returns no valid prompts.
        """
        [labels] = self.predict_each(image, [{}])
        return labels

    def predict_each(self, image: Image, settings: Sequence[Mapping[str, Any]]) -> Iterator[Labels]:
        """Segment one image under each of several settings, as `benchmark.types.Sharing` has it.

        The image is encoded and decoded once, each distinct prompt is decoded once, the overlap of
        two masks is counted once, and equal choices of masks are merged once. `details` has the
        `prompts` of all settings, and the `decodes` that were made of them.
        """
        chosen = [replace(self.setting, **each) for each in settings]
        with self.predicting():
            rgb = to_rgb8(image)
            embeddings = self._backbone.encode(rgb, self)
            maps = self._backbone.decode(rgb, self, embeddings)
            with self.stage("prompt"):
                prompts = _derived(maps, chosen)
                masks = partial(self._candidates, chosen, prompts, rgb.shape[:2])
                candidates, decodes = self.halving(masks, self._batch_size)
        self.details.update(
            prompts=sum(
                len(each) * (2 if setting.refine_with_box_prompts else 1)
                for setting, each in zip(chosen, prompts, strict=True)
            ),
            decodes=decodes,
            masks=0,
        )
        return self._merged(chosen, candidates, rgb.shape[:2])

    def _candidates(
        self,
        settings: Sequence[Setting],
        prompts: Sequence[list[Prompt]],
        shape: tuple[int, int],
        batch_size: int,
    ) -> tuple[list[Candidates], int]:
        """The masks of each setting's prompts, and how many prompts were decoded for all."""
        predictor = self._backbone.predictor
        ways = [setting.way(predictor) for setting in settings]
        pools, decodes = decode(predictor, zip(ways, prompts, strict=True), batch_size)
        found = [Candidates(pools[way], own) for way, own in zip(ways, prompts, strict=True)]

        refined = {
            number: (ways[number], around(map(pool.of, own), shape))
            for number, (pool, own) in enumerate(found)
            if settings[number].refine_with_box_prompts
        }
        pools, more = decode(predictor, refined.values(), batch_size)
        for number, (way, boxes) in refined.items():
            found[number] = Candidates(pools[way], boxes)
        return found, decodes + more

    def _merged(
        self, settings: Sequence[Setting], candidates: Sequence[Candidates], shape: tuple[int, int]
    ) -> Iterator[Labels]:
        """The label image of each setting."""
        least = min((setting.nms_threshold for setting in settings), default=0.0)
        smaller = any(setting.intersection_over_min for setting in settings)
        measure = over_smaller if smaller else iou
        overlaps: dict[int, Overlaps] = {}
        made: dict[tuple[int, int, tuple[int, ...]], Labels] = {}
        for setting, (pool, prompts) in zip(settings, candidates, strict=True):
            with self.later_stage("postprocess"):
                if id(pool) not in overlaps:
                    overlaps[id(pool)] = Overlaps(pool.masks, measure, least)
                own = overlaps[id(pool)]
                numbers = np.array([pool.numbers[p] for p in dict.fromkeys(prompts)], np.int64)
                numbers = numbers[own.areas[numbers] > setting.min_size]
                scores = np.array([pool.scores[number] for number in numbers], np.float32)
                by = over_smaller if setting.intersection_over_min else iou
                best = suppress(own, numbers, scores, setting.nms_threshold, by)
                key = (id(pool), setting.min_size, tuple(best))
                if key not in made:
                    masks = [pool.masks[number] for number in best]
                    made[key] = merge(masks, shape, exclusive=True, min_size=setting.min_size)
                self.details["masks"] += len(best)
            yield made[key]


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
