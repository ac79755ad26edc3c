"""What a report says, before it is shown or written: its rows, its tables, its notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from benchmark.report.agreement import Agreement, agreements
from benchmark.report.comparison import every_pair
from benchmark.report.eligible import by_protocol, select_eligible
from benchmark.report.frame import frame_of_runs
from benchmark.report.options import ReportOptions
from benchmark.report.results import RunResult
from benchmark.report.tables import run_summary
from benchmark.report.tables.agreement import agreement_tables
from benchmark.report.tables.comparisons import comparison_tables
from benchmark.report.tables.over_data_sets import tables_of, under
from benchmark.report.tables.per_run import run_tables
from benchmark.report.tables.table import Table
from benchmark.report.tables.tuning import tuning_table
from benchmark.report.tuned import gains
from benchmark.report.verdict import Verdict, verdict_table, verdicts
from benchmark.store.skipped import SkippedModel

SUMMARY = "table"


@dataclass(frozen=True)
class Report:
    """A report.

    Attributes:
        cells: every number in it, a frame as `benchmark.report.frame` has it.
        results: the runs among them.
        tables: in the order in which a reader wants them.
        agreements: the runs on data sets that have images without labels, compared.
        options: what was asked for.
        verdicts: which method is best, of each protocol and data set of the runs.
        with_demo: whether demonstration weights are set beside published numbers.
        study: what the site says of published numbers; None where there are none.
    """

    cells: pd.DataFrame
    results: Sequence[RunResult]
    tables: Sequence[Table]
    options: ReportOptions
    agreements: Sequence[Agreement] = ()
    verdicts: Sequence[Verdict] = ()
    with_demo: bool = False
    study: Any = None

    @property
    def main(self) -> list[Table]:
        """The tables that are shown on the console.

        Where there are several sources, those that set them beside each other.
        """
        sources = tuple(f"{source}_" for source in self.cells["source"].unique())
        of_one = sources if len(sources) > 1 else ()
        return [t for t in self.tables if t.on_console and not t.name.startswith(of_one)]


def assemble(
    results: Sequence[RunResult],
    skipped: Sequence[SkippedModel] = (),
    left_out: Mapping[str, str] | None = None,
    options: ReportOptions | None = None,
) -> Report:
    """Everything a report says of these runs.

    Args:
        results: scored runs.
        skipped: methods that could not run here.
        left_out: runs that can't be reported: folder -> why.
        options: whom it compares, and what it has besides our tables and figures.

    Raises:
        StoreError: one run lies in two folders.
    """
    options = options or ReportOptions()
    runs = frame_of_runs(results, skipped, options.variants, options.truth)
    summary = run_summary.table(run_summary.summary(results), options.metric)
    left = [f"Left out: {name}, as {reason}." for name, reason in (left_out or {}).items()]
    of_results = runs.head(len(results))  # those of skipped methods come after
    comparisons, found = _comparisons(results, runs, options)
    of_rows = {
        **comparisons,
        "tuning": tuning_table(gains(results)),
        **{table.name: table for table in run_tables(results, of_results)},
    }
    compared = agreements(results)
    tables = [
        replace(summary, notes=[*summary.notes, *left]),
        *source_tables(runs, "runs", options),
        *(replace(table, name=f"runs_{name}") for name, table in of_rows.items() if table),
        *agreement_tables(compared),
    ]
    return Report(runs, results, tables, options, compared, found)


def _comparisons(
    results: Sequence[RunResult], runs: pd.DataFrame, options: ReportOptions
) -> tuple[dict[str, Table | None], list[Verdict]]:
    """The tests of differences, of each protocol by itself: a family of them is of one."""
    every = by_protocol(runs)
    found: list[Verdict] = []
    made: dict[str, Table | None] = {}
    for protocol, rows in every.items():
        chosen = select_eligible(rows)
        of_protocol = [result for result in results if result.key in set(rows["result"])]
        pairs = every_pair(of_protocol, options.further_test)
        answers = verdicts(pairs, options.metric)
        compared = comparison_tables(
            of_protocol, chosen, pairs, options.reference, options.further_test
        )
        tables = {"verdict": verdict_table(answers), **{table.name: table for table in compared}}
        made |= under(protocol, tables) if len(every) > 1 else tables
        found += answers
    return made, found


def source_tables(cells: pd.DataFrame, prefix: str, options: ReportOptions) -> list[Table]:
    """The tables over data sets of one source, as the options have them."""
    return tables_of(
        cells,
        prefix,
        options.tables,
        metric=options.metric,
        pairs=options.pairs,
        pairs_title=options.pairs_title,
    )
