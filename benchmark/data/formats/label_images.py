"""Read the raster files that people's label images are stored in: TIFF, PNG, `.npy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.formats.images import read_one_of_stack
from benchmark.data.formats.lossless import changes_numbers
from benchmark.data.formats.orientation import ORIENTATION, upright
from benchmark.data.formats.planes import Planes
from benchmark.data.formats.tiff import TIFF
from benchmark.errors import DataError
from benchmark.store.tiff import open_tiff, strict_tifffile
from benchmark.types import Labels

LARGEST_EXACT = {"e": 2**11, "f": 2**24, "d": 2**53, "g": 2**53}
"""By type of float: up to here each integer is a number of its own."""

FIJI = (
    "Save integers of 16 or 32 bits; Fiji rescales the values unless Edit > Options > "
    "Conversions > 'Scale when converting' is off."
)


def read_tiff_labels(path: Path, planes: Planes) -> Any:
    """Read the numbers of a TIFF, whatever colours it gives them.

    Of a single page its description is not looked at: what other software left there (of stacks, of
    other files) says nothing about a label image.

    Args:
        path: the file.
        planes: the slice and time point of its image, for a stack of label images.

    Raises:
        DataError: several pages and no slice is chosen, or compressed with loss.
    """
    of_stack = isinstance(planes.z, int) or isinstance(planes.t, int)
    with strict_tifffile(), open_tiff(path) as tiff:
        pages = [page for page in tiff.pages if not page.is_reduced]  # type: ignore[union-attr]
        if len(pages) != 1 and not of_stack:
            raise DataError(
                f"{path}: holds {len(pages)} pages. Save the label image of each image in a file "
                "of its own."
            )
        page = pages[0].aspage()
        if any(changes_numbers(each.aspage()) for each in pages):
            name = getattr(page.compression, "name", str(page.compression))
            raise DataError(
                f"{path}: {name} compression changes ids, or may do so. Save labels without "
                "compression, or with LZW, deflate or zstd."
            )
        if not of_stack:
            orientation = int(page.tags.valueof(ORIENTATION, default=1))
            return upright(page.asarray(maxworkers=1), orientation, str(path))
    return read_one_of_stack(path, planes)[0]


def read_png_labels(path: Path, planes: Planes) -> Any:
    """Read the numbers of a PNG; of one with a palette, the indices.

    Raises:
        DataError: it is a JPEG, or has several frames.
    """
    from PIL import Image as Pillow

    Pillow.MAX_IMAGE_PIXELS = None  # large images are what microscopes make, not an attack
    with Pillow.open(path, formats=("PNG", "JPEG")) as picture:
        if picture.format != "PNG":
            raise DataError(
                f"{path}: JPEG changes ids when it saves them. Use TIFF or PNG for labels."
            )
        frames = getattr(picture, "n_frames", 1)
        if frames > 1:
            raise DataError(f"{path}: an animation of {frames} frames. Save the label image alone.")
        orientation = int(picture.getexif().get(ORIENTATION, 1))
        return upright(np.asarray(picture), orientation, str(path))


def as_ids(values: Any, path: Path, is_mask: bool = False) -> Labels:
    """Convert stored values to integers (or bits), one per pixel; they may be negative.

    Args:
        values: as stored.
        path: the file, for messages.
        is_mask: whether they may also be stored as colours without colour.

    Raises:
        DataError: colour, a stack, values that are not whole numbers.
    """
    values = np.asarray(values)
    shape = f"{' x '.join(map(str, values.shape))}, {values.dtype}"
    if values.ndim > 2:
        values = values.reshape([side for side in values.shape if side > 1] or [1, 1])
    if is_mask and values.ndim == 3:
        values = _gray(values)
    if values.ndim != 2 or values.size == 0:
        raise DataError(
            f"{path}: labels must be one integer per pixel; this is {shape} (colour?). "
            "Export the label image itself, not a picture of it."
        )
    if values.dtype.kind == "f":
        return _whole(values, path)
    if values.dtype.kind not in "bui":
        raise DataError(f"{path}: labels are {values.dtype}, not integers.")
    return np.asarray(values, values.dtype.newbyteorder("="))


def _gray(values: Any) -> Any:
    """Return one channel of pixels whose colours are all gray, and whose alpha is constant."""
    channels = values.shape[-1]
    colours, alpha = (values, None) if channels in (1, 3) else (values[..., :-1], values[..., -1])
    is_gray = channels <= 4 and (colours == colours[..., :1]).all()
    is_plain = alpha is None or (alpha == alpha.flat[0]).all()
    return colours[..., 0] if is_gray and is_plain else values


def _whole(values: Any, path: Path) -> Labels:
    """Convert floats that are whole numbers."""
    if not np.isfinite(values).all():
        raise DataError(
            f"{path}: labels are {values.dtype} with NaN or infinite values. Set these pixels to "
            "0, the background, and save integers of 16 or 32 bits."
        )
    if not np.array_equal(values, np.trunc(values)):
        raise DataError(
            f"{path}: labels are {values.dtype} between {values.min():g} and {values.max():g}, "
            f"not whole numbers: probabilities, or ids that were rescaled. {FIJI}"
        )
    largest = LARGEST_EXACT[values.dtype.char]
    if np.abs(values).max() > largest:
        raise DataError(
            f"{path}: labels are {values.dtype} with values above {largest}, where neighbouring "
            "ids become one. Save integers of 32 or 64 bits."
        )
    return np.asarray(values.astype(np.int64))


def read_npy_labels(path: Path, planes: Planes) -> Any:
    """Read a plain array of numbers.

    Raises:
        ValueError: it holds Python objects.
    """
    return np.load(path, allow_pickle=False)


READERS = {**dict.fromkeys(TIFF, read_tiff_labels), ".png": read_png_labels,
           ".npy": read_npy_labels}  # fmt: skip
"""By the ending of the file's name, in lower case."""
