"""Labels made by any other tool: QuPath, StarDist, Cellpose, another environment."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmark.console import note
from benchmark.data.formats.images import read_image
from benchmark.data.formats.labels import (
    LABEL_SUFFIXES,
    LabelFile,
    LabelOptions,
    content_digest,
    label_files,
    read_label_file,
)
from benchmark.data.remarks import collected, sentence
from benchmark.data.sources.layouts import core_of, find_files, of_kind, unique_names
from benchmark.errors import DataError, ModelError
from benchmark.store.names import hashed_name, safe_names
from benchmark.types import Image, Labels, Sample


@dataclass
class Precomputed:
    """Returns for each sample the labels of the same name.

    Attributes:
        predictions: a folder or a glob pattern of label files of any readable kind, each named as
            the image it belongs to, with or without a word such as `_masks`.
        labels_are: what the values of label images mean, and
        background: the value of their background, as for a data set's labels.
    """

    version: ClassVar[int] = 1

    predictions: str
    labels_are: str | None = None
    background: int = 0

    def __post_init__(self) -> None:
        self._options = LabelOptions(self.labels_are, self.background, section="model")
        files = _files(self.predictions)
        # Which names need a hash depends on their neighbours, and those of the predictions may
        # be more or fewer than those of the samples.
        self._files = {hashed_name(name): file for name, file in files.items()}
        self._files |= files | {safe: files[name] for name, safe in safe_names(files).items()}
        self._by_core: defaultdict[str, list[LabelFile]] = defaultdict(list)
        cores = safe_names(core_of(name) for name in files)
        for name, file in files.items():
            core = core_of(name)
            for key in {core, cores[core], hashed_name(core)}:
                self._by_core[key].append(file)
        self._sample = ""
        self._noted: set[str] = set()

    @classmethod
    def identity(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        """The labels themselves, in place of where they are."""
        files = _files(parameters["predictions"])
        digests = {name: content_digest(file) for name, file in files.items()}
        meant = {key: parameters.get(key, value) for key, value in _AS_BEFORE.items()}
        return digests if meant == _AS_BEFORE else {"predictions": digests, **meant}

    def attend(self, sample: Sample) -> None:
        """Take the sample that comes next: a prediction is found by its name."""
        self._sample = sample.id

    def predict(self, image: Image) -> Labels:
        """The labels of the sample last attended to.

        Raises:
            ModelError: there are none, or several.
            DataError: they can't be read.
        """
        with collected() as remarks:
            labels = self._read(image)
        for remark in remarks:
            if remark.kind not in self._noted:
                self._noted.add(remark.kind)
                text = sentence(remark, section="model")
                note(f"warning: prediction for sample '{self._sample}': {text}")
        return labels

    def _read(self, image: Image) -> Labels:
        shape = image.shape[0], image.shape[1]
        file = self._files.get(self._sample)
        found = [one for one in self._by_core[core_of(self._sample)] if one != file]
        if file is not None:
            with collected():
                is_image = found and _holds(file, image)
            if not is_image:  # which may lie beside predictions, under the sample's own name
                return read_label_file(file, shape, self._options)
        return read_label_file(self._only(found), shape, self._options)

    def _only(self, found: list[LabelFile]) -> LabelFile:
        if not found:
            raise ModelError(
                f"model.predictions='{self.predictions}' has no labels for sample "
                f"'{self._sample}'. Name them as the image, {self._sample}_masks.tif, or "
                f"{self._sample}.tif."
            )
        if len(found) > 1:
            raise ModelError(
                f"model.predictions='{self.predictions}' has several files for sample "
                f"'{self._sample}': {', '.join(map(str, found))}. Give a pattern of one kind."
            )
        return found[0]


def _holds(file: LabelFile, image: Image) -> bool:
    """Whether a file is the image itself."""
    try:
        return np.array_equal(read_image(file.path, as_stored=True), image)
    except DataError:
        return False


_AS_BEFORE = {"labels_are": None, "background": 0}


def _files(pattern: str) -> dict[str, LabelFile]:
    """Return the files by the names of their samples.

    Raises:
        UsageError: there are none.
        DataError: two files of one name.
    """
    word = "model.predictions"
    files = label_files(of_kind(find_files(pattern, None, word), LABEL_SUFFIXES, word))
    names = unique_names([file.named for file in files], word)
    return {names[file.named][0]: file for file in files}
