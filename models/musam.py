"""Two methods of micro-sam: mask generation with a grid of points, and the instance decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.console import note
from benchmark.errors import ModelError
from benchmark.types import Image, Labels, Weights
from models.architecture import ARCHITECTURES, Architecture
from models.backbone import Maps, open_backbone
from models.common.cache import open_cache
from models.common.checks import check_at_least_one
from models.common.images import Normalise
from models.common.tile_masks import TileMask, joined_masks, masks_of_tile
from models.common.tiles import Tiling
from models.common.torch_adapter import TorchAdapter
from models.prompting.promptable import PromptableSam
from models.prompting.proposals import merged, propose


class MicroSam(TorchAdapter):
    """What the modes have in common: the library, and the backbone that they share."""

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("micro-sam",)
    requires: ClassVar[tuple[str, ...]] = ("micro-sam>=1.8,<2",)
    install: ClassVar[str] = 'pip install -e ".[models]"  (model=otsu runs without)'
    execution: ClassVar[tuple[str, ...]] = ("batch_size",)
    family: ClassVar[str] = "musam"
    input_size: ClassVar[int] = 1024
    added: ClassVar[tuple[str, ...]] = ("normalise", "precision")
    chosen_by: ClassVar[tuple[str, ...]] = ("normalise", "precision")

    architectures: ClassVar[Mapping[str, Architecture]] = ARCHITECTURES
    decodes: ClassVar[bool] = True

    def __init__(
        self, weights: Weights, device: str, cache: int, normalise: Normalise, precision: str
    ) -> None:
        super().__init__(device, open_cache(cache), normalise, precision)
        with self.loading():
            import micro_sam.instance_segmentation  # noqa: F401  # not first in `predict`

            self._backbone = open_backbone(weights, device, self.architectures)
        if self.decodes and self._backbone.decoder is None:
            raise ModelError(
                f"weights '{weights.name}' have no decoder, which this method starts from. Give "
                "weights that micro-sam trained with one (model.weights=vit_b_lm), or a file that "
                "also holds `decoder_state`; SAM's own weights suffice for mask generation only."
            )

    def maps(self, image: Image) -> dict[str, NDArray[np.float32]]:
        """The decoder's maps, each H x W: foreground, and distances to centre and boundary.

        Args:
            image: as for `predict`; of the one that was predicted last, they are kept.
        """
        with self.predicting():
            rgb = self.to_rgb8(image)
            maps = self._backbone.decode(rgb, self, self._backbone.encode(rgb, self))
        names = ("foreground", "center distances", "boundary distances")
        return dict(zip(names, maps, strict=True))

    def _tiling(self, image: Image, tile: tuple[int, int], halo: tuple[int, int]) -> Tiling:
        tiling = Tiling((image.shape[0], image.shape[1]), tile, halo)
        self.details["tiles"] = len(tiling)
        return tiling

    def _tiled_maps(
        self, image: Image, tiling: Tiling, take: Callable[[Mapping[str, Any]], None] | None = None
    ) -> Maps:
        """The decoder's maps of an image, from each tile those of its inner part.

        Args:
            image: as for `predict`. As in micro-sam, each tile is an image of its own: it is
                stretched to 8 bit over its own range.
            tiling: of the image.
            take: is given the embeddings of each tile; else a tile is encoded only if its maps are
                not kept from an earlier prediction.
        """
        maps = np.zeros((3, *tiling.shape), np.float32)
        for tile in tiling:
            with self.part():
                rgb = self.to_rgb8(image[tile.outer])
                embeddings = None
                if take is not None:
                    embeddings = self._backbone.encode(rgb, self)
                    take(embeddings)
                found = self._backbone.decode(rgb, self, embeddings)
            maps[:, *tile.inner] = found[:, *tile.own]
        return maps

    def _generated(self, ways: Sequence[tuple[Any, Mapping[str, Any]]]) -> Iterator[Labels]:
        """The label images that micro-sam's classes, initialised, generate by given parameters."""
        made: dict[Any, Labels] = {}
        for segmenter, choices in ways:
            key = (id(segmenter), *sorted(choices.items()))
            if key not in made:
                with self.later_stage("postprocess"):
                    made[key] = segmenter.generate(**choices)
            yield made[key]


