"""Methods whose scores are known beforehand: what a table has to show for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from benchmark.types import Image, Labels, Sample


@dataclass
class Oracle:
    """Returns the true labels: mSA is 1 wherever there is an object."""

    version: ClassVar[int] = 1
    control: ClassVar[bool] = True
    sees_truth: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._truth: Labels | None = None

    def attend(self, sample: Sample) -> None:
        """Be handed the truth by the runner, which `predict` never is."""
        self._truth = sample.labels

    def predict(self, image: Image) -> Labels:
        """The true labels of the sample last attended to, H x W."""
        if self._truth is None:
            raise RuntimeError("the oracle was asked before it was handed the truth")
        return self._truth


@dataclass
class TruthEroded(Oracle):
    """Returns the true labels without the pixels at the boundaries of objects.

    Its score is what a method can reach that finds every object, and draws each boundary one pixel
    inside of where the annotators drew it.
    """

    libraries: ClassVar[tuple[str, ...]] = ("scikit-image",)

    def predict(self, image: Image) -> Labels:
        """The true labels, 0 where one of the four neighbours has another label, H x W."""
        from skimage.segmentation import find_boundaries

        truth = super().predict(image)
        eroded: Labels = np.where(find_boundaries(truth, mode="inner"), 0, truth)
        return eroded


@dataclass
class TruthDilated(Oracle):
    """Returns the true labels, each grown by a pixel into the background.

    Its score is what a method can reach that finds every object, and draws each boundary one pixel
    outside of where the annotators drew it.
    """

    libraries: ClassVar[tuple[str, ...]] = ("scikit-image",)

    def predict(self, image: Image) -> Labels:
        """The true labels, with the background pixels next to an object by a side, H x W."""
        from skimage.segmentation import expand_labels

        dilated: Labels = expand_labels(super().predict(image), 1)
        return dilated


@dataclass
class Empty:
    """Finds nothing: mSA is 0."""

    version: ClassVar[int] = 1
    control: ClassVar[bool] = True

    def predict(self, image: Image) -> Labels:
        """Background only, H x W."""
        return np.zeros(image.shape[:2], np.uint16)
