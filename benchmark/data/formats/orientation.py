"""Orientation: how TIFF's tag 274 and EXIF say that stored rows and columns are to be turned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.remarks import remark
from benchmark.errors import DataError

ORIENTATION = 274
"""The number of the tag, in TIFF and in EXIF."""

Turn = Callable[[NDArray[Any]], NDArray[Any]]

_TURNS: Mapping[int, Turn] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
"""From what is stored to what is shown; 1 is upright, and 0 is what some write for unknown."""


def upright(array: NDArray[Any], orientation: int, origin: str) -> NDArray[Any]:
    """Turn an image as its file says that it is to be shown.

    Args:
        array: H x W or H x W x C, as stored.
        orientation: 1 to 8, as in TIFF 6.0 and EXIF; 0 means unknown and turns nothing.
        origin: the file, for messages.

    Raises:
        DataError: there is no such orientation.
    """
    if orientation in (0, 1):
        return array
    if orientation not in _TURNS:
        raise DataError(
            f"{origin}: its Orientation is {orientation}, which has no meaning; it must be 1 to 8. "
            "Save it again without that tag."
        )
    remark("turned", f"Orientation {orientation}")
    return np.ascontiguousarray(_TURNS[orientation](array))
