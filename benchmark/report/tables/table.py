"""What a table is, before any format: its cells, their marks and places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from benchmark.report import text
from benchmark.report.marks import MARKS
from benchmark.report.text import MISSING as MISSING


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes:
        text: as shown.
        value: as in the CSV, at full precision; None where there is nothing.
        marks: names in `MARKS`, or words shown in brackets (`10 of 197`).
        place: 1 for the best (bold), 2 for the second (underlined), else 0.
    """

    text: str
    value: Any = None
    marks: tuple[str, ...] = ()
    place: int = 0


@dataclass(frozen=True)
class Column:
    """A column's heading.

    Attributes:
        header: its text.
        right: aligned to the right, as numbers are.
        drop: a terminal that is too narrow leaves out the column of the highest number first;
            0: never. Where all are 0, the last columns.
    """

    header: str
    right: bool = False
    drop: int = 0


@dataclass(frozen=True)
class Table:
    """A table, before any format.

    Attributes:
        name: of its files, without suffix.
        title: a line above it; may be empty.
        columns: its headings.
        rows: its cells, a row each, as many as there are columns.
        notes: sentences below it; those on marks and places are added by `all_notes`.
        on_console: whether it is shown there, and not only written.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    on_console: bool = False


def words(said: str) -> Cell:
    """A cell of text."""
    return Cell(said, said)


def number(
    value: float, form: str = ".3f", marks: Sequence[str] = (), missing: str = MISSING
) -> Cell:
    """A cell of a number; NaN is shown as `missing`, never as 0."""
    if pd.isna(value):
        return Cell(missing, None, tuple(marks))
    return Cell(format(value, form), value, tuple(marks))


def p_value(value: float) -> Cell:
    """A cell of a p-value."""
    return Cell(text.p_value(value), value)


def placed(
    cells: Sequence[Cell], eligible: Sequence[bool] | None = None, lowest: bool = False
) -> list[Cell]:
    """The cells with their best and second marked; equals share a place, one alone has none.

    Args:
        cells: what is compared: a row, a column, a part of one.
        eligible: which may be marked; all that have a number where not given.
        lowest: the lowest is the best.
    """
    may = eligible if eligible is not None else [True] * len(cells)
    values = {cell.value for cell, ok in zip(cells, may, strict=True) if ok and _is_number(cell)}
    competing = sum(ok and _is_number(cell) for cell, ok in zip(cells, may, strict=True))
    best = sorted(values, reverse=not lowest)[:2] if competing > 1 else []  # alone is no best
    place = {value: i for i, value in enumerate(best, start=1)}
    return [
        replace(cell, place=place.get(cell.value, 0)) if ok and _is_number(cell) else cell
        for cell, ok in zip(cells, may, strict=True)
    ]


def _is_number(cell: Cell) -> bool:
    return isinstance(cell.value, (int, float)) and not pd.isna(cell.value)


def all_notes(table: Table) -> list[str]:
    """The notes, and what its marks and places mean."""
    cells = [cell for row in table.rows for cell in row]
    used = {mark for cell in cells for mark in cell.marks}
    lines = list(table.notes)
    if any(cell.place == 1 for cell in cells):
        lines.append("Best in bold, second underlined.")
    lines += [f"{mark.sign} {mark.meaning}." for name, mark in MARKS.items() if name in used]
    return lines
