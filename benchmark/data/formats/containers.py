"""Readers of HDF5, zarr and TIFF volumes: arrays by key, channels and slices by axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.formats.images import as_image, read_image, read_labels, short_reason
from benchmark.data.formats.tiff import TIFF
from benchmark.errors import DataError, UsageError
from benchmark.store.tiff import open_tiff, read_series, strict_tifffile
from benchmark.types import Image, Labels

HDF5 = (".h5", ".hdf5", ".hdf")
ZARR = (".zarr", ".n5")
AXES = ("YX", "YXC", "CYX", "ZYX", "CZYX")
EMPTY = "zeros"
"""In place of a key: a channel of zeros."""

CHUNK_CACHE = 128 * 2**20
"""Bytes of decompressed chunks that a file keeps: slice after slice needs the same ones."""


@dataclass(frozen=True)
class Reading:
    """How a data set's files are read.

    Attributes:
        image: the key in a container, or several that become channels in this order; None
            for image files.
        labels: the key of the labels; None likewise.
        image_axes: of what is stored: YX, YXC, CYX; ZYX and CZYX are sliced along Z.
        label_axes: YX or ZYX.
    """

    image: str | Sequence[str] | None = None
    labels: str | None = None
    image_axes: str = "YX"
    label_axes: str = "YX"

    def __post_init__(self) -> None:
        """Check axes and keys.

        Raises:
            UsageError: unknown axes, or no key.
        """
        for axes in (self.image_axes, self.label_axes):
            if axes not in AXES:
                raise UsageError(f"data.read: axes '{axes}' are none of {', '.join(AXES)}.")
        if self.image is not None and not self.keys:
            raise UsageError(f"data.read: image is {self.image!r}; it names no key.")

    @property
    def keys(self) -> list[str]:
        """The keys of the image, without empty channels."""
        names = [self.image] if isinstance(self.image, str) else [*(self.image or ())]
        return [name for name in names if name != EMPTY]

    @property
    def sliced(self) -> bool:
        """Whether a file holds many images."""
        return "Z" in self.image_axes


def slices(path: Path, reading: Reading, of: str = "image") -> int:
    """Return the number of images (or label images) in a volume; only its header is read.

    Raises:
        DataError: it can't be read, or is not a volume.
    """
    key = (reading.keys[0] if reading.keys else None) if of == "image" else reading.labels
    axes = reading.image_axes if of == "image" else reading.label_axes
    stored = _stored(path, key)
    _check_axes(stored, axes, f"{path}{_at(key, None)}")
    return int(stored.shape[axes.index("Z")])


def read_pair(
    image: Path, labels: Path, reading: Reading, index: int | None
) -> tuple[Image, Labels]:
    """Read one image and its labels.

    Args:
        image: the file or container.
        labels: the same, or the label image's own file.
        reading: how.
        index: the slice; None where there are none.

    Returns:
        H x W or H x W x C in the dtype as stored; H x W integers.

    Raises:
        DataError: damaged, without the key, or not of the axes given.
    """
    if reading.image is None and not reading.sliced:
        return read_image(image, as_stored=True), read_labels(labels, whole_floats=True)
    planes = [
        None if key == EMPTY else _read(image, key, reading.image_axes, index)
        for key in ([reading.image] if isinstance(reading.image, str | None) else reading.image)
    ]
    shape = next(plane.shape for plane in planes if plane is not None)
    dtype = next(plane.dtype for plane in planes if plane is not None)
    full = [np.zeros(shape, dtype) if plane is None else plane for plane in planes]
    try:
        pixels = full[0] if len(full) == 1 else np.stack(full, axis=-1)
    except ValueError as error:
        raise DataError(f"{image}: its channels differ in shape ({error}).") from error
    truth = _read(labels, reading.labels, reading.label_axes, index)
    key = reading.image if isinstance(reading.image, str) else ", ".join(reading.keys)
    return (
        as_image(pixels, f"{image}{_at(key, index)}"),
        as_labels(truth, f"{labels}{_at(reading.labels, index)}"),
    )


def as_labels(values: Any, origin: str) -> Labels:
    """Convert label values to integers from 0 on.

    Floats that are whole numbers become integers. Negative ids (mostly of regions to be ignored)
    become new ids above all others.

    Args:
        values: label values as stored.
        origin: the file and key, for messages.

    Raises:
        DataError: values that are not whole numbers.
    """
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and np.array_equal(values, np.trunc(values))):
            raise DataError(f"{origin}: labels are {values.dtype}, not whole numbers.")
        values = values.astype(np.int64)
    if values.dtype.kind not in "ui":
        raise DataError(f"{origin}: labels are {values.dtype}, not integers.")
    if values.dtype.kind == "i" and values.size and values.min() < 0:
        values = values.astype(np.int64)
        top = int(values.max())
        for number, negative in enumerate(np.unique(values[values < 0]), start=1):
            values[values == negative] = max(top, 0) + number
    return np.asarray(values)


def _read(path: Path, key: str | None, axes: str, index: int | None) -> Any:
    """Read an array from a file, or one slice of it; channels last."""
    stored = _stored(path, key)
    origin = f"{path}{_at(key, index)}"
    _check_axes(stored, axes, origin)
    try:
        where: list[Any] = [index if axis == "Z" else slice(None) for axis in axes]
        plane = np.asarray(stored[tuple(where)])
    except MemoryError as error:
        raise DataError(f"{origin}: does not fit into memory.") from error
    except Exception as error:  # libraries raise anything on damaged files
        raise DataError(f"{origin}: can't be read ({short_reason(error)}).") from error
    return np.moveaxis(plane, 0, -1) if axes.replace("Z", "") == "CYX" else plane


def _check_axes(stored: Any, axes: str, origin: str) -> None:
    if len(stored.shape) != len(axes):
        raise DataError(
            f"{origin}: its shape is {' x '.join(map(str, stored.shape))}; "
            f"axes {axes} were expected."
        )


def _stored(path: Path, key: str | None) -> Any:
    """Return an array in a file without reading it."""
    try:
        content = _opened(path, path.stat().st_mtime_ns)
    except DataError:
        raise
    except ImportError as error:
        raise DataError(
            f"{path}: reading it needs {error.name}: pip install -e '.[datasets]'."
        ) from error
    except Exception as error:
        raise DataError(
            f"{path}: can't be read ({short_reason(error)}). The file may be damaged or incomplete."
        ) from error
    if key is None:
        if not hasattr(content, "shape"):
            raise DataError(f"{path}: data.read names no key; it has: {_names(content)}.")
        return content
    try:
        found = content[key]
    except Exception as error:
        raise DataError(f"{path}: has no '{key}'; it has: {_names(content)}.") from error
    if not hasattr(found, "shape"):
        raise DataError(f"{path}: '{key}' is a group; it has: {_names(found)}.")
    return found


@lru_cache(maxsize=2)  # image and labels may be two files
def _opened(path: Path, changed: int) -> Any:
    """Open a file, and keep it open for its next slices; `changed` detects a replaced file."""
    suffix = path.suffix.lower()
    if suffix in HDF5:
        import h5py

        return h5py.File(path, "r", rdcc_nbytes=CHUNK_CACHE, rdcc_nslots=100_003)
    if suffix in ZARR:
        import zarr

        return zarr.open_group(str(path), mode="r")
    if suffix in TIFF:
        return TiffVolume(path)
    raise DataError(
        f"{path}: can't read '{suffix}' as a volume. "
        f"Readable are {', '.join((*HDF5, *ZARR, *TIFF))}."
    )


class TiffVolume:
    """A TIFF of many pages, read page by page.

    Args:
        path: pages are slices; each is grey.

    Raises:
        ValueError: it was cut off.
    """

    def __init__(self, path: Path) -> None:
        with strict_tifffile():
            self.file = open_tiff(path)
            self.series = self.file.series[0]
            self.shape = self.series.shape

    def __getitem__(self, where: tuple[Any, ...]) -> Any:
        """One slice."""
        if len(self.series.pages) == self.shape[0]:
            return read_series(self.file, page=where[0])
        return self._whole[where]

    @cached_property
    def _whole(self) -> Any:
        """The whole array: three or four slices are often stored as one page of colours."""
        return read_series(self.file)

    def __del__(self) -> None:
        """Close the file at once; tifffile's own cycles of references would keep it open."""
        if hasattr(self, "file"):
            self.file.close()


def _names(content: Any) -> str:
    names: list[str] = []
    try:
        if hasattr(content, "visititems"):
            content.visititems(lambda name, item: names.append(name) if _is_array(item) else None)
        else:
            names = [name for name, item in content.members(max_depth=None) if _is_array(item)]
    except Exception:  # only an addition to a message
        return "?"
    return ", ".join(sorted(names)) or "nothing"


def _is_array(item: Any) -> bool:
    return hasattr(item, "shape")


def _at(key: str | None, index: int | None) -> str:
    parts = [f"'{key}'" if key else "", f"slice {index}" if index is not None else ""]
    return "".join(f", {part}" for part in parts if part)
