"""Every figure that the results allow, and a line about each that they don't."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.console import Steps, note
from benchmark.paper import ablation
from benchmark.report.figures import (
    averages,
    critical_difference,
    head_to_head,
    panels,
    pareto,
    per_data_set,
    thresholds,
)
from benchmark.report.figures.methods import comparable, entries, main, order, without_demo
from benchmark.report.figures.style import NothingToDrawError, Styles, bar_styles, line_styles, save
from benchmark.report.frame import COMPLETE
from benchmark.report.results import RunResult
from benchmark.store.files import disk_errors
from benchmark.store.names import safe_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TOLD_APART = 4  # greys, in bars that lie side by side


def draw_all(
    cells: pd.DataFrame,
    results: Sequence[RunResult],
    folder: Path,
    *,
    demo: bool = False,
    seed: int = 0,
) -> list[Path]:
    """Draw every figure that the results allow; say of the others why they are left out.

    Args:
        cells: what the report is about.
        results: the runs among them, for curves and pictures.
        folder: where the figures go; made if it is not there. PNG, SVG and PDF of each.
        demo: whether runs of demonstration weights are set beside published numbers.
        seed: of the samples drawn at random.

    Returns:
        The paths written.

    Raises:
        StoreError: they can't be written.
    """
    drawings = _drawings(cells, results, demo, seed)
    paths: list[Path] = []
    missing: dict[str, list[str]] = {}
    with disk_errors(folder), Steps("drawing figures", len(drawings)) as steps:
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in drawings.items():
            try:
                paths += save(draw(), folder / name)
            except NothingToDrawError as error:
                missing.setdefault(str(error), []).append(name)
            steps.advance(name)
    for reason, names in missing.items():
        note(f"no figure {', '.join(names)}: {reason}")
    return paths


def _drawings(
    cells: pd.DataFrame, results: Sequence[RunResult], demo: bool, seed: int
) -> dict[str, Callable[[], Figure]]:
    """File name without suffix -> what draws it."""
    frame = entries(cells)
    labels = order(frame)
    styles, lines = bar_styles(labels), line_styles(labels)
    shown, left_out = (frame, "") if demo else without_demo(frame)
    drawings: dict[str, Callable[[], Figure]] = {
        "msa_per_data_set": lambda: per_data_set.draw(
            shown, styles, left_out, numbered=len(labels) > _TOLD_APART
        ),
    }
    several = frame["source"].nunique() > 1
    for source, rows in frame.groupby("source"):
        # What was published and what ran here is never ranked or averaged together.
        end = f"_{source}" if several else ""
        drawings |= {
            f"{name}{end}": draw for name, draw in _comparisons(rows, styles, lines).items()
        }
    runs = frame[frame["source"] == "runs"]
    if len(runs):
        drawings["thresholds"] = lambda: thresholds.draw(results, runs, lines)
    by_id = {result.run_id: result for result in results}
    pictured = runs[runs["run_id"].isin(list(by_id)) & ~runs["control"]]
    for group, rows in pictured.groupby("group", sort=False):
        whole = rows[rows["status"] == COMPLETE]  # few samples are in a partial run
        rows = whole if len(whole) else rows
        rows = rows.sort_values("label", key=lambda names: names.map(labels.index))
        drawn = [by_id[run] for run in rows["run_id"]]
        drawings[f"samples_{safe_name(str(group))}"] = partial(
            panels.draw, drawn, list(rows["label"]), seed
        )
    return drawings


def _comparisons(
    frame: pd.DataFrame, styles: Styles, lines: Styles
) -> dict[str, Callable[[], Figure]]:
    """What compares the methods of one source."""
    rows, left_out = comparable(main(frame))
    variants, _ = comparable(frame)
    drawings: dict[str, Callable[[], Figure]] = {
        "averages": lambda: averages.draw(rows, left_out, styles),
        "ablation": lambda: ablation.draw(variants),
        "wins": lambda: head_to_head.draw(rows, left_out),
        "critical_difference": lambda: critical_difference.draw(rows, left_out),
    }
    if frame["seconds"].notna().any():
        drawings["accuracy_and_time"] = lambda: pareto.draw(rows, left_out, lines)
    return drawings
