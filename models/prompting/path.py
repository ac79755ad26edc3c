"""From prompts to a label image: masks, refinement, suppression, merging; one path for all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Image, Labels
from models.common.masks import merge
from models.common.overlaps import Overlaps, iou, over_smaller, suppress
from models.common.torch_adapter import TorchAdapter
from models.prompting.masks import Pool, Way, decode
from models.prompting.promptable import RGB, Promptable
from models.prompting.prompts import Prompt, Prompts, around
from models.prompting.stages import Proposed, Stages


@dataclass(frozen=True, kw_only=True)
class PathSetting:
    """The parameters of the path that shape its results.

    Attributes:
        multimasking: whether the model offers three masks for a prompt, of which the one is taken
            that it expects the highest IoU of; else it gives one.
        mask_threshold: logits above it belong to a mask; `auto` for one by Otsu's method for each
            mask; None for the model's own.
        refine_with_box_prompts: whether the box of each mask is a prompt in turn, whose mask takes
            the place of the first.
        min_size: masks and objects have to be larger. In pixels.
        nms_threshold: of two masks with a higher overlap, the worse is dropped.
        intersection_over_min: whether overlap is the intersection over the smaller area, else over
            the union.

    Raises:
        ValueError: `mask_threshold` is neither a number nor auto.
    """

    multimasking: bool = False
    mask_threshold: float | str | None = None
    refine_with_box_prompts: bool = False
    min_size: int = 25
    nms_threshold: float = 0.9
    intersection_over_min: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.mask_threshold, str) and self.mask_threshold != "auto":
            raise ValueError(f"mask_threshold is '{self.mask_threshold}': give a number, or auto")

    def way(self, model: Promptable) -> Way:
        """How prompts become masks."""
        threshold: Any = self.mask_threshold
        return Way(self.multimasking, model.mask_threshold if threshold is None else threshold)


class Candidates(NamedTuple):
    """What one setting chooses from: the masks of its prompts, in pools that others use too.

    Attributes:
        pool: of the masks to choose from.
        prompts: of these masks.
        first_pool: of the masks before they were refined; else `pool`.
        first: the prompts of these, in the order of `prompts`.
    """

    pool: Pool
    prompts: list[Prompt]
    first_pool: Pool
    first: list[Prompt]


class Prompting(TorchAdapter):
    """A segmenter that prompts a model for masks, and makes a label image of the best.

    A subclass sets `setting` and `_batch_size`, and says how an image is encoded and where its
    prompts are (`_prompts`), and which model is prompted (`_promptable`).
    """

    setting: PathSetting
    _batch_size: int

    @property
    @abstractmethod
    def _promptable(self) -> Promptable:
        """The model."""

    @abstractmethod
    def _prompts(self, image: Image, rgb: RGB, settings: Sequence[Any]) -> Sequence[list[Prompt]]:
        """Encode an image, and derive the prompts of each setting; equal ones only once.

        Args:
            image: as given to `predict`.
            rgb: the same as the SAM family takes it.
            settings: of the class of `setting`.
        """

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C (C 1 to 4), any integer or finite float dtype.

        Returns:
            H x W uint32, 0 = background, ids consecutive.

        Raises:
            ValueError: another shape, or values that are not finite.
            ModelError: there are no valid prompts, or no memory for one of them.
        """
        [labels] = self.predict_each(image, [{}])
        return labels

    def predict_each(self, image: Image, settings: Sequence[Mapping[str, Any]]) -> Iterator[Labels]:
        """Segment one image under each of several settings, as `benchmark.types.Sharing` has it.

        The image is encoded once, each distinct prompt is decoded once, the overlap of two masks
        is counted once, and equal choices of masks are merged once. `details` has the `prompts` of
        all settings, and the `decodes` that were made of them.
        """
        chosen = [replace(self.setting, **each) for each in settings]
        candidates = self._proposed(image, chosen)
        return (labels for _, labels in self._merged(chosen, candidates, image.shape[:2]))

    def segment_stages(self, image: Image) -> Stages:
        """Segment one image, and keep what became of each prompt.

        Args:
            image: as for `predict`.
        """
        [found] = self._proposed(image, [self.setting])
        [(best, labels)] = self._merged([self.setting], [found], image.shape[:2])
        first_of: dict[int, int] = {}
        for number, prompt in enumerate(found.prompts):
            first_of.setdefault(found.pool.numbers[prompt], number)
        refined = self.setting.refine_with_box_prompts
        return Stages(
            prompts=Prompts.joined(found.first),
            first=_masks(found.first_pool, found.first),
            refined=_masks(found.pool, found.prompts) if refined else None,
            kept=np.array([first_of[number] for number in best], np.int64),
            labels=labels,
        )

    def _proposed(self, image: Image, settings: Sequence[Any]) -> list[Candidates]:
        """The masks that each setting chooses from."""
        with self.predicting():
            rgb = self.to_rgb8(image)
            prompts = self._prompts(image, rgb, settings)
            with self.stage("prompt"):
                masks = partial(self._candidates, settings, prompts, rgb.shape[:2])
                candidates, decodes = self.halving(masks, self._batch_size)
        self.details.update(
            prompts=sum(
                len(each) * (2 if setting.refine_with_box_prompts else 1)
                for setting, each in zip(settings, prompts, strict=True)
            ),
            decodes=decodes,
            masks=0,
        )
        return candidates

    def _candidates(
        self,
        settings: Sequence[PathSetting],
        prompts: Sequence[list[Prompt]],
        shape: tuple[int, int],
        batch_size: int,
    ) -> tuple[list[Candidates], int]:
        """The masks of each setting's prompts, and how many prompts were decoded for all."""
        model = self._promptable
        ways = [setting.way(model) for setting in settings]
        pools, decodes = decode(model, zip(ways, prompts, strict=True), batch_size)
        found = [
            Candidates(pools[way], own, pools[way], own)
            for way, own in zip(ways, prompts, strict=True)
        ]
        refined = {
            number: (ways[number], around(map(each.pool.of, each.prompts), shape))
            for number, each in enumerate(found)
            if settings[number].refine_with_box_prompts
        }
        pools, more = decode(model, refined.values(), batch_size)
        for number, (way, boxes) in refined.items():
            found[number] = found[number]._replace(pool=pools[way], prompts=boxes)
        return found, decodes + more

    def _merged(
        self,
        settings: Sequence[PathSetting],
        candidates: Sequence[Candidates],
        shape: tuple[int, int],
    ) -> Iterator[tuple[list[int], Labels]]:
        """The numbers of the chosen masks of each setting, the best first, and its label image."""
        least = min((setting.nms_threshold for setting in settings), default=0.0)
        smaller = any(setting.intersection_over_min for setting in settings)
        measure = over_smaller if smaller else iou
        overlaps: dict[int, Overlaps] = {}
        made: dict[tuple[int, int, tuple[int, ...]], Labels] = {}
        for setting, (pool, prompts, *_) in zip(settings, candidates, strict=True):
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
            yield best, made[key]


def _masks(pool: Pool, prompts: Sequence[Prompt]) -> Proposed:
    """The mask of each prompt, in their order."""
    numbers = [pool.numbers[prompt] for prompt in prompts]
    scores: NDArray[np.float32] = np.array([pool.scores[n] for n in numbers], np.float32)
    return Proposed([pool.masks[n] for n in numbers], scores)
