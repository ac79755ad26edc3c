"""Draw outlines into a label image.

Coordinates are of pixel corners: pixel (row r, column c) covers [c, c + 1] x [r, r + 1], as QuPath,
ImageJ and COCO have it. A pixel is inside where its centre is inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data.remarks import remark
from benchmark.types import Labels

Rings = Sequence[Any]
"""Closed outlines, n x 2 each, x before y: what lies within an odd number of them is inside."""

Region = tuple[slice, slice, NDArray[np.bool_]]
"""The rows and the columns of a window, and which of its pixels are inside."""


def inside(rings: Rings, shape: tuple[int, int]) -> Region:
    """Return the pixels whose centres lie within outlines.

    A centre on an edge belongs to what is right of or below the edge, so that areas that touch
    share no pixel and leave none out.

    Args:
        rings: the outline and its holes; each is closed, whether its first point is repeated or
            not.
        shape: height and width of the image.

    Raises:
        ValueError: an outline is not a list of finite points.
    """
    closed = [_closed(ring) for ring in rings]
    points = np.concatenate(closed) if closed else np.zeros((0, 2))
    if not len(points):
        return slice(0, 0), slice(0, 0), np.zeros((0, 0), bool)
    limits = np.array(shape[::-1])
    first = np.clip(np.floor(points.min(axis=0)), 0, limits).astype(int)
    last = np.clip(np.ceil(points.max(axis=0)), 0, limits).astype(int)
    width, height = np.maximum(last - first, 0)
    # Each edge toggles all pixels to the right of where it crosses the middle of their row.
    toggles = np.zeros((height, width + 1), np.int32)
    for ring in closed:
        rows, crossings = _crossings(ring, first[1], last[1])
        columns = np.clip(np.ceil(crossings - 0.5).astype(int) - first[0], 0, width)
        np.add.at(toggles, (rows - first[1], columns), 1)
    window = np.cumsum(toggles, axis=1)[:, :width] % 2 == 1
    return slice(first[1], last[1]), slice(first[0], last[0]), window


def _crossings(
    ring: NDArray[np.float64], top: int, bottom: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return where edges cross the middles of rows: the row and x of each crossing."""
    # Always downwards: areas that share an edge have it in opposite directions.
    is_upwards = (ring[:-1, 1] > ring[1:, 1])[:, None]
    start = np.where(is_upwards, ring[1:], ring[:-1])
    end = np.where(is_upwards, ring[:-1], ring[1:])
    begins = np.maximum(np.ceil(start[:, 1] - 0.5), top).astype(np.int64)
    counts = np.minimum(np.ceil(end[:, 1] - 0.5), bottom).astype(np.int64) - begins
    counts = np.maximum(counts, 0)
    edge = np.repeat(np.arange(len(counts)), counts)
    rows = begins[edge] + np.arange(len(edge)) - (np.cumsum(counts) - counts)[edge]
    (x0, y0), (x1, y1) = start[edge].T, end[edge].T
    return rows, x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))


def _closed(ring: Any) -> NDArray[np.float64]:
    points = np.asarray(ring, np.float64)
    if points.ndim != 2 or points.shape[1] < 2 or not np.isfinite(points).all():
        raise ValueError("an outline is not a list of points")
    return np.concatenate([points[:, :2], points[:1, :2]])


class Canvas:
    """A label image that objects are painted into, the later on top.

    Args:
        shape: its height and width.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.labels: Labels = np.zeros(shape, np.uint32)
        self._painted: list[int] = []

    def paint(self, regions: Iterable[Region]) -> None:
        """Paint the next object, which consists of one or several regions."""
        number = len(self._painted) + 1
        covered = 0
        for rows, columns, region in regions:
            window = self.labels[rows, columns]
            covered += int(np.count_nonzero(region & (window != number)))
            window[region] = number
        self._painted.append(covered)

    def finished(self) -> Labels:
        """Return the label image, and remark on what is not as it was outlined."""
        left = np.bincount(self.labels.ravel(), minlength=len(self._painted) + 1)[1:]
        painted = np.array(self._painted, np.int64)
        lost = int((painted - left).sum())
        if lost:
            hidden = int(np.count_nonzero((painted > 0) & (left == 0)))
            also = f", and {hidden} objects are hidden" if hidden else ""
            remark("overlaps", f"{lost} pixels of earlier outlines are lost{also}")
        outside = int(np.count_nonzero(painted == 0))
        if outside:
            remark("outside", f"{outside} of {len(painted)}")
        return self.labels


def draw(
    objects: Iterable[Any], shape: tuple[int, int], regions_of: Callable[[Any], Iterator[Region]]
) -> Labels:
    """Paint objects in their order.

    Args:
        objects: one for each id.
        shape: height and width of the image.
        regions_of: gives the regions of an object.
    """
    canvas = Canvas(shape)
    for item in objects:
        canvas.paint(regions_of(item))
    return canvas.finished()
