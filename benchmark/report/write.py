"""The whole report of some runs: tables on the console and in a folder, figure, overlays."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from benchmark.console import Steps, note, out
from benchmark.data.prepared import PreparedData
from benchmark.errors import BenchmarkError
from benchmark.files import disk_errors, write_whole
from benchmark.report import figures, overlays, tables
from benchmark.report.results import RunResult
from benchmark.store import RunStore

TABLES: dict[str, Callable[[pd.DataFrame], str]] = {
    "table.csv": tables.csv,
    "table.md": tables.markdown,
    "table.tex": tables.latex,
}
_EACH = 2  # overlays of the worst and of the best samples, per run


def show(results: Sequence[RunResult]) -> None:
    """Print the table."""
    out.print(tables.console(tables.summary(results)))


def write_report(results: Sequence[RunResult], folder: Path) -> Path:
    """Write tables, figure and overlays; what an earlier report left there is replaced.

    Returns:
        The folder.

    Raises:
        StoreError: it can't be written.
    """
    frame = tables.summary(results)
    with disk_errors(folder), Steps("drawing", len(results) + 1) as steps:
        folder.mkdir(parents=True, exist_ok=True)
        for name, render in TABLES.items():
            write_whole(folder / name, render(frame).encode())
        figures.bars(frame, folder / "msa")
        steps.advance("figure")
        shutil.rmtree(folder / "overlays", ignore_errors=True)
        for result in results:
            _draw_overlays(result, folder / "overlays")
            steps.advance(f"overlays of {result.model} on {result.data}")
    return folder


def _draw_overlays(result: RunResult, folder: Path) -> None:
    """Pictures of the run's worst and best samples, where the prepared data is still there."""
    store = RunStore(result.path)
    described = store.describe() or {}
    try:
        data = PreparedData(Path(described["prepared"]), result.data, result.split)
    except BenchmarkError as error:
        note(f"no overlays of {result.path.name}: {error}")
        return
    entries = {entry.id: entry for entry in data.entries}
    records = store.records()
    folder.mkdir(parents=True, exist_ok=True)
    for kind, sample_id in overlays.pick(result, _EACH):
        try:
            sample = data.read(entries[sample_id])
            predicted = store.prediction(records[sample_id])
        except (BenchmarkError, KeyError) as error:
            note(f"no overlay of '{sample_id}': {error}")
            continue
        row = result.scores.loc[sample_id]
        title = (
            f"{result.model} on {result.data}: {sample_id}, mSA {row['msa']:.3f}, "
            f"{row['n_true']:.0f} true, {row['n_predicted']:.0f} predicted objects"
        )
        path = folder / f"{result.path.name}_{kind}_{sample_id}.png"
        overlays.overlay(sample.image, sample.labels, predicted, title, path)
