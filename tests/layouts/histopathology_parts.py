"""What the fixtures of histopathology share: drawings in colour, outlines, and archives."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours, regionprops

from layouts.draw import cells, rgb

Pair = tuple[NDArray[np.uint8], NDArray[np.int32]]
Member = tuple[str, bytes]

CROP = 512
"""Height and width of the study's crop."""


def stained(shape: tuple[int, int], count: int, seed: int) -> Pair:
    """Round nuclei all over a colour image."""
    image, labels = cells(shape, count, seed)
    return rgb(image), labels


def field(shape: tuple[int, int], count: int, seed: int) -> Pair:
    """The same, and a nucleus like a U: the crop keeps its two arms, and not what joins them."""
    image, labels = cells(shape, count, seed)
    top, left = ((side - CROP) // 2 for side in shape)
    touched = labels[top - 30 : top + 50, left + 90 : left + 160]
    gone = np.isin(labels, touched[touched > 0])
    labels[gone], image[gone] = 0, 30
    for columns in (slice(100, 150), slice(100, 112), slice(138, 150)):
        rows = slice(top - 22, top - 10 if columns.stop - columns.start == 50 else top + 40)
        part = rows, slice(left + columns.start, left + columns.stop)
        labels[part], image[part] = 2, 200
    return rgb(image), labels


def middle(shape: tuple[int, int], count: int, seed: int) -> Pair:
    """So many square nuclei in the middle, on an even ground: quick to draw and to pack."""
    labels = np.zeros(shape, np.int32)
    top, left = (side // 2 - 110 + seed % 7 for side in shape)
    for k in range(count):
        y, x = top + k // 5 * 44, left + k % 5 * 44
        labels[y : y + 20 + seed % 5, x : x + 24] = 3 + k * 2 + k // 4
    return rgb(np.where(labels > 0, 150, 30 + seed % 50)), labels


def turned(pair: Pair, k: int) -> Pair:
    """One of eight views of a square drawing."""
    image, labels = (np.rot90(array, k % 4) for array in pair)
    return (image[::-1], labels[::-1]) if k % 8 > 3 else (image, labels)


def clear(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With a fourth channel, as scanners' software adds it."""
    return np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])


def outlines(labels: NDArray[np.int32]) -> Iterator[NDArray[np.float64]]:
    """The outline of each nucleus: points (y, x) on the edges of its pixels."""
    for region in regionprops(labels):
        contour = find_contours(np.pad(region.image, 1).astype(float), 0.5)[0]
        yield contour[:-1] + region.bbox[:2] - 0.5


def tiff(array: NDArray[np.generic]) -> bytes:
    """A TIFF file's content."""
    return bytes(iio.imwrite("<bytes>", array, extension=".tif", compression="zlib"))


def png(array: NDArray[np.generic]) -> bytes:
    """A PNG file's content, compressed quickly."""
    return bytes(iio.imwrite("<bytes>", array, extension=".png", compress_level=1))


def npy(array: NDArray[np.generic]) -> bytes:
    """An npy file's content."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def files(folder: Path, members: Iterable[Member]) -> None:
    """Write files into a folder."""
    for name, content in members:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def archive(path: Path, members: Iterable[Member]) -> None:
    """Write a zip file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, content in members:
            file.writestr(name, content)
