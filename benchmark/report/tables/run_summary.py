"""Runs -> the summary: a row for each, sorted by data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.console import Group

from benchmark.report import escape
from benchmark.report.eligible import starred, told_apart
from benchmark.report.frame import SAME_IMAGES, frame_of_runs
from benchmark.report.marks import RUN_MARKS, in_words
from benchmark.report.results import RunResult, metric_of
from benchmark.report.tables import formats
from benchmark.report.tables.table import MISSING, Cell, Column, Table, number, placed, words
from benchmark.report.text import interval, some
from benchmark.scoring.metrics import GLOSSARY, METRICS, MSA, Metric
from benchmark.stats import CAUTIONS

_NUMBERS = [
    "excluded", "both_empty", "msa", "msa_low", "msa_high", "sa50", "sa50_low", "sa50_high",
    "sa50_pooled", "msa_pooled",
]  # fmt: skip
_COLUMNS = [
    "model", "weights", "weights_mark", *SAME_IMAGES, "images", "groups", *_NUMBERS, "seconds",
    "status", "labelled", *RUN_MARKS, "control", "lost", "warnings", "channels", "framing",
    "run", "run_id", "selection",
]  # fmt: skip

Row = dict[str, Any]


def summary(results: Sequence[RunResult]) -> pd.DataFrame:
    """One row per run, sorted by data set (split, protocol), the best first.

    The rows of the frame (`benchmark.report.frame`), with further numbers of the runs.

    Args:
        results: scored runs.

    Returns:
        Columns: model, its weights and their mark; data, split, protocol, images_id; images
        (that the means are over), their groups, both_empty images and how many of them are excluded
        from the means; msa and sa50 (means over images) with their intervals (_low, _high),
        sa50_pooled and msa_pooled (counts added up over images first); seconds (median per
        image, the first of each process left out); where they are ranked by another metric, that
        and its interval as well; <metric>_caution (why an interval shown may be too narrow, by
        `benchmark.stats.interval_caution`); status;
        labelled (`10 of 100`, empty where all images have labels);
        mixed; edited; gone; uncounted; control; lost (why the study's own images can't be had);
        warnings (what is odd about the data set's files, as sentences); channels (`3 of 4` where a
        model uses fewer than images have); framing (how images were tiled, scaled or shrunk, as
        sentences); run (12 characters) and run_id; selection (what
        chose its parameters, empty where they were given by hand). Undefined numbers are NaN.
    """
    metric = metric_of(results)
    added = [f"{metric.name}{end}" for end in ("", "_low", "_high")]
    added += _cautions(metric)
    numbers = pd.DataFrame([result.numbers for result in results])
    numbers = numbers.reindex(columns=list(dict.fromkeys([*_NUMBERS, *added])))
    frame = frame_of_runs(results).join(numbers)
    # pandas holds strings as UTF-8 and would stop at a lone surrogate.
    models = pd.Series([escape.plain(result.model) for result in results], dtype=object)
    warnings = pd.Series([result.warnings for result in results], dtype=object)
    channels = [result.channels for result in results]
    framing = pd.Series([result.framing for result in results], dtype=object)
    frame = frame.assign(
        model=models,
        run=frame["run_id"].str[:12],
        warnings=warnings,
        channels=channels,
        framing=framing,
    )
    frame = frame.rename(columns={"mark": "weights_mark"})
    frame = frame[list(dict.fromkeys([*_COLUMNS, *added]))]
    return frame.sort_values(
        [*SAME_IMAGES, metric.name, "model", "run_id"],
        ascending=[*(True for _ in SAME_IMAGES), not metric.higher_is_better, True, True],
        ignore_index=True,
    )


def _cautions(metric: Metric) -> list[str]:
    """The columns that say why an interval shown may be too narrow."""
    return [f"{name}{_CAUTION}" for name in dict.fromkeys((metric.name, "sa50"))]


_CAUTION = "_caution"


def data_names(frame: pd.DataFrame) -> pd.Series[str]:
    """The data set of each row, with a star where its images are not the study's own."""
    return starred(told_apart(frame, frame["data"]), frame["lost"])


