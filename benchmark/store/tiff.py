"""Arrays as TIFF files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray


def tiff_bytes(array: NDArray[Any]) -> bytes:
    """Encode an array as a zlib-compressed TIFF of one page.

    Args:
        array: H x W or H x W x C (C from 2 to 4), any integer or float dtype.
    """
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        np.ascontiguousarray(array),
        photometric="minisblack",
        planarconfig="contig" if array.ndim == 3 else None,
        compression="zlib",
        metadata=None,
    )
    return buffer.getvalue()
