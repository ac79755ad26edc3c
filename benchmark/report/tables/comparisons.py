"""Which differences between runs are real, as tables: two families, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.report.comparison import (
    ComparisonFamily,
    FurtherTest,
    against_reference,
    cautions,
)
from benchmark.report.eligible import Eligible, methods_named
from benchmark.report.marks import in_words
from benchmark.report.results import RunResult
from benchmark.report.tables.table import Cell, Column, Table, number, p_value, words
from benchmark.report.text import missing
from benchmark.stats import FEWEST_FOR_P, FEWEST_GROUPS


def comparison_tables(
    results: Sequence[RunResult],
    chosen: Eligible,
    pairs: Sequence[ComparisonFamily],
    preferred: str = "",
    further: FurtherTest | None = None,
) -> list[Table]:
    """Comparisons of one method against every other, of all pairs, and the samples left out.

    Args:
        results: scored runs.
        chosen: their rows that may be averaged, for the choice of the reference.
        pairs: all pairs of them, `benchmark.report.comparison.every_pair`.
        preferred: the method to compare with, by name or key, if it is among them.
        further: a test to be shown beside ours.
    """
    if len({result.method for result in results if not result.control}) < 2:
        return []
    method = reference(chosen, preferred)
    made: list[tuple[str, Sequence[ComparisonFamily]]]
    made = [] if method is None else [("reference", [against_reference(results, method, further)])]
    made += [("pairs", pairs)]
    tables = [_table(name, found) for name, found in made if any(len(f.frame) for f in found)]
    exclusions = [f.exclusions for _, found in made for f in found if len(f.exclusions)]
    if exclusions:
        tables.append(_exclusions(pd.concat(exclusions).drop_duplicates()))
    return tables


def reference(chosen: Eligible, preferred: str = "") -> str | None:
    """The method that others are compared with: the preferred, else the first on most data sets.

    Never the best: p-values of a reference picked by its scores would be too small. Of methods on
    equally many data sets the first by name.
    """
    matrix, named = chosen.matrix, methods_named(chosen.cells, preferred) if preferred else []
    if named:
        return named[0]
    if matrix.empty:
        return None
    return min((-int(matrix[name].count()), str(name)) for name in matrix)[1]


_COLUMNS = [
    Column("data"), Column("a"), Column("b"),
    *(Column(text, right=True) for text in ("samples", "groups", "mean a", "mean b", "a - b")),
    *(Column(text, right=True) for text in
      ("95 % from", "to", "p", "p (Holm)", "p (Wilcoxon)", "rank-biserial", "standardised",
       "groups' a - b", "left out")),
]  # fmt: skip


def _table(name: str, families: Sequence[ComparisonFamily]) -> Table:
    further = families[0].further
    rows = [
        [*_row({str(key): value for key, value in row.items()})]
        + ([] if further is None else [p_value(row["further_p"])])
        for family in families
        for row in family.frame.to_dict("records")
    ]
    # Families of one kind say the same, but for their names and counts in the first line.
    notes = dict.fromkeys(line for family in families for line in family.notes[1:])
    left_out = dict.fromkeys(line for family in families for line in family.left_out)
    heads = [families[0].notes[0]]
    if len(families) > 1:
        heads = [f"{len(families)} families: all pairs of methods on one data set each, {_HOLM}."]
    titles = {
        "reference": "One method against every other, over the data sets",
        "pairs": "All pairs of methods within a data set",
    }
    columns = [*_COLUMNS, *([] if further is None else [Column(further.title, right=True)])]
    said = [*heads, *notes, *cautions(families), *left_out]
    return Table(f"tests_{name}", titles[name], columns, rows, said)


_HOLM = (
    "p corrected by Holm within each; a difference is a minus b, on the samples that both methods "
    "have"
)


def _row(row: dict[str, Any]) -> list[Cell]:
    partial = [
        f"{key[-1]} {row[key].replace('(', '').replace(')', '')}"
        for key in ("status_a", "status_b")
        if row[key] != "complete"
    ]
    marked = (*partial, *(mark.words for mark in in_words(row)))
    return [
        words(row["data_label"]),
        words(row["a"]),
        words(row["b"]),
        *(Cell(str(row[key]), row[key]) for key in ("samples", "groups")),
        *(number(row[key]) for key in ("mean_a", "mean_b")),
        number(row["difference"], "+.3f", marked),
        *(
            number(row[key], "+.3f", missing=missing(row["groups"], FEWEST_GROUPS))
            for key in ("low", "high")
        ),
        *(_p(row[key], row["groups"]) for key in ("p", "p_holm", "p_wilcoxon")),
        *(number(row[key], "+.2f") for key in ("rank_biserial", "standardised")),
        number(row["group_difference"], "+.3f"),
        Cell(str(row["excluded"]), row["excluded"]),
    ]  # fmt: skip


def _p(value: float, groups: int) -> Cell:
    return Cell(missing(groups, FEWEST_FOR_P), np.nan) if pd.isna(value) else p_value(value)


def _exclusions(frame: pd.DataFrame) -> Table:
    rows = [[words(str(value)) for value in row] for row in frame.itertuples(index=False)]
    columns = [Column(str(name)) for name in frame]
    notes = ["Left out for both methods alike."]
    return Table("tests_left_out", "Samples left out of comparisons", columns, rows, notes)
