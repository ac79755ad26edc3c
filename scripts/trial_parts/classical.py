"""Two classical methods that differ from Otsu's in how they find objects: families of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Image, Labels


@dataclass
class LocalThreshold:
    """Pixels that are brighter than the weighted mean around them; connected ones are an object.

    Attributes:
        block: side of the neighbourhood in pixels, an odd number.
        offset: how much brighter, as a share of the image's range.
        min_size: objects of fewer pixels are dropped.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("scikit-image", "scipy")

    block: int = 101
    offset: float = 0.05
    min_size: int = 30

    def predict(self, image: Image) -> Labels:
        """Segment one image, H x W or H x W x C."""
        from scipy import ndimage
        from skimage.filters import gaussian, threshold_local

        smooth = gaussian(_bright(image), 1)
        mask = smooth > threshold_local(smooth, self.block) + self.offset
        return _components(ndimage.binary_opening(ndimage.binary_fill_holes(mask)), self.min_size)


@dataclass
class LaplacianBlobs:
    """Where the Laplacian of a Gaussian says bright blob, grown by a watershed on the gradient.

    Attributes:
        sigma: standard deviation of the Gaussian in pixels: about the radius by the root of 2.
        least: of the response, the share of its maximum that a seed must reach.
        min_size: objects of fewer pixels are dropped.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("scikit-image", "scipy")

    sigma: float = 6.0
    least: float = 0.15
    min_size: int = 30

    def predict(self, image: Image) -> Labels:
        """Segment one image, H x W or H x W x C."""
        from scipy import ndimage
        from skimage.feature import peak_local_max
        from skimage.filters import sobel
        from skimage.segmentation import watershed

        grey = _bright(image)
        response = -ndimage.gaussian_laplace(grey, self.sigma)
        peaks = peak_local_max(
            response, min_distance=int(self.sigma), threshold_rel=self.least, exclude_border=False
        )
        seeds = np.zeros(grey.shape, np.int32)
        seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        seeds[(seeds == 0) & (response < 0)] = len(peaks) + 1
        found = watershed(sobel(ndimage.gaussian_filter(grey, 1)), seeds)
        found[found == len(peaks) + 1] = 0
        sizes = np.bincount(found.ravel())
        small: Labels = np.where(sizes[found] < self.min_size, 0, found)
        return small


def _bright(image: Image) -> NDArray[np.float64]:
    """One channel from 0 to 1, in which the fewer pixels, taken for the objects, are bright."""
    grey = image.astype(float)
    grey = grey[..., :3].mean(axis=-1) if grey.ndim == 3 else grey
    grey = (grey - grey.min()) / (np.ptp(grey) or 1)
    bright: NDArray[np.float64] = grey if np.median(grey) < 0.5 else 1 - grey
    return bright


def _components(mask: NDArray[np.bool_], min_size: int) -> Labels:
    from scipy import ndimage

    found, _ = ndimage.label(mask)
    sizes = np.bincount(found.ravel())
    large: Labels = np.where(sizes[found] < min_size, 0, found)
    return large
