"""The formats of `action=export`: a function from a prediction to a file, and a line each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmark.export.geojson import geojson
from benchmark.export.labels import label_image
from benchmark.export.napari import NapariCommands
from benchmark.export.object_tables import ObjectTables
from benchmark.export.predicted import Predicted
from benchmark.export.roi import roi_zip
from benchmark.export.seg_npy import seg_npy


class Format(Protocol):
    """What a format has to offer."""

    @property
    def needs_prediction(self) -> bool:
        """Whether samples without a stored prediction are left out."""
        ...

    def names(self, samples: Sequence[str]) -> list[str]:
        """The names of all files that may be written for samples of these names."""
        ...

    def files(self, predictions: Iterable[Predicted]) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the content of each file."""
        ...


@dataclass(frozen=True)
class PerSample:
    """A format with one file for each sample.

    Attributes:
        suffix: of the files' names.
        convert: the content of a file; what the format can't hold it counts in `losses`.
    """

    suffix: str
    convert: Callable[[Predicted], bytes]
    needs_prediction: bool = True

    def names(self, samples: Sequence[str]) -> list[str]:
        """One name for each sample."""
        return [f"{sample}{self.suffix}" for sample in samples]

    def files(self, predictions: Iterable[Predicted]) -> Iterator[tuple[str, bytes]]:
        """Yield one file for each prediction."""
        return ((f"{each.name}{self.suffix}", self.convert(each)) for each in predictions)


FORMATS: Mapping[str, Format] = {
    "labels": PerSample(".tif", label_image),
    "geojson": PerSample(".geojson", geojson),
    "roi": PerSample(".zip", roi_zip),
    "seg_npy": PerSample("_seg.npy", seg_npy),
    "csv": ObjectTables(),
    "napari": NapariCommands(),
}
"""`format=` -> how predictions are written."""

DEFAULT = "labels"
