"""Images scaled by a factor, label images scaled back, and the factor from labelled objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Image, Labels


def scale_image(image: Image, shape: tuple[int, int]) -> Image:
    """Scale an image to other rows and columns, linearly; smoothed before where it gets smaller.

    Args:
        image: H x W or H x W x C.
        shape: rows and columns.

    Returns:
        The image, dtype as before; integers are rounded.
    """
    from skimage.transform import resize

    if image.shape[:2] == shape:
        return image
    kind = image.dtype.kind
    # float32 holds integers of 16 bit exactly, and takes half the memory.
    enough = image.dtype if kind == "f" else np.float32 if image.dtype.itemsize < 4 else np.float64
    scaled: NDArray[Any] = resize(
        image.astype(enough, copy=False),
        (*shape, *image.shape[2:]),
        order=1,
        mode="reflect",
        anti_aliasing=True,
        preserve_range=True,
    )
    if kind in "iu":
        limits = np.iinfo(image.dtype)
        np.clip(np.rint(scaled, out=scaled), limits.min, limits.max, out=scaled)
    result: Image = scaled.astype(image.dtype, copy=False)
    return result


def scale_labels(labels: Labels, shape: tuple[int, int]) -> Labels:
    """Scale a label image to other rows and columns, each pixel that of the nearest one.

    Args:
        labels: H x W.
        shape: rows and columns.
    """
    if labels.shape == shape:
        return labels
    rows, columns = (
        np.minimum((np.arange(new) + 0.5) * (old / new), old - 1).astype(np.intp)
        for new, old in zip(shape, labels.shape, strict=True)
    )
    scaled: Labels = labels[rows[:, np.newaxis], columns]
    return scaled


def median_diameter(label_images: Iterable[Labels]) -> float | None:
    """The median diameter of all objects, each as that of the disk of its area.

    Args:
        label_images: H x W each, 0 = background.

    Returns:
        Pixels; None where there is no object.
    """
    areas = []
    for labels in label_images:
        values, counts = np.unique(labels, return_counts=True)
        areas.append(counts[values > 0])
    every = np.concatenate(areas) if areas else np.empty(0)
    return float(np.median(2 * np.sqrt(every / np.pi))) if len(every) else None
