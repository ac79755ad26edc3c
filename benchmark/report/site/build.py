"""The site: a leaderboard, a page per data set, a page per run, and their scripts and images."""

from __future__ import annotations

import importlib.resources
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import pandas as pd

from benchmark.choices import CHECKOUT
from benchmark.console import Steps
from benchmark.report import escape
from benchmark.report.agreement import Agreement
from benchmark.report.eligible import told_apart
from benchmark.report.figures.differences import draw as draw_differences
from benchmark.report.figures.style import save
from benchmark.report.frame import MODALITIES
from benchmark.report.results import RunResult, metric_of
from benchmark.report.site.data import (
    data_card,
    distributions,
    plain,
    rows,
    run_facts,
    script,
    shown_names,
    site_table,
    spread,
    without_folders,
)
from benchmark.report.site.gallery import (
    THUMBS,
    Gallery,
    are_shown,
    build_gallery,
    may_be_passed_on,
)
from benchmark.report.tables.agreement import agreement_tables
from benchmark.report.tables.formats import FORMATS
from benchmark.report.tables.table import Table
from benchmark.report.verdict import Verdict
from benchmark.scoring.metrics import GLOSSARY, Metric
from benchmark.store.files import disk_errors, path_of_id, write_synced
from benchmark.store.names import safe_name, safe_names
from benchmark.store.owned import replaced

_SITE = (("", "assets/site.css"),)
_PLOTTING = "plotly.min.js"
_PER_RUN = ("runs_errors", "runs_recall_by_size")
"""Tables of a row per run, whose rows are shown on the page of their data set too."""


def write_site(
    frame: pd.DataFrame,
    results: Sequence[RunResult],
    folder: Path,
    *,
    private: bool | None,
    study: Any = None,
    agreements: Sequence[Agreement] = (),
    verdicts: Sequence[Verdict] = (),
    tables: Sequence[Table] = (),
    figures: Mapping[str, Path] = MappingProxyType({}),
) -> Path:
    """Write the report as web pages; an earlier one in that folder is replaced when all is done.

    Args:
        frame: every number to be shown; see `benchmark.report.frame`.
        results: the runs among them, with their scores per image.
        folder: where `index.html` will be.
        private: which images are shown: True: all; False: those that may be passed on; None: these
            and one's own. A site with images that may not be passed on is stamped on every page.
            True and None link to the runs' files, if these are where reports and runs are.
        study: the card of the published numbers among the rows; with it they have a page.
        agreements: of the data sets that have images without labels.
        verdicts: which method is best on each data set of the runs.
        tables: of the report; copied into the site.
        figures: name -> SVG file of each figure of the report; copied likewise.

    Returns:
        The path of `index.html`.

    Raises:
        StoreError: it can't be written, or would replace files that are not of a site.
    """
    with replaced(folder, _SITE) as place:
        build_site(
            frame,
            results,
            place,
            private=private,
            study=study,
            agreements=agreements,
            verdicts=verdicts,
            tables=tables,
            figures=figures,
            final=folder,
        )
    return folder / "index.html"


def build_site(
    frame: pd.DataFrame,
    results: Sequence[RunResult],
    folder: Path,
    *,
    private: bool | None,
    study: Any = None,
    agreements: Sequence[Agreement] = (),
    verdicts: Sequence[Verdict] = (),
    tables: Sequence[Table] = (),
    figures: Mapping[str, Path] = MappingProxyType({}),
    final: Path,
) -> None:
    """Write the web pages, as `write_site`, into a folder that is empty or not there.

    `final` is where that folder will lie in the end, from which links to the runs' files start.
    """
    names = sorted(set(frame["data"]) | {escape.plain(result.data) for result in results})
    by_data: dict[str, list[RunResult]] = defaultdict(list)
    for result in _best_first(results):
        by_data[escape.plain(result.data)].append(result)
    pictures = sum(
        max(len(result.scores) + result.unscored for result in found) for found in by_data.values()
    )
    with disk_errors(folder), Steps("building the site", len(names) + pictures) as steps:
        folder.mkdir(exist_ok=True)
        metric = metric_of(results)
        site = _Site(folder, frame, results, by_data, names, private, metric, final)
        site.write_assets()
        site.copy_report(tables, figures)
        for name in names:
            compared = [one for one in agreements if escape.plain(one.data) == name]
            answers = [verdict for verdict in verdicts if verdict.data == name]
            site.write_data(name, by_data[name], compared, answers, steps)
            steps.advance(name)
        site.write_runs(results)
        site.write_index(verdicts)
        if study is not None:
            site.write_published(study)


