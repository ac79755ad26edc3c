"""Readers of image and label files, whose errors name the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import tifffile

from benchmark.data.formats.arrays import stored_npy, stored_zarr
from benchmark.data.formats.microscopes import stored_czi, stored_lif, stored_nd2
from benchmark.data.formats.orientation import ORIENTATION, upright
from benchmark.data.formats.pictures import PICTURES, deep_colour, stored_picture
from benchmark.data.formats.planes import MAX_CHANNELS, Planes, Stored, channels_last, image_of
from benchmark.data.formats.tiff import TIFF, how_to_open, stored_tiff
from benchmark.errors import DataError
from benchmark.store.tiff import open_tiff, read_series, strict_tifffile
from benchmark.types import Image, Labels

Open = Callable[[Path, Planes], AbstractContextManager[Stored]]

OPENERS: Mapping[str, Open] = {
    **dict.fromkeys(TIFF, stored_tiff),
    **dict.fromkeys(PICTURES, stored_picture),
    ".npy": stored_npy,
    ".zarr": stored_zarr,
    ".nd2": stored_nd2,
    ".lif": stored_lif,
    ".czi": stored_czi,
}
"""What opens an image of one's own, by the ending of its name."""

FOLDERS = (".zarr",)
"""Endings of folders that are one image."""

READABLE = (*TIFF, *PICTURES)
"""Endings of label images, and of images of public data sets."""

POINTERS: Mapping[bytes, str] = {
    b"version https://git-lfs": "a git-LFS pointer, not the file. Fetch the file: git lfs pull",
    b"/annex/objects/": "a git-annex pointer, not the file. Fetch the file: git annex get",
}
"""How files begin that stand for an image that lies elsewhere."""


def read_image(path: Path, as_stored: bool = False, planes: Planes | None = None) -> Image:
    """Read an image.

    Args:
        path: TIFF (8, 16, 32 bit, float), PNG, JPEG, or another of `OPENERS`.
        as_stored: read the numbers of one page as they are stored, even if its header says that
            they are not brightness (a palette, inverted grey, CMYK) or that they are to be
            turned, as other readers of public data sets do.
        planes: which planes of a file of several make the image.

    Returns:
        H x W, or H x W x C with C from 2 to 4; dtype as stored.

    Raises:
        DataError: missing, damaged, of another format, not brightness or RGB, or of several
            planes of which none are chosen.
    """
    if as_stored:
        return as_image(_read(path, as_stored=True), str(path))
    planes = planes or Planes()
    with _named_errors(path), open_stored(path, planes) as stored:
        image = upright(image_of(stored, planes), stored.orientation, str(path))
    return as_image(image, str(path))


def open_stored(path: Path, planes: Planes) -> AbstractContextManager[Stored]:
    """Open a file of an image without choosing among its planes.

    Raises:
        DataError: of a format that is not read.
    """
    _check_suffix(path, OPENERS)
    return OPENERS[path.suffix.lower()](path, planes)


def planes_along(path: Path, planes: Planes, axis: str) -> int:
    """Return the number of slices (`Z`) or time points (`T`) in a file; pixels are not read.

    Raises:
        DataError: it can't be read.
    """
    with _named_errors(path), open_stored(path, planes) as stored:
        return stored.size(axis, planes)


def as_image(image: Image, origin: str) -> Image:
    """Check that pixels are an image.

    Args:
        image: the pixels.
        origin: the file, for messages.

    Raises:
        DataError: they are not.
    """
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim not in (2, 3) or image.size == 0:
        raise DataError(f"{origin}: an image is H x W or H x W x C; this one is {_shape(image)}.")
    if image.ndim == 3 and image.shape[2] > MAX_CHANNELS:
        raise DataError(
            f"{origin}: {_shape(image)}: more than {MAX_CHANNELS} channels. "
            "Keep those that show the cells."
        )
    if image.dtype.kind == "b":
        return image.astype(np.uint8)
    if image.dtype.kind not in "uif":
        raise DataError(f"{origin}: pixels of type {image.dtype} are not an image.")
    return image


def read_labels(path: Path, whole_floats: bool = False, planes: Planes | None = None) -> Labels:
    """Read a label image: 0 = background, one positive integer per object.

    Args:
        path: TIFF or PNG of integers, one channel.
        whole_floats: accept floats that are whole numbers, as some public data sets store ids.
        planes: the slice and time point of its image, for a stack of label images.

    Returns:
        H x W integers.

    Raises:
        DataError: missing, damaged, lossy, colour, float, negative, or a mask of 0 and 1 bit.
    """
    labels = _read(path, lossless=True, as_stored=whole_floats, planes=planes)
    if labels.ndim == 3 and labels.shape[2] == 1:
        labels = labels[:, :, 0]
    if labels.ndim != 2:
        raise DataError(
            f"{path}: labels must be one integer per pixel; this is {_shape(labels)} (colour?). "
            "Export the label image itself, not a picture of it."
        )
    if whole_floats and labels.dtype.kind == "f" and np.array_equal(labels, np.trunc(labels)):
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "f":
        raise DataError(
            f"{path}: labels are {labels.dtype}, not integers. Save them as 16- or 32-bit integers."
        )
    if labels.dtype.kind not in "ui":
        raise DataError(
            f"{path}: labels are {labels.dtype}: a mask, in which touching cells are one. "
            "Label its objects first."
        )
    if labels.size == 0 or labels.min() < 0:
        raise DataError(f"{path}: labels are empty or have negative ids.")
    return labels


