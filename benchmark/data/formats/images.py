"""Readers of image and label files, whose errors name the file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import tifffile

from benchmark.errors import DataError
from benchmark.store.files import refuse_special
from benchmark.store.tiff import open_tiff, read_series, strict_tifffile
from benchmark.types import Image, Labels

TIFF = (".tif", ".tiff")
LOSSY = (".jpg", ".jpeg")
READABLE = (*TIFF, ".png", *LOSSY)
MAX_CHANNELS = 4


def read_image(path: Path, as_stored: bool = False) -> Image:
    """Read an image.

    Args:
        path: TIFF (8, 16, 32 bit, float; one page), PNG or JPEG.
        as_stored: read the numbers of a TIFF even if its header says that they are not
            brightness (a palette, inverted grey), as other readers of public data sets do.

    Returns:
        H x W, or H x W x C with C from 2 to 4; dtype as stored.

    Raises:
        DataError: missing, damaged, of another format, or not a 2-D image.
    """
    return as_image(_read(path, brightness=not as_stored), str(path))


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


def read_labels(path: Path, whole_floats: bool = False) -> Labels:
    """Read a label image: 0 = background, one positive integer per object.

    Args:
        path: TIFF or PNG of integers, one channel.
        whole_floats: accept floats that are whole numbers, as some public data sets store ids.

    Returns:
        H x W integers.

    Raises:
        DataError: missing, damaged, lossy, colour, float, negative, or a mask of 0 and 1 bit.
    """
    labels = _read(path, lossless=True)
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


def _read(path: Path, lossless: bool = False, brightness: bool = False) -> Image:
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        raise DataError(f"{path}: can't read '{path.suffix}'. Readable are {', '.join(READABLE)}.")
    try:
        refuse_special(path)
        array, is_jpeg = _read_tiff(path, brightness) if suffix in TIFF else _read_picture(path)
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path}: does not fit into memory.") from error
    except Exception as error:  # decoders raise anything on damaged files
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{path}: can't be read: {error.strerror}.") from error
        raise DataError(
            f"{path}: can't be read ({short_reason(error)}). The file may be damaged or incomplete."
        ) from error
    if lossless and is_jpeg:
        raise DataError(f"{path}: JPEG changes ids when it saves them. Use TIFF or PNG for labels.")
    return array


def short_reason(error: Exception) -> str:
    """Return the first line of an exception's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _read_tiff(path: Path, brightness: bool) -> tuple[Image, bool]:
    """The array, and whether it was compressed as JPEG; refused if it has to be brightness."""
    with strict_tifffile(), open_tiff(path) as tiff:
        series = tiff.series[0]
        shape, axes = series.shape, series.axes
        while shape[0] == 1 and axes[0] not in "YXS":  # one page is not a stack
            shape, axes = shape[1:], axes[1:]
        size = " x ".join(map(str, shape))
        # A channel-last array saved without saying so: rows pass for pages, channels for columns.
        channels_last = len(shape) == 3 and shape[2] <= MAX_CHANNELS < min(shape[:2])
        if len(tiff.series) > 1:
            raise DataError(
                f"{path}: holds {len(tiff.series)} images. Save each in a file of its own."
            )
        if axes not in ("YX", "YXS", "SYX") and not channels_last:
            raise DataError(
                f"{path}: a stack of {shape[0]} pages ({size}, axes {axes}). Images are "
                "2-D here: save the slices as files of their own, and channels as one page "
                "(H x W x C)."
            )
        if brightness:
            _refuse_other_numbers(path, series.keyframe)
        array = read_series(tiff).reshape(shape)
        is_jpeg = series.keyframe.compression in (
            tifffile.COMPRESSION.JPEG,
            tifffile.COMPRESSION.OJPEG,
        )
    # SYX: channels stored one after the other
    return (np.moveaxis(array, 0, -1) if axes == "SYX" else array), is_jpeg


def _refuse_other_numbers(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse palettes and inverted grey: the model would see other brightness, unnoticed."""
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        what = "its pixels are numbers of colours (a palette, or a LUT)"
    # Of one bit tifffile says so too, and writes 1 for what is bright.
    elif page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and page.bitspersample > 1:
        what = "its pixels are darkness, 0 is white (MINISWHITE, or an inverting LUT)"
    else:
        return
    raise DataError(f"{path}: {what}. Save it as grey values, 0 as black, or as RGB.")


def _read_picture(path: Path) -> tuple[Image, bool]:
    """The array of a PNG or JPEG, and whether it is a JPEG, whatever its name says."""
    from PIL import Image as Pillow

    Pillow.MAX_IMAGE_PIXELS = None  # large images are what microscopes make, not an attack
    _refuse_deep_colour(path)
    with Pillow.open(path, formats=("PNG", "JPEG")) as picture:
        is_jpeg = picture.format != "PNG"
        if picture.mode == "P":  # the colours, not their indices
            colours = "RGBA" if "transparency" in picture.info else "RGB"
            return np.asarray(picture.convert(colours)), is_jpeg
        return np.asarray(picture), is_jpeg


def _refuse_deep_colour(path: Path) -> None:
    """Refuse colour PNGs of 16 bit, which Pillow cuts to 8 bit silently."""
    with path.open("rb") as file:
        header = file.read(26)
    if header[:8] == b"\x89PNG\r\n\x1a\n" and len(header) == 26:
        depth, colour_type = struct.unpack("BB", header[24:26])
        if depth == 16 and colour_type in (2, 4, 6):
            raise DataError(f"{path}: a colour PNG of 16 bit would lose half of it. Use TIFF.")


def _shape(array: Image) -> str:
    return f"{' x '.join(map(str, array.shape))}, {array.dtype}"
