"""The cells as figures read them: who is drawn under which name, and who may be compared."""

from __future__ import annotations

import re

import pandas as pd

from benchmark.report.eligible import matrix as table_of
from benchmark.report.eligible import select_eligible, starred, told_apart, variants
from benchmark.report.frame import SKIPPED
from benchmark.scoring.metrics import MSA, Metric


def entries(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells with two more columns, in the cells' order.

    `label`: the method's name, told apart where one name stands for several things: with
    `(published)` beside runs, with `demo`, with the beginning of the run id.
    `group`: the data set's name, likewise: with split, protocol or images where they differ,
    and with a star where the study's own images can't be had.
    """
    frame = cells.reset_index(drop=True)
    label = frame["method"].astype(str)
    if frame["source"].nunique() > 1:
        label = label.where(frame["source"] != "published", label + " (published)")
    label = marked(label, frame["mark"])

    named = frame["data_label"].where(frame["data_label"] != "", frame["data"]).astype(str)
    group = starred(told_apart(frame, named), frame["lost"])

    # What was skipped has no images: it stands with the runs of its data set.
    skipped = frame["status"] == SKIPPED
    of_runs = group[~skipped].groupby(frame["data"]).first()
    group = group.where(~skipped, frame["data"].map(of_runs).fillna(group))

    frame = frame.assign(label=label, group=group)
    twice = frame.duplicated(["label", "group"], keep=False) & (frame["run_id"] != "")
    frame["label"] = frame["label"].where(~twice, label + " #" + frame["run_id"].str[:6])
    return frame


def marked(names: pd.Series[str], marks: pd.Series[str]) -> pd.Series[str]:
    """The names; those of demonstration weights say so, whoever gave them."""
    unsaid = (marks == "demo") & ~names.str.contains(r"\bdemo\b", flags=re.IGNORECASE)
    return names.where(~unsaid, names + " (demo)")


def order(frame: pd.DataFrame, metric: Metric = MSA) -> list[str]:
    """The labels, the best on average first, controls last: colours keep this order.

    On average: compared with the other methods of each data set, as some lack the hard ones.
    """
    others = frame.groupby("group")["score"].transform("mean")
    by = frame.assign(ahead=metric.sign * (frame["score"] - others)).groupby("label")
    found = by.agg(control=("control", "max"), ahead=("ahead", "mean"))
    return list(
        found.sort_values(["control", "ahead"], ascending=[True, False], kind="stable").index
    )


def main(frame: pd.DataFrame) -> pd.DataFrame:
    """The entries that stand for a method, and not for a variant of one.

    Of each source those that are ranked; variants are left out where the method itself is there.
    """
    parts = [rows[rows["ranked"] & ~variants(rows)] for _, rows in frame.groupby("source")]
    return pd.concat(parts).sort_index() if parts else frame


def without_demo(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The entries without demonstration weights on data sets with published numbers.

    Returns:
        The rows, and a sentence about those left out, or nothing.
    """
    published = set(frame.loc[frame["source"] == "published", "data"])
    beside = (frame["mark"] == "demo") & frame["data"].isin(published)
    number = int(beside.sum())
    return frame[~beside], (
        f"Left out: {number} run{'s' * (number > 1)} of demonstration weights, which stand for no "
        "published model; with_demo=true shows them."
        if number
        else ""
    )


def comparable(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The entries of one source that may be ranked and averaged, as in the tables.

    Returns:
        The rows, each with a number; and a sentence about others that have one, or nothing.
    """
    rows = select_eligible(frame).cells
    dropped = len(frame[frame["score"].notna() & ~frame["control"]]) - len(rows)
    return rows, (
        f"Not compared: {dropped} result{'s' * (dropped > 1)}, partial or of other images or "
        "labels than most; the tables name them."
        if dropped
        else ""
    )


def matrix(rows: pd.DataFrame, metric: Metric = MSA) -> pd.DataFrame:
    """Scores as (modality, data set) x label, the labels in `order`; NaN where there is none."""
    return table_of(rows.assign(method=rows["label"], data=rows["group"]))[order(rows, metric)]
