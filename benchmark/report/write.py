"""Reports on the console and in folders: of one run, and of all that there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pandas as pd
from rich.text import Text

from benchmark.console import Steps, note, out
from benchmark.errors import BenchmarkError
from benchmark.report import figures, pictures
from benchmark.report.agreement import agreements
from benchmark.report.assemble import SUMMARY, Report
from benchmark.report.eligible import by_protocol
from benchmark.report.results import RunResult, metric_of
from benchmark.report.tables import formats, run_summary
from benchmark.report.tables.agreement import predicted_objects
from benchmark.report.tables.table import Table
from benchmark.report.verdict import on_console
from benchmark.scoring.metrics import Metric
from benchmark.settings import Settings
from benchmark.store.files import disk_errors, path_of_id, write_whole
from benchmark.store.lease import Lease
from benchmark.store.names import safe_name
from benchmark.store.owned import replaced

TABLES: dict[str, Callable[[pd.DataFrame, Metric], str]] = {
    "table.csv": run_summary.csv,
    "table.md": run_summary.markdown,
    "table.tex": run_summary.latex,
}
_STUDY = (("site/", "site/assets/site.css"), ("", "tables/*.tex"))
_RUN = (("", "table.tex"),)


def show(results: Sequence[RunResult]) -> None:
    """Print the table; where images have no labels, also what was predicted on them."""
    out.print(run_summary.console(run_summary.summary(results), metric_of(results)))
    compared = agreements(results)
    if compared:
        out.print()
        out.print(formats.console(predicted_objects(compared)))


def show_report(report: Report) -> None:
    """Print the main tables, and which method is best."""
    for table in report.main:
        out.print(formats.console(table))
        out.print()
    lines = on_console(report.verdicts)
    if lines:
        out.print(Text("Which method is best", "bold"))
        for line in lines:
            out.print(Text(line))
        out.print()


def exact_tables(report: Report) -> list[Table]:
    """All tables, for programs: the summary of runs with every column, as in its CSV."""
    exact = run_summary.exact(run_summary.summary(report.results), report.options.metric)
    return [
        replace(exact, notes=table.notes) if table.name == SUMMARY else table
        for table in report.tables
    ]


def writing_reports(settings: Settings) -> AbstractContextManager[None]:
    """Wait until no other process writes into the folder of reports, and keep others waiting."""
    lease = Lease(Path(settings.results) / ".lease-reports", settings.lease.timeout)
    return lease.held(lambda holder: note(f"waiting for {holder}, which writes a report"))


def write_study(report: Report, folder: Path, *, html: bool, private: bool | None) -> Path:
    """Write every table and figure of a report; the files of an earlier one there are replaced.

    Args:
        report: what `compose` made.
        folder: gets `table.*` (the summary of runs), `tables/`, `figures/` (of several protocols
            a folder in it for each), and `site/`.
        html: with the site.
        private: which images the site shows; see `benchmark.report.site.write_site`.

    Returns:
        The folder.

    Raises:
        StoreError: it can't be written, or would replace files that are not of a report.
    """
    with replaced(folder, _STUDY) as place:
        with disk_errors(folder):
            (place / "tables").mkdir()
        if report.results:
            _write_summary(report.results, place)
        with disk_errors(folder), Steps("writing tables", len(report.tables)) as steps:
            for table in report.tables:
                for suffix, written in formats.FORMATS.items():
                    path = path_of_id(place / "tables", table.name, f".{suffix}")
                    if table.name != SUMMARY:
                        path.write_text(written(table), encoding="utf-8")
                steps.advance(table.name)
        drawn: list[Path] = []
        every = by_protocol(report.cells)
        for number, (protocol, cells) in enumerate(every.items()):
            several = len(every) > 1
            drawn += figures.draw_all(
                cells,
                [result for result in report.results if result.key in set(cells["result"])],
                place / "figures" / safe_name(protocol) if several else place / "figures",
                metric=report.options.metric,
                further=report.options.figures,
                demo=report.with_demo,
                agreements=() if number else report.agreements,  # under no protocol: once
                verdicts=[v for v in report.verdicts if not several or v.protocol == protocol],
            )
        if html:
            from benchmark.report.site import build_site

            build_site(
                report.cells,
                report.results,
                place / "site",
                private=private,
                study=report.study,
                agreements=report.agreements,
                verdicts=report.verdicts,
                tables=report.tables,
                figures=_without_pictures(drawn, place / "figures"),
                final=folder / "site",
            )
    return folder


def _without_pictures(drawn: Sequence[Path], folder: Path) -> dict[str, Path]:
    """The figures that a site shows: all but those of samples, which are in its galleries."""
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in drawn
        if path.suffix == ".svg" and not path.name.startswith(figures.SAMPLES)
    }


def write_report(results: Sequence[RunResult], folder: Path) -> Path:
    """Write tables, figure and overlays; the files of an earlier report there are replaced.

    Returns:
        The folder.

    Raises:
        StoreError: it can't be written, or would replace files that are not of a report.
    """
    with (
        replaced(folder, _RUN) as place,
        disk_errors(folder),
        Steps("drawing", len(results) + 1) as steps,
    ):
        metric = metric_of(results)
        figures.bars(_write_summary(results, place), place / metric.name, metric)
        steps.advance("figure")
        for result in results:
            _draw_overlays(result, place / "overlays")
            steps.advance(f"overlays of {result.method} on {result.data}")
    return folder


def _write_summary(results: Sequence[RunResult], folder: Path) -> pd.DataFrame:
    """The summary's files; its frame."""
    frame, metric = run_summary.summary(results), metric_of(results)
    for name, written in TABLES.items():
        write_whole(folder / name, written(frame, metric).encode())
    return frame


def _draw_overlays(result: RunResult, folder: Path) -> None:
    """Pictures of the run's worst and best samples, where the prepared data is still there.

    Where nothing is scored, of a few samples drawn at random.
    """
    try:
        stored = pictures.StoredSamples([result])
    except BenchmarkError as error:
        note(f"no overlays of {result.path.name}: {error}")
        return
    folder.mkdir(parents=True, exist_ok=True)
    scored = pictures.choose(pictures.scores_of([result]), pictures.FOR_RUN)
    for kind, sample_id in scored or pictures.some_predicted(stored.predicted(result)):
        try:
            sample = stored.read(sample_id)
            predicted = stored.prediction(sample_id, result)
        except BenchmarkError as error:
            note(f"no overlay of '{sample_id}': {error}")
            continue
        title = f"{result.method} on {result.data}: {sample_id}, {_outcome(result, sample_id)}"
        path = path_of_id(folder, f"{safe_name(result.path.name)}_{kind}_{sample_id}", ".png")
        pictures.overlay(sample.image, sample.labels, predicted, title, path)


def _outcome(result: RunResult, sample: str) -> str:
    if sample not in result.scores.index:
        return "no labels"
    row = result.scores.loc[sample]
    return (
        f"{result.metric.title} {row[result.metric.name]:.3f}, {row['n_true']:.0f} true, "
        f"{row['n_predicted']:.0f} predicted objects"
    )
