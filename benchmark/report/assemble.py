"""What a report says, before it is shown or written: its cells, its tables, its notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from benchmark.paper.agreement_tables import agreement_tables
from benchmark.paper.card import study_card
from benchmark.paper.published import published_frame
from benchmark.report.eligible import select_eligible
from benchmark.report.frame import check_frame, frame_of_runs
from benchmark.report.results import RunResult
from benchmark.report.tables import run_summary
from benchmark.report.tables.comparisons import comparison_tables
from benchmark.report.tables.over_data_sets import study_tables
from benchmark.report.tables.per_run import run_tables
from benchmark.report.tables.table import Table
from benchmark.store.skipped import SkippedModel

SUMMARY = "table"
_MAIN = ("means", "ranks", "ranks_tieless", "duels", "agreement", "beside")
"""Tables that are shown on the console, besides the summary: those whose name ends so."""


@dataclass(frozen=True)
class Report:
    """A report.

    Attributes:
        cells: every number in it.
        results: the runs among them.
        tables: in the order in which a reader wants them.
        with_demo: whether demonstration weights are set beside published numbers.
    """

    cells: pd.DataFrame
    results: Sequence[RunResult]
    tables: Sequence[Table]
    with_demo: bool = False

    @property
    def main(self) -> list[Table]:
        """The tables that are shown on the console."""
        both = self.cells["source"].nunique() > 1
        names = ("agreement", "beside") if both else _MAIN
        return [t for t in self.tables if t.name == SUMMARY or _topic(t.name) in names]


def assemble(
    results: Sequence[RunResult],
    skipped: Sequence[SkippedModel] = (),
    left_out: Mapping[str, str] | None = None,
    *,
    published: bool = False,
    with_demo: bool = False,
    tieless: bool = False,
) -> Report:
    """Everything a report says of these runs, and of the published numbers where wanted.

    Args:
        results: scored runs.
        skipped: methods that could not run here.
        left_out: runs that can't be reported: folder -> why.
        published: with the study's numbers.
        with_demo: set demonstration weights beside them.
        tieless: with ranks as the study gave them.

    Raises:
        StoreError: one run lies in two folders.
    """
    parts, made = [], []
    if results or skipped:
        runs = frame_of_runs(results, skipped)
        parts.append(runs)
        summary = run_summary.table(run_summary.summary(results))
        left = [f"Left out: {name}, as {reason}." for name, reason in (left_out or {}).items()]
        made.append(replace(summary, notes=[*summary.notes, *left]))
        made += study_tables(runs, "runs", tieless=tieless)
        of_results = runs.head(len(results))  # those of skipped methods come after
        of_rows = [
            *comparison_tables(results, select_eligible(runs)),
            *run_tables(results, of_results),
        ]
        made += [replace(table, name=f"runs_{table.name}") for table in of_rows]
    if published:
        theirs = published_frame()
        parts.append(theirs)
        of_study = study_tables(theirs, "published", tieless=tieless)
        if parts[0] is not theirs:
            made += agreement_tables(theirs, parts[0], with_demo=with_demo)
        made += [_cited(table) for table in of_study]
    cells = check_frame(pd.concat(parts, ignore_index=True))
    return Report(cells, results, made, with_demo)


def _cited(table: Table) -> Table:
    card = study_card()
    return replace(table, notes=[*table.notes, f"Numbers: {card.citation}, {card.title}."])


def _topic(name: str) -> str:
    return name.partition("_")[2] if "_" in name else name
