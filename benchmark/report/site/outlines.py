"""Label images -> outlines as compact SVG paths."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmark.compiled import compiled
from benchmark.types import Labels

UNITS = 2
"""Path coordinates per pixel. Contours run between pixels, so coordinates are multiples of 1/2."""

_TOLERANCE = 0.4  # pixels of the picture: how far a simplified outline may be from the exact one
_FEW = 16  # points: rings of at most so many are not simplified, as small objects lose their shape


def outlines(labels: Labels, down: int = 1) -> list[str]:
    """Trace the outline of each object, including holes and separate pieces.

    Args:
        labels: H x W integers, 0 = background.
        down: the factor by which the picture below is reduced; outlines are simplified by as
            much. Coordinates remain those of the label image.

    Returns:
        One SVG path per object, in ascending order of ids. The origin is the outer corner of
        the first pixel, the unit is half a pixel.
    """
    import contourpy
    from scipy.ndimage import find_objects

    ids, consecutive = np.unique(labels, return_inverse=True)
    consecutive = consecutive.reshape(labels.shape)
    if not (len(ids) and ids[0] == 0):
        consecutive = consecutive + 1  # no background: every pixel is of an object
    paths = []
    for index, (rows, columns) in enumerate(find_objects(consecutive), start=1):
        mask = np.pad(consecutive[rows, columns] == index, 1).astype(float)
        lines = contourpy.contour_generator(z=mask, line_type="Separate").lines(0.5)
        # The pad moves the contour by a whole pixel, the pixel's centre by half of one back.
        origin = np.array([columns.start, rows.start]) - 0.5
        rings = [
            np.rint(UNITS * (line + origin)).astype(np.int64)[:-1] for line in cast(Any, lines)
        ]
        paths.append("".join(_path(_simplified(ring, UNITS * _TOLERANCE * down)) for ring in rings))
    return paths


def _path(ring: NDArray[np.int64]) -> str:
    """Write a closed ring as an SVG path of relative steps, as short as SVG allows."""
    steps = np.diff(ring, axis=0).ravel().tolist()
    text = "".join(f"{step}" if step < 0 else f" {step}" for step in steps).removeprefix(" ")
    return f"M{ring[0, 0]} {ring[0, 1]}l{text}z"


def _simplified(ring: NDArray[np.int64], tolerance: float) -> NDArray[np.int64]:
    """Remove the points of a ring that lie within a tolerance of the line between others."""
    if len(ring) <= _FEW:
        return ring
    closed = np.vstack([ring, ring[:1]])
    # Two points far apart divide the ring into two lines, which are simplified one by one.
    far = int(np.argmax(((ring - ring[0]) ** 2).sum(axis=1)))
    kept = np.zeros(len(closed), np.bool_)
    kept[[0, far, -1]] = True
    _keep(closed, kept, 0, far, tolerance**2)
    _keep(closed, kept, far, len(closed) - 1, tolerance**2)
    simple = closed[kept][:-1]
    return simple if len(simple) > 2 else ring


@compiled
def _keep(
    points: NDArray[np.int64], kept: NDArray[np.bool_], first: int, last: int, limit: float
) -> None:
    """Mark the points between two kept ones that the Douglas-Peucker algorithm (1973) keeps."""
    stack = [(first, last)]
    while len(stack) > 0:
        low, high = stack.pop()
        x, y = points[low]
        dx, dy = points[high, 0] - x, points[high, 1] - y
        length = dx * dx + dy * dy
        worst, at = limit, -1
        for i in range(low + 1, high):
            ex, ey = points[i, 0] - x, points[i, 1] - y
            along = min(max((ex * dx + ey * dy) / length, 0.0), 1.0) if length > 0 else 0.0
            off = (ex - along * dx) ** 2 + (ey - along * dy) ** 2
            if off > worst:
                worst, at = off, i
        if at >= 0:
            kept[at] = True
            stack.append((low, at))
            stack.append((at, high))
