"""Every figure that the results allow, and a line about each that they don't."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.console import Steps, note
from benchmark.report.agreement import Agreement, stems_of
from benchmark.report.figures import (
    agreement,
    averages,
    critical_difference,
    differences,
    head_to_head,
    panels,
    pareto,
    per_data_set,
    promised,
    stages,
    thresholds,
)
from benchmark.report.figures.methods import comparable, entries, main, order, without_demo
from benchmark.report.figures.style import NothingToDrawError, Styles, bar_styles, line_styles, save
from benchmark.report.frame import COMPLETE
from benchmark.report.results import RunResult
from benchmark.report.tables.stages import accounts
from benchmark.report.tuned import gains
from benchmark.report.verdict import Verdict
from benchmark.scoring.metrics import MSA, Metric
from benchmark.store.files import disk_errors
from benchmark.store.names import safe_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES = "samples_"
"""What names of figures with pictures of samples begin with."""

_TOLD_APART = 4  # greys, in bars that lie side by side


@dataclass(frozen=True)
class FigureInput:
    """What a figure is drawn from.

    Attributes:
        frame: the rows, with `label` and `group` (see `benchmark.report.figures.methods`).
        results: the runs among them.
        styles: label -> how its bars look.
        lines: label -> how its lines look.
        metric: whose scores they are.
        demo: whether runs of demonstration weights are set beside published numbers.
        verdicts: which method is best on each data set of the runs.
    """

    frame: pd.DataFrame
    results: Sequence[RunResult]
    styles: Styles
    lines: Styles
    metric: Metric = MSA
    demo: bool = False
    verdicts: Sequence[Verdict] = ()

    @property
    def runs(self) -> pd.DataFrame:
        """The rows that are runs on this machine."""
        return self.frame[self.frame["source"] == "runs"]

    @property
    def methods(self) -> tuple[pd.DataFrame, str]:
        """The rows that may be compared, without variants, and a sentence about the others."""
        return comparable(main(self.frame))


def draw_all(
    cells: pd.DataFrame,
    results: Sequence[RunResult],
    folder: Path,
    *,
    metric: Metric = MSA,
    further: Mapping[str, Callable[[FigureInput], Figure | None]] = MappingProxyType({}),
    demo: bool = False,
    agreements: Sequence[Agreement] = (),
    verdicts: Sequence[Verdict] = (),
) -> list[Path]:
    """Draw every figure that the results allow; say of the others why they are left out.

    Args:
        cells: what the report is about.
        results: the runs among them, for curves and pictures.
        folder: where the figures go; made if it is not there. PNG, SVG and PDF of each.
        metric: whose scores they are.
        further: more figures over data sets, as in `FIGURES_OVER_DATA_SETS`.
        demo: whether runs of demonstration weights are set beside published numbers.
        agreements: of the data sets that have images without labels; a figure of each.
        verdicts: which method is best on each data set of the runs.

    Returns:
        The paths written.

    Raises:
        StoreError: they can't be written.
    """
    drawings = _drawings(cells, results, metric, further, demo, verdicts)
    drawings |= {
        f"agreement_{stem}": partial(agreement.draw, one)
        for one, stem in zip(agreements, stems_of(agreements), strict=True)
    }
    paths: list[Path] = []
    missing: dict[str, list[str]] = {}
    with disk_errors(folder), Steps("drawing figures", len(drawings)) as steps:
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in drawings.items():
            try:
                figure = draw()
                paths += [] if figure is None else save(figure, folder / name)
            except NothingToDrawError as error:
                missing.setdefault(str(error), []).append(name)
            steps.advance(name)
    for reason, names in missing.items():
        note(f"no figure {', '.join(names)}: {reason}")
    return paths


def _drawings(
    cells: pd.DataFrame,
    results: Sequence[RunResult],
    metric: Metric,
    further: Mapping[str, Callable[[FigureInput], Figure | None]],
    demo: bool,
    verdicts: Sequence[Verdict],
) -> dict[str, Callable[[], Figure | None]]:
    """File name without suffix -> what draws it."""
    frame = entries(cells)
    labels = order(frame, metric)
    styles = bar_styles(labels), line_styles(labels)
    every = FigureInput(frame, results, *styles, metric, demo, verdicts)
    drawings = _bound(FIGURES, every)
    several = frame["source"].nunique() > 1
    for source, rows in frame.groupby("source"):
        # What was published and what ran here is never ranked or averaged together.
        end = f"_{source}" if several else ""
        of_source = {**FIGURES_OF_SOURCE}
        if rows["data"].nunique() > 1:
            of_source |= {**FIGURES_OVER_DATA_SETS, **further}
        drawings |= _bound(of_source, replace(every, frame=rows), end)
    runs = every.runs
    by_key = {result.key: result for result in results}
    pictured = runs[runs["result"].isin(list(by_key)) & ~runs["control"]]
    for group, rows in pictured.groupby("group", sort=False):
        whole = rows[rows["status"] == COMPLETE]  # few samples are in a partial run
        rows = whole if len(whole) else rows
        rows = rows.sort_values("label", key=lambda names: names.map(labels.index))
        drawn = [by_key[key] for key in rows["result"]]
        drawings[f"{SAMPLES}{safe_name(str(group))}"] = partial(
            panels.draw, drawn, list(rows["label"])
        )
    return drawings


def _bound(
    registry: Mapping[str, Callable[[FigureInput], Figure | None]],
    given: FigureInput,
    end: str = "",
) -> dict[str, Callable[[], Figure | None]]:
    return {
        f"{name.format(metric=given.metric.name)}{end}": partial(draw, given)
        for name, draw in registry.items()
    }


def _per_data_set(given: FigureInput) -> Figure:
    rows, left_out = (given.frame, "") if given.demo else without_demo(given.frame)
    numbered = len(given.styles) > _TOLD_APART
    return per_data_set.draw(rows, given.styles, left_out, numbered=numbered, metric=given.metric)


def _thresholds(given: FigureInput) -> Figure | None:
    runs = given.runs
    return thresholds.draw(given.results, runs, given.lines) if len(runs) else None


def _promised(given: FigureInput) -> Figure | None:
    """Of runs that were tuned by the metric, and whose default has a run."""
    rows = given.runs.to_dict("records")
    named = {row["result"]: f"{row['label']}\n{row['group']}" for row in rows}
    found = [
        promised.Gain(
            named[gain.result.key],
            gain.selection["promised"],
            gain.selection["lower"],
            gain.delivered,
            *gain.ends,
        )
        for gain in gains(given.results)
        if gain.is_comparable and gain.result.key in named
    ]
    return promised.draw(found, given.metric.title) if found else None


def _accuracy_and_time(given: FigureInput) -> Figure | None:
    timed = given.frame["seconds"].notna().any()
    return pareto.draw(*given.methods, given.lines, given.metric) if timed else None


def _stages(given: FigureInput) -> Figure | None:
    found = accounts(given.results)
    if found.empty:
        return None
    # Rows of skipped methods have no result; there may be several.
    rows = given.runs[given.runs["result"].isin(found.index)]
    rows = rows.drop_duplicates("result").set_index("result").loc[found.index]
    return stages.draw(found, list(rows["label"]), list(rows["group"]))


FIGURES: dict[str, Callable[[FigureInput], Figure | None]] = {
    "{metric}_per_data_set": _per_data_set,
    "differences": lambda given: differences.draw(given.verdicts) if given.verdicts else None,
    "thresholds": _thresholds,
    "stages": _stages,
    "promised_and_delivered": _promised,
}
"""The registry of figures of a whole report: file name -> what draws it; None leaves it out.

`{metric}` in a file name is the name of the metric.
"""

FIGURES_OF_SOURCE: dict[str, Callable[[FigureInput], Figure | None]] = {
    "accuracy_and_time": _accuracy_and_time,
}
"""The registry of figures that compare methods: drawn for each source of numbers by itself."""

FIGURES_OVER_DATA_SETS: dict[str, Callable[[FigureInput], Figure | None]] = {
    "averages": lambda given: averages.draw(*given.methods, given.styles, given.metric),
    "wins": lambda given: head_to_head.draw(*given.methods, given.metric),
    "critical_difference": lambda given: critical_difference.draw(*given.methods, given.metric),
}
"""The registry of those that are over several data sets: of one alone they would repeat it."""