def notes(frame: pd.DataFrame) -> list[str]:
    """What a reader has to know below the table, in sentences."""
    lines = [
        "SA50 = TP / (TP + FP + FN) at an IoU of at least 0.5, which this field often calls "
        "AP50; mSA is the mean of SA over IoU 0.50, 0.55, ..., 0.95. Images are 2-D. "
        f"Formulas, conventions and sources: {GLOSSARY}.",
        "Intervals: 95 % bootstrap of the mean over images, resampling whole groups. Scored "
        f"under protocol {', '.join(sorted(frame['protocol'].unique()))}.",
    ]
    lines += _narrow(frame)
    for protocol, rows in frame[frame["both_empty"] > 0].groupby("protocol"):
        policy = "are left out of the means" if rows["excluded"].any() else "score 0"
        lines.append(
            f"Protocol {protocol}: images without any object, true or predicted, {policy} "
            f"(up to {rows['both_empty'].max()} per run)."
        )
    if frame["status"].str.startswith("partial").any():
        lines.append("partial: means over the images done so far; never marked as best.")
    if (frame["labelled"] != "").any():
        lines.append(
            "labelled: images without labels are predicted and not scored; means are over the "
            "labelled ones."
        )
    if frame["weights"].str.len().any():
        lines.append(
            "weights: by name where their digest is the one on their card; user: a file of "
            "one's own, by its digest; digest unconfirmed: nobody publishes one, and the first "
            "download's is held to."
        )
    for (data, reason), _ in frame[frame["lost"] != ""].groupby(["data", "lost"]):
        lines.append(f"* {data}: not the published study's own images, as {reason}.")
    warned = zip(frame["data"], frame["warnings"], strict=True)
    lines += dict.fromkeys(f"{data}: {warning}" for data, found in warned for warning in found)
    for model, data, channels in frame.loc[
        frame["channels"] != "", ["model", "data", "channels"]
    ].to_numpy():
        lines.append(
            f"{model} on {data}: only the first {channels} channels were used; "
            "data.use_channels chooses others."
        )
    framed = zip(frame["model"], frame["data"], frame["framing"], strict=True)
    lines += dict.fromkeys(
        f"{model} on {data}: {sentence}" for model, data, found in framed for sentence in found
    )
    used = in_words({name: frame[name].any() for name in RUN_MARKS})
    return [*lines, *(f"{mark.words}: {mark.meaning}." for mark in used)]


def _narrow(frame: pd.DataFrame) -> Iterator[str]:
    """Which intervals may be too narrow, and why; a control's score is known."""
    rows = frame[~frame["control"].astype(bool)]
    for caution, why in CAUTIONS.items():
        named = dict.fromkeys(
            f"{model} on {data} ({METRICS[column.removesuffix(_CAUTION)].title})"
            for column in frame.columns[frame.columns.str.endswith(_CAUTION)]
            for model, data in rows.loc[rows[column] == caution, ["model", "data"]].to_numpy()
        )
        if named:
            yield f"The interval may be too narrow for {some(list(named))}: {why}."


def _interval(metric: str) -> Callable[[Row], str]:
    low, high = f"{metric}_low", f"{metric}_high"
    return lambda row: interval(row[low], row[high], row["groups"])


def _status(row: Row) -> str:
    labelled = [f"{row['labelled']} labelled"] if row["labelled"] else []
    return ", ".join([row["status"], *labelled, *(mark.words for mark in in_words(row))])


@dataclass(frozen=True)
class _Shown:
    heading: Column
    cell: Callable[[Row], Cell]


def _words(header: str, text: Callable[[Row], str], **how: Any) -> _Shown:
    return _Shown(Column(header, **how), lambda row: words(text(row)))


