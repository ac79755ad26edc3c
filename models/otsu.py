"""The classical baseline: Gaussian, Otsu's threshold, distance transform, watershed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Image, Labels

LUMINANCE = (0.2125, 0.7154, 0.0721)  # ITU-R BT.709


@dataclass
class OtsuWatershed:
    """Threshold at Otsu's level, split what touches by a watershed on the distance to its edge.

    Attributes:
        sigma: standard deviation of the Gaussian before the threshold, in pixels.
        foreground: what the objects are: `bright`, `dark`, or `auto`, which takes for
            background the side of the threshold that most pixels are on.
        min_distance: smallest distance between the seeds of two objects, in pixels.
        min_size: objects of fewer pixels are dropped.

    Raises:
        ValueError: a parameter is out of range.

    Source: N. Otsu, "A threshold selection method from gray-level histograms", IEEE
    Transactions on Systems, Man, and Cybernetics 9(1), 1979.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("scikit-image", "scipy")
    max_channels: ClassVar[int] = 3

    sigma: float = 0.5
    foreground: str = "auto"
    min_distance: int = 10
    min_size: int = 20

    def __post_init__(self) -> None:
        if not 0 <= self.sigma < np.inf:
            raise ValueError(f"sigma is {self.sigma}: give a finite number of pixels, 0 or more")
        if self.foreground not in ("auto", "bright", "dark"):
            raise ValueError(f"foreground is '{self.foreground}': give auto, bright or dark")
        for name, least in (("min_distance", 1), ("min_size", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} is {value}: give a whole number, {least} or more")

    def predict(self, image: Image) -> Labels:
        """Segment one image.

        Args:
            image: H x W or H x W x C, integer or float. C = 1: grey; 2: the mean of both;
                3: RGB, reduced to luminance; 4: the first three.

        Returns:
            H x W int32, 0 = background, ids consecutive from 1. All 0 where the image is
            constant, since Otsu's threshold is undefined there.

        Raises:
            ValueError: another shape, no pixels, or NaN or infinite values.
        """
        from scipy import ndimage
        from skimage.feature import peak_local_max
        from skimage.filters import threshold_otsu
        from skimage.segmentation import watershed

        smooth = ndimage.gaussian_filter(_grey(image), self.sigma, mode="nearest")
        labels: Labels = np.zeros(smooth.shape, np.int32)
        # On a range of 0 to 1, less than this is rounding.
        if np.ptp(smooth) < 1e-9:
            return labels

        dark = self.foreground == "dark"
        if self.foreground == "auto":
            dark = bool((smooth > threshold_otsu(smooth)).mean() > 0.5)
        # Mirrored before the threshold is taken, so that an inverted image gives the same labels.
        smooth = -smooth if dark else smooth
        mask = ndimage.binary_fill_holes(smooth > threshold_otsu(smooth))
        # Smoothed, since the staircase of an outline makes ripples along its middle.
        distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1)
        parts, _ = ndimage.label(mask)
        # Seeds are sought part by part: none may lose its only seed to a larger neighbour.
        peaks = peak_local_max(distance, self.min_distance, exclude_border=False, labels=parts)
        labels[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        labels = watershed(-distance, labels, mask=mask)

        large = np.bincount(labels.ravel()) >= self.min_size
        large[0] = False
        kept: Labels = np.where(large, np.cumsum(large), 0).astype(np.int32)[labels]
        return kept


def _grey(image: Image) -> NDArray[np.float64]:
    """One channel, H x W, on a range of 0 to 1: whatever arrives, no later sum overflows."""
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or not 1 <= channels <= 4 or image.size == 0:
        raise ValueError(f"image of shape {image.shape}: give H x W, or H x W x C with C 1 to 4")
    values = image.reshape(*image.shape[:2], channels)[..., :3].astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("the image holds NaN or infinite values; Otsu's threshold needs numbers")
    values /= np.abs(values).max() or 1
    # Not `values @ LUMINANCE`: BLAS sums in an order that depends on the processor.
    grey: NDArray[np.float64] = np.average(
        values, axis=2, weights=LUMINANCE if values.shape[2] == 3 else None
    )
    grey -= grey.min()
    grey /= grey.max() or 1
    return grey
