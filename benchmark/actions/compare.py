"""Two runs side by side, sample by sample, sorted by difference."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text

from benchmark.choices import nearest
from benchmark.console import note, out, printable, say
from benchmark.errors import DONE, UsageError
from benchmark.job import Job
from benchmark.paper.report import FURTHER_TEST
from benchmark.report.comparison import (
    compare_runs,
    incomparable,
)
from benchmark.report.head_to_head import write_comparison
from benchmark.report.options import check_truth
from benchmark.report.results import RunResult, gather
from benchmark.report.text import counted, interval, p_equation
from benchmark.report.write import writing_reports
from benchmark.stats import CAUTIONS, DISAGREE, WEIGHTS, Comparison
from benchmark.store.files import path_of_id
from benchmark.store.store import SHORT

_SHOWN = 20  # rows on the console; the CSV has them all
_LISTED = 10  # exclusions on the console, likewise


def perform(job: Job) -> int:
    """Compare the runs named by a= and b=, on the samples that both have scored.

    Raises:
        UsageError: a run is not named or not found, or the two can't be compared.
    """
    results, unscored = gather(job.runs, job.protocol, job.metric)
    truth = job.settings.truth
    check_truth(truth, (result.data for result in results))
    for result in results if truth is not None else ():
        unscored[result.path.name] = f"it is not scored with the labels of {truth}"
    results = [r for r in results if r.present and truth in (None, r.data)]
    a, b = (_find(results, unscored, w, getattr(job.settings, w)) for w in ("a", "b"))
    reason = incomparable(a, b)
    if reason is not None:
        raise UsageError(f"{a.path.name} and {b.path.name} can't be compared: {reason}.")
    pairs, found = compare_runs(a, b)
    if pairs.empty:
        raise UsageError(
            f"the two runs have no sample in common for which {a.metric.title} is defined."
        )
    pairs = pairs.sort_values("difference", kind="stable")
    _show(pairs, a, b)
    findings = [*_caveats(a, b), *_findings(found), *_study(a, pairs)]
    for line in [*findings, *_excluded(found, _LISTED)]:
        say(line)
    folder = Path(job.settings.results) / "reports" / "compare"
    folder = path_of_id(folder, f"{a.run_id[:SHORT]}-{b.run_id[:SHORT]}")
    every = [*findings, *_excluded(found, len(found.exclusions))]
    with writing_reports(job.settings):
        write_comparison(a, b, pairs, found, every, folder)
    note(f"every sample, a scatter plot and overlays are in {folder}")
    return DONE


def _find(
    results: list[RunResult], unscored: dict[str, str], word: str, wanted: str | None
) -> RunResult:
    names = list(dict.fromkeys(result.path.name for result in results))
    if wanted is None:
        raise UsageError(
            f"action=compare needs {word}=<run>: the folder name of a run or the beginning of its "
            f"id. Runs: {', '.join(names) or 'none'}."
        )
    found = [r for r in results if r.path.name == wanted or r.run_id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if len({result.run_id for result in found}) == 1:
        raise UsageError(
            f"{word}='{wanted}' is scored with the labels of "
            f"{', '.join(sorted(result.data for result in found))}; choose one with truth=<name>."
        )
    for name, reason in unscored.items():
        if not found and (name == wanted or name.rpartition("-")[2] == wanted[:SHORT]):
            raise UsageError(f"{word}='{wanted}' can't be compared: {reason}.")
    how = "more than one run" if found else "no run"
    raise UsageError(
        f"{word}='{wanted}' names {how}.{nearest(wanted, names)} Runs: {', '.join(names)}."
    )


def _show(pairs: pd.DataFrame, a: RunResult, b: RunResult) -> None:
    table = Table(
        title=Text(printable(f"{a.metric.title} on {a.data}: a = {a.method}, b = {b.method}"))
    )
    for column in ("sample", "a", "b", "a - b"):
        table.add_column(column, justify="left" if column == "sample" else "right")
    shown = pairs
    if len(pairs) > _SHOWN:
        shown = pd.concat([pairs.head(_SHOWN // 2), pairs.tail(_SHOWN // 2)])
    for position, (sample, row) in enumerate(shown.iterrows()):
        if len(pairs) > _SHOWN and position == _SHOWN // 2:
            table.add_row(f"... {len(pairs) - _SHOWN} more ...", "", "", "")
        numbers = (f"{row['a']:.3f}", f"{row['b']:.3f}", f"{row['difference']:+.3f}")
        table.add_row(Text(printable(str(sample))), *numbers)
    out.print(table)


def _caveats(a: RunResult, b: RunResult) -> list[str]:
    """What marks either run has that a reader of the comparison has to know."""
    lines = []
    for name, run in (("a", a), ("b", b)):
        marks = [] if run.status == "complete" else [run.status]
        marks += ["mixed: made in attempts that differ in code or environment"] if run.mixed else []
        marks += ["edited: its adapter's code was edited, meanwhile or since"] if run.edited else []
        marks += [f"predictions gone: of {run.gone} scored samples"] if run.gone else []
        marks += ["a control, its score is known beforehand"] if run.control else []
        marks += [f"weights: {run.weights} ({run.mark})"] if run.weights else []
        if marks:
            lines.append(f"{name} = {run.method}: {'; '.join(marks)}")
    return lines


def _findings(found: Comparison) -> list[str]:
    """What the comparison says, in lines."""
    low, high = found.interval or (float("nan"), float("nan"))
    between = interval(low, high, found.groups, "+.3f", " to ")
    p, wilcoxon = (p_equation(value, found.groups) for value in (found.p, found.p_wilcoxon))
    lines = [
        f"mean difference {found.difference:+.3f} over {counted(found.samples, 'sample')} that "
        "both have; "
        f"95 % interval {between}; a is better on "
        f"{found.a_better}, b on {found.b_better}, equal on {found.equal}",
        f"mean difference of {counted(found.groups, 'group')} {found.group_difference:+.3f}; "
        f"{p} (sign-flip permutation), {wilcoxon} (Wilcoxon), two-sided, one comparison alone",
    ]
    if found.rank_biserial == found.rank_biserial:
        effect = f"effect size: rank-biserial correlation {found.rank_biserial:+.2f}"
        if found.standardised == found.standardised:
            effect += f", standardised mean difference {found.standardised:+.2f}"
        lines.append(effect)
    if found.weights_disagree:
        lines.append("The two means differ in sign: larger groups favour the other method.")
    if found.interval_and_test_disagree:
        lines.append(f"Interval and permutation test disagree: {DISAGREE}.")
    if found.caution:
        lines.append(f"The interval may be too narrow: {CAUTIONS[found.caution]}.")
    return [*lines, WEIGHTS]


def _study(a: RunResult, pairs: pd.DataFrame) -> list[str]:
    """The study's own test, under its own protocol."""
    if not FURTHER_TEST.applies(a):
        return []
    theirs = FURTHER_TEST.test(pairs["difference"])
    if theirs.p != theirs.p:
        return []
    p = p_equation(theirs.p, len(pairs))
    return [f"protocol {a.protocol}: {theirs.better} is better, {p} by {FURTHER_TEST.note}"]


def _excluded(found: Comparison, listed: int) -> list[str]:
    """Which samples are left out for both runs."""
    if not found.exclusions:
        return ["no sample is left out"]
    more = len(found.exclusions) - listed
    return [
        f"{counted(len(found.exclusions), 'sample')} left out for both:",
        *(f"  {each.sample}: {each.reason}" for each in found.exclusions[:listed]),
        *([f"  ... {more} more ..."] if more > 0 else []),
    ]
