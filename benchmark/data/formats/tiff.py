"""TIFF files of one's own: what they say of axes, colours and orientation is obeyed or refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import COMPRESSION, PHOTOMETRIC

from benchmark.data.formats.ome import channel_names, of_this_file
from benchmark.data.formats.orientation import ORIENTATION
from benchmark.data.formats.planes import At, Planes, Stored, chosen_image, take
from benchmark.data.remarks import remark
from benchmark.errors import DataError
from benchmark.store.tiff import open_tiff, strict_tifffile

TIFF = (".tif", ".tiff")

_SOFTWARE = 305

_AS_JPEG = (COMPRESSION.JPEG, COMPRESSION.OJPEG)
"""Compressions whose decoder turns YCbCr into RGB."""

_MEANINGS: Mapping[int, str] = {
    PHOTOMETRIC.MINISWHITE: "darkness, 0 is white (MINISWHITE, or an inverting LUT)",
    PHOTOMETRIC.PALETTE: "numbers of colours (a palette, or a LUT)",
    PHOTOMETRIC.MASK: "a transparency mask",
    PHOTOMETRIC.SEPARATED: "amounts of ink (CMYK)",
    PHOTOMETRIC.YCBCR: "luma and colour differences (YCbCr)",
    PHOTOMETRIC.CIELAB: "colours in CIELab",
    PHOTOMETRIC.ICCLAB: "colours in CIELab (ICCLab)",
    PHOTOMETRIC.ITULAB: "colours in CIELab (ITULab)",
    PHOTOMETRIC.CFA: "the raw mosaic of a colour camera (CFA)",
}
"""What pixels are that are neither brightness nor RGB."""

_TEXTS = ("shaped", "ome", "imagej", "mmstack", "fluoview", "scanimage")
"""Kinds of descriptions that other software may leave behind when it changes the pages."""

_SLACK = 16
"""Bytes that may follow the last part of a file, as padding."""


@contextmanager
def stored_tiff(path: Path, planes: Planes, labels: bool = False) -> Iterator[Stored]:
    """Open a TIFF without reading its pixels.

    Args:
        path: the file.
        planes: the scene counts here.
        labels: whether its pixels are ids, which no colour space applies to.

    Raises:
        DataError: it holds several images and none is chosen, or its pixels are neither
            brightness nor RGB.
        Exception: it is damaged; tifffile raises various types.
    """
    options = how_to_open(path)
    with strict_tifffile(), open_tiff(path, **options) as tiff:
        images = [(series.name, series.shape) for series in tiff.series]
        number = chosen_image(str(path), images, planes.scene)
        series = tiff.series[number]
        page = series.keyframe
        if not labels:
            _refuse_other_numbers(path, page)
        shape, axes = tuple(series.shape), series.axes
        while len(shape) > 2 and shape[0] == 1 and axes[0] not in "YXS":  # one page is no stack
            shape, axes = shape[1:], axes[1:]
        extra = [int(sample) for sample in page.extrasamples]
        alpha = next((k for k, sample in enumerate(extra) if sample in (1, 2)), None)
        yield Stored(
            str(path),
            axes,
            shape,
            lambda at: _read(series, shape, at),
            channels=_channel_names(tiff, number, shape, axes),
            orientation=int(page.tags.valueof(ORIENTATION, default=1)),
            alpha=None if alpha is None else page.samplesperpixel - len(extra) + alpha,
            premultiplied=alpha is not None and extra[alpha] == 1,
            compression=getattr(page.compression, "name", ""),
        )


def how_to_open(path: Path) -> dict[str, Any]:
    """Options for tifffile: without other files, and without a description that does not fit.

    Raises:
        Exception: the file is damaged, not only its description.
    """
    options: dict[str, Any] = {}
    try:
        with strict_tifffile(), open_tiff(path) as tiff:
            if tiff.is_ome:
                own = of_this_file(tiff.pages.first.description, path.name)
                options = {} if own is None else {"omexml": own}
        with strict_tifffile(), open_tiff(path, **options) as tiff:
            if any(_lacks_pages(tiff, series) for series in tiff.series):
                raise ValueError("its description speaks of pages that it does not have")
        return options
    except Exception as error:  # tifffile raises anything
        options = {f"is_{kind}": False for kind in _TEXTS}
        with strict_tifffile(), open_tiff(path, **options) as tiff:
            if not tiff.series or not _is_explained(tiff):
                raise
        remark("description", str(error).removeprefix(repr(tiff)).strip())
        return options


def _lacks_pages(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> bool:
    """Whether an image has planes that are neither pages of the file nor stored after the first."""
    page = series.keyframe
    if series.kind == "ome" and any(each is None for each in series.pages):
        return True
    if series.size <= page.size * len(tiff.pages):
        return False
    return not page.is_final or page.dataoffsets[0] + series.nbytes > tiff.filehandle.size


def _is_explained(tiff: tifffile.TiffFile) -> bool:
    """Whether the pages make up the file: pixels without a page are of a stack that was cut off.

    A stack cut off right after its first plane can't be told from a page that other software
    took out of it; that is remarked on.
    """
    entry, head = (20, 16) if tiff.is_bigtiff else (12, 6)
    ends = [0]
    for page in tiff.pages:
        assert isinstance(page, tifffile.TiffPage)
        ends.append(page.offset + head + entry * len(page.tags))
        ends += [tag.valueoffset + tag.valuebytecount for tag in page.tags]
        ends += map(sum, zip(page.dataoffsets, page.databytecounts, strict=False))
    return tiff.filehandle.size <= max(ends) + _SLACK


def _refuse_other_numbers(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse what is neither brightness nor RGB: the model would see other pixels, unnoticed."""
    kind, compression = page.photometric, page.compression
    if kind in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB):
        if compression != COMPRESSION.APERIO_JP2000_YCBC:
            return
        kind = PHOTOMETRIC.YCBCR
    elif kind == PHOTOMETRIC.YCBCR and compression in _AS_JPEG:
        if page.planarconfig == 1 and not page.extrasamples:
            return
    elif kind == PHOTOMETRIC.MINISWHITE and page.bitspersample == 1 and _by_tifffile(page):
        return
    what = _MEANINGS.get(kind, f"of the kind {getattr(kind, 'name', kind)}")
    raise DataError(
        f"{path}: its pixels are {what}. Save it as grey values, 0 as black, or as RGB."
    )