def _read(
    path: Path, lossless: bool = False, as_stored: bool = False, planes: Planes | None = None
) -> Image:
    """The array of a file of one page, turned upright unless it is wanted as it is stored."""
    _check_suffix(path)
    is_tiff = path.suffix.lower() in TIFF
    of_stack = planes is not None and (isinstance(planes.z, int) or isinstance(planes.t, int))
    with _named_errors(path):
        if of_stack and is_tiff:
            array, is_jpeg = read_one_of_stack(path, planes or Planes())
        elif planes is not None and planes.each:
            raise not_stacked(path)
        else:
            array, is_jpeg = (_read_tiff if is_tiff else _read_picture)(path, as_stored)
    if lossless and is_jpeg:
        raise DataError(f"{path}: JPEG changes ids when it saves them. Use TIFF or PNG for labels.")
    return array


def _check_suffix(path: Path, readable: Iterable[str] = READABLE) -> None:
    if path.suffix.lower() not in readable:
        raise DataError(f"{path}: can't read '{path.suffix}'. Readable are {', '.join(readable)}.")


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into an error that names the file and the cause.

    Raises:
        DataError: something was raised within.
    """
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path}: does not fit into memory.") from error
    except ImportError as error:
        raise DataError(
            f"{path}: reading it needs {error.name}: pip install -e '.[formats]'."
        ) from error
    except Exception as error:  # decoders raise anything on damaged files
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{path}: can't be read: {error.strerror}.") from error
        what = pointer(path)
        if what:
            raise DataError(f"{path}: {what}.") from error
        raise DataError(
            f"{path}: can't be read ({short_reason(error)}). The file may be damaged or incomplete."
        ) from error


def pointer(path: Path) -> str | None:
    """Return what a file that only stands for another is, and how to get that; else None."""
    try:
        with path.open("rb") as file:
            head = file.read(max(map(len, POINTERS)))
    except OSError:
        return None
    return next((what for start, what in POINTERS.items() if head.startswith(start)), None)


def short_reason(error: Exception) -> str:
    """Return the first line of an exception's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _read_tiff(path: Path, as_stored: bool) -> tuple[Image, bool]:
    """The array, and whether it was compressed as JPEG."""
    options = {} if as_stored else how_to_open(path)
    with strict_tifffile(), open_tiff(path, **options) as tiff:
        series = tiff.series[0]
        shape, axes = series.shape, series.axes
        while shape[0] == 1 and axes[0] not in "YXS":  # one page is not a stack
            shape, axes = shape[1:], axes[1:]
        size = " x ".join(map(str, shape))
        if len(tiff.series) > 1:
            raise DataError(
                f"{path}: holds {len(tiff.series)} images. Save each in a file of its own."
            )
        if axes not in ("YX", "YXS", "SYX") and not channels_last(shape):
            raise DataError(
                f"{path}: a stack of {shape[0]} pages ({size}, axes {axes}). Images are "
                "2-D here: save the slices as files of their own, and channels as one page "
                "(H x W x C)."
            )
        array = read_series(tiff).reshape(shape)
        if axes == "SYX":  # channels stored one after the other
            array = np.moveaxis(array, 0, -1)
        is_jpeg = series.keyframe.compression in (
            tifffile.COMPRESSION.JPEG,
            tifffile.COMPRESSION.OJPEG,
        )
        if not as_stored:
            orientation = series.keyframe.tags.valueof(ORIENTATION, default=1)
            array = upright(array, orientation, str(path))
    return array, is_jpeg


def read_one_of_stack(path: Path, planes: Planes) -> tuple[Image, bool]:
    """Return the label image of a slice, and whether it was compressed as JPEG.

    Args:
        path: a TIFF.
        planes: the number of the slice, of the time point, or of both.

    Raises:
        DataError: it has no such slice.
    """
    with stored_tiff(path, Planes(z=planes.z, t=planes.t), labels=True) as stored:
        if planes.each and stored.size("Z", planes) == stored.size("T", planes) == 1:
            raise not_stacked(path)
        array = image_of(stored, Planes(z=planes.z, t=planes.t))
        return upright(array, stored.orientation, str(path)), "JPEG" in stored.compression


def not_stacked(path: Path) -> DataError:
    """Return the error of a single label image for many slices that are images of their own."""
    return DataError(
        f"{path}: one label image for a stack of which every slice is an image of its own. Give "
        "a TIFF stack of label images, one for each slice, or choose a slice: data.z=0."
    )


def _read_picture(path: Path, as_stored: bool) -> tuple[Image, bool]:
    """The array of a PNG or JPEG, and whether it is a JPEG, whatever its name says."""
    from PIL import Image as Pillow

    Pillow.MAX_IMAGE_PIXELS = None  # large images are what microscopes make, not an attack
    if deep_colour(path):
        raise DataError(f"{path}: a colour PNG of 16 bit would lose half of it. Use TIFF.")
    with Pillow.open(path, formats=("PNG", "JPEG")) as picture:
        is_jpeg = picture.format != "PNG"
        orientation = 1 if as_stored else picture.getexif().get(ORIENTATION, 1)
        if picture.mode == "P":  # the colours, not their indices
            colours = "RGBA" if "transparency" in picture.info else "RGB"
            array = np.asarray(picture.convert(colours))
        else:
            array = np.asarray(picture)
    return upright(array, orientation, str(path)), is_jpeg


def _shape(array: Image) -> str:
    return f"{' x '.join(map(str, array.shape))}, {array.dtype}"
