"""Read the labels of one image, whatever program stored them: the one place that knows formats."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from benchmark.data.formats import cellpose_seg, coco, geojson, label_images, roi
from benchmark.data.formats.decoding import explained, read_json
from benchmark.data.formats.images import not_stacked
from benchmark.data.formats.label_statistics import statistics
from benchmark.data.formats.planes import Planes
from benchmark.data.formats.tiff import TIFF
from benchmark.data.remarks import remark
from benchmark.errors import DataError, UsageError
from benchmark.store.digest import array_digest
from benchmark.types import Labels

JSON = (".json", ".geojson")
ROIS = (".zip", ".roi")
LABEL_SUFFIXES = (*label_images.READERS, *JSON, *ROIS)
"""The endings of files that labels are read from."""

MEANINGS = ("ids", "mask")

_SINGLE = Planes()


@dataclass(frozen=True)
class LabelOptions:
    """What the values of label images mean.

    Attributes:
        are: `ids`: one value per object, whatever they look like; `mask`: objects are connected
            regions of one value; None: ids, and values that look like a mask are refused.
        background: the value of the background.
        section: of the configuration, for messages: `data` or `model`.
    """

    are: str | None = None
    background: int = 0
    section: str = "data"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: an unknown meaning; a background that is not a whole number.
        """
        if self.are is not None and self.are not in MEANINGS:
            raise UsageError(
                f"{self.section}.labels_are is {self.are!r}; it must be one of: "
                f"{', '.join(MEANINGS)}."
            )
        if type(self.background) is not int:
            raise UsageError(
                f"{self.section}.background is {self.background!r}; it must be a whole number."
            )


@dataclass(frozen=True)
class LabelFile:
    """Where the labels of one image are.

    Attributes:
        path: the file.
        image: of a file with the labels of many images: the name of the image's file in it.
    """

    path: Path
    image: str | None = None

    def __str__(self) -> str:
        return f"{self.path} ({self.image})" if self.image else str(self.path)

    @property
    def named(self) -> Path:
        """The path that the labels have, or would have as a file of their own."""
        if self.image is None:
            return self.path
        image = PureWindowsPath(self.image)  # takes both separators, and knows drives
        return self.path.parent.joinpath(*image.relative_to(image.anchor).parts)


def label_files(paths: Iterable[Path]) -> list[LabelFile]:
    """Return the labels of images in files; a COCO file has those of many.

    Raises:
        DataError: a COCO file is damaged.
    """
    found = []
    for path in paths:
        found += [LabelFile(path, name) for name in _images_in(path)] or [LabelFile(path)]
    return found


def _images_in(path: Path) -> list[str]:
    """Return the images that a file has labels of, if it is a file for many."""
    if path.suffix.lower() != ".json":
        return []
    try:
        content = read_json(path)
    except DataError:  # of that image alone
        return []
    return coco.image_names(path) if coco.is_coco(content) else []


def read_label_file(
    file: LabelFile, shape: tuple[int, int], options: LabelOptions, planes: Planes | None = None
) -> Labels:
    """Read the labels of one image: 0 = background, one positive integer per object.

    Args:
        file: TIFF, PNG, `.npy`, Cellpose's `_seg.npy`, ImageJ's `.roi` or `.zip`, QuPath's
            GeoJSON, or COCO JSON.
        shape: height and width of the image, for outlines.
        options: what the values mean.
        planes: the slice and time point of its image, for a TIFF stack of label images.

    Returns:
        H x W integers; of outlines in the order of the file, the later on top.

    Raises:
        DataError: missing, damaged, not labels, or values that look like a mask.
    """
    path, suffix = file.path, file.path.suffix.lower()
    planes = planes or Planes()
    if planes.each and suffix not in TIFF:
        raise not_stacked(path)
    if suffix in label_images.READERS:
        return _meant(stored_values(path, options.are == "mask", planes), path, options)
    try:
        if file.image is not None:
            return coco.read_coco(path, file.image, shape)
        if suffix in JSON:
            return _read_geojson(path, shape)
        if suffix in ROIS:
            return roi.read_rois(path, shape)
    except Exception as error:  # decoders raise anything on damaged files
        raise explained(error, path) from error
    raise DataError(
        f"{path}: can't read '{path.suffix}' as labels. Readable are {', '.join(LABEL_SUFFIXES)}."
    )


