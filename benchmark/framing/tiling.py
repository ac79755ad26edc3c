"""Large images in tiles: each is predicted with a halo, and objects across borders are joined.

The image is divided into tiles. The model sees of each a window: the tile and a halo around it, so
that what lies at the border of a tile is seen whole. Two windows that overlap both have the objects
there. Where an object of one and an object of the other agree (an IoU above one half of their parts
in the overlap), they are one. Each pixel has the object that the window of its own tile has there.

An object that agrees with none, as the other window has missed or split it, is kept whole if most
of it lies in its own tile, and is dropped if most of it lies in another, whose window saw more
of it. So an object across a border is counted once.

Memory is of the order of the image: label images of windows are kept for the rows of tiles that
overlap, and no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.types import Image, Labels

AGREEING = 0.5
"""Two objects of overlapping windows whose IoU there is above it are one."""

Span = tuple[int, int]


class Piece(NamedTuple):
    """A tile and its window along one axis: first pixel, and the one after the last."""

    tile: Span
    window: Span


def pieces(length: int, tile: int, halo: int) -> list[Piece]:
    """Divide one side of an image.

    Every window has the same length, so that a model which scales its input scales all alike: at
    the border of the image a window is moved inwards, not cut.

    Args:
        length: of the side, in pixels.
        tile: length of a tile.
        halo: that is added at both of its ends.

    Returns:
        Adjacent tiles that cover the side; a single one where a window would.
    """
    window = tile + 2 * halo
    if length <= window:
        return [Piece((0, length), (0, length))]
    found = []
    for start in range(0, length, tile):
        first = min(max(start - halo, 0), length - window)
        found.append(Piece((start, min(start + tile, length)), (first, first + window)))
    return found


class _Leftover(NamedTuple):
    """What becomes of the objects of a window that agree with none of another.

    Attributes:
        dropped: numbers of those that are dropped, as another tile has more of them.
        rows: of the pixels outside of the tile, of those that are kept.
        columns: likewise.
        numbers: of the object at each of these pixels.
    """

    dropped: NDArray[np.int64]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    numbers: NDArray[np.int64]


class _Window:
    """The objects that one window has; those without a pixel in its tile are left out.

    Args:
        rows: of the tile and the window.
        columns: likewise.
        labels: of the window, as predicted.
        first: number that the first object gets among those of all windows, from 1.

    Attributes:
        labels: of the window; 0 = background, else 1, 2, ... in this window alone.
        count: how many objects there are.
        agreed: of each whether it agrees with one of another window.
    """

    def __init__(self, rows: Piece, columns: Piece, labels: Labels, first: int) -> None:
        self.rows, self.columns, self.first = rows, columns, first
        kept = np.unique(labels[self._slices(rows.tile, columns.tile)])
        kept = kept[kept > 0]
        self.count = len(kept)
        place = np.searchsorted(kept, labels)
        is_kept = np.append(kept, kept.dtype.type(0))[place] == labels
        self.labels = np.where(is_kept & (labels > 0), place + 1, 0).astype(np.int32)
        self.agreed = np.zeros(self.count, bool)

    def _slices(self, rows: Span, columns: Span) -> tuple[slice, slice]:
        """A rectangle of the image that lies in the window, as slices of it."""
        top, left = self.rows.window[0], self.columns.window[0]
        return slice(rows[0] - top, rows[1] - top), slice(columns[0] - left, columns[1] - left)

    def of_tile(self) -> NDArray[np.int64]:
        """The numbers of the objects at the pixels of the tile; 0 = background."""
        labels = self.labels[self._slices(self.rows.tile, self.columns.tile)]
        return np.where(labels > 0, labels + np.int64(self.first - 1), 0)

    def joined(self, other: _Window) -> NDArray[np.int64]:
        """The objects that agree with one of another window: the numbers of both, N x 2."""
        rows = _common(self.rows.window, other.rows.window)
        columns = _common(self.columns.window, other.columns.window)
        if rows is None or columns is None:
            return np.empty((0, 2), np.int64)
        mine = self.labels[self._slices(rows, columns)].ravel()
        others = other.labels[other._slices(rows, columns)].ravel()
        of_mine = np.bincount(mine, minlength=self.count + 1)
        of_others = np.bincount(others, minlength=other.count + 1)
        both, width = (mine > 0) & (others > 0), other.count + 1
        pairs = mine[both].astype(np.int64) * width + others[both]
        pairs, shared = np.unique(pairs, return_counts=True)
        a, b = pairs // width, pairs % width
        agree = shared > AGREEING * (of_mine[a] + of_others[b] - shared)
        a, b = a[agree], b[agree]
        self.agreed[a - 1] = other.agreed[b - 1] = True
        return np.stack([a - 1 + self.first, b - 1 + other.first], axis=1)

    def leftover(self, all_rows: Sequence[Piece], all_columns: Sequence[Piece]) -> _Leftover:
        """Decide about the objects that agree with none, once all windows around are known.

        Args:
            all_rows: the tiles of the image along this axis.
            all_columns: likewise.
        """
        alone = np.append(False, ~self.agreed)
        rows, columns = np.nonzero(alone[self.labels])
        local = self.labels[rows, columns]
        rows, columns = rows + self.rows.window[0], columns + self.columns.window[0]
        in_rows, in_columns = _numbers(rows, all_rows), _numbers(columns, all_columns)
        is_own = (in_rows == all_rows.index(self.rows)) & (
            in_columns == all_columns.index(self.columns)
        )
        tiles, where = np.unique(in_rows * len(all_columns) + in_columns, return_inverse=True)
        pixels = np.zeros((self.count + 1, len(tiles)), np.int64)
        np.add.at(pixels, (local, where), 1)
        own = np.bincount(local[is_own], minlength=self.count + 1)
        dropped = pixels.max(axis=1, initial=0) > own
        outside = ~is_own & ~dropped[local]
        before = np.int64(self.first - 1)
        return _Leftover(
            np.flatnonzero(dropped) + before,
            rows[outside],
            columns[outside],
            local[outside] + before,
        )


def _common(one: Span, other: Span) -> Span | None:
    first, last = max(one[0], other[0]), min(one[1], other[1])
    return (first, last) if first < last else None


def _numbers(places: NDArray[np.intp], every: Sequence[Piece]) -> NDArray[np.intp]:
    """Of each place along an axis the number of the tile that it lies in."""
    return np.searchsorted([piece.tile[0] for piece in every], places, side="right") - 1


def predict_tiled(
    image: Image,
    tile: Span,
    halo: Span,
    predict: Callable[[Image], Labels],
) -> Labels:
    """Segment an image in tiles.

    Args:
        image: H x W or H x W x C.
        tile: rows and columns of a tile.
        halo: rows and columns that are added on each side.
        predict: segments a window: h x w integers, 0 = background.

    Returns:
        H x W integers, 0 = background, ids consecutive. The same for the same predictions: nothing
        depends on chance.
    """
    height, width = image.shape[:2]
    all_rows = pieces(height, tile[0], halo[0])
    all_columns = pieces(width, tile[1], halo[1])
    # Of all windows there are no more objects than pixels.
    sides = (sum(window[1] - window[0] for _, window in each) for each in (all_rows, all_columns))
    canvas = np.zeros((height, width), np.int32 if math.prod(sides) < 2**31 else np.int64)
    first = 1
    recent: list[_Window] = []
    pairs = [np.empty((0, 2), np.int64)]
    leftovers: list[_Leftover] = []

    def settle(row: int) -> None:
        """Let go of the windows that end before a row, where all later ones begin."""
        for window in [one for one in recent if one.rows.window[1] <= row]:
            recent.remove(window)
            leftovers.append(window.leftover(all_rows, all_columns))

    for rows in all_rows:
        settle(rows.window[0])
        for columns in all_columns:
            seen = np.ascontiguousarray(image[slice(*rows.window), slice(*columns.window)])
            window = _Window(rows, columns, predict(seen), first)
            first += window.count
            canvas[slice(*rows.tile), slice(*columns.tile)] = window.of_tile()
            pairs += [window.joined(other) for other in recent]
            recent.append(window)
    settle(height)

    numbers = _groups(first, np.concatenate(pairs))
    for left in leftovers:
        numbers[left.dropped] = 0
    _renumber(canvas, numbers)
    for left in leftovers:
        free = canvas[left.rows, left.columns] == 0
        canvas[left.rows[free], left.columns[free]] = numbers[left.numbers[free]]
    return _consecutive(canvas)


def _groups(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each number, from 0, the number of the group that pairs make it part of; 0 stays."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    found = connected_components(graph, directed=False)[1].astype(np.int64)
    # Nothing is paired with 0, which is the first of all.
    found[0], group_of_0 = 0, found[0]
    found[1:] += found[1:] <= group_of_0
    return found


def _consecutive(labels: Labels) -> Labels:
    """Number the objects consecutively, in place."""
    used = np.zeros(int(labels.max(initial=0)) + 1, bool)
    for part in _row_parts(labels):
        used[part] = True
    used[0] = False
    _renumber(labels, np.where(used, np.cumsum(used), 0))
    return labels


def _renumber(labels: Labels, numbers: NDArray[np.int64]) -> None:
    """Put in place of each label the number of that index."""
    for part in _row_parts(labels):
        part[...] = numbers[part]


def _row_parts(labels: Labels, rows: int = 512) -> Iterator[Labels]:
    """Views of so many rows each: what is computed of one takes little memory."""
    return (labels[start : start + rows] for start in range(0, len(labels), rows))
