"""Tables that need the stored rows of runs, with a row for each run."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmark.console import Steps
from benchmark.garbage_collection import collection_paused
from benchmark.report.eligible import told_apart
from benchmark.report.results import RunResult
from benchmark.report.tables.objects import (
    DIAMETERS,
    KINDS,
    boundaries,
    cost,
    errors,
    recall_by_size,
)
from benchmark.report.tables.per_data_set import marks
from benchmark.report.tables.stages import stage_table
from benchmark.report.tables.table import MISSING, Cell, Column, Table, number, words
from benchmark.scoring.metrics import METRICS

_GB = 1e9


def run_tables(results: Sequence[RunResult], cells: pd.DataFrame) -> list[Table]:
    """The tables, a row for each run; controls are in them, as what they should show.

    Args:
        results: scored runs.
        cells: their cells, in the same order.
    """
    about = cells.to_dict("records")
    names = told_apart(cells, cells["data_label"])
    heads = [_head(*row) for row in zip(cells["method"], names, map(marks, about), strict=True)]
    order = sorted(range(len(heads)), key=lambda i: (heads[i][1].text, heads[i][0].text))
    ordered, by_name = [results[i] for i in order], [heads[i] for i in order]
    made = [table(ordered, by_name) for table in (_errors, _boundaries, _sizes, _cost)]
    stages = stage_table(ordered, by_name, _HEADS)
    return [*made, *([stages] if stages else [])]


_HEADS = [Column("method"), Column("data")]


def _head(method: str, data: str, marked: tuple[str, ...]) -> list[Cell]:
    return [words(method), Cell(data, data, tuple(m for m in marked if m != "in-domain"))]


def _errors(results: Sequence[RunResult], heads: Sequence[Sequence[Cell]]) -> Table:
    found = errors(results)
    rows = []
    for head, (_, row) in zip(heads, found.iterrows(), strict=True):
        share = [(row[kind], row["n_true"] if kind != "spurious" else row["n_predicted"])
                 for kind in KINDS]  # fmt: skip
        share[-1] = (row["merged"], row["n_predicted"])
        rows.append(
            [*head, number(row["n_true"], ".0f"), number(row["n_predicted"], ".0f")]
            + [c for part, whole in share
               for c in (number(part, ".0f"), number(part / whole if whole else np.nan, ".1%"))]
        )  # fmt: skip
    columns = [
        *_HEADS, Column("objects", right=True), Column("predicted", right=True),
        *(Column(text, right=True) for kind in KINDS for text in (kind, f"{kind} share")),
    ]  # fmt: skip
    notes = [
        "Added up over images. missed, spurious: without a partner at an IoU of at least 0.5; "
        "split: objects that hold more than half of each of several predictions; merged: "
        "predictions that hold more than half of each of several objects. Shares of missed and "
        "split are of the objects, of spurious and merged of the predictions."
    ]
    return Table("errors", "Errors by kind", columns, rows, notes)


def _boundaries(results: Sequence[RunResult], heads: Sequence[Sequence[Cell]]) -> Table:
    found = boundaries(results)
    shown = (found["msa"], found["msa_tolerant"], found["msa_tolerant"] - found["msa"])
    rows = [
        [*head, *map(number, numbers), number(off, ".1%")]
        for head, *numbers, off in zip(heads, *shown, found["count_error"], strict=True)
    ]
    columns = [
        *_HEADS,
        *(Column(METRICS[name].title, right=True) for name in ("msa", "msa_tolerant")),
        Column("difference", right=True), Column("count error", right=True),
    ]  # fmt: skip
    notes = [
        "Means over images. Boundary-tolerant: without the pixels within one pixel of a true "
        "boundary, on either side of it. The controls truth_eroded and truth_dilated are the truth "
        "one pixel smaller and larger: what a method gets that draws boundaries so. count error: "
        f"|predicted - true| / true objects. {MISSING}: scored before the metric was added; "
        "action=evaluate scores again."
    ]
    return Table("boundaries", "Boundaries and counts", columns, rows, notes)


def _sizes(results: Sequence[RunResult], heads: Sequence[Sequence[Cell]]) -> Table:
    rows = []
    with Steps("reading objects", len(results)) as steps, collection_paused():
        for head, result in zip(heads, results, strict=True):
            found = recall_by_size(result)
            rows.append(
                [*head]
                + [
                    number(row["found"] / row["objects"] if row["objects"] else np.nan)
                    for _, row in found.iterrows()
                ]
                + [Cell(str(n), int(n)) for n in found["objects"]]
            )
            steps.advance(result.path.name)
    limits = [
        f"{low:.0f} - {high:.0f}" if np.isfinite(high) else f"from {low:.0f}"
        for low, high in itertools.pairwise(DIAMETERS)
    ]
    columns = [
        *_HEADS,
        *(Column(f"recall {text}", right=True) for text in limits),
        *(Column(f"objects {text}", right=True) for text in limits),
    ]
    notes = [
        "Recall at an IoU of at least 0.5 of true objects whose area is that of a circle of so "
        f"many pixels in diameter; {MISSING}: there is no such object."
    ]
    return Table("recall_by_size", "Recall by size of the object", columns, rows, notes)


def _cost(results: Sequence[RunResult], heads: Sequence[Sequence[Cell]]) -> Table:
    found = cost(results)
    stages, peaks = (
        [str(name) for name in found if str(name).startswith(kind)] for kind in ("stage.", "peak.")
    )
    columns = [
        *_HEADS, Column("images timed", right=True), Column("s per image", right=True),
        *(Column(f"{name.removeprefix('stage.')} s", right=True) for name in stages),
        Column("host GB", right=True), Column("device GB", right=True),
        *(Column(f"{name.removeprefix('peak.')} GB", right=True) for name in peaks),
    ]  # fmt: skip
    rows = [
        [
            *head,
            number(row["timed"], ".0f"),
            *(number(row[name], ".3g") for name in ["seconds", *stages]),
            *(number(row[name] / _GB, ".2f") for name in ("memory", "device_memory", *peaks)),
        ]
        for head, (_, row) in zip(heads, found.iterrows(), strict=True)
    ]
    notes = [
        "Seconds: median per image, the first prediction of each process left out; stages as "
        "the model tells them. Memory: the highest peak of a prediction, of the whole process "
        "(host) and of what torch held on the GPU (device); by stage as the model tells it, of the "
        "GPU where it ran on one, else of the process. Runs of different machines are not "
        "comparable."
    ]
    return Table("cost", "Time and memory per image", columns, rows, notes)
