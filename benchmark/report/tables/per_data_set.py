"""The table of every method on every data set, and what a single number is marked with."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from benchmark.report.eligible import in_order, told_apart
from benchmark.report.frame import COMPLETE, MODALITIES, NOT_REPORTED, SAME_IMAGES, SKIPPED
from benchmark.report.marks import RUN_MARKS
from benchmark.report.tables.table import MISSING, Cell, Column, Table, number, placed, words
from benchmark.scoring.metrics import GLOSSARY, MSA, Metric


def marks(cell: dict[Any, Any]) -> tuple[str, ...]:
    """What a number of one cell is marked with."""
    found = [name for name in (*RUN_MARKS, "lost") if cell[name]]
    if cell["mark"] in ("user", "demo"):
        found.append(cell["mark"])
    if cell["in_domain"] is not pd.NA and cell["in_domain"]:
        found.insert(0, "in-domain")
    partial = re.match(r"partial \((.*)\)", cell["status"])
    return (*found, partial[1]) if partial else tuple(found)


def per_data_set(cells: pd.DataFrame, metric: Metric = MSA) -> Table:
    """The score of every method on every data set, whatever its state.

    A row for each set of images.
    """
    ordered = in_order(cells)
    methods = list(pd.unique(cells["method"]))
    # What was skipped has no images of its own: it is shown with those of the others.
    skipped = ordered[ordered["status"] == SKIPPED]
    ran = ordered[ordered["status"] != SKIPPED]
    never = skipped[~skipped["data"].isin(ran["data"])]
    groups = [rows for _, rows in ran.groupby(["modality", "data_label", *SAME_IMAGES], sort=False)]
    groups += [rows for _, rows in never.groupby("data", sort=False)]
    names = told_apart(ordered, ordered["data_label"])
    lowest = not metric.higher_is_better
    rows = []
    for group in groups:
        data = group["data"].iloc[0]
        too = skipped[(skipped["data"] == data) & ~skipped.index.isin(group.index)]
        shown = pd.concat([group, too])
        row = [_own(shown[shown["method"] == method]) for method in methods]
        may = [_may(group[group["method"] == method]) for method in methods]
        name = names[group.index[0]]
        rows.append(
            [words(MODALITIES[group["modality"].iloc[0]]), words(name), *placed(row, may, lowest)]
        )
    columns = [Column("modality"), Column("data"), *(Column(m, right=True) for m in methods)]
    reasons = skipped["method"] + " on " + skipped["data_label"] + ": " + skipped["reason"]
    notes = [f"{protocols(cells, metric)}.", *(f"Skipped: {reason}" for reason in reasons)]
    return Table("per_data_set", f"{metric.title} per data set", columns, rows, notes)


def _own(group: pd.DataFrame) -> Cell:
    """What a method has on a data set; several runs are shown, never averaged."""
    rows = group.to_dict("records")
    if not rows:
        return words("")
    if len(rows) > 1:
        text = " / ".join(number(row["score"]).text for row in rows)
        return Cell(text, None, (*dict.fromkeys(m for r in rows for m in marks(r)), "several runs"))
    (row,) = rows
    without = {NOT_REPORTED: NOT_REPORTED, SKIPPED: SKIPPED}
    return number(row["score"], marks=marks(row), missing=without.get(row["status"], MISSING))


def _may(group: pd.DataFrame) -> bool:
    """Whether a method may be the best on a data set: a complete run, and the only one."""
    return len(group) == 1 and bool(
        (group["status"] == COMPLETE).iloc[0] and not group["control"].iloc[0]
    )


def protocols(cells: pd.DataFrame, metric: Metric = MSA) -> str:
    """Which protocol the numbers follow, and what they are."""
    names = sorted(pd.unique(cells["protocol"]))
    return (
        f"Protocol {', '.join(names)}; {metric.title} ({GLOSSARY}) is the mean over a "
        "data set's images"
    )


def marks_of(cells: pd.DataFrame, method: str, modality: str | None) -> tuple[str, ...]:
    """What has to be said of a number over several cells of a method."""
    rows = cells[cells["method"] == method]
    if modality is not None:
        rows = rows[rows["modality"] == modality]
    found = dict.fromkeys(mark for row in rows.to_dict("records") for mark in marks(row))
    return tuple(mark for mark in found if mark != "in-domain")
