"""What the fixtures of fluorescent cells share: special drawings, files in memory, archives."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import tifffile
from numpy.typing import NDArray

from layouts.draw import cells

Pair = tuple[NDArray[np.generic], NDArray[np.int32]]
"""An image and its labels."""

CROP = 512
"""Height and width of the study's crop."""

DARK = 30
"""What drawn images have between their cells."""


def whole(shape: tuple[int, int], count: int, seed: int, dtype: str = "uint8") -> Pair:
    """Cells all over an image, and one like a U whose arms alone are inside of the crop."""
    image, labels = cells(shape, count, seed, dtype)
    left, top = (shape[1] - CROP) // 2, max(0, (shape[0] - CROP) // 2)
    around = labels[top + 96 : top + 164, left - 24 : left + 44]
    removed = np.isin(labels, around[around > 0])
    labels[removed], image[removed] = 0, DARK
    for rows, columns in (
        (slice(100, 160), slice(-20, -10)),  # outside of the crop
        (slice(100, 120), slice(-20, 40)),
        (slice(140, 160), slice(-20, 40)),
    ):
        part = np.s_[top + rows.start : top + rows.stop, left + columns.start : left + columns.stop]
        labels[part], image[part] = 2, image.max()
    return image, labels


def inner(shape: tuple[int, int], count: int, seed: int, dtype: str = "uint8") -> Pair:
    """Exactly so many cells, none of which the crop touches."""
    image, labels = cells((min(shape[0], CROP), min(shape[1], CROP)), count, seed, dtype)
    margins = [(s - min(s, CROP)) // 2 for s in shape]
    around = [(m, s - m - min(s, CROP)) for m, s in zip(margins, shape, strict=True)]
    return np.pad(image, around, constant_values=DARK), np.pad(labels, around)


def h5(
    shape: tuple[int, ...], keys: Mapping[str, str], drawn: Mapping[int, Mapping[str, NDArray[Any]]]
) -> bytes:
    """An HDF5 file's content.

    Args:
        shape: of every array: Z x Y x X.
        keys: name of each array -> its dtype.
        drawn: slice -> what it holds in each array; all others are zero, and cost nothing.
    """
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for key, dtype in keys.items():
            stored = file.create_dataset(
                key, shape, dtype, chunks=(1, *shape[1:]), compression="gzip", compression_opts=1
            )
            for z, arrays in drawn.items():
                stored[z] = arrays[key]
    return buffer.getvalue()


def tiff(array: NDArray[np.generic]) -> bytes:
    """A TIFF file's content; pages, where it has three axes."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, compression="zlib", photometric="minisblack")
    return buffer.getvalue()


def png(array: NDArray[np.generic]) -> bytes:
    """A PNG file's content, compressed quickly."""
    return bytes(iio.imwrite("<bytes>", array, extension=".png", compress_level=1))


def archive(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a zip file of members that are compressed already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members:
            file.writestr(name, content)
