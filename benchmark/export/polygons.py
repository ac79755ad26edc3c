"""Label images -> polygons whose edges run along the borders of pixels, without loss.

The pixel in row r and column c covers [c, c + 1] x [r, r + 1]; coordinates are (x, y), so that
the centre of the first pixel is (0.5, 0.5). This is the convention of QuPath and ImageJ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Labels

Point = tuple[int, int]
Ring = list[Point]
"""The corners of a closed line, the first not repeated. Its interior is to the right of each edge
as the image is shown (y points down): the outer ring of a polygon has a positive area, by the
shoelace formula in (x, y), a hole a negative one."""


class Polygon(NamedTuple):
    """A connected part of an object.

    Attributes:
        outer: its outer ring.
        holes: a ring for each hole; rings touch each other in single corners at most.
    """

    outer: Ring
    holes: list[Ring]


def polygons(labels: Labels) -> Iterator[tuple[int, list[Polygon]]]:
    """Trace each object.

    A part is connected by the sides of its pixels: pixels that touch in a corner alone are two
    parts. Rasterising the polygons (a pixel belongs to the polygon that holds its centre) gives
    the same label image again.

    Args:
        labels: H x W integers, 0 = background.

    Yields:
        (id, parts), in ascending order of ids.
    """
    from scipy.ndimage import find_objects, label

    ids, consecutive = np.unique(labels, return_inverse=True)
    consecutive = consecutive.reshape(labels.shape) + int(not (len(ids) and ids[0] == 0))
    objects = ids[ids > 0].tolist()
    for index, window in enumerate(find_objects(consecutive), start=1):
        components, count = label(consecutive[window] == index)
        rows, columns = window
        parts = [
            _traced(components == part, columns.start, rows.start) for part in range(1, count + 1)
        ]
        yield objects[index - 1], parts


def _traced(mask: NDArray[np.bool_], left: int, top: int) -> Polygon:
    rings = [[(x + left, y + top) for x, y in ring] for ring in _rings(mask)]
    outer = next(ring for ring in rings if doubled_area(ring) > 0)  # a connected part has one
    return Polygon(outer, [ring for ring in rings if ring is not outer])


def doubled_area(ring: Ring) -> int:
    """Twice the signed area of a ring, by the shoelace formula."""
    following = ring[1:] + ring[:1]
    return sum(x * v - u * y for (x, y), (u, v) in zip(ring, following, strict=True))


def _rings(mask: NDArray[np.bool_]) -> Iterator[Ring]:
    """Yield the boundary of a connected mask as rings that visit no point twice."""
    leaving = _edges(mask)
    while leaving:
        start = next(iter(leaving))
        path, place = [start], {start: 0}
        point = start
        while True:
            ends = leaving[point]
            point = ends.pop()
            if not ends:
                del leaving[path[-1]]
            if point not in place:
                place[point] = len(path)
                path.append(point)
                continue
            # Where the line returns to a point it passed before, a ring is cut off: only so an
            # outline and a hole that meet in a corner are two rings.
            first = place[point]
            yield _corners(path[first:])
            for passed in path[first + 1 :]:
                del place[passed]
            del path[first + 1 :]
            if point == start and start not in leaving:
                break


def _edges(mask: NDArray[np.bool_]) -> dict[Point, list[Point]]:
    """The sides of pixels between mask and rest: where each begins -> where it ends."""
    padded = np.pad(mask, 1)
    inner = (slice(1, -1), slice(1, -1))
    edges: defaultdict[Point, list[Point]] = defaultdict(list)
    # The pixel beyond each side, and the side's two ends relative to the pixel's corner.
    sides = (
        ((slice(None, -2), slice(1, -1)), (0, 0), (1, 0)),
        ((slice(1, -1), slice(2, None)), (1, 0), (1, 1)),
        ((slice(2, None), slice(1, -1)), (1, 1), (0, 1)),
        ((slice(1, -1), slice(None, -2)), (0, 1), (0, 0)),
    )
    for beyond, (x0, y0), (x1, y1) in sides:
        found: Any = np.argwhere(padded[inner] & ~padded[beyond])
        for row, column in found.tolist():
            edges[column + x0, row + y0].append((column + x1, row + y1))
    return edges


def _corners(ring: Ring) -> Ring:
    """The ring without the points at which it goes straight on."""
    before, after = ring[-1:] + ring[:-1], ring[1:] + ring[:1]
    return [
        point
        for last, point, following in zip(before, ring, after, strict=True)
        if (last[0] == point[0]) != (point[0] == following[0])
    ]
