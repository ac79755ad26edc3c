"""Read ImageJ's regions of interest: a single `.roi`, or the `.zip` of its ROI Manager."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.formats.polygons import Region, draw, inside
from benchmark.data.remarks import remark
from benchmark.errors import DataError
from benchmark.types import Labels

_OUTLINES = ("POLYGON", "FREEHAND", "TRACED")


def read_rois(path: Path, shape: tuple[int, int]) -> Labels:
    """Draw the areas in the order of the file, the later on top.

    Lines, points and text are no areas; of composite regions holes stay open, and parts are one
    object.

    Args:
        path: the file.
        shape: height and width of the image.

    Raises:
        DataError: regions of several slices; an archive of other files.
        Exception: the file is damaged.
    """
    from roifile import roiread

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if names and not any(name.lower().endswith(".roi") for name in names):
            raise DataError(f"{path}: holds no .roi, but {names[0]}.")
    read = roiread(path)
    rois = read if isinstance(read, list) else [read]
    areas = [roi for roi in rois if _is_area(roi)]
    if len(areas) < len(rois):
        remark("no_area", f"{len(rois) - len(areas)} of {len(rois)}")
    planes = {_plane(roi) for roi in areas}
    if len(planes) > 1:
        raise DataError(
            f"{path}: its regions are of {len(planes)} slices of a stack. Save those of each slice "
            "in a file of their own."
        )
    return draw(areas, shape, partial(_regions, shape=shape))


def _is_area(roi: Any) -> bool:
    return bool(roi.composite) or roi.roitype.name in (*_OUTLINES, "RECT", "OVAL")


def _plane(roi: Any) -> tuple[int, int, int]:
    """The slice; a region that belongs to all of them is stored as of none."""
    return int(roi.position), int(roi.z_position), int(roi.t_position)


def _regions(roi: Any, shape: tuple[int, int]) -> Iterator[Region]:
    if roi.composite:
        yield inside(roi.coordinates(multi=True), shape)
    elif roi.roitype.name in _OUTLINES:
        yield inside([roi.coordinates()], shape)
    elif roi.roitype.name == "OVAL":
        yield _oval(roi, shape)
    else:
        yield inside([_box(roi)], shape)


def _sides(roi: Any) -> tuple[float, float, float, float]:
    """Left, top, right and bottom."""
    if roi.subpixelrect:
        return roi.xd, roi.yd, roi.xd + roi.widthd, roi.yd + roi.heightd
    return roi.left, roi.top, roi.right, roi.bottom


def _box(roi: Any) -> list[tuple[float, float]]:
    left, top, right, bottom = _sides(roi)
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _oval(roi: Any, shape: tuple[int, int]) -> Region:
    rows, columns, window = inside([_box(roi)], shape)
    left, top, right, bottom = _sides(roi)
    y = np.arange(rows.start, rows.stop)[:, None] + 0.5
    x = np.arange(columns.start, columns.stop)[None] + 0.5
    radii = max(right - left, 1e-9) / 2, max(bottom - top, 1e-9) / 2
    distance = ((x - (left + right) / 2) / radii[0]) ** 2 + (
        (y - (top + bottom) / 2) / radii[1]
    ) ** 2
    return rows, columns, window & (distance <= 1)
