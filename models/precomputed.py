"""Label images made by any other tool: QuPath, StarDist, another environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmark.data.formats.images import read_labels
from benchmark.data.sources.folder import by_stem, find_files
from benchmark.errors import ModelError
from benchmark.store.digest import array_digest
from benchmark.store.names import hashed_name, safe_names
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
        files = _files(self.predictions)
        # Which names need a hash depends on their neighbours, and those of the predictions may
        # be more or fewer than those of the samples.
        self._files = {hashed_name(stem): path for stem, path in files.items()}
        self._files |= files | {safe: files[stem] for stem, safe in safe_names(files).items()}
        self._sample = ""

    @classmethod
    def identity(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        """The label images themselves, in place of where they are."""
        files = _files(parameters["predictions"])
        return {stem: array_digest(read_labels(path)) for stem, path in files.items()}

    def attend(self, sample: Sample) -> None:
        """Take the sample that comes next: a prediction is found by its name."""
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
                f"'{self._sample}'. Name it as its image, or {self._sample}.tif."
            )
        return read_labels(self._files[self._sample])


def _files(pattern: str) -> dict[str, Path]:
    return by_stem(find_files(pattern, None, "model.predictions"), "model.predictions")
