"""Steps of a recipe that decide which objects count, and which images with them."""

from __future__ import annotations

import numpy as np

from benchmark.data.geometry import Step
from benchmark.types import Image, Labels


def ignore_label(image: Image, labels: Labels, value: int) -> Step:
    """Make one id background."""
    yield "", image, np.where(labels == value, 0, labels).astype(labels.dtype)


def connected_components(image: Image, labels: Labels) -> Step:
    """Number the connected components (8-connected, of equal value) anew.

    Source: `skimage.measure.label`, as micro-sam's scripts/apg_experiments/util.py calls it.
    """
    from skimage.measure import label

    yield "", image, label(labels).astype(np.int32)


def min_objects(image: Image, labels: Labels, count: int, counting: str) -> Step:
    """Leave out an image with few objects.

    Source: `_process_images` in micro-sam's scripts/apg_experiments/util.py.

    Args:
        image: H x W or H x W x C.
        labels: H x W.
        count: the least number that stays.
        counting: `values`: all label values, so that the background counts as an object
            where there is any. `objects`: objects.

    Raises:
        ValueError: another word for `counting`.
    """
    if counting not in ("values", "objects"):
        raise ValueError(f"counting is '{counting}'; it must be values or objects")
    values = np.unique(labels)
    objects = int(np.count_nonzero(values))
    enough = len(values) >= max(count, 2) if counting == "values" else objects >= max(count, 1)
    if enough:
        yield "", image, labels


def only_channels(image: Image, labels: Labels, count: int) -> Step:
    """Leave out an image that has not so many channels; a grey one has one."""
    if (image.shape[2] if image.ndim == 3 else 1) == count:
        yield "", image, labels


def scale_channels(image: Image, labels: Labels) -> Step:
    """Scale each channel to its own minimum and maximum, as 8-bit integers.

    Source: `_norm_image` in micro-sam's scripts/apg_experiments/util.py, to the bit.
    """
    scaled = image.astype(np.float32)
    scaled -= scaled.min(axis=(0, 1))
    scaled /= scaled.max(axis=(0, 1)) + 1e-7
    yield "", (scaled * 255).astype(np.uint8), labels
