"""Runs -> which differences are real: comparisons in families, corrected for their number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Protocol

import numpy as np
import pandas as pd

from benchmark.console import Steps
from benchmark.errors import StoreError
from benchmark.report import escape
from benchmark.report.marks import RUN_MARKS, in_words
from benchmark.report.results import RunResult
from benchmark.report.text import counted, p_value, some
from benchmark.stats import (
    ALPHA,
    CAUTIONS,
    DISAGREE,
    FEWEST_FOR_P,
    FEWEST_GROUPS,
    WEIGHTS,
    Comparison,
    compare_pairs,
    holm,
    pair,
    smallest_p,
)
from benchmark.store.store import RunStore

COMPARABLE = {
    "data": "a is a run on data '{a}', b one on '{b}'",
    "split": "a is a run on split '{a}' of the data, b one on '{b}'",
    "protocol": "a is scored under protocol '{a}', b under '{b}'",
    "images_id": "the data set's images were others (a: digest {a}..., b: {b}...)",
    "score_key": "they were scored against different labels; action=evaluate scores a run again",
}
"""What two runs have to agree in to be compared sample by sample, and what to say if not:
the same images (`benchmark.report.frame.SAME_IMAGES`), scored against the same labels."""


class FurtherResult(Protocol):
    """What a further test says."""

    @property
    def better(self) -> str:
        """Which method is better, `a` or `b`."""
        ...

    @property
    def p(self) -> float:
        """The p-value; NaN where the test can't be made."""
        ...


@dataclass(frozen=True)
class FurtherTest:
    """A test that is shown beside ours, for one metric of runs scored under one protocol.

    Attributes:
        protocol: the name of the protocol.
        metric: the name of the metric.
        title: the heading of its p-values.
        note: what a reader has to know of it.
        test: differences a - b, one per image -> its result; NaN where it can't be made.
    """

    protocol: str
    metric: str
    title: str
    note: str
    test: Callable[[pd.Series[float]], FurtherResult]

    def applies(self, run: RunResult) -> bool:
        """Whether it is shown for comparisons of a run."""
        return (run.protocol, run.metric.name) == (self.protocol, self.metric)