def _number(header: str, metric: str, **how: Any) -> _Shown:
    return _Shown(Column(header, right=True, **how), lambda row: number(row[metric]))


def _columns(metric: Metric) -> list[_Shown]:
    """The columns for people: the metric and SA50, each with its interval."""
    measured = [
        column
        for name, drop, drop_interval in ((metric.name, 0, 2), ("sa50", 4, 6))
        if name != metric.name or not drop
        for column in (
            _number(METRICS[name].title, name, drop=drop),
            _words("95 % interval", _interval(name), drop=drop_interval),
        )
    ]
    return [
        _words("model", lambda row: row["model"]),
        _words("weights", lambda row: row["weights"], drop=8),
        _words("data", lambda row: row["shown_data"]),
        _words("images", lambda row: str(row["images"]), right=True, drop=5),
        _words("groups", lambda row: str(row["groups"]), right=True, drop=7),
        *measured,
        _number(_SECONDS, "seconds", drop=3),
        _words("status", _status),
        _words("run", lambda row: row["run"], drop=1),
    ]


_SECONDS = "s/image"


def table(frame: pd.DataFrame, metric: Metric = MSA, *, timed: bool = True) -> Table:
    """The columns for people; those that say something: weights where a model has any.

    Args:
        frame: as from `summary`.
        metric: that it is ranked by.
        timed: with the time per image, which depends on the machine.
    """
    weighted = bool(frame["weights"].str.len().any())
    hidden = {"weights": not weighted, _SECONDS: not timed}
    shown = [c for c in _columns(metric) if not hidden.get(c.heading.header)]
    rows = [
        {str(key): value for key, value in row.items()}
        for row in frame.assign(shown_data=data_names(frame)).to_dict("records")
    ]
    cells = [[column.cell(row) for column in shown] for row in rows]
    score = next(i for i, column in enumerate(shown) if column.heading.header == metric.title)
    may = (frame["status"] == "complete") & ~frame["control"]
    for _, where in frame.groupby(SAME_IMAGES, dropna=False).indices.items():
        of_data = [cells[i][score] for i in where]
        ranked = placed(of_data, list(may.iloc[where]), not metric.higher_is_better)
        for i, cell in zip(where, ranked, strict=True):
            cells[i][score] = cell
    headings = [column.heading for column in shown]
    return Table("table", "", headings, cells, notes(frame), on_console=True)


def console(frame: pd.DataFrame, metric: Metric = MSA) -> Group:
    """For the terminal."""
    return formats.console(table(frame, metric))


def markdown(frame: pd.DataFrame, metric: Metric = MSA) -> str:
    """In GitHub-flavoured Markdown, with its notes."""
    return formats.markdown(table(frame, metric, timed=False))


def latex(frame: pd.DataFrame, metric: Metric = MSA) -> str:
    r"""A `tabular` with its notes, to be \input into a table; needs \usepackage{booktabs}."""
    return formats.latex(table(frame, metric, timed=False))


def exact(frame: pd.DataFrame, metric: Metric = MSA) -> Table:
    """Every column at full precision, with the run id in full; some only if they say something."""
    used = {mark: frame[mark].any() for mark in RUN_MARKS if mark != "mixed"}
    used |= {name: (frame[name] != "").any() for name in ("labelled", "selection")}
    silent = [name for name, is_used in used.items() if not is_used]
    hidden = ["run", "warnings", "channels", "framing", *_cautions(metric), *silent]
    written = frame.drop(columns=hidden, errors="ignore")
    rows = [
        [Cell(value if isinstance(value, str) else MISSING, value) for value in row]
        for row in written.itertuples(index=False)
    ]
    return Table("table", "", [Column(str(name)) for name in written], rows)


def csv(frame: pd.DataFrame, metric: Metric = MSA) -> str:
    """The exact table."""
    return formats.csv(exact(frame, metric))
