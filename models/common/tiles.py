"""An image cut into tiles with a halo, as micro-sam cuts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from models.common.checks import check_at_least_one

Region = tuple[slice, slice]


class Tile(NamedTuple):
    """One tile.

    Attributes:
        inner: its rows and columns of the image.
        outer: the same with the halo, as far as the image reaches.
    """

    inner: Region
    outer: Region

    @property
    def own(self) -> Region:
        """Where the inner part lies in the outer one."""
        rows, columns = (
            slice(inner.start - outer.start, inner.stop - outer.start)
            for inner, outer in zip(self.inner, self.outer, strict=True)
        )
        return rows, columns

    @property
    def corner(self) -> tuple[int, int]:
        """The first row and column of the outer part."""
        rows, columns = self.outer
        return rows.start, columns.start

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the outer part."""
        rows, columns = self.outer
        return rows.stop - rows.start, columns.stop - columns.start


class Tiling:
    """All tiles of an image, row by row; the last of a row or column may be smaller.

    Args:
        shape: height and width of the image.
        tile: rows and columns of a tile without its halo.
        halo: rows and columns that it is extended by on each side.

    Raises:
        ValueError: a side of a tile is below 1, or one of the halo below 0.
    """

    def __init__(
        self, shape: tuple[int, int], tile: tuple[int, int], halo: tuple[int, int]
    ) -> None:
        for side, around in zip(tile, halo, strict=True):
            check_at_least_one(tile=side)
            if around < 0:
                raise ValueError(f"halo is {around}; it must be 0 or more")
        self.shape, self._tile, self._halo = shape, tile, halo
        self._counts = tuple(-(-length // side) for length, side in zip(shape, tile, strict=True))

    def __len__(self) -> int:
        return self._counts[0] * self._counts[1]

    def __iter__(self) -> Iterator[Tile]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> Tile:
        inner, outer = [], []
        for axis, place in enumerate(divmod(number, self._counts[1])):
            start = place * self._tile[axis]
            stop = min(start + self._tile[axis], self.shape[axis])
            inner.append(slice(start, stop))
            halo, length = self._halo[axis], self.shape[axis]
            outer.append(slice(max(start - halo, 0), min(stop + halo, length)))
        return Tile((inner[0], inner[1]), (outer[0], outer[1]))

    def number_at(self, row: int, column: int) -> int:
        """The number of the tile whose inner part has a pixel; of the nearest, beyond the image."""
        places = [
            min(max(at, 0), length - 1) // side
            for at, length, side in zip((row, column), self.shape, self._tile, strict=True)
        ]
        return places[0] * self._counts[1] + places[1]