def _by_tifffile(page: tifffile.TiffPage) -> bool:
    """Whether tifffile wrote it, which calls one bit MINISWHITE and writes 1 for what is bright."""
    return "tifffile" in str(page.tags.valueof(_SOFTWARE, default=""))


def _channel_names(
    tiff: tifffile.TiffFile, number: int, shape: tuple[int, ...], axes: str
) -> tuple[str, ...]:
    """Names of the channels in the file's description, if there is one for each."""
    series = tiff.series[number]
    if "C" not in axes:
        is_rgb = series.keyframe.photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
        return ("red", "green", "blue") if is_rgb else ()
    found: Any = ()
    if series.kind == "ome":
        found = channel_names(tiff.ome_metadata or "", number)
    elif series.kind == "imagej" and axes == "CYX":
        found = (tiff.imagej_metadata or {}).get("Labels")
    elif series.kind == "shaped":
        channel = (tiff.shaped_metadata or ({},))[0].get("Channel")
        found = channel.get("Name") if isinstance(channel, dict) else ()
    fits = isinstance(found, list | tuple) and len(found) == shape[axes.index("C")]
    return tuple(str(name) for name in found) if fits else ()


def _read(series: tifffile.TiffPageSeries, shape: tuple[int, ...], at: At) -> NDArray[Any]:
    """Read what is asked for, and no other page where a page is a plane.

    It is decoded in this thread: the caller decides how many images are read at once.
    """
    pages = len(series.pages)
    outer = next((k for k in range(len(shape)) if int(np.prod(shape[:k])) == pages), 0)
    wanted = [at.get(k, range(shape[k])) for k in range(outer)]
    whole = all(len(indices) == shape[k] for k, indices in enumerate(wanted))
    if not outer or whole or shape[outer:] != series.keyframe.shape:
        return take(np.asarray(series.asarray(maxworkers=1)).reshape(shape), at)
    numbers = np.ravel_multi_index(np.ix_(*wanted), shape[:outer]).ravel()
    array = np.asarray(series.asarray(key=[int(n) for n in numbers], maxworkers=1))
    array = array.reshape(*(len(indices) for indices in wanted), *shape[outer:])
    return take(array, {axis: indices for axis, indices in at.items() if axis >= outer})
