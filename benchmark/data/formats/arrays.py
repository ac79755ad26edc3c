"""Arrays of one's own: NumPy's .npy, Zarr and OME-Zarr."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.formats.planes import (
    MAX_CHANNELS,
    NAMED,
    At,
    Planes,
    Stored,
    chosen_image,
    take,
)
from benchmark.errors import DataError

NPY, ZARR = ".npy", ".zarr"


@contextmanager
def stored_npy(path: Path, planes: Planes) -> Iterator[Stored]:
    """Open an array that `numpy.save` wrote.

    Args:
        path: the file; one of Python objects is refused, as it may execute code.
        planes: `scene` is refused.

    Raises:
        DataError: a scene is chosen.
        Exception: it is damaged.
    """
    if planes.scene is not None:
        raise DataError(f"{path}: data.scene is {planes.scene}; a .npy file has no scenes.")
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    axes = unnamed_axes(array.shape)
    yield Stored(str(path), axes, array.shape, lambda at: np.array(take(array, at)))


def unnamed_axes(shape: tuple[int, ...]) -> str:
    """Axes of an array that has no names for them: height and width are last, or before channels.

    The last of three axes or more are channels where there are up to four, and rows and columns
    are more than that.
    """
    if len(shape) > 2 and shape[-1] <= MAX_CHANNELS < min(shape[-3:-1]):
        return "Q" * (len(shape) - 3) + "YXC"
    return "Q" * (len(shape) - 2) + "YX"[max(0, 2 - len(shape)) :]


@contextmanager
def stored_zarr(path: Path, planes: Planes) -> Iterator[Stored]:
    """Open a Zarr array, or an image of OME-Zarr at its full resolution.

    Args:
        path: the folder.
        planes: the scene is the path of a group or array in it, or its number.

    Raises:
        DataError: it holds several images and none is chosen, or none at all.
        ImportError: zarr is not installed.
        Exception: it is damaged.
    """
    import zarr

    node = zarr.open(str(path), mode="r")
    found = [(name, *_described(image)) for name, image in sorted(_images(node, ""))]
    shapes = [(name, array.shape) for name, array, _, _ in found]
    _, array, axes, channels = found[chosen_image(str(path), shapes, planes.scene)]
    yield Stored(str(path), axes, tuple(array.shape), lambda at: _read(array, at), channels)


def _images(node: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Arrays and OME-Zarr images in a node, by path; labels and smaller resolutions are none."""
    if hasattr(node, "shape") or "multiscales" in _metadata(node):
        yield name, node
    else:
        for key, child in node.members():
            if key != "labels":
                yield from _images(child, f"{name}/{key}".lstrip("/"))


def _metadata(group: Any) -> Mapping[str, Any]:
    """The OME metadata of a group: in its attributes, or below `ome` (version 0.5)."""
    attributes = dict(group.attrs)
    return attributes.get("ome") or attributes


def _described(node: Any) -> tuple[Any, str, tuple[str, ...]]:
    """An image's array, its axes and the names of its channels."""
    if hasattr(node, "shape"):
        names = getattr(node.metadata, "dimension_names", None)
        names = names or dict(node.attrs).get("_ARRAY_DIMENSIONS")
        return node, _letters(names) if names else unnamed_axes(tuple(node.shape)), ()
    metadata = _metadata(node)
    multiscale = metadata["multiscales"][0]
    axes = [axis["name"] if isinstance(axis, dict) else axis for axis in multiscale.get("axes", ())]
    channels = (metadata.get("omero") or {}).get("channels") or ()
    names = tuple(str(channel.get("label", "")) for channel in channels)
    array = node[multiscale["datasets"][0]["path"]]
    return array, _letters(axes or ["t", "c", "z", "y", "x"]), names


def _letters(names: Any) -> str:
    """A letter for each named axis; one that is none of ours, or comes twice, has no meaning."""
    letters = ""
    for name in names:
        letter = str(name or "")[:1].upper()
        letters += letter if letter in NAMED and letter and letter not in letters else "Q"
    return letters


def _read(array: Any, at: At) -> NDArray[Any]:
    """Read the chosen planes, one by one along the axes that are chosen from."""
    where = [slice(None)] * len(array.shape)
    narrowed: dict[int, list[int]] = {}
    for axis, indices in at.items():
        first = min(indices)
        where[axis] = slice(first, max(indices) + 1)
        narrowed[axis] = [index - first for index in indices]
    return take(np.asarray(array[tuple(where)]), narrowed)