COLUMNS = [
    "family", "data", "data_label", "modality", "split", "protocol", "a", "b", "run_a", "run_b",
    "samples", "groups", "mean_a", "mean_b", "difference", "low", "high", "group_difference",
    "group_deviation", "p", "p_holm", "p_wilcoxon", "rank_biserial", "standardised", "a_better",
    "b_better", "weights_disagree", "interval_and_test_disagree", "caution", "excluded", "status_a",
    "status_b", *RUN_MARKS, "further_better", "further_p",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class ComparisonFamily:
    """One family of comparisons.

    Attributes:
        family: what it is, for people.
        frame: one row per comparison, with the columns in `COLUMNS`: as in
            `benchmark.stats.Comparison` (differences are a - b, NaN where there is no number),
            `low` and `high` of the 95 % interval, `p_holm` (p corrected within the family), how
            many samples are `excluded`, each run's status, whether one is `mixed` or `edited`, and
            what the further test says, empty unless it is made under that protocol.
        exclusions: one row per sample left out: data, a, b, sample, reason.
        left_out: runs and data sets that are in no comparison, each a sentence.
        further: the test that is shown beside ours.
    """

    family: str
    frame: pd.DataFrame
    exclusions: pd.DataFrame
    left_out: tuple[str, ...]
    further: FurtherTest | None = None

    @property
    def notes(self) -> list[str]:
        """What has to stand below its table, in sentences."""
        return _notes(self)


def incomparable(a: RunResult, b: RunResult) -> str | None:
    """Why two runs can't be compared sample by sample; None if they can."""
    if a.run_id == b.run_id:
        return "a and b are the same run"
    for key, said in COMPARABLE.items():
        of_a, of_b = getattr(a, key), getattr(b, key)
        if of_a != of_b:
            return said.format(a=of_a, b=of_b)
    return None


def _compared(
    a: RunResult, b: RunResult, further: FurtherTest | None
) -> tuple[Comparison, FurtherResult | None]:
    """What two runs and the further test say; made once, as a pair may be of several families.

    Raises:
        StoreError: as `compare_runs`.
    """
    known = a.comparisons.setdefault(b, {})
    if further not in known:
        pairs, found = compare_runs(a, b)
        asked = further is not None and further.applies(a) and found.samples
        known[further] = found, further.test(pairs["difference"]) if further and asked else None
    result: tuple[Comparison, FurtherResult | None] = known[further]
    return result


def compare_runs(a: RunResult, b: RunResult) -> tuple[pd.DataFrame, Comparison]:
    """Two comparable runs, sample by sample: the pairs, and what they say.

    Raises:
        StoreError: they disagree on a sample's truth all the same.
    """
    try:
        pairs, exclusions = pair(
            a.scores,
            b.scores,
            metric=a.metric.name,
            failed_a=_failures(a),
            failed_b=_failures(b),
        )
    except ValueError as error:
        raise StoreError(
            f"{a.path.name} (a) and {b.path.name} (b) can't be compared: {error}. Score both again "
            "with action=evaluate."
        ) from error
    found = compare_pairs(pairs, exclusions, metric=a.metric.name, sign=a.metric.sign)
    return pairs, found


def against_reference(
    results: Sequence[RunResult], reference: str, further: FurtherTest | None = None
) -> ComparisonFamily:
    """One method against every other, on every data set where both have a run: one family.

    Args:
        results: scored runs; controls are left out.
        reference: a method, as `RunResult.method` calls it; it is `a` in every comparison.
        further: a test to be shown beside ours.
    """
    pairs: list[tuple[RunResult, RunResult]] = []
    left_out: list[str] = []
    for runs in _comparable_sets(results, left_out):
        mine = [run for run in runs if run.method == reference]
        if len(mine) == 1:
            pairs += [(mine[0], other) for other in runs if other is not mine[0]]
        elif runs:
            how = f"are {len(mine)} runs" if mine else "is no run"
            left_out.append(f"{runs[0].data}: there {how} of {reference} to compare with.")
    family = f"{reference} against every other method, over data sets"
    return _family(family, pairs, left_out, further)


def within(
    results: Sequence[RunResult], data: str, further: FurtherTest | None = None
) -> list[ComparisonFamily]:
    """All pairs of methods on one data set: a family for each set of comparable runs.

    Args:
        results: scored runs; controls are left out.
        data: the data set's name.
        further: a test to be shown beside ours.
    """
    left_out: list[str] = []
    sets = _comparable_sets([run for run in results if run.data == data], left_out)
    alone = [runs[0] for runs in sets if len(runs) == 1]
    left_out += [f"{r.method} on {data}: no other run is of its images and split." for r in alone]
    return [
        _family(f"all pairs of methods on {data}", list(combinations(runs, 2)), left_out, further)
        for runs in sets
        if len(runs) > 1
    ]


def every_pair(
    results: Sequence[RunResult], further: FurtherTest | None = None
) -> list[ComparisonFamily]:
    """All pairs of methods on each data set, as `within`."""
    data_sets = sorted({result.data for result in results})
    return [family for data in data_sets for family in within(results, data, further)]


def _failures(run: RunResult) -> Mapping[str, str]:
    """Why samples of a run have no score, where that was an error."""
    if not run.failed:
        return {}
    records = RunStore(run.path).records().values()
    return {r.sample: str(r.error).partition("\n")[0] for r in records if r.status == "error"}


def _comparable_sets(results: Iterable[RunResult], left_out: list[str]) -> list[list[RunResult]]:
    """Runs that may be compared with each other, set by set; why a run is in none is added."""
    sets: dict[tuple[Any, ...], list[RunResult]] = {}
    for run in sorted(results, key=lambda run: (run.data, run.method, run.run_id)):
        if run.control:
            left_out.append(f"{run.method} on {run.data}: a control, its score is known.")
        elif not run.present:
            why = "its labels are not those that the data set has now"
            left_out.append(f"{run.method} on {run.data}: {why}.")
        elif run.values.notna().sum() == 0:
            left_out.append(f"{run.method} on {run.data}: no sample is scored.")
        else:
            sets.setdefault(tuple(getattr(run, key) for key in COMPARABLE), []).append(run)
    return list(sets.values())


def _family(
    family: str,
    pairs: Sequence[tuple[RunResult, RunResult]],
    left_out: Sequence[str],
    further: FurtherTest | None,
) -> ComparisonFamily:
    rows: list[dict[str, Any]] = []
    excluded: list[dict[str, str]] = []
    apart = [
        f"{a.method} and {b.method} on {a.data}: the same run, as the default was chosen."
        for a, b in pairs
        if a.run_id == b.run_id
    ]
    pairs = [(a, b) for a, b in pairs if a.run_id != b.run_id]
    with Steps("comparing runs", len(pairs)) as steps:
        names = _names([run for both in pairs for run in both])
        for a, b in pairs:
            try:
                row, exclusions = _row(a, b, names, further)
            except StoreError as error:  # of these two alone
                apart.append(str(error))
            else:
                rows.append(row | {"family": escape.plain(family)})
                excluded += exclusions
            steps.advance(f"{names[a.key]} and {names[b.key]} on {a.data}")
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame["p_holm"] = holm(frame["p"].astype(float))
    columns = ["data", "a", "b", "sample", "reason"]
    return ComparisonFamily(
        escape.plain(family),
        frame,
        pd.DataFrame(excluded, columns=columns),
        tuple(map(escape.plain, [*left_out, *apart])),
        further,
    )


def _names(runs: Sequence[RunResult]) -> dict[str, str]:
    """Key of a result -> its name in tables: with its id where two comparable ones share it."""
    distinct = {run.key: run for run in runs}
    keys = {
        name: (run.method, *(getattr(run, key) for key in COMPARABLE))
        for name, run in distinct.items()
    }
    shared = Counter(keys.values())
    return {
        name: escape.plain(run.method) + (f" #{run.run_id[:6]}" if shared[keys[name]] > 1 else "")
        for name, run in distinct.items()
    }


def _row(
    a: RunResult, b: RunResult, names: Mapping[str, str], further: FurtherTest | None
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """One comparison as a row, and a row for each sample that it leaves out."""
    found, result = _compared(a, b, further)
    low, high = found.interval or (np.nan, np.nan)
    both = {"data": escape.plain(a.data), "a": names[a.key], "b": names[b.key]}
    row = asdict(found) | both
    row |= {
        "data_label": escape.plain(a.data_label or a.data),
        "modality": escape.plain(a.modality),
        "split": escape.plain(a.split),
        "protocol": escape.plain(a.protocol),
        "run_a": a.run_id,
        "run_b": b.run_id,
        "low": low,
        "high": high,
        "p": np.nan if found.p is None else found.p,
        "p_wilcoxon": np.nan if found.p_wilcoxon is None else found.p_wilcoxon,
        "weights_disagree": found.weights_disagree,
        "interval_and_test_disagree": found.interval_and_test_disagree,
        "excluded": len(found.exclusions),
        "status_a": a.status,
        "status_b": b.status,
        **{name: bool(getattr(a, name) or getattr(b, name)) for name in RUN_MARKS},
        "further_better": "",
        "further_p": np.nan,
    }
    if result is not None:
        row |= {"further_better": both[result.better], "further_p": result.p}
    return row, [
        both | {"sample": escape.plain(e.sample), "reason": escape.plain(e.reason)}
        for e in found.exclusions
    ]


def _notes(family: ComparisonFamily) -> list[str]:
    frame = family.frame
    tested = int(frame["p"].notna().sum())
    lines = [
        f"Family: {family.family}; p corrected by Holm for {counted(tested, 'test')}. A "
        "difference is a minus b, on the samples that both methods have.",
        WEIGHTS,
        f"p: two-sided sign-flip permutation; none with fewer than {FEWEST_FOR_P} groups, and no "
        f"interval with fewer than {FEWEST_GROUPS}.",
        "Effect sizes: matched-pairs rank-biserial correlation (from -1 to 1), and the mean "
        "difference of groups in their standard deviations.",
    ]
    if frame["excluded"].any():
        lines.append(
            "Failed, unscored and empty samples are left out for both methods alike: "
            f"{frame['excluded'].sum()} in all, up to {frame['excluded'].max()} per comparison."
        )
    if not {*frame["status_a"], *frame["status_b"]} <= {"complete"}:
        lines.append("partial: over the samples done so far by both.")
    if frame["weights_disagree"].any():
        lines.append("Where the two means differ in sign, larger groups favour the other method.")
    used = in_words({name: frame[name].any() for name in RUN_MARKS})
    lines += [f"{mark.words}: {mark.meaning} (a or b)." for mark in used]
    if family.further is not None and frame["further_p"].notna().any():
        lines.append(f"{family.further.title}: {family.further.note}")
    return lines


def cautions(families: Iterable[ComparisonFamily], method: str = "") -> Iterator[str]:
    """Sentences on comparisons whose numbers mislead if they are read alone.

    Which can't be significant whatever their data, where interval and test disagree, and which
    interval may be too narrow.

    Args:
        families: comparisons.
        method: only comparisons of this one are named; empty: all.
    """
    frames = [_with_least_p(family.frame) for family in families if len(family.frame)]
    if not frames:
        return
    rows = pd.concat(frames, ignore_index=True)
    if method:
        rows = rows[(rows["a"] == method) | (rows["b"] == method)]
    pairs = rows["a"] + " - " + rows["b"] + " on " + rows["data"]
    hopeless = rows["least_p"] > ALPHA
    if hopeless.any():
        named = "any of these" if hopeless.all() else some(list(pairs[hopeless]))
        fewest = rows[hopeless].sort_values("groups").iloc[0]
        yield (
            f"No difference can be significant at 5 % for {named}: too few groups for so many "
            f"tests in one family. With {fewest['groups']} groups p is at least "
            f"{p_value(smallest_p(fewest['groups']))}, here by Holm {p_value(fewest['least_p'])}."
        )
    disagree = rows["interval_and_test_disagree"].astype(bool)
    if disagree.any():
        yield f"Interval and p disagree for {some(list(pairs[disagree]))}: {DISAGREE}."
    for caution, why in CAUTIONS.items():
        narrow = list(pairs[rows["caution"] == caution])
        if narrow:
            yield f"The interval may be too narrow for {some(narrow)}: {why}."


def _with_least_p(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of one family, with the smallest p that each can have after Holm's correction."""
    floors = frame["groups"].map(smallest_p).where(frame["p"].notna())
    return frame.assign(least_p=holm(floors.astype(float)))
