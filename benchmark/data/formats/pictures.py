"""PNG and JPEG files of one's own: modes, frames and orientation are obeyed or refused."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.formats.orientation import ORIENTATION
from benchmark.data.formats.planes import Planes, Stored, take
from benchmark.errors import DataError

LOSSY = (".jpg", ".jpeg")
PICTURES = (".png", *LOSSY)


_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "P", "PA", "RGB", "RGBA")
_MEANINGS: Mapping[str, str] = {
    "CMYK": "amounts of ink (CMYK)",
    "YCbCr": "luma and colour differences (YCbCr)",
    "LAB": "colours in CIELab",
}
"""What pixels are in modes that are neither brightness nor RGB."""


@contextmanager
def stored_picture(path: Path, planes: Planes) -> Iterator[Stored]:
    """Open a PNG or JPEG.

    Args:
        path: the file; its content decides, not its name.
        planes: `scene` is refused.

    Raises:
        DataError: it has several frames, or its pixels are neither brightness nor RGB.
        Exception: it is damaged; Pillow raises various types.
    """
    from PIL import Image as Pillow

    Pillow.MAX_IMAGE_PIXELS = None  # large images are what microscopes make, not an attack
    if planes.scene is not None:
        raise DataError(f"{path}: data.scene is {planes.scene}; a PNG or JPEG has no scenes.")
    with Pillow.open(path, formats=("PNG", "JPEG")) as picture:
        frames = getattr(picture, "n_frames", 1)
        if frames > 1:
            raise DataError(
                f"{path}: holds {frames} frames (an animation, or several pictures). Save the one "
                "that is meant in a file of its own."
            )
        mode = picture.mode
        if mode not in _MODES:
            what = _MEANINGS.get(mode, f"of the mode {mode}")
            raise DataError(f"{path}: its pixels are {what}. Save it as grey values or as RGB.")
        orientation = picture.getexif().get(ORIENTATION, 1)
        if deep_colour(path):  # Pillow cuts these to 8 bit silently
            array = _decode_png(path)
        else:  # of a palette the colours, not their indices
            array = np.asarray(picture.convert("RGB") if mode in ("P", "PA") else picture)
    channels = array.shape[2] if array.ndim == 3 else 1
    yield Stored(
        str(path),
        "YXS" if array.ndim == 3 else "YX",
        array.shape,
        lambda at: take(array, at),
        channels=("red", "green", "blue") if channels == 3 else (),
        orientation=orientation if isinstance(orientation, int) else 1,
        alpha=channels - 1 if channels in (2, 4) else None,
    )


def deep_colour(path: Path) -> bool:
    """Whether a file is a PNG of 16 bit with several samples per pixel."""
    with path.open("rb") as file:
        header = file.read(26)
    if header[:8] != b"\x89PNG\r\n\x1a\n" or len(header) < 26:
        return False
    depth, colour_type = struct.unpack("BB", header[24:26])
    return depth == 16 and colour_type in (2, 4, 6)


def _decode_png(path: Path) -> NDArray[Any]:
    import imagecodecs

    return np.asarray(imagecodecs.png_decode(path.read_bytes()))
