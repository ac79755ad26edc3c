"""Which method is best on a data set, in words: what the paired tests show, and what they can't.

All numbers are those of the table of all pairs (`benchmark.report.comparison.within`). As its
p-values are corrected for all pairs, the method that is ahead may be chosen by its scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.report.comparison import ComparisonFamily, cautions
from benchmark.report.tables.table import MISSING, Cell, Column, Table, number, p_value, words
from benchmark.report.text import counted, interval, p_equation, some
from benchmark.scoring.metrics import MSA, Metric
from benchmark.stats import ALPHA, FEWEST_FOR_P, POWER, fewest_groups, groups_needed

ROUGH = (
    "How many more would settle it is a rough estimate, from the standard deviation of the paired "
    f"differences: for a chance of {100 * POWER:.0f} % to find a difference as large as the one "
    "seen. With few images both are uncertain."
)
"""What has to stand below a verdict that names a number."""

BETTER, UNCLEAR, SAME, FEW = "better", "unclear", "same", "few"

_MOST = 1000  # more groups than that are not counted


@dataclass(frozen=True)
class Against:
    """The method that is ahead against one other, over the samples that both have.

    Attributes:
        best: the method that is ahead.
        other: the other.
        difference: mean score of `best` minus that of `other`.
        low: of its 95 % interval; NaN where there is none.
        high: likewise.
        p: corrected by Holm for all pairs; NaN where there is no test.
        samples: that both have.
        groups: of these.
        outcome: `BETTER` (the test finds a difference, and the interval confirms it), `UNCLEAR`
            (not so), `SAME` (equal on every sample) or `FEW` (too few groups for a test).
        more: how many more groups would roughly settle it; None where none is known or needed.
        sign: of the metric.
        weights_disagree: whether larger groups favour one method and most groups the other.
        interval_disagrees: whether the test finds a difference, and the interval holds none.
    """

    best: str
    other: str
    difference: float
    low: float
    high: float
    p: float
    samples: int
    groups: int
    outcome: str
    more: int | None
    sign: int = 1
    weights_disagree: bool = False
    interval_disagrees: bool = False

    @property
    def evidence(self) -> str:
        """What was sampled independently: `10 images`, or `40 images in 8 groups`."""
        images = counted(self.samples, "image")
        return images if self.alone else f"{images} in {counted(self.groups, 'group')}"

    @property
    def alone(self) -> bool:
        """Whether each image is a group of its own."""
        return self.samples == self.groups

    @property
    def sentence(self) -> str:
        """All of it in words."""
        return _SENTENCES[self.outcome](self)

    @property
    def _size(self) -> str:
        """How far ahead it is, whichever direction of the metric is better."""
        low, high = sorted((self.sign * self.low, self.sign * self.high))
        between = interval(low, high, self.groups, between=", ")
        written = f" [{between}]" if low == low else ""
        return f"{self.sign * self.difference:.3f}{written}"

    @property
    def _thing(self) -> str:
        return "image" if self.alone else "group"

    @property
    def _settled(self) -> str:
        if self.weights_disagree:
            return "larger groups favour one of them and most groups the other"
        if self.interval_disagrees:
            return "the interval and the test disagree"
        if self.more is None:
            return "no number of further images can be named that would settle it"
        if self.more > _MOST:
            return f"over {_MOST} more {self._thing}s would settle it"
        return f"roughly {counted(self.more, f'more {self._thing}')} would settle it"


def _better(one: Against) -> str:
    return f"{one.best} beats {one.other} by {one._size}, {p_equation(one.p, one.groups)}."


def _unclear(one: Against) -> str:
    return (
        f"{one.best} and {one.other} can't be told apart on {one.evidence}: a difference of "
        f"{one._size}, {p_equation(one.p, one.groups)}; {one._settled}."
    )


def _same(one: Against) -> str:
    return f"{one.best} and {one.other} score the same on {one.evidence}."


def _few(one: Against) -> str:
    if not one.samples:
        return f"{one.best} and {one.other} have no scored image in common."
    more = f"at least {counted(one.more, f'more {one._thing}')}" if one.more else "more groups"
    return (
        f"{one.best} and {one.other} can't be tested on {one.evidence}: a difference of "
        f"{one._size}; a test that can find one takes {more}."
    )


_SENTENCES = {BETTER: _better, UNCLEAR: _unclear, SAME: _same, FEW: _few}


@dataclass(frozen=True)
class Verdict:
    """Which method is best on the images of one data set.

    Attributes:
        data: the data set.
        title: what the data set is called, with its split unless that is `test`.
        protocol: that the runs are scored under.
        best: the method that is ahead, whether a test shows it or not.
        against: it against every other method, the nearest first.
        notes: what has to be known besides, in sentences.
        metric: whose scores they are.
        is_partial: whether a run that is compared is.
    """

    data: str
    title: str
    protocol: str
    best: str
    against: tuple[Against, ...]
    notes: tuple[str, ...] = ()
    metric: Metric = MSA
    is_partial: bool = False

    @property
    def headline(self) -> str:
        """The answer in one sentence."""
        of = {
            outcome: [one.other for one in self.against if one.outcome == outcome]
            for outcome in (BETTER, UNCLEAR, SAME, FEW)
        }
        beaten, equal = of[BETTER], [*of[SAME], *of[UNCLEAR]]
        if not of[FEW] and not equal:
            others = beaten[0] if len(beaten) == 1 else f"all {len(beaten)} other methods"
            so_far = " on the images done so far" if self.is_partial else ""
            return f"{self.best} is best{so_far}: it beats {others}."
        if not beaten and not equal:
            groups = max(one.groups for one in self.against)
            thing = "image" if all(one.alone for one in self.against) else "group"
            return (
                f"No verdict: a test takes at least {FEWEST_FOR_P} {thing}s, and there "
                f"{'is' if groups == 1 else 'are'} {groups}."
            )
        said = [f"{self.best} can't be told apart from {some(equal)}"] if equal else []
        said += [f"{self.best} is not tested against {some(of[FEW])}"] if of[FEW] else []
        said += [f"it beats {some(beaten)}"] if beaten else []
        return f"No single best method: {'; '.join(said)}."

    @property
    def sentences(self) -> list[str]:
        """The answer, one sentence for each other method, and the notes."""
        return [self.headline, *(one.sentence for one in self.against), *self.notes]


def verdicts(families: Iterable[ComparisonFamily], metric: Metric = MSA) -> list[Verdict]:
    """The verdict of each family of pairs on one data set; none where nothing was compared.

    Args:
        families: what `benchmark.report.comparison.every_pair` returned.
        metric: whose scores they are.
    """
    return [_verdict(family, metric) for family in families if len(family.frame)]


def _verdict(family: ComparisonFamily, metric: Metric) -> Verdict:
    rows = family.frame.to_dict("records")
    # Each pair from both sides, so that differences are of the first method.
    sides: list[dict[str, Any]] = [{str(key): value for key, value in row.items()} for row in rows]
    sides += [_turned(row) for row in sides]
    best = _ahead(sides, metric.sign)
    tested = int(family.frame["p"].notna().sum())
    level = ALPHA / max(1, tested or len(rows))
    against = [_against(row, level, metric.sign) for row in sides if row["a"] == best]
    against.sort(key=lambda one: (_last(one.sign * one.difference), one.other))
    first = rows[0]
    split = "" if first["split"] in ("", "test") else f", {first['split']}"
    notes = [ROUGH] if any(one.outcome == UNCLEAR and one.more for one in against) else []
    about_best = family.frame[(family.frame["a"] == best) | (family.frame["b"] == best)]
    is_partial = not {*about_best["status_a"], *about_best["status_b"]} <= {"complete"}
    if is_partial:
        notes.append("Some runs are partial: only samples that both methods have are compared.")
    notes += cautions([family], best)
    title = f"{first['data_label']}{split}"
    return Verdict(
        first["data"],
        title,
        first["protocol"],
        best,
        tuple(against),
        tuple(notes),
        metric,
        is_partial,
    )


def _turned(row: dict[str, Any]) -> dict[str, Any]:
    return row | {
        "a": row["b"],
        "b": row["a"],
        "difference": -row["difference"],
        "group_difference": -row["group_difference"],
        "low": -row["high"],
        "high": -row["low"],
    }


def _ahead(sides: Sequence[dict[str, Any]], sign: int) -> str:
    """The method that is ahead of most others, by its mean; of equals the one further ahead."""
    frame = pd.DataFrame(
        {
            "method": [row["a"] for row in sides],
            "ahead": [sign * row["difference"] > 0 for row in sides],
            "by": [sign * row["difference"] for row in sides],
        }
    )
    found = frame.groupby("method").agg(ahead=("ahead", "sum"), by=("by", "sum"))
    return min((-row["ahead"], -row["by"], str(name)) for name, row in found.iterrows())[2]


def _last(value: float) -> float:
    return float("inf") if value != value else value


def _against(row: dict[str, Any], level: float, sign: int) -> Against:
    outcome = _outcome(row, sign)
    needed = _needed(row, outcome, level, sign)
    # Fewer than there are: the approximation fails, and no number is better than a wrong one.
    more = needed - row["groups"] if needed is not None and needed > row["groups"] else None
    return Against(
        best=row["a"],
        other=row["b"],
        difference=row["difference"],
        low=row["low"],
        high=row["high"],
        p=row["p_holm"],
        samples=int(row["samples"]),
        groups=int(row["groups"]),
        outcome=outcome,
        more=more,
        sign=sign,
        weights_disagree=bool(row["weights_disagree"]),
        interval_disagrees=_is_found(row, sign) and bool(row["interval_and_test_disagree"]),
    )


def _needed(row: dict[str, Any], outcome: str, level: float, sign: int) -> int | None:
    """How many groups a test would roughly take; None where no number can be named."""
    if outcome == FEW:
        return fewest_groups(level)
    if outcome == UNCLEAR and not (row["weights_disagree"] or _is_found(row, sign)):
        return groups_needed(row["group_difference"], row["group_deviation"], level)
    return None


def _outcome(row: dict[str, Any], sign: int) -> str:
    if pd.isna(row["p_holm"]):
        return FEW
    if not row["a_better"] and not row["b_better"]:
        return SAME
    # An interval that holds 0 does not confirm what the test found.
    confirmed = _is_found(row, sign) and not row["interval_and_test_disagree"]
    return BETTER if confirmed else UNCLEAR


def _is_found(row: dict[str, Any], sign: int) -> bool:
    """Whether the test finds that the method that is ahead over images is better.

    The test is about groups, and must favour the same method.
    """
    favours = sign * row["difference"] > 0 and sign * row["group_difference"] > 0
    return bool(row["p_holm"] <= ALPHA and favours)


def verdict_table(found: Sequence[Verdict]) -> Table | None:
    """The verdicts as a table, a row for each method that one is set against; None without any."""
    if not found:
        return None
    columns = [
        Column("data"), Column("a"), Column("b"),
        *(Column(text, right=True) for text in
          ("a - b", "95 % from", "to", "p (Holm)", "more groups")),
        Column("in words"),
    ]  # fmt: skip
    rows = [
        [
            words(verdict.title),
            words(one.best),
            words(one.other),
            *(number(value, "+.3f") for value in (one.difference, one.low, one.high)),
            p_value(one.p),
            _more(one),
            words(one.sentence),
        ]
        for verdict in found
        for one in verdict.against
    ]
    several = len(found) > 1
    heads = [f"{v.title}: {v.headline}" if several else v.headline for v in found]
    notes = list(dict.fromkeys(note for verdict in found for note in verdict.notes))
    return Table("verdict", "Which method is best", columns, rows, [*heads, *notes])


def _more(one: Against) -> Cell:
    if one.more is None:
        return words(MISSING if one.outcome in (UNCLEAR, FEW) else "-")
    mark = {UNCLEAR: "~", FEW: ">= "}[one.outcome]
    return Cell(f"> {_MOST}" if one.more > _MOST else f"{mark}{one.more}", one.more)


def on_console(found: Sequence[Verdict]) -> list[str]:
    """What is printed: all sentences of one data set, the answer alone for each of several."""
    protocols = {verdict.protocol for verdict in found}

    def name(verdict: Verdict) -> str:
        return verdict.title + (f", protocol {verdict.protocol}" if len(protocols) > 1 else "")

    if len({verdict.data for verdict in found}) > 1:
        return [f"{name(verdict)}: {verdict.headline}" for verdict in found]
    return [
        f"{name(verdict)}: {line}" if i == 0 else line
        for verdict in found
        for i, line in enumerate(verdict.sentences)
    ]