_FORMER_NAMES = {"AutomaticMasks": "AMG", "SamAutomaticMasks": "SamAMG", "InstanceDecoder": "AIS"}


def __getattr__(name: str) -> Any:
    """A class by the name that it had in version 0.1, with a note."""
    if name not in _FORMER_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    now = _FORMER_NAMES[name]
    note(
        f"models.musam.{name} is now models.musam.{now}. The old name works until version 0.3; "
        "change the _target_ in your YAML."
    )
    return globals()[now]


class AMG(MicroSam):
    """Automatic mask generation (AMG): a grid of points, a mask or three for each, the best kept.

    Args:
        weights: complete and verified; a decoder is not needed.
        device: `cuda`, `mps` or `cpu`.
        points_per_side: points of the grid along each side of the image.
        pred_iou_thresh: masks with a lower predicted IoU are dropped.
        stability_score_thresh: masks that change more with the threshold are dropped.
        box_nms_thresh: of two masks whose boxes have a higher IoU, one is dropped.
        with_background: whether the largest object is the background.
        batch_size: points at a time; None for upstream's choice.
        cache: bytes that embeddings may take on disk; 0 to keep none.
        normalise: how intensities become the 8 bit that the network sees: each channel over its
            own range (`min_max`), between its percentiles 1 and 99 (`percentiles`) or two others
            (`[0.5,99.5]`), or all channels over one (`min_max_joint`, `percentiles_joint`).
        precision: `default`, `float32`, `tf32` or `bfloat16`, see
            `models.common.precision.Precision`.

    Raises:
        ValueError: `points_per_side` or `batch_size` is below 1, or there is no such `normalise`.

    Source: `micro_sam.instance_segmentation.AutomaticMaskGenerator`, which is called.
    """

    identity_target: ClassVar[str] = "models.musam.AutomaticMasks"
    decodes: ClassVar[bool] = False

    def __init__(
        self,
        weights: Weights,
        device: str = "cpu",
        points_per_side: int = 32,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        box_nms_thresh: float = 0.7,
        with_background: bool = True,
        batch_size: int | None = None,
        cache: int = 0,
        normalise: Normalise = "min_max",
        precision: str = "default",
    ) -> None:
        check_at_least_one(points_per_side=points_per_side, batch_size=batch_size)
        super().__init__(weights, device, cache, normalise, precision)
        self._batch_size = batch_size or (16 if device == "mps" else 64)
        self._choices = {
            "points_per_side": points_per_side,
            "pred_iou_thresh": pred_iou_thresh,
            "stability_score_thresh": stability_score_thresh,
            "box_nms_thresh": box_nms_thresh,
            "with_background": with_background,
        }

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C (C 1 to 4), any integer or finite float dtype.

        Returns:
            H x W uint32, 0 = background, ids consecutive.

        Raises:
            ValueError: another shape, or values that are not finite.
        """
        [labels] = self.predict_each(image, [{}])
        return labels

    def predict_tiled(self, image: Image, tile: tuple[int, int], halo: tuple[int, int]) -> Labels:
        """Segment one image in tiles, as `benchmark.types.Tiled` has it.

        Each tile has a grid of its own. Of masks of several tiles whose boxes overlap more than
        .7, one is left; objects at a tile's inner border are left to its neighbours.

        Source: `micro_sam.instance_segmentation.TiledAutomaticMaskGenerator`, which it equals; that
        has masks of the whole image's size in memory.
        """
        from micro_sam.instance_segmentation import AutomaticMaskGenerator

        choices = dict(self._choices)
        side, with_background = choices.pop("points_per_side"), choices.pop("with_background")
        masks: list[TileMask] = []
        with self.predicting():
            tiling = self._tiling(image, tile, halo)
            for each in tiling:
                with self.part():
                    rgb = self.to_rgb8(image[each.outer])
                    embeddings = self._backbone.encode(rgb, self)

                    def prompt(size: int, rgb: Any = rgb, embeddings: Any = embeddings) -> Any:
                        generator = AutomaticMaskGenerator(
                            self._backbone.predictor, side, points_per_batch=size
                        )
                        generator.initialize(rgb, embeddings)
                        return generator

                    with self.stage("prompt"):
                        size = self.details.get("batch_size", self._batch_size)
                        generator = self.halving(prompt, size)
                    with self.stage("postprocess"):
                        masks += masks_of_tile(generator, each, tiling, choices)
            with self.stage("postprocess"):
                labels = joined_masks(masks, tiling, bool(with_background))
        prompts = len(tiling) * side**2
        self.details.update(prompts=prompts, decodes=prompts)
        return labels

    def predict_each(self, image: Image, settings: Sequence[Mapping[str, Any]]) -> Iterator[Labels]:
        """Segment one image under each of several settings, as `benchmark.types.Sharing` has it.

        The image is encoded once, the masks of each grid are made once, and equal settings give
        one label image. `details` has the `prompts` of all settings, and the `decodes` that were
        made of them.
        """
        chosen = [{**self._choices, **each} for each in settings]
        grids: dict[int, list[Mapping[str, Any]]] = {}
        for each in chosen:
            check_at_least_one(points_per_side=each["points_per_side"])
            grids.setdefault(each["points_per_side"], []).append(each)
        with self.predicting():
            rgb = self.to_rgb8(image)
            shape = rgb.shape[:2]
            self._backbone.encode(rgb, self)
            model = PromptableSam(self._backbone.predictor)
            with self.stage("prompt"):
                made = {
                    side: self.halving(
                        partial(propose, model, shape, side, of_side), self._batch_size
                    )
                    for side, of_side in grids.items()
                }
        self.details.update(
            prompts=sum(each["points_per_side"] ** 2 for each in chosen),
            decodes=sum(side**2 for side in grids),
        )
        pairs = [(made[each["points_per_side"]], each) for each in chosen]
        return merged(pairs, shape, partial(self.later_stage, "postprocess"))


class SamAMG(AMG):
    """The same with SAM's own weights."""

    identity_target: ClassVar[str] = "models.musam.SamAutomaticMasks"
    family: ClassVar[str] = "sam"