class _Site:
    """Writes the pages of a site into a folder."""

    def __init__(
        self,
        folder: Path,
        frame: pd.DataFrame,
        results: Sequence[RunResult],
        by_data: Mapping[str, Sequence[RunResult]],
        names: Sequence[str],
        private: bool | None,
        metric: Metric,
        final: Path,
    ) -> None:
        from jinja2 import Environment, PackageLoader, StrictUndefined

        self._folder = folder
        self._results = results
        self._stems = safe_names(names)
        pages = {result.key: f"{result.path.name}\0{result.key}" for result in results}
        folders = Counter(result.path.name for result in results)
        pages |= {r.key: r.path.name for r in results if folders[r.path.name] == 1}
        safe = safe_names(pages.values())
        self._run_pages = {key: f"runs/{safe[name]}.html" for key, name in pages.items()}
        self._rows = without_folders(rows(frame, self._run_pages, metric))
        self._labels = self._label_of_data(names)
        self._environment = Environment(
            loader=PackageLoader("benchmark.report.site"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        kept = {name: may_be_passed_on(found) for name, found in by_data.items()}
        self._left_out = [name for name, may in kept.items() if not may and private is False]
        stamped = private or any(
            are_shown(found, private) and not kept[name] for name, found in by_data.items()
        )
        self._environment.globals.update(stamped=stamped, modalities=MODALITIES, metric=metric)
        self._private = private
        self._final = final
        of_runs = frame[frame["result"].isin([result.key for result in results])]
        called = told_apart(of_runs, of_runs["data_label"])
        self._called = {name: set(called[of_runs["data"] == name]) for name in names}
        self._per_run: list[Table] = []

    def _label_of_data(self, names: Sequence[str]) -> dict[str, str]:
        return {name: name for name in names} | {
            row["data"]: row["data_label"] or row["data"] for row in self._rows
        }

    def _write(self, at: str, template: str, /, **values: Any) -> None:
        path = self._folder / at
        path.parent.mkdir(parents=True, exist_ok=True)
        root = "../" * at.count("/")
        page = self._environment.get_template(template).render(root=root, **values)
        write_synced(path, page.encode())

    def write_assets(self) -> None:
        """Write style sheet and scripts, including the plotting library's."""
        assets = self._folder / "assets"
        assets.mkdir()
        ours = importlib.resources.files("benchmark.report.site") / "static"
        for file in ours.iterdir():
            (assets / file.name).write_bytes(file.read_bytes())
        (assets / "metrics.txt").write_bytes((CHECKOUT / GLOSSARY).read_bytes())
        if self._results:
            library = importlib.resources.files("plotly") / "package_data" / _PLOTTING
            (assets / _PLOTTING).write_bytes(library.read_bytes())

    def copy_report(self, tables: Sequence[Table], figures: Mapping[str, Path]) -> None:
        """Copy the report's tables and figures, and write the page that shows them."""
        self._per_run = [table for table in tables if table.name in _PER_RUN]
        self._environment.globals.update(has_report=bool(tables or figures))
        if not tables and not figures:
            return
        place = self._folder / "report"
        place.mkdir()
        for table in tables:
            for suffix, written in FORMATS.items():
                path = path_of_id(place, table.name, f".{suffix}")
                write_synced(path, written(table).encode())
        shown = {}
        for name, path in figures.items():
            copy = place / f"figure_{safe_name(name)}.svg"
            shutil.copyfile(path, copy)
            shown[name] = copy.name
        self._write(
            "report.html", "report.html.j2",
            tables=[{**site_table(table), "name": table.name} for table in tables],
            figures=shown, suffixes=list(FORMATS),
        )  # fmt: skip

    def _of_data(self, table: Table, name: str) -> Table | None:
        """The rows of a table per run that are of one data set, without that column."""
        at = [column.header for column in table.columns].index("data")
        rows = [row for row in table.rows if row[at].text in self._called[name]]
        if not rows:
            return None
        several = len({row[at].text for row in rows}) > 1  # splits, protocols: they stay
        kept = [place for place in range(len(table.columns)) if place != at or several]
        return replace(
            table,
            columns=[table.columns[place] for place in kept],
            rows=[[row[place] for place in kept] for row in rows],
        )

    def _files_of(self, result: RunResult) -> str:
        """Where a run's folder is, from a page in a folder of the site; empty where not to link.

        A site that is passed on leads to no file outside it, and none leads out of the results.
        """
        if self._private is False or result.path.parent.parent not in self._final.parents:
            return ""
        if not result.path.is_dir():
            return ""
        above = Path(os.path.relpath(result.path, self._final / "pages"))
        return "/".join(map(quote, above.parts)) + "/"

    def write_data(
        self,
        name: str,
        results: Sequence[RunResult],
        compared: Sequence[Agreement],
        answers: Sequence[Verdict],
        steps: Steps,
    ) -> None:
        """Write the page of a data set, its scores per image and its pictures."""
        stem = self._stems[name]
        gallery = Gallery()
        if results:
            images = self._folder / "images" / stem
            first = [sample for one in compared for sample, _ in one.to_label_first()]
            gallery = build_gallery(
                results, images, private=self._private, steps=steps, label_first=first
            )
        shown = [picture["id"] for picture in gallery.pictures]
        value = {
            "folder": f"../images/{stem}/",
            "thumbs": f"../images/{stem}/{THUMBS}/",
            "pictures": gallery.pictures,
            "methods": gallery.methods,
            "files": [self._files_of(result) for result in gallery.runs],
            "pages": [f"../{self._run_pages[result.key]}" for result in gallery.runs],
            **(distributions(results, shown) if results else {"ids": [], "shown": [], "runs": []}),
        }
        (self._folder / "data").mkdir(exist_ok=True)
        write_synced(self._folder / "data" / f"{stem}.js", script("report.data", value))
        own = [row for row in self._rows if row["data"] == name]
        self._write(
            f"data/{stem}.html",
            "data.html.j2",
            name=name,
            label=self._labels[name],
            stem=stem,
            rows=own,
            spreads=[
                {"name": escape.plain(called), "page": self._run_pages[r.key], **spread_of}
                for called, r in zip(shown_names(results), results, strict=True)
                if (spread_of := spread(r)) is not None
            ],
            card=without_folders(data_card(results)),
            gallery=without_folders(
                plain({"notes": gallery.notes, "methods": gallery.methods})
                | {
                    "count": len(gallery.pictures),
                    "labelled": any(p["objects"] is not None for p in gallery.pictures),
                }
            ),
            errors=[
                site_table(found)
                for table in self._per_run
                if (found := self._of_data(table, name)) is not None
            ],
            answers=self._draw_answers(stem, answers),
            agreement=[site_table(table) for table in agreement_tables(compared)],
            around=self._around(name),
        )

    def _draw_answers(self, stem: str, answers: Sequence[Verdict]) -> list[dict[str, Any]]:
        """Draw the differences of each verdict on a data set; what its page says of them."""
        shown = []
        for number, verdict in enumerate(answers):
            place = self._folder / "figures" / stem
            place.mkdir(parents=True, exist_ok=True)
            [path] = save(draw_differences([verdict]), place / str(number), ["svg"])
            shown.append(
                {
                    "title": verdict.title,
                    "protocol": verdict.protocol,
                    "headline": verdict.headline,
                    "sentences": verdict.sentences[1:],
                    "figure": path.relative_to(self._folder).as_posix(),
                }
            )
        return shown

    def _around(self, name: str) -> list[dict[str, str] | None]:
        """Find the data sets before and after, in the leaderboard's order."""
        order = list(dict.fromkeys(row["data"] for row in self._rows))
        if name not in order:
            return [None, None]
        at = order.index(name)
        near = [order[at - 1] if at else None, order[at + 1] if at + 1 < len(order) else None]
        return [
            {"page": f"data/{self._stems[n]}.html", "label": self._labels[n]} if n else None
            for n in near
        ]

    def write_runs(self, results: Sequence[RunResult]) -> None:
        """Write a page for each run, with all that its numbers depend on."""
        row_of = {row["result"]: row for row in self._rows if row["source"] == "runs"}
        for result in results:
            data = escape.plain(result.data)
            self._write(
                self._run_pages[result.key],
                "run.html.j2",
                run=without_folders(run_facts(result)),
                files=self._files_of(result),
                row=row_of.get(result.key),
                data_page=f"data/{self._stems[data]}.html",
            )

    def _counted(self) -> dict[str, int]:
        """Count the methods and data sets that have a score; controls are not counted."""
        scored = [row for row in self._rows if row["score"] is not None and not row["control"]]
        return {
            "methods": len({row["method"] for row in scored}),
            "data": len({row["data"] for row in scored}),
        }

    def write_index(self, verdicts: Sequence[Verdict]) -> None:
        """Write the leaderboard."""
        pages = {name: f"data/{stem}.html" for name, stem in self._stems.items()}
        options = {
            key: list(dict.fromkeys(row[key] for row in self._rows))
            for key in ("source", "modality", "protocol", "in_domain")
        }
        self._write(
            "index.html", "index.html.j2", rows=self._rows, pages=pages, options=options,
            lost=sorted({(r["data_label"], r["lost"]) for r in self._rows if r["lost"]}),
            skipped=[row for row in self._rows if row["reason"]], counted=self._counted(),
            answers=[(pages[v.data], v) for v in verdicts],
            protocols=len({v.protocol for v in verdicts}),
            left_out=[(pages[name], self._labels[name]) for name in self._left_out],
        )  # fmt: skip

    def write_published(self, study: Any) -> None:
        """Write the page about the published numbers."""
        self._write("published.html", "published.html.j2", study=study)


def _best_first(results: Sequence[RunResult]) -> list[RunResult]:
    means: Mapping[str, float] = {r.key: r.metric.sign * float(r.values.mean()) for r in results}
    return sorted(results, key=lambda r: (r.control, -means[r.key], r.method, r.key))
