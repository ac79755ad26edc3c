"""What a report says, before it is shown or written: its cells, its tables, its notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from benchmark.report import tables
from benchmark.report.cells import cells_of_runs, check
from benchmark.report.published import published_cells
from benchmark.report.results import RunResult
from benchmark.report.study.beside_tables import beside_tables
from benchmark.report.study.choose import choose
from benchmark.report.study.claim_tables import claim_tables
from benchmark.report.study.run_tables import run_tables
from benchmark.report.study.tables import study_tables
from benchmark.report.study_card import study_card
from benchmark.report.table import Table
from benchmark.skips import Skip

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


def compose(
    results: Sequence[RunResult],
    skipped: Sequence[Skip] = (),
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
        runs = cells_of_runs(results, skipped)
        parts.append(runs)
        summary = tables.table(tables.summary(results))
        left = [f"Left out: {name}, as {reason}." for name, reason in (left_out or {}).items()]
        made.append(replace(summary, notes=[*summary.notes, *left]))
        made += study_tables(runs, "runs", tieless=tieless)
        of_results = runs.head(len(results))  # those of skipped methods come after
        of_rows = [*claim_tables(results, choose(runs)), *run_tables(results, of_results)]
        made += [replace(table, name=f"runs_{table.name}") for table in of_rows]
    if published:
        theirs = published_cells()
        parts.append(theirs)
        of_study = study_tables(theirs, "published", tieless=tieless)
        if parts[0] is not theirs:
            made += beside_tables(theirs, parts[0], with_demo=with_demo)
        made += [_cited(table) for table in of_study]
    cells = check(pd.concat(parts, ignore_index=True))
    return Report(cells, results, made, with_demo)


def _cited(table: Table) -> Table:
    card = study_card()
    return replace(table, notes=[*table.notes, f"Numbers: {card.citation}, {card.title}."])


def _topic(name: str) -> str:
    return name.partition("_")[2] if "_" in name else name
