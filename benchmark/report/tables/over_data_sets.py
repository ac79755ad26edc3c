"""Tables over data sets, of rows of one source: published numbers, or one's own runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import pandas as pd

from benchmark.report.eligible import (
    Eligible,
    by_protocol,
    methods_named,
    modalities,
    select_eligible,
)
from benchmark.report.frame import MODALITIES, NOT_REPORTED
from benchmark.report.tables.numbers import (
    averages,
    by_domain,
    head_to_head,
    mean_ranks,
    ranks,
)
from benchmark.report.tables.per_data_set import marks_of, per_data_set, protocols
from benchmark.report.tables.rank_tests import rank_test_table, ranked_methods
from benchmark.report.tables.table import MISSING, Cell, Column, Table, number, placed, words
from benchmark.scoring.metrics import MSA, Metric
from benchmark.store.names import safe_name

ALL = "all"


@dataclass(frozen=True)
class TableInput:
    """What a table over data sets is made of.

    Attributes:
        cells: every cell of one source (a frame as `benchmark.report.frame` has it).
        chosen: those of them that may be averaged and ranked.
        metric: whose scores they are.
        pairs: methods to set against each other, each by its name in the tables or by its key.
        pairs_title: of the table of these.
    """

    cells: pd.DataFrame
    chosen: Eligible
    metric: Metric = MSA
    pairs: Sequence[tuple[str, str]] = ()
    pairs_title: str = ""


def tables_of(
    cells: pd.DataFrame,
    prefix: str,
    further: Mapping[str, Callable[[TableInput], Table | None]] = MappingProxyType({}),
    *,
    metric: Metric = MSA,
    pairs: Sequence[tuple[str, str]] = (),
    pairs_title: str = "",
) -> list[Table]:
    """Make every table in `LISTS` and `TABLES` that the rows of one source allow.

    Those in `TABLES` are made for each protocol; where there are several, it is in their names.
    Of one data set alone there are none: a mean, a rank or a win would repeat its numbers.

    Args:
        cells: of one source.
        prefix: of the names of files.
        further: more tables, as in `TABLES`.
        metric: whose scores they are.
        pairs: methods to set against each other.
        pairs_title: of the table of these.
    """

    def given(rows: pd.DataFrame) -> TableInput:
        return TableInput(rows, select_eligible(rows), metric, pairs, pairs_title)

    made = {name: make(given(cells)) for name, make in LISTS.items()}
    every = by_protocol(cells)
    for protocol, rows in every.items():
        if rows["data"].nunique() < 2:
            continue
        of_protocol = given(rows)
        of_rows = {name: make(of_protocol) for name, make in {**TABLES, **further}.items()}
        made |= under(protocol, of_rows) if len(every) > 1 else of_rows
    return [
        replace(table, name=f"{prefix}_{name}") for name, table in made.items() if table is not None
    ]


def under(protocol: str, tables: Mapping[str, Table | None]) -> dict[str, Table | None]:
    """Tables of one protocol among several, with the protocol in their names and titles."""
    return {
        f"{safe_name(protocol)}_{name}": table
        and replace(table, title=f"{table.title}, protocol {protocol}")
        for name, table in tables.items()
    }


def average_table(chosen: Eligible, kind: str, metric: Metric = MSA) -> Table | None:
    """Mean or median over data sets, a row for each method, a column for each modality.

    None where no cell may be averaged.
    """
    if chosen.cells.empty:
        return None
    found = averages(chosen.matrix)
    number_of: dict[Any, float] = found[kind].to_dict()
    sets_of: dict[Any, int] = found["sets"].to_dict()
    names = [name for name, _ in modalities(chosen.cells)]

    def cell(modality: str, method: str) -> Cell:
        if method in chosen.silent:
            return words(NOT_REPORTED)
        if (modality, method) not in sets_of:
            return words(MISSING)
        sets, of = sets_of[modality, method], chosen.of[modality]
        short = (f"{sets} of {of}",) if sets < of else ()
        marked = (*marks_of(chosen.cells, method, modality), *short)
        return number(number_of[modality, method], marks=marked)

    def may(modality: str, method: str) -> bool:
        return sets_of.get((modality, method)) == chosen.of[modality]

    methods = [*map(str, chosen.matrix), *chosen.silent]
    table = _by_modality(
        f"{kind}s",
        f"{kind.capitalize()} {metric.title} per modality",
        methods,
        names,
        cell,
        may,
        notes=[
            f"{kind.capitalize()} over the data sets that a method has a number for, all alike; "
            "one that lacks some has their count behind it, and is never marked as best. "
            f"Data sets: {_sets(chosen, names)}. {protocols(chosen.cells, metric)}.",
            *chosen.notes,
        ],
        lowest=not metric.higher_is_better,
    )
    return replace(table, on_console=kind == "mean")


def rank_table(
    chosen: Eligible,
    how: Callable[[pd.DataFrame], pd.DataFrame] = ranks,
    title: str = "Mean rank per modality",
    note: str = "Equal methods share the mean of their ranks.",
    metric: Metric = MSA,
) -> Table | None:
    """Mean rank per modality of the methods that are ranked.

    Args:
        chosen: the rows.
        how: the matrix of scores -> ranks.
        title: of the table.
        note: how equal methods are ranked.
        metric: whose scores they are.
    """
    matrix = ranked_methods(chosen)
    if matrix.shape[1] < 2:
        return None
    means = mean_ranks(how(metric.sign * matrix))
    sets_of: dict[Any, int] = means["sets"].to_dict()
    names = [name for name, _ in modalities(chosen.cells)]

    def cell(modality: str, method: str) -> Cell:
        if modality not in sets_of:
            return words(MISSING)
        sets, of = sets_of[modality], chosen.of[modality]
        short = (f"{sets} of {of}",) if sets < of else ()
        marked = (*marks_of(chosen.cells, method, modality), *short)
        return number(float(means[method][modality]), ".2f", marked)

    notes = [
        f"1 is the best of {matrix.shape[1]}, over data sets that all of them have. {note}",
        *chosen.notes,
    ]
    methods = list(map(str, matrix))
    table = _by_modality("ranks", title, methods, names, cell, notes=notes, lowest=True)
    return replace(table, on_console=True)


def _by_modality(
    name: str,
    title: str,
    methods: Sequence[str],
    names: Sequence[str],
    cell: Callable[[str, str], Cell],
    may: Callable[[str, str], bool] = lambda modality, method: True,
    *,
    notes: Sequence[str],
    lowest: bool = False,
) -> Table:
    """A row for each method, a column for each modality, the best of each column marked."""
    columns = [
        placed(
            [cell(modality, method) for method in methods],
            [may(modality, method) for method in methods],
            lowest,
        )
        for modality in names
    ]
    rows = [[words(method), *(column[i] for column in columns)] for i, method in enumerate(methods)]
    headings = [Column("method"), *(Column(MODALITIES[modality], right=True) for modality in names)]
    return Table(name, title, headings, rows, notes)


def head_to_head_table(
    name: str,
    title: str,
    chosen: Eligible,
    pairs: Sequence[tuple[str, str]],
    metric: Metric = MSA,
) -> Table | None:
    """Wins, losses and the mean difference of pairs of methods; None where there is no pair.

    Args:
        name: of its files.
        title: above it.
        chosen: the cells.
        pairs: methods by name or key; every method of that key stands for it.
        metric: whose scores they are.
    """
    matrix = chosen.matrix
    rows = []
    for a, b in pairs:
        for first in methods_named(chosen.cells, a):
            for second in methods_named(chosen.cells, b):
                if first == second:  # of names that have a method in common
                    continue
                names = [name for name, _ in modalities(chosen.cells)]
                for modality in [*names, ALL] if len(names) > 1 else names:
                    rows.append(_head_to_head_row(chosen, matrix, first, second, modality, metric))
    if not rows:
        return None
    columns = [
        Column("a"), Column("b"), Column("modality"), Column("data sets", right=True),
        *(Column(text, right=True) for text in
          ("a wins", "b wins", "equal", "mean a", "mean b", "mean a - b")),
    ]  # fmt: skip
    notes = ["Over data sets that both have; equal: the numbers are the same.", *chosen.notes]
    return Table(name, title, columns, rows, notes)


def _head_to_head_row(
    chosen: Eligible, matrix: pd.DataFrame, a: str, b: str, modality: str, metric: Metric
) -> list[Cell]:
    some = matrix if modality == ALL else matrix.loc[[modality]]
    result = head_to_head(some, a, b, metric.sign)
    of = sum(chosen.of.values()) if modality == ALL else chosen.of[modality]
    where = None if modality == ALL else modality
    marked = tuple(dict.fromkeys(m for name in (a, b) for m in marks_of(chosen.cells, name, where)))
    counts = [Cell(str(n), n) for n in (result.wins, result.losses, result.ties)]
    return [
        words(a),
        words(b),
        words(MODALITIES.get(modality, ALL)),
        Cell(f"{result.sets} of {of}", result.sets),
        *(counts if result.sets else [words(MISSING)] * 3),
        number(result.mean_a, marks=marks_of(chosen.cells, a, where)),
        number(result.mean_b, marks=marks_of(chosen.cells, b, where)),
        number(result.difference, "+.3f", marked),
    ]


def domain_table(chosen: Eligible, metric: Metric = MSA) -> Table | None:
    """Data that the weights had seen against data that they had not."""
    found = by_domain(chosen.cells)
    if not (found["sets_in"] + found["sets_out"]).any():
        return None
    columns = [
        Column("method"),
        *(Column(text, right=True) for text in
          ("in-domain", "data sets in-domain", "out-of-domain", "data sets out-of-domain",
           "data sets unknown")),
    ]  # fmt: skip
    rows = [
        [
            words(str(method)),
            number(row["mean_in"], marks=marks_of(chosen.cells, str(method), None)),
            Cell(f"{row['sets_in']:.0f}", int(row["sets_in"])),
            number(row["mean_out"], marks=marks_of(chosen.cells, str(method), None)),
            Cell(f"{row['sets_out']:.0f}", int(row["sets_out"])),
            Cell(f"{row['unknown']:.0f}", int(row["unknown"])),
        ]
        for method, row in found.iterrows()
    ]
    whose = (
        "by the study's own flags"
        if (chosen.cells["source"] == "published").all()
        else "by the weights' cards"
    )
    notes = [
        f"Mean {metric.title} over data sets that a method's weights were trained on, {whose}, and "
        "over the others. The data sets differ, so the difference does not measure training.",
        *chosen.notes,
    ]
    return Table("domain", "In-domain and out-of-domain data", columns, rows, notes)


def _pairs_table(given: TableInput) -> Table | None:
    table = head_to_head_table("duels", given.pairs_title, given.chosen, given.pairs, given.metric)
    return table and replace(table, on_console=True)


def _sets(chosen: Eligible, names: Sequence[str]) -> str:
    return ", ".join(f"{MODALITIES[name]} {chosen.of[name]}" for name in names)


LISTS: dict[str, Callable[[TableInput], Table | None]] = {
    "per_data_set": lambda given: per_data_set(given.cells, given.metric),
}
"""The registry of tables that average nothing: of all protocols, a row for each."""

TABLES: dict[str, Callable[[TableInput], Table | None]] = {
    "means": lambda given: average_table(given.chosen, "mean", given.metric),
    "medians": lambda given: average_table(given.chosen, "median", given.metric),
    "ranks": lambda given: rank_table(given.chosen, metric=given.metric),
    "rank_tests": lambda given: rank_test_table(given.chosen, given.metric),
    "duels": _pairs_table,
    "domain": lambda given: domain_table(given.chosen, given.metric),
}
"""The registry of tables over data sets, in the order of a report, made for each protocol.

The key ends the name of the table's files; None is returned where the cells allow no such table.
"""
