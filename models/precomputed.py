"""Label images made by any other tool: QuPath, StarDist, another environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmark.data.read import read_labels
from benchmark.data.sources import by_stem, find_files
from benchmark.digest import array_digest
from benchmark.errors import ModelError
from benchmark.names import safe_names
from benchmark.types import Image, Labels, Sample


@dataclass
class Precomputed:
    """Returns for each sample the label image of the same name.

    Attributes:
        predictions: a folder or a glob pattern of TIFF or PNG label images, each named as
            the image it belongs to.
    """

    version: ClassVar[int] = 1

    predictions: str

    def __post_init__(self) -> None:
        self._files = _by_sample(self.predictions)
        self._sample = ""

    @classmethod
    def identity(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        """The label images themselves, in place of where they are."""
        files = _by_sample(parameters["predictions"])
        return {name: array_digest(read_labels(path)) for name, path in sorted(files.items())}

    def attend(self, sample: Sample) -> None:
        """Be told which sample comes next: a prediction is found by its name."""
        self._sample = sample.id

    def predict(self, image: Image) -> Labels:
        """The label image of the sample last attended to.

        Raises:
            ModelError: there is none.
            DataError: it can't be read.
        """
        if self._sample not in self._files:
            raise ModelError(
                f"model.predictions='{self.predictions}' has no label image for sample "
                f"'{self._sample}'. Name it as the image, {self._sample}.tif."
            )
        return read_labels(self._files[self._sample])


def _by_sample(pattern: str) -> dict[str, Path]:
    """The files by sample id: names are made safe as preparation does it."""
    files = by_stem(find_files(pattern, None, "model.predictions"), "model.predictions")
    safe = safe_names(files)
    return {safe[stem]: path for stem, path in files.items()}
