"""One kind of table, and four ways to write it down."""

from __future__ import annotations

import csv as csv_module
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import pandas as pd
from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from benchmark.report import escape

MISSING = "n/a"

Written = TypeVar("Written")


class Mark(NamedTuple):
    """A sign behind a number.

    Attributes:
        sign: in plain text.
        latex: the same in LaTeX.
        meaning: a sentence for the notes.
    """

    sign: str
    latex: str
    meaning: str


MARKS = {
    "in-domain": Mark("†", r"\dag", "trained on data of this set"),
    "mixed": Mark("‡", r"\ddag", "made in attempts that differ in code or environment"),
    "user": Mark("¶", r"\P", "weights of one's own, by no card"),
    "demo": Mark("§", r"\S", "small demonstration weights, which stand for no published model"),
    "lost": Mark("*", "*", "not the published study's own images, which can't be had any more"),
    "differs": Mark("!", "!", "protocol, weights or number of images differ from the study's"),
}
"""By name; a mark of any other name is shown as it is, in brackets behind the number."""


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
        width: letters in a terminal, where names give way; None: as wide as needed.
    """

    header: str
    right: bool = False
    width: int | None = None


@dataclass(frozen=True)
class Table:
    """A table, before any format.

    Attributes:
        name: of its files, without suffix.
        title: a line above it; may be empty.
        columns: its headings.
        rows: its cells, a row each, as many as there are columns.
        notes: sentences below it; those on marks and places are added by `all_notes`.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()


def words(text: str) -> Cell:
    """A cell of text."""
    return Cell(text, text)


def number(
    value: float, form: str = ".3f", marks: Sequence[str] = (), missing: str = MISSING
) -> Cell:
    """A cell of a number; NaN is shown as `missing`, never as 0."""
    if pd.isna(value):
        return Cell(missing, None, tuple(marks))
    return Cell(format(value, form), value, tuple(marks))


def p_value(value: float) -> Cell:
    """A cell of a p-value; tiny ones are told as less than 0.0001."""
    if pd.isna(value):
        return Cell(MISSING, value)
    return Cell("< 0.0001" if value < 1e-4 else f"{value:.4f}", value)


def placed(
    cells: Sequence[Cell], eligible: Sequence[bool] | None = None, lowest: bool = False
) -> list[Cell]:
    """The cells with their best and second marked; equals share a place.

    Args:
        cells: what is compared: a row, a column, a part of one.
        eligible: which may be marked; all that have a number where not given.
        lowest: the lowest is the best.
    """
    may = eligible if eligible is not None else [True] * len(cells)
    values = {cell.value for cell, ok in zip(cells, may, strict=True) if ok and _is_number(cell)}
    best = sorted(values, reverse=not lowest)[:2]
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


def console(table: Table) -> Group:
    """For the terminal; `Text` objects, so that no name is read as markup."""
    shown = RichTable(
        title=Text(escape.plain(table.title), "bold") if table.title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,  # 80 columns are few; the box leaves one between cells
    )
    for column in table.columns:
        shown.add_column(
            Text(escape.plain(column.header)),
            justify="right" if column.right else "left",
            overflow="fold",
            width=column.width,
        )
    styles = ("", "bold", "underline")
    for row in table.rows:
        shown.add_row(
            *(
                # A style of the whole cell would underline the blanks before it too.
                Text.assemble(
                    (escape.plain(cell.text), styles[cell.place]), _signs(cell, escape.plain)
                )
                for cell in row
            )
        )
    # A caption would be as narrow as the table.
    return Group(shown, *(Text(escape.plain(line)) for line in all_notes(table)))


def markdown(table: Table) -> str:
    """In GitHub-flavoured Markdown, with its notes."""
    frames: tuple[Callable[[str], str], ...] = (
        str,
        lambda cell: f"**{cell}**",
        lambda cell: f"<ins>{cell}</ins>",
    )
    lines = [
        [escape.markdown(column.header) for column in table.columns],
        ["---:" if column.right else "---" for column in table.columns],
        *(
            [frames[cell.place](escape.markdown(cell.text)) + _signs(cell, escape.markdown)
             for cell in row]
            for row in table.rows
        ),
    ]  # fmt: skip
    title = f"### {escape.markdown(table.title)}\n\n" if table.title else ""
    body = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{title}{body}\n{' '.join(escape.markdown(line) for line in all_notes(table))}\n"


def latex(table: Table) -> str:
    r"""A `tabular` with its notes, to be \input into a table; needs \usepackage{booktabs}."""
    frames: tuple[Callable[[str], str], ...] = (
        str,
        lambda cell: rf"\textbf{{{cell}}}",
        lambda cell: rf"\underline{{{cell}}}",
    )

    def line(cells: Sequence[str]) -> str:
        return f"{' & '.join(cells)} \\\\"

    body = (
        line(
            [frames[cell.place](escape.latex(cell.text)) + _signs(cell, escape.latex, tex=True)
             for cell in row]
        )
        for row in table.rows
    )  # fmt: skip
    signs = {mark.sign: mark.latex for mark in MARKS.values() if mark.latex != mark.sign}
    notes = " ".join(
        _swap(escape.latex(text), {sign: f"{tex}{{}}" for sign, tex in signs.items()})
        for text in all_notes(table)
    )
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            *([f"% {escape.latex(table.title)}"] if table.title else []),
            rf"\begin{{tabular}}{{{''.join('r' if c.right else 'l' for c in table.columns)}}}",
            r"\toprule",
            line([escape.latex(column.header) for column in table.columns]),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
            rf"{{\footnotesize {notes}\par}}",
            "",
        ]
    )


def csv(table: Table) -> str:
    """Every number at full precision, safe to open in a spreadsheet.

    A column in which something is marked is followed by one that says so in words.
    """
    marked = [any(row[i].marks for row in table.rows) for i in range(len(table.columns))]

    def line(row: Sequence[tuple[Any, str]]) -> list[Any]:
        return [
            cell
            for (value, marks), has in zip(row, marked, strict=True)
            for cell in ((value, marks) if has else (value,))
        ]

    out = io.StringIO()
    writer = csv_module.writer(out, lineterminator="\n")
    writer.writerow(line([(_field(c.header), _field(f"{c.header}: mark")) for c in table.columns]))
    for row in table.rows:
        writer.writerow(line([(_value(cell), _field("; ".join(cell.marks))) for cell in row]))
    return out.getvalue()


FORMATS: dict[str, Callable[[Table], str]] = {"csv": csv, "md": markdown, "tex": latex}
"""Suffix of a file -> what writes it."""


def _value(cell: Cell) -> Any:
    """What the CSV holds: the number, or the words that are shown in its place."""
    value = cell.text if cell.value is None or _is_nothing(cell.value) else cell.value
    return _field(value) if isinstance(value, str) else value


def _is_nothing(value: Any) -> bool:
    return not isinstance(value, str) and bool(pd.isna(value))


_field = escape.csv_cell


def _plain_signs(cell: Cell) -> Iterator[str]:
    for mark in cell.marks:
        yield MARKS[mark].sign if mark in MARKS else f" ({mark})"


def _signs(cell: Cell, written: Callable[[str], str], tex: bool = False) -> str:
    """The marks behind a number, as a format writes them."""
    return "".join(
        rf"\textsuperscript{{{MARKS[mark].latex}}}" if tex and mark in MARKS else written(sign)
        for mark, sign in zip(cell.marks, _plain_signs(cell), strict=True)
    )


def _swap(text: str, signs: dict[str, str]) -> str:
    for sign, tex in signs.items():
        text = text.replace(sign, tex)
    return text
