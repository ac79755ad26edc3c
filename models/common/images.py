"""Images as models take them: RGB of 8 bit for the SAM family, float32 for the others."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Image

Normalise = str | Sequence[float]
"""What `stretch_of` reads."""


class Stretch(NamedTuple):
    """Which intensities become 0 and 255; those between are linear, those beyond are clipped.

    Attributes:
        low: percentile of the pixels that becomes 0.
        high: percentile that becomes 255.
        joint: whether all channels are stretched over one range, else each over its own.
    """

    low: float = 0
    high: float = 100
    joint: bool = False

    @property
    def clips(self) -> bool:
        """Whether there may be intensities beyond."""
        return (self.low, self.high) != (0, 100)

    def limits(self, values: NDArray[np.float32]) -> tuple[Any, Any]:
        """The intensities that become 0 and 255, for each channel or for all: of H x W x C."""
        axes = (0, 1, 2) if self.joint else (0, 1)
        low, high = values.min(axis=axes), values.max(axis=axes)
        if not self.clips:
            return low, high
        inner = np.percentile(values, (self.low, self.high), axis=axes).astype(np.float32)
        # Where nearly all pixels are equal, two percentiles are, and nothing would lie between.
        wide = inner[1] > inner[0]
        return np.where(wide, inner[0], low), np.where(wide, inner[1], high)


STRETCHES: Mapping[str, Stretch] = {
    "min_max": Stretch(),
    "min_max_joint": Stretch(joint=True),
    "percentiles": Stretch(1, 99),
    "percentiles_joint": Stretch(1, 99, joint=True),
}
"""By the value of an adapter's parameter `normalise`; the first is the study's."""


def stretch_of(normalise: Normalise) -> Stretch:
    """How intensities are stretched: by a name, or by two percentiles of each channel.

    Raises:
        ValueError: there is no such name, or these are no percentiles.
    """
    given: Any = normalise
    if isinstance(given, str):
        if given in STRETCHES:
            return STRETCHES[given]
    elif isinstance(given, Sequence) and len(given) == 2:
        low, high = given
        if {type(low), type(high)} <= {int, float} and 0 <= low < high <= 100:
            return Stretch(low, high)
    raise ValueError(
        f"normalise is {normalise!r}: give {', '.join(STRETCHES)}, or two percentiles, the lower "
        "first, as [0.5,99.5]"
    )


def to_rgb8(image: Image, stretch: Stretch = STRETCHES["min_max"]) -> NDArray[np.uint8]:
    """Any image as RGB of 8 bit.

    Args:
        image: H x W or H x W x C (C 1 to 4), integer or finite float. Grey is repeated, two
            channels get an empty third, a fourth is dropped.
        stretch: of intensities; by default each channel over its own range.

    Returns:
        H x W x 3, uint8. A constant channel is 0.

    Raises:
        ValueError: another shape, or values that are not finite in float32.

    Source: `micro_sam.util._to_image`, which the study applied for every method of the SAM
    family; equal to it by default, value for value.
    """
    _check_shape(image)
    planes = image[..., None] if image.ndim == 2 else image
    values = to_float32(planes[..., :3])
    low, high = stretch.limits(values)
    values -= low
    # 1e-7 keeps constant channels at 0, and lets 255 be reached by rounding alone.
    values /= high - low + np.float32(1e-7)
    if stretch.clips:
        np.clip(values, 0, 1, out=values)
    found = (values * 255).astype(np.uint8)
    if found.shape[2] == 1:
        return np.repeat(found, 3, axis=2)
    if found.shape[2] == 2:
        return np.concatenate([found, np.zeros_like(found[..., :1])], axis=2)
    return found


_FEW, _MANY = 16, 64
_TAIL = 0.0005
_LOOKED_AT = 1000  # pixels along each side: enough to know how intensities are distributed


def few_grey_levels(image: Image, rgb: NDArray[np.uint8]) -> int | None:
    """In how few grey levels nearly all of an image lies, though it has many values.

    So it is where a hot pixel sets the range. Objects of .1 % of the pixels or more are no hot
    pixels.

    Args:
        image: as for `to_rgb8`.
        rgb: what that made of it.

    Returns:
        The levels from the first to the last that 99.9 % of the pixels have, if they are fewer
        than 16 and the channel has more than 64 values; else None.
    """
    planes = image[..., None] if image.ndim == 2 else image
    row, column = (-(-side // _LOOKED_AT) for side in image.shape[:2])
    planes, rgb = planes[::row, ::column], rgb[::row, ::column]
    found = []
    for number in range(min(planes.shape[2], 3)):
        levels = np.sort(rgb[..., number], axis=None)
        out = int(_TAIL * levels.size)
        spanned = int(levels[-1 - out]) - int(levels[out]) + 1
        if spanned < _FEW and np.unique(planes[..., number]).size > _MANY:
            found.append(spanned)
    return min(found, default=None)


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
