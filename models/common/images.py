"""Images as models take them: RGB of 8 bit for the SAM family, float32 for the others."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Image


def to_rgb8(image: Image) -> NDArray[np.uint8]:
    """Any image as RGB of 8 bit, each channel stretched over its own range.

    Args:
        image: H x W or H x W x C (C 1 to 4), integer or finite float. Grey is repeated, two
            channels get an empty third, a fourth is dropped.

    Returns:
        H x W x 3, uint8. A constant channel is 0.

    Raises:
        ValueError: another shape, or values that are not finite in float32.

    Source: `micro_sam.util._to_image`, which the study applied for every method of the SAM
    family; equal to it, value for value.
    """
    _check_shape(image)
    planes = image[..., None] if image.ndim == 2 else image
    if planes.shape[2] == 1:
        planes = np.repeat(planes, 3, axis=2)
    elif planes.shape[2] == 2:
        planes = np.concatenate([planes, np.zeros_like(planes[..., :1])], axis=2)
    values = to_float32(planes[..., :3])
    values -= values.min(axis=(0, 1))
    # 1e-7 keeps constant channels at 0, and lets 255 be reached by rounding alone.
    values /= values.max(axis=(0, 1)) + 1e-7
    return (values * 255).astype(np.uint8)


def to_float32(image: Image) -> NDArray[np.float32]:
    """Any image in float32, its values and shape kept: a copy, which a library may write into.

    Args:
        image: H x W or H x W x C (C 1 to 4), integer or finite float.

    Returns:
        The same shape, float32.

    Raises:
        ValueError: another shape, or values that are not finite in float32.
    """
    _check_shape(image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # overflow; it is checked next
        values: NDArray[np.float32] = image.astype(np.float32)
    if not np.isfinite(values).all():
        raise ValueError("the image holds values that are NaN, infinite or beyond float32")
    return values


def _check_shape(image: Image) -> None:
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or not 1 <= channels <= 4 or image.size == 0:
        raise ValueError(f"image of shape {image.shape}: give H x W, or H x W x C with C 1 to 4")
