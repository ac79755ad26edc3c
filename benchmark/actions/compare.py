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
from benchmark.report.marks import in_words, marks_of_run
from benchmark.report.options import check_truth
from benchmark.report.results import RunResult, gather
from benchmark.report.text import counted, interval, p_equation
from benchmark.report.write import writing_reports
from benchmark.stats import CAUTIONS, DISAGREE, WEIGHTS, Comparison
from benchmark.store.files import path_of_id
from benchmark.store.identity import written
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
    data = job.settings.data.get("name")
    a, b = (_find(results, unscored, w, getattr(job.settings, w), data) for w in ("a", "b"))
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
    results: list[RunResult],
    unscored: dict[str, str],
    word: str,
    wanted: str | None,
    data: str | None,
) -> RunResult:
    """The result that a run's folder, the beginning of its id, or its method's name stands for.

    Args:
        results: all of them.
        unscored: runs without a result: folder -> reason.
        word: `a` or `b`.
        wanted: what was given for it.
        data: the name of a data set, which a method's name is of; None: any.
    """
    names = list(dict.fromkeys(result.path.name for result in results))
    if wanted is None:
        raise UsageError(
            f"action=compare needs {word}=<run>: the name of a method, the folder name of a run, "
            f"or the beginning of its id. Runs: {', '.join(names) or 'none'}."
        )
    found = [r for r in results if r.path.name == wanted or r.run_id.startswith(wanted)]
    # The scores of a run are the same, whatever chose its parameters.
    found = list({(r.run_id, r.data): r for r in reversed(found)}.values())
    if not found:
        of_data = [r for r in results if data in (None, r.data)]
        # A model's name is also that of its variants, unless one is called just so.
        found = [r for r in of_data if wanted in (r.method, r.model)]
        found = found or [r for r in of_data if _is_of_yaml(r, wanted)]
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
    if found:
        each = (f"{r.path.name} ({r.method} on {r.data})" for r in found)
        narrowed = " or data=<data set>" if len({r.data for r in found}) > 1 else ""
        raise UsageError(
            f"{word}='{wanted}' names more than one run; choose with {word}=<run>{narrowed}: "
            f"{', '.join(dict.fromkeys(each))}."
        )
    of = "" if data is None else f" on data '{data}'"
    near = nearest(wanted, [*dict.fromkeys(r.method for r in results), *names])
    raise UsageError(f"{word}='{wanted}' names no run{of}.{near} Runs: {', '.join(names)}.")


def _is_of_yaml(result: RunResult, name: str) -> bool:
    """Whether a run is of a model's YAML, or of one that differs from it in its weights."""
    yaml = written("model", name)
    weights = str(yaml.get("weights", ""))
    return result.config == name or (
        result.config in yaml.get("defaults", ()) and weights in (result.weights, result.mark)
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
        marks += [f"{mark.words}: {mark.meaning}" for mark in in_words(marks_of_run(run))]
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
