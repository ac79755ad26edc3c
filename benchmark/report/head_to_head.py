"""What `action=compare` writes: every sample, the tests, a scatter plot, the widest differences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmark.console import Steps, note
from benchmark.errors import BenchmarkError
from benchmark.report import escape, pictures
from benchmark.report.figures.scatter import scatter
from benchmark.report.results import RunResult
from benchmark.stats import Comparison
from benchmark.store.files import disk_errors, path_of_id, write_whole
from benchmark.store.owned import replaced


def write_comparison(
    a: RunResult,
    b: RunResult,
    pairs: pd.DataFrame,
    found: Comparison,
    sentences: Sequence[str],
    folder: Path,
) -> Path:
    """Write a comparison of two runs; the files of an earlier one in the folder are replaced.

    Args:
        a: a run.
        b: a run comparable with it.
        pairs: their common samples, in the order of the table.
        found: the statistics of the pairs.
        sentences: the statistics in words.
        folder: the folder to write, made if it is not there.

    Returns:
        The folder.

    Raises:
        StoreError: it can't be written, or would replace files that are not of a comparison.
    """
    stems = _stems(pairs[["a", "b"]] * a.metric.sign)
    with (
        replaced(folder, (("", "comparison.md"),)) as place,
        disk_errors(folder),
        Steps("drawing", len(stems) + 1) as steps,
    ):
        write_whole(place / "samples.csv", _csv(pairs.reset_index(names="sample")))
        exclusions = pd.DataFrame(found.exclusions, columns=["sample", "reason"])
        write_whole(place / "exclusions.csv", _csv(exclusions))
        write_whole(place / "comparison.md", _page(a, b, sentences).encode())
        title = f"{a.data}, protocol {a.protocol}"
        scatter(pairs, a.method, b.method, title, place / "scatter", a.metric)
        steps.advance("scatter plot")
        if stems:
            _draw_overlays(a, b, pairs, stems, place / "overlays", steps)
    return folder


def _stems(scores: pd.DataFrame) -> dict[str, str]:
    """The samples of the largest differences either way -> the stem of a file.

    Args:
        scores: a and b, one row per sample; higher is better.
    """
    places: Counter[str] = Counter()
    stems = {}
    for way, sample in pictures.choose(scores, pictures.FOR_COMPARISON):
        places[way] += 1
        stems[sample] = f"{way}_{places[way]:02d}_{sample}"
    return stems


def _csv(frame: pd.DataFrame) -> bytes:
    text = frame.select_dtypes(exclude="number").columns
    safe = frame.assign(
        **{str(name): frame[name].astype(str).map(escape.csv_cell) for name in text}
    )
    return safe.to_csv(index=False, lineterminator="\n").encode()


def _page(a: RunResult, b: RunResult, sentences: Sequence[str]) -> str:
    runs = [f"{name}: {run.path.name}, run id {run.run_id}" for name, run in (("a", a), ("b", b))]
    title = f"{a.data} ({a.split}), protocol {a.protocol}: a = {a.method}, b = {b.method}"
    head, *rest = map(escape.markdown, [title, *runs, *sentences])
    files = (
        "Every sample is in samples.csv, what was left out in exclusions.csv, the scatter plot in "
        "scatter.png and .svg, the widest differences in overlays/."
    )
    return "\n\n".join([f"# {head}", *rest, files]) + "\n"


def _draw_overlays(
    a: RunResult,
    b: RunResult,
    pairs: pd.DataFrame,
    stems: dict[str, str],
    folder: Path,
    steps: Steps,
) -> None:
    """Draw the chosen samples, where the prepared data of either run are still there."""
    try:
        stored = pictures.StoredSamples([a, b])
    except BenchmarkError as error:
        note(f"no overlays: {error}")
        return
    folder.mkdir()
    for sample_id, stem in stems.items():
        row = pairs.loc[sample_id]
        title = f"{a.data}: {sample_id}, {a.metric.title} a - b {row['difference']:+.3f}"
        try:
            sample = stored.read(sample_id)
            predictions = {
                f"{name} = {run.method}, {a.metric.title} {row[name]:.3f}": stored.prediction(
                    sample_id, run
                )
                for name, run in (("a", a), ("b", b))
            }
            path = path_of_id(folder, stem, ".png")
            pictures.overlay_each(sample.image, sample.labels, predictions, title, path)
        except BenchmarkError as error:
            note(f"no overlay of '{sample_id}': {error}")
        steps.advance(f"overlay of {sample_id}")
