"""Five ways to write a table down."""

from __future__ import annotations

import csv as csv_module
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Group
from rich.text import Text

from benchmark.fitted_table import FittedColumn, FittedTable
from benchmark.report import escape
from benchmark.report.marks import MARKS
from benchmark.report.tables.table import Cell, Table, all_notes


def console(table: Table) -> Group:
    """For the terminal; `Text` objects, so that no name is read as markup."""
    styles = ("", "bold", "underline")
    says = any(column.drop for column in table.columns)
    shown = FittedTable(
        [
            # Where a table does not say which columns matter least, those to the right.
            FittedColumn(escape.plain(column.header), column.right, column.drop if says else i)
            for i, column in enumerate(table.columns)
        ],
        [
            # A style of the whole cell would underline the blanks before it too.
            [
                Text.assemble(
                    (escape.plain(cell.text), styles[cell.place]), _signs(cell, escape.plain)
                )
                for cell in row
            ]
            for row in table.rows
        ],
        title=Text(escape.plain(table.title), "bold") if table.title else None,
        box=box.SIMPLE_HEAD,
        edge=False,  # 80 columns are few; the box leaves one between cells
        rest=f"{table.name}.csv",
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
    lines = _lines(table, _value)
    out = io.StringIO()
    writer = csv_module.writer(out, lineterminator="\n")
    writer.writerows([_field(value) if isinstance(value, str) else value for value in line]
                     for line in lines)  # fmt: skip
    return out.getvalue()


def json_object(table: Table) -> dict[str, Any]:
    """For programs: name, title, columns and rows as in the CSV, and notes.

    A number that is not defined is None.
    """

    def value(cell: Cell) -> Any:
        if _is_nothing(cell.value):
            return None
        return cell.value.item() if hasattr(cell.value, "item") else cell.value

    columns, *rows = _lines(table, value)
    named = {"name": table.name, "title": table.title, "columns": columns}
    return named | {"rows": rows, "notes": all_notes(table)}


def _lines(table: Table, value: Callable[[Cell], Any]) -> list[list[Any]]:
    """The headings and the rows; what is marked is followed by a column of its marks."""
    marked = [any(row[i].marks for row in table.rows) for i in range(len(table.columns))]

    def line(row: Sequence[tuple[Any, str]]) -> list[Any]:
        return [
            cell
            for (value, marks), has in zip(row, marked, strict=True)
            for cell in ((value, marks) if has else (value,))
        ]

    return [
        line([(c.header, f"{c.header}: mark") for c in table.columns]),
        *(line([(value(cell), "; ".join(cell.marks)) for cell in row]) for row in table.rows),
    ]


FORMATS: dict[str, Callable[[Table], str]] = {"csv": csv, "md": markdown, "tex": latex}
"""Suffix of a file -> what writes it."""


def _value(cell: Cell) -> Any:
    """What the CSV holds: the number, or the words that are shown in its place."""
    return cell.text if _is_nothing(cell.value) else cell.value


def _is_nothing(value: Any) -> bool:
    return value is None or (not isinstance(value, str) and bool(pd.isna(value)))


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
