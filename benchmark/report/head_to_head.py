"""What `action=compare` leaves: every sample, the test, a scatter plot, the widest differences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmark.console import Steps, note
from benchmark.data.prepared import PreparedData
from benchmark.errors import BenchmarkError
from benchmark.report import escape
from benchmark.report.figures.scatter import scatter
from benchmark.report.pictures import overlay_each, prepared_of
from benchmark.report.results import RunResult
from benchmark.stats import Comparison
from benchmark.store.files import disk_errors, path_of_id, write_whole
from benchmark.store.owned import replaced
from benchmark.store.store import RunStore

EACH_WAY = 10
"""Overlays of so many samples on which a is better, and of so many on which b is."""


def write_comparison(
    a: RunResult,
    b: RunResult,
    pairs: pd.DataFrame,
    found: Comparison,
    told: Sequence[str],
    folder: Path,
) -> Path:
    """Write it all; the files of an earlier comparison of the two there are replaced.

    Args:
        a: a run.
        b: a run comparable with it.
        pairs: their common samples, sorted as the table shall be.
        found: what they say.
        told: that, in sentences.
        folder: where to.

    Returns:
        The folder.

    Raises:
        StoreError: it can't be written, or would replace files that are not of a comparison.
    """
    widest = _widest(pairs)
    with (
        replaced(folder, (("", "comparison.md"),)) as place,
        disk_errors(folder),
        Steps("drawing", len(widest) + 1) as steps,
    ):
        write_whole(place / "samples.csv", _csv(pairs.reset_index(names="sample")))
        exclusions = pd.DataFrame(found.exclusions, columns=["sample", "reason"])
        write_whole(place / "exclusions.csv", _csv(exclusions))
        write_whole(place / "comparison.md", _page(a, b, told).encode())
        title = f"{a.data}, protocol {a.protocol}"
        scatter(pairs, a.method, b.method, title, place / "scatter", a.metric)
        steps.advance("scatter plot")
        data = _prepared(a, b)
        if data is not None and widest:
            _draw_overlays(a, b, pairs.loc[list(widest)], widest, data, place, steps)
    return folder


def _widest(pairs: pd.DataFrame) -> dict[str, str]:
    """The samples of the largest differences either way, in order -> the stem of a file."""
    ordered = pairs.sort_values("difference", kind="stable")["difference"]
    ways = {"b": ordered[ordered < 0].index, "a": ordered[ordered > 0].index[::-1]}
    return {
        str(sample): f"{way}_better_{place:02d}_{sample}"
        for way, samples in ways.items()
        for place, sample in enumerate(samples[:EACH_WAY], start=1)
    }


def _csv(frame: pd.DataFrame) -> bytes:
    text = frame.select_dtypes(exclude="number").columns
    safe = frame.assign(
        **{str(name): frame[name].astype(str).map(escape.csv_cell) for name in text}
    )
    return safe.to_csv(index=False, lineterminator="\n").encode()


def _page(a: RunResult, b: RunResult, told: Sequence[str]) -> str:
    runs = [f"{name}: {run.path.name}, run id {run.run_id}" for name, run in (("a", a), ("b", b))]
    title = f"{a.data} ({a.split}), protocol {a.protocol}: a = {a.method}, b = {b.method}"
    head, *rest = map(escape.markdown, [title, *runs, *told])
    files = (
        "Every sample is in samples.csv, what was left out in exclusions.csv, the scatter plot in "
        "scatter.png and .svg, the widest differences in overlays/."
    )
    return "\n\n".join([f"# {head}", *rest, files]) + "\n"


def _prepared(a: RunResult, b: RunResult) -> PreparedData | None:
    """The data set's images, where either run's are still there."""
    for run in (a, b):
        try:
            return prepared_of(run)
        except BenchmarkError as error:
            reason = error
    note(f"no overlays: {reason}")
    return None


def _draw_overlays(
    a: RunResult,
    b: RunResult,
    pairs: pd.DataFrame,
    names: dict[str, str],
    data: PreparedData,
    folder: Path,
    steps: Steps,
) -> None:
    entries = {entry.id: entry for entry in data.entries}
    stores = {f"a = {a.method}": RunStore(a.path), f"b = {b.method}": RunStore(b.path)}
    records = {name: store.records() for name, store in stores.items()}
    (folder / "overlays").mkdir()
    for sample_id, row in pairs.iterrows():
        name = str(sample_id)
        title = f"{a.data}: {name}, {a.metric.title} a - b {row['difference']:+.3f}"
        try:
            sample = data.read(entries[name])
            predictions = {
                f"{called}, {a.metric.title} {row[called[0]]:.3f}": store.prediction(
                    records[called][name]
                )
                for called, store in stores.items()
            }
            path = path_of_id(folder / "overlays", names[name], ".png")
            overlay_each(sample.image, sample.labels, predictions, title, path)
        except (BenchmarkError, KeyError) as error:
            note(f"no overlay of '{name}': {error}")
        steps.advance(f"overlay of {name}")
