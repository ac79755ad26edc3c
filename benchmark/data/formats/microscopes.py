"""Files of microscopes: Nikon's ND2, Leica's LIF, Zeiss' CZI, through libraries of the extra."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.formats.planes import NAMED, At, Planes, Stored, chosen_image, take


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
            _letters(image.dims),
            tuple(image.shape),
            lambda at: take(np.asarray(image.asarray()), at),
        )


@contextmanager
def stored_czi(path: Path, planes: Planes) -> Iterator[Stored]:
    """Open a file of Zeiss; its scenes are what that library calls S, and its samples 0.

    Raises:
        DataError: it has several scenes and none is chosen.
        ImportError: czifile is not installed.
        Exception: it is damaged.
    """
    import czifile

    with czifile.CziFile(str(path)) as file:
        axes, shape = str(file.axes), tuple(map(int, file.shape))
        scene = axes.find("S")
        scenes = shape[scene] if scene >= 0 else 1
        number = chosen_image(str(path), [("", shape)] * scenes, planes.scene)

        def read(at: At) -> NDArray[Any]:
            one_scene = {scene: [number]} if scene >= 0 else {}
            return take(np.asarray(file.asarray(max_workers=1)), {**at, **one_scene})

        letters = axes.replace("S", "Q").replace("0", "S")
        kept = tuple(1 if k == scene else size for k, size in enumerate(shape))
        yield Stored(str(path), _letters(letters), kept, read)


def _letters(axes: Any) -> str:
    """A letter for each axis; those that have no meaning here are unnamed."""
    return "".join(axis if axis in NAMED else "Q" for axis in axes)
