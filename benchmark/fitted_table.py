"""Tables that fit the terminal: columns are left out before words are broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import HEAVY_HEAD, Box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

NARROW = 20
"""Width to which a column of long texts is wrapped before another column is left out."""

SHORTENED = 28
"""Width to which a shortened column gives way before another column is left out."""

_LONG_WORD = 30  # a longer one is broken, or a path would cost all other columns


@dataclass(frozen=True)
class FittedColumn:
    """A column of a fitted table.

    Attributes:
        header: its heading.
        right: aligned to the right, as numbers are.
        drop: the column of the highest number is left out first; 0: never.
        shorten: a text that is too long ends in an ellipsis, and is not wrapped.
    """

    header: str
    right: bool = False
    drop: int = 0
    shorten: bool = False


class FittedTable:
    """A table that is laid out for the width of the terminal when it is printed.

    Args:
        columns: its headings.
        rows: its cells, as printable text.
        title: a line above it.
        box: its lines; with an edge, cells have a blank on both sides.
        edge: whether it has lines around it.
        rest: where the columns that are left out can be seen.
    """

    def __init__(
        self,
        columns: Sequence[FittedColumn],
        rows: Sequence[Sequence[Text]],
        *,
        title: Text | None = None,
        box: Box = HEAVY_HEAD,
        edge: bool = True,
        rest: str = "format=json",
    ) -> None:
        self._columns, self._rows = columns, rows
        self._title, self._box, self._edge, self._rest = title, box, edge, rest

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Yield the table, and a line that names the columns left out."""
        width = options.max_width
        kept = self._kept(width)
        widths = self._widths(kept, width)
        table = Table(
            title=self._title,
            title_justify="left",
            box=self._box,
            show_edge=self._edge,
            padding=(0, 1) if self._edge else 0,
        )
        for i in kept:
            column = self._columns[i]
            table.add_column(
                Text(column.header),
                justify="right" if column.right else "left",
                overflow="fold",
                width=widths[i],
            )
        for row in self._rows:
            table.add_row(*(self._cell(row[i], i, widths[i]) for i in kept))
        yield table
        left_out = [c.header for i, c in enumerate(self._columns) if i not in kept]
        if left_out:
            names = ", ".join(dict.fromkeys(left_out))
            yield Text(f"Not shown at this width: {names} ({self._rest} has all).")

    def _kept(self, width: int) -> list[int]:
        """The columns that are shown at a width."""
        kept = list(range(len(self._columns)))
        for i in sorted(kept, key=lambda i: -self._columns[i].drop):
            if self._columns[i].drop == 0 or self._total(kept) <= width:
                break
            kept.remove(i)
        return kept

    def _total(self, kept: Sequence[int]) -> int:
        return sum(self._least(i) for i in kept) + self._lines(len(kept))

    def _lines(self, columns: int) -> int:
        """What the lines and blanks between cells take."""
        return 3 * columns + 1 if self._edge else columns - 1

    def _widths(self, kept: Sequence[int], width: int) -> dict[int, int]:
        """The least widths, and what is left of the terminal to those that lack the least.

        Where not even these fit, the widest columns give way: long words are broken, not short.
        """
        widths = {i: self._least(i) for i in kept}
        for _ in range(self._total(kept) - width):
            widest = max(kept, key=lambda i: widths[i])
            widths[widest] = max(1, widths[widest] - 1)
        left = max(0, width - self._total(kept))
        for i in sorted(kept, key=lambda i: self._full(i) - widths[i]):
            more = min(left, self._full(i) - widths[i])
            widths[i], left = widths[i] + more, left - more
        return widths

    def _texts(self, i: int) -> list[Text]:
        lines = [Text(self._columns[i].header), *(row[i] for row in self._rows)]
        return [line for text in lines for line in text.split("\n")]

    def _full(self, i: int) -> int:
        return max(text.cell_len for text in self._texts(i))

    def _least(self, i: int) -> int:
        full = self._full(i)
        if self._columns[i].shorten:
            return min(full, SHORTENED)
        words = (word.cell_len for text in self._texts(i) for word in text.split(" "))
        return min(full, max(NARROW, min(max(words), _LONG_WORD)))

    def _cell(self, text: Text, i: int, width: int) -> Text:
        if not self._columns[i].shorten or text.cell_len <= width:
            return text
        return Text(shortened(text.plain, width), text.style)


def shortened(text: str, width: int) -> str:
    """A text cut before the word that does not fit, with an ellipsis."""
    if len(text) <= width:
        return text
    start = text[: width - 1]
    if " " in start and text[width - 1] != " ":
        start = start.rpartition(" ")[0]
    return f"{start.rstrip(' ,;:(')}…"
