"""What several groups of fixtures share: special drawings, and archives."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray

from layouts.draw import cells

Pair = tuple[NDArray[np.generic], NDArray[np.int32]]

CROP = 512
"""Height and width of the study's crop."""


def field(shape: tuple[int, int], count: int, seed: int, dtype: str = "uint8") -> Pair:
    """Nuclei all over the image, and one like a U that the crop cuts into its two arms."""
    image, labels = cells(shape, count, seed, dtype)
    top, left = ((side - CROP) // 2 for side in shape)
    touched = labels[top + 100 : top + 150, left - 30 : left + 50]
    gone = np.isin(labels, touched[touched > 0])
    labels[gone], image[gone] = 0, 30
    for rows, columns in (
        (slice(105, 145), slice(-25, -15)),  # outside the crop
        (slice(105, 115), slice(-25, 45)),
        (slice(135, 145), slice(-25, 45)),
    ):
        part = (
            slice(top + rows.start, top + rows.stop),
            slice(left + columns.start, left + columns.stop),
        )
        labels[part], image[part] = 2, image.max()
    return image, labels


def middle(shape: tuple[int, int], count: int, seed: int, dtype: str = "uint8") -> Pair:
    """As many nuclei as given, all of them inside the crop."""
    image, labels = cells((CROP, CROP), max(count, 1), seed, dtype)
    if not count:
        labels[:], image[:] = 0, 30
    around = [((side - CROP) // 2, (side - CROP + 1) // 2) for side in shape]
    return np.pad(image, around, constant_values=30), np.pad(labels, around)


def turned(pair: Pair, k: int) -> Pair:
    """One of eight views of the same drawing that differ in no size (of a square one)."""
    image, labels = (np.rot90(a, k % 4) if k % 4 else a for a in pair)
    return (image[::-1], labels[::-1]) if k % 8 > 3 else (image, labels)


def tiff(array: NDArray[np.generic]) -> bytes:
    """A TIFF file's content."""
    return bytes(iio.imwrite("<bytes>", array, extension=".tif", compression="zlib"))


def png(array: NDArray[np.generic]) -> bytes:
    """A PNG file's content, compressed quickly."""
    return bytes(iio.imwrite("<bytes>", array, extension=".png", compress_level=1))


def archive(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a zip file of members that are compressed already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members:
            file.writestr(name, content)
