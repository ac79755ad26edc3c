"""A segmenter whose images are scaled, or predicted in tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from benchmark.adapter import PredictionInfo, class_of
from benchmark.framing.framing import Framing
from benchmark.framing.scale import scale_image, scale_labels
from benchmark.framing.tiling import predict_tiled
from benchmark.profiling import highest
from benchmark.types import Image, Labels, Segmenter, Sharing, Tiled, check_labels


class Framed:
    """Scales an image, lets a segmenter predict it, in tiles if it is large, and scales back.

    What the segmenter says about its predictions is passed on: of tiles the seconds of each stage
    added up, the highest peak of each, and the other details of the last tile.

    Args:
        segmenter: what predicts; it gets nothing but images.
        framing: how.
        model: its name, for messages.

    Attributes:
        described_by: the class that describes the segmenter (`benchmark.adapter.class_of`).
        stages, cached, stage_memory, details: as `benchmark.adapter.PredictionInfo` has them;
            `details` has `tiled` (tile and halo) of an image that was tiled, and `rescaled` (rows
            and columns) of one that was scaled.
    """

    def __init__(self, segmenter: Segmenter, framing: Framing, model: str) -> None:
        self._segmenter, self.framing, self._model = segmenter, framing, model
        self.described_by = class_of(segmenter)
        self._clear()

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C.

        Returns:
            H x W integers, 0 = background.

        Raises:
            ModelError: the segmenter returned something else for a tile.
        """
        return self._predict(image, self._segmenter.predict)

    def _predict(self, image: Image, predict: Callable[[Image], Labels]) -> Labels:
        self._clear()
        framing, shape = self.framing, (image.shape[0], image.shape[1])
        scaled = scale_image(image, framing.scaled(shape))
        if framing.tile is not None and framing.tiles(shape):
            labels = self._tiled(scaled, framing.tile, predict)
            self.details["tiled"] = {"tile": [*framing.tile], "halo": [*framing.halo]}
        else:
            labels = self._asked(predict, scaled)
        if scaled.shape[:2] != shape:
            self.details["rescaled"] = [*scaled.shape[:2]]
        return scale_labels(labels, shape)

    def _tiled(
        self, image: Image, tile: tuple[int, int], predict: Callable[[Image], Labels]
    ) -> Labels:
        halo = self.framing.halo
        if isinstance(self._segmenter, Tiled):
            predict = partial(self._segmenter.predict_tiled, tile=tile, halo=halo)
            return self._asked(predict, image)
        return predict_tiled(image, tile, halo, partial(self._asked, predict))

    def _asked(self, predict: Callable[[Image], Labels], image: Image) -> Labels:
        """What the segmenter predicts of an image or a tile; what it says of it is added up."""
        labels = check_labels(
            predict(image), image, model=self._model, of="an image in tiles or scaled"
        )
        info = PredictionInfo.of(self._segmenter)
        for total, each in ((self.stages, info.stages), (self.cached, info.cached)):
            for stage, seconds in each.items():
                total[stage] = total.get(stage, 0.0) + seconds
        for stage, peaks in info.stage_memory.items():
            self.stage_memory[stage] = highest(self.stage_memory.get(stage, {}), peaks)
        self.details |= info.details
        return labels

    def _clear(self) -> None:
        self.stages: dict[str, float] = {}
        self.cached: dict[str, float] = {}
        self.stage_memory: dict[str, dict[str, int]] = {}
        self.details: dict[str, Any] = {}


class _Shared(Framed):
    """The same of a segmenter that predicts under many settings (`benchmark.types.Sharing`)."""

    _segmenter: Any

    def predict_each(self, image: Image, settings: Sequence[Mapping[str, Any]]) -> Iterator[Labels]:
        """Segment one image under each of several settings.

        What a scaled image's settings have in common is shared; a tiled image is predicted under
        one setting after the other, as the label images of all would not fit into memory.
        """
        shape = (image.shape[0], image.shape[1])
        if self.framing.tiles(shape):
            for setting in settings:
                yield self._predict(image, partial(self._one, setting))
            return
        scaled = scale_image(image, self.framing.scaled(shape))
        for labels in self._segmenter.predict_each(scaled, settings):
            yield scale_labels(labels, shape)

    def _one(self, setting: Mapping[str, Any], image: Image) -> Labels:
        [labels] = self._segmenter.predict_each(image, [setting])
        return labels  # type: ignore[no-any-return]


def framed(segmenter: Segmenter, framing: Framing, model: str) -> Segmenter:
    """The segmenter of a framing; the segmenter itself where images are given as they are.

    Args:
        segmenter: as built.
        framing: of its run.
        model: its name, for messages.
    """
    if not framing.in_identity:
        return segmenter
    tiles_itself = framing.tile is not None and isinstance(segmenter, Tiled)
    shares = isinstance(segmenter, Sharing) and not tiles_itself
    return (_Shared if shares else Framed)(segmenter, framing, model)
