"""The stage account of runs: where methods with prompts lost the true objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmark.console import note
from benchmark.errors import StoreError
from benchmark.report.results import RunResult
from benchmark.report.tables.table import Cell, Column, Table, number
from benchmark.scoring.stages import OUTCOMES, Evidence, account
from benchmark.store.store import RunStore


def accounts(results: Sequence[RunResult]) -> pd.DataFrame:
    """What became of the true objects of each run that has a stage account.

    Returns:
        Indexed by the keys of these runs, in their order: images, objects, prompts, masks kept,
        and the number of objects of each of `benchmark.scoring.stages.OUTCOMES`.
    """
    rows = {}
    for result in results:
        try:
            stored = RunStore(result.path).stages(result.score_key)
        except StoreError as error:  # of one run; the report shows the others
            note(f"warning: {error} Its stage account is left out.")
            continue
        if stored:
            counts = account(Evidence.of_columns(row["true"]) for row in stored.values())
            rows[result.key] = {
                "images": len(stored),
                "objects": sum(counts.values()),
                "prompts": sum(row["prompts"] for row in stored.values()),
                "masks kept": sum(row["kept"] for row in stored.values()),
                **counts,
            }
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["images", "objects", "prompts", "masks kept", *OUTCOMES]
    )


def stage_table(
    results: Sequence[RunResult], heads: Sequence[Sequence[Cell]], columns: Sequence[Column]
) -> Table | None:
    """A row for each run that has a stage account; None where none has.

    Args:
        results: runs.
        heads: the first cells of the row of each.
        columns: of these cells.
    """
    found = accounts(results)
    if found.empty:
        return None
    rows = []
    for head, result in zip(heads, results, strict=True):
        if result.key not in found.index:
            continue
        row: dict[Any, Any] = found.loc[result.key].to_dict()
        counts = [number(row[name], ".0f") for name in found.columns[:4]]
        rows.append([*head, *counts, *(_share(row, outcome) for outcome in OUTCOMES)])
    headings = [
        *columns,
        *(Column(str(name), right=True) for name in (*found.columns[:4], *OUTCOMES)),
    ]
    notes = [
        "True objects by the stage that lost them, at an IoU of at least 0.5; the columns add up "
        "to the objects, and those before 'found' to the missed ones. no prompt: no point lies in "
        "the object, and no box is nearest to its own. no mask: none of the prompts made a mask of "
        "it. lost by refinement: a first mask had it, no refined one. lost by suppression: a mask "
        "had it, and was dropped as too small or for a better one. lost in merging: a kept mask "
        "had it, and the label image has not. By action=account."
    ]
    return Table("stages", "Stage account", headings, rows, notes)


def _share(row: Mapping[Any, Any], outcome: str) -> Cell:
    count, objects = int(row[outcome]), row["objects"]
    return Cell(f"{count} ({count / objects:.0%})" if objects else str(count), count)
