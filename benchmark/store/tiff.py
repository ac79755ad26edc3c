"""Reading and writing TIFF: a damaged file is an error, whatever tifffile makes of it."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray


def tiff_bytes(array: NDArray[Any]) -> bytes:
    """Encode an array as a zlib-compressed TIFF of one page.

    Args:
        array: H x W or H x W x C (C from 2 to 4), any integer or float dtype.
    """
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        np.ascontiguousarray(array),
        photometric="minisblack",
        planarconfig="contig" if array.ndim == 3 else None,
        compression="zlib",
        metadata=None,
    )
    return buffer.getvalue()


def read_tiff(path: Path) -> NDArray[Any]:
    """Read the array of a file that `tiff_bytes` wrote.

    Raises:
        Exception: the file is damaged; tifffile raises various types.
    """
    with strict_tifffile(), open_tiff(path) as tiff:
        return read_series(tiff)


def open_tiff(path: Path, **options: Any) -> tifffile.TiffFile:
    """Open a TIFF, and check by its headers that it was not cut off.

    Some decoders fill up with grey what a file that was cut off lacks.

    Args:
        path: the file.
        options: of `tifffile.TiffFile`: which descriptions are read.

    Raises:
        ValueError: it was cut off.
    """
    tiff = tifffile.TiffFile(path, **options)
    try:
        for page in tiff.pages:
            ends = map(sum, zip(page.dataoffsets, page.databytecounts, strict=False))
            if max(ends, default=0) > tiff.filehandle.size:
                raise ValueError("its end is missing")
    except BaseException:
        tiff.close()
        raise
    return tiff


def read_series(tiff: tifffile.TiffFile, page: int | None = None) -> NDArray[Any]:
    """Read the first series of an open file, or one page of it.

    It is decoded in this thread: the caller decides how many images are read at once.
    """
    return np.asarray(tiff.series[0].asarray(key=page, maxworkers=1))


@contextlib.contextmanager
def strict_tifffile() -> Iterator[None]:
    """Raise the errors that tifffile logs instead of raising: half a stack would pass as whole.

    Each thread collects the errors of its own files.

    Raises:
        ValueError: at the end, if tifffile has logged an error.
    """
    logging.getLogger("tifffile").addFilter(_collect)  # a filter is added only once
    _collected.errors = errors = list[str]()
    try:
        yield
    finally:
        del _collected.errors
    if errors:
        raise ValueError(errors[0])


_collected = threading.local()


def _collect(record: logging.LogRecord) -> bool:
    """Keep an error for the thread that is reading; log it if no thread is."""
    errors: list[str] | None = getattr(_collected, "errors", None)
    if errors is not None and record.levelno >= logging.ERROR:
        errors.append(record.getMessage())
    return errors is None