def stored_values(path: Path, is_mask: bool = False, planes: Planes = _SINGLE) -> Labels:
    """Return the integers or bits of a file that stores one for each pixel, whatever they mean.

    Args:
        path: the file.
        is_mask: whether gray colours are read as well, as programs for painting store masks.
        planes: as of `read_label_file`.

    Raises:
        DataError: it can't be read, or stores something else.
    """
    is_seg = path.name.lower().endswith(cellpose_seg.SUFFIX)
    try:
        if is_seg:
            values = cellpose_seg.read_seg(path)
        else:
            values = label_images.READERS[path.suffix.lower()](path, planes)
        return label_images.as_ids(values, path, is_mask)
    except Exception as error:  # decoders raise anything on damaged files
        raise explained(error, path) from error


def content_digest(file: LabelFile) -> str:
    """Return a digest of what is stored: of the decoded values, or of the file's bytes.

    The latter is for outlines, and for files that can't be read.
    """
    if file.path.suffix.lower() in label_images.READERS:
        with contextlib.suppress(DataError):
            return array_digest(stored_values(file.path))
    try:
        return hashlib.sha256(file.path.read_bytes()).hexdigest()
    except OSError as error:
        return f"not there: {type(error).__name__}"


def _read_geojson(path: Path, shape: tuple[int, int]) -> Labels:
    content = read_json(path)
    if not geojson.is_geojson(content):
        raise DataError(f"{path}: is neither GeoJSON nor COCO JSON.")
    return geojson.read_geojson(content, path, shape)


def _meant(values: Labels, path: Path, options: LabelOptions) -> Labels:
    """Return the label image that stored values mean; remark on what is odd, or refuse it."""
    is_bits = values.dtype.kind == "b"
    ids = _without_background(values.astype(np.uint8) if is_bits else values, path, options)
    if options.are == "ids":
        return ids
    seen = statistics(ids)
    if options.are == "mask":
        return _components(ids, path, options, len(seen.ids), seen.background)
    if seen.is_mask or (is_bits and len(seen.ids)):
        background = (
            "" if seen.background else f" {options.section}.background=<{_either(seen.ids)}>"
        )
        raise DataError(
            f"{path}: looks like a mask, not a label image: its only values are "
            f"{', '.join(map(str, ([0] if seen.background else []) + seen.ids.tolist()))}, in "
            f"{seen.parts.max()} separate parts; an id is one object. Use "
            f"{options.section}.labels_are=mask{background} to make each connected part an object "
            f"(or {options.section}.labels_are=ids if it is one object)."
        )
    for found in seen.remarks():
        remark(*found)
    return ids


def _either(ids: Any) -> str:
    return " or ".join(map(str, ids.tolist()))


def _without_background(values: Labels, path: Path, options: LabelOptions) -> Labels:
    """Return values with 0 as the background, and none below it."""
    background, section = options.background, options.section
    lowest = int(values.min())
    if lowest == -1 and background == 0 and not (values == 0).any():
        background = -1  # nothing else can be meant
    if background != 0:
        is_object = values == 0
        values = np.where(values == background, 0, values.astype(np.int64))
        values[is_object] = values.max() + 1  # 0 was an id like others
        lowest = int(values.min())
    if lowest < 0:
        share = float((values == lowest).mean())
        raise DataError(
            f"{path}: labels have negative ids (smallest {lowest}, {share:.0%} of the pixels). If "
            f"{lowest} is the background, use {section}.background={lowest}; if 0 is the "
            "background, set the negative pixels to 0 and save the labels again; if the ids are "
            "unsigned numbers that were read as signed ones, save them as unsigned."
        )
    return values


def _components(
    values: Labels, path: Path, options: LabelOptions, count: int, background: float
) -> Labels:
    """Return a label image of the connected regions of one value; corners connect."""
    from skimage.measure import label

    if count > 1 and not background:
        raise DataError(
            f"{path}: no pixel of this mask is 0; which value is the background? Use "
            f"{options.section}.background=<value>."
        )
    if count > 1:
        remark("gray_mask", f"{count} values besides the background")
    return np.asarray(label(values, background=0, connectivity=2)).astype(np.uint32)