_MAPS = ("foreground", "center_distances", "boundary_distances")


class AIS(MicroSam):
    """Automatic instance segmentation (AIS): a seeded watershed on the decoder's maps.

    Args:
        weights: complete and verified, with a decoder.
        device: `cuda`, `mps` or `cpu`.
        center_distance_threshold: seeds are where the distance to the centre is lower,
        boundary_distance_threshold: and where that to the boundary is, and
        foreground_threshold: where the foreground is higher, which is all that objects grow in.
        foreground_smoothing: standard deviation of a Gaussian on the foreground, in pixels.
        distance_smoothing: the same for both distances.
        min_size: smaller objects are dropped. In pixels.
        cache: bytes that embeddings and maps may take on disk; 0 to keep none.
        normalise: how intensities become the 8 bit that the network sees: each channel over its
            own range (`min_max`), between its percentiles 1 and 99 (`percentiles`) or two others
            (`[0.5,99.5]`), or all channels over one (`min_max_joint`, `percentiles_joint`).
        precision: `default`, `float32`, `tf32` or `bfloat16`, see
            `models.common.precision.Precision`.

    Raises:
        ValueError: there is no such `normalise`.

    Source: `micro_sam.instance_segmentation.InstanceSegmentationWithDecoder`, which is called.
    """

    execution: ClassVar[tuple[str, ...]] = ()

    identity_target: ClassVar[str] = "models.musam.InstanceDecoder"

    def __init__(
        self,
        weights: Weights,
        device: str = "cpu",
        center_distance_threshold: float = 0.5,
        boundary_distance_threshold: float = 0.5,
        foreground_threshold: float = 0.5,
        foreground_smoothing: float = 1.0,
        distance_smoothing: float = 1.6,
        min_size: int = 0,
        cache: int = 0,
        normalise: Normalise = "min_max",
        precision: str = "default",
    ) -> None:
        super().__init__(weights, device, cache, normalise, precision)
        self._choices = {
            "center_distance_threshold": center_distance_threshold,
            "boundary_distance_threshold": boundary_distance_threshold,
            "foreground_threshold": foreground_threshold,
            "foreground_smoothing": foreground_smoothing,
            "distance_smoothing": distance_smoothing,
            "min_size": min_size,
        }

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C (C 1 to 4), any integer or finite float dtype.

        Returns:
            H x W uint64, 0 = background.

        Raises:
            ValueError: another shape, or values that are not finite.
        """
        [labels] = self.predict_each(image, [{}])
        return labels

    def predict_tiled(self, image: Image, tile: tuple[int, int], halo: tuple[int, int]) -> Labels:
        """Segment one image in tiles, as `benchmark.types.Tiled` has it.

        The maps are made tile by tile, objects are grown in the image as a whole.

        Source: `micro_sam.instance_segmentation.TiledInstanceSegmentationWithDecoder`, which it
        equals; that has the embeddings of all tiles in memory.
        """
        from bioimage_cpp.filters import gaussian_smoothing
        from micro_sam.instance_segmentation import InstanceSegmentationWithDecoder

        smoothing = ("foreground_smoothing", "distance_smoothing", "distance_smoothing")
        with self.predicting():
            maps = self._tiled_maps(image, self._tiling(image, tile, halo))
            with self.stage("postprocess"):
                # As the class does it first, but into the same memory.
                for number, sigma in enumerate(self._choices[name] for name in smoothing):
                    if sigma > 0:
                        maps[number] = gaussian_smoothing(maps[number], sigma)
                segmenter = InstanceSegmentationWithDecoder(
                    self._backbone.predictor, self._backbone.decoder
                )
                segmenter.set_state(dict(zip(_MAPS, maps, strict=True)))
                labels: Labels = segmenter.generate(
                    **(self._choices | dict.fromkeys(smoothing, 0.0))
                )
        return labels

    def predict_each(self, image: Image, settings: Sequence[Mapping[str, Any]]) -> Iterator[Labels]:
        """Segment one image under each of several settings, as `benchmark.types.Sharing` has it.

        The maps are made once, objects are grown once for all `min_size`, and equal settings give
        one label image.
        """
        from micro_sam.instance_segmentation import InstanceSegmentationWithDecoder

        chosen = [{**self._choices, **each} for each in settings]
        with self.predicting():
            maps = self._backbone.decode(self.to_rgb8(image), self)
            segmenter = InstanceSegmentationWithDecoder(
                self._backbone.predictor, self._backbone.decoder
            )
            segmenter.set_state(dict(zip(_MAPS, maps, strict=True)))
        # Small objects are dropped last, from labels that the settings share.
        grown = self._generated([(segmenter, choices | {"min_size": 0}) for choices in chosen])
        return self._large(zip(grown, (choices["min_size"] for choices in chosen), strict=True))

    def _large(self, grown: Iterable[tuple[Labels, int]]) -> Iterator[Labels]:
        """Label images without the objects that are smaller than the size beside them."""
        from torch_em.util.segmentation import size_filter

        made: dict[tuple[int, int], Labels] = {}
        for labels, min_size in grown:
            key = (id(labels), min_size)
            if key not in made:
                with self.later_stage("postprocess"):
                    made[key] = size_filter(labels.copy(), min_size) if min_size else labels
            yield made[key]
