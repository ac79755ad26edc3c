"""Files of microscopes: Nikon's ND2, Leica's LIF, Zeiss' CZI, through libraries of the extra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from benchmark.data.formats.planes import NAMED, At, Planes, Stored, chosen_image, take
from benchmark.errors import DataError


@contextmanager
def stored_nd2(path: Path, planes: Planes) -> Iterator[Stored]:
    """Open a file of Nikon; its positions are the scenes.

    Raises:
        DataError: it has several positions and none is chosen.
        ImportError: nd2 is not installed.
        Exception: it is damaged.
    """
    import nd2

    with nd2.ND2File(path) as file:
        sizes = {str(axis): int(size) for axis, size in file.sizes.items()}
        positions = sizes.pop("P", 1)
        shape = tuple(sizes.values())
        position = chosen_image(str(path), [("", shape)] * positions, planes.scene)
        names = tuple(str(channel.channel.name) for channel in file.metadata.channels or ())

        def read(at: At) -> NDArray[Any]:
            whole = file.asarray(position=position) if positions > 1 else file.asarray()
            return take(np.asarray(whole).reshape(shape), at)

        yield Stored(str(path), _letters(sizes), shape, read, names)


@contextmanager
def stored_lif(path: Path, planes: Planes) -> Iterator[Stored]:
    """Open a file of Leica; its images are the scenes.

    Raises:
        DataError: it has several images and none is chosen.
        ImportError: liffile is not installed.
        Exception: it is damaged.
    """
    import liffile

    with liffile.LifFile(path) as file:
        images = list(file.images)
        shapes = [(str(image.name), tuple(image.shape)) for image in images]
        image = images[chosen_image(str(path), shapes, planes.scene)]
        yield Stored(
            str(path),
            _letters(_scanned(image.dims)),
            tuple(image.shape),
            lambda at: take(np.asarray(image.asarray()), at),
        )


def _scanned(axes: Sequence[str]) -> list[str]:
    """Axes in which the plane that was scanned, the last two but for colours, is Y and X.

    Confocal microscopes scan planes along Z as well; a series of these along Y is one of slices.
    """
    letters = ["Z" if axis == "Y" else axis for axis in axes]
    end = len(letters) - (letters[-1:] == ["S"])
    letters[max(0, end - 2) : end] = "YX"[-end:]
    return letters


@contextmanager
def stored_czi(path: Path, planes: Planes) -> Iterator[Stored]:
    """Open a file of Zeiss. That library calls scenes S, and the samples of a pixel 0.

    Raises:
        DataError: it has several scenes and none is chosen, or is compressed by zstd.
        ImportError: czifile is not installed.
        Exception: it is damaged.
    """
    import czifile

    with czifile.CziFile(str(path)) as file:
        if any(block.compression in _ZSTD for block in file.filtered_subblock_directory):
            raise DataError(
                f"{path}: compressed by zstd, which czifile can't read. Save it as OME-TIFF, or "
                "without compression."
            )
        axes, whole = str(file.axes), tuple(map(int, file.shape))
        scenes = whole[axes.index("S")] if "S" in axes else 1
        scene = chosen_image(str(path), [("", whole)] * scenes, planes.scene)
        box = [slice(None)] * len(axes) if scenes == 1 else _box_of_scene(file, scene)
        shape = tuple(len(range(n)[part]) for n, part in zip(whole, box, strict=True))
        yield Stored(
            str(path),
            _letters(axes.replace("S", "Q").replace("0", "S")),
            shape,
            lambda at: take(np.asarray(file.asarray(max_workers=1))[tuple(box)], at),
            _channel_names(file.metadata(raw=True)),
        )


_ZSTD = (5, 6)
"""Numbers of compressions in CZI."""


def _box_of_scene(file: Any, scene: int) -> list[slice]:
    """The part of the array of all scenes that a scene takes; each has a place on the slide."""
    first = dict(zip(file.axes, file.start, strict=True))
    blocks = [
        {axis: (at, at + size) for axis, at, size in zip(b.axes, b.start, b.shape, strict=True)}
        for b in file.filtered_subblock_directory
    ]
    own = [block for block in blocks if block["S"][0] == first["S"] + scene]
    box = {"S": slice(scene, scene + 1)}
    for axis in "YX":
        start, stop = min(b[axis][0] for b in own), max(b[axis][1] for b in own)
        box[axis] = slice(start - first[axis], stop - first[axis])
    return [box.get(axis, slice(None)) for axis in file.axes]


def _channel_names(xml: str) -> tuple[str, ...]:
    """Names of the channels in the metadata; empty if one has none."""
    channels = ElementTree.fromstring(xml).iterfind(".//Information//Dimensions/Channels/Channel")
    names = tuple(channel.get("Name", "") for channel in channels)
    return names if all(names) else ()


def _letters(axes: Any) -> str:
    """A letter for each axis; those that have no meaning here are unnamed."""
    return "".join(axis if axis in NAMED else "Q" for axis in axes)
