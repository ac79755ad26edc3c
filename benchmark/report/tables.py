"""Runs -> one table, and four ways to write it down."""

from __future__ import annotations

import csv as csv_module
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.metrics import pooled_accuracies
from benchmark.report import escape
from benchmark.report.results import RunResult
from benchmark.stats import bootstrap_interval

MISSING = "n/a"
COMPARABLE = ["data", "split", "protocol", "images_id"]
"""Runs that agree in these may be ranked against each other."""

_COLUMNS = [
    "model", "weights", "weights_mark", *COMPARABLE, "images", "groups", "excluded", "both_empty",
    "msa", "msa_low", "msa_high", "sa50", "sa50_low", "sa50_high",
    "sa50_pooled", "msa_pooled", "seconds", "status", "mixed", "control", "lost", "run", "run_id",
]  # fmt: skip

Row = dict[str, Any]
Cell = TypeVar("Cell")


def summary(results: Sequence[RunResult]) -> pd.DataFrame:
    """One row per run, sorted by data set (split, protocol), the best mSA first.

    Args:
        results: scored runs.

    Returns:
        Columns: model, its weights and their mark; data, split, protocol, images_id; images
        (that the means are over), their groups, both_empty images and how many of them are excluded
        from the means; msa and sa50 (means over images) with their intervals (_low, _high),
        sa50_pooled and msa_pooled (counts added up over images first); seconds (median per
        image, the first of each process left out); status;
        mixed; control; lost (why the study's own images can't be had); run (12 characters)
        and run_id. Undefined numbers are NaN.
    """
    frame = pd.DataFrame([_row(result) for result in results], columns=_COLUMNS)
    return frame.sort_values(
        [*COMPARABLE, "msa", "model", "run_id"],
        ascending=[*(True for _ in COMPARABLE), False, True, True],
        ignore_index=True,
    )


def _row(result: RunResult) -> Row:
    scores = result.scores
    counted = scores[scores["msa"].notna()]
    counts = zip(scores["true_positives"], scores["n_true"], scores["n_predicted"], strict=True)
    pooled = pooled_accuracies(counts)
    both_empty = scores["both_empty"].astype(bool)
    return {
        # pandas holds strings as UTF-8 and would stop at a lone surrogate.
        **{key: escape.plain(getattr(result, key)) for key in ("model", *COMPARABLE)},
        "weights": escape.plain(result.weights),
        "weights_mark": result.mark,
        "images": len(counted),
        "groups": counted["group"].nunique(),
        "excluded": int((both_empty & scores["msa"].isna()).sum()),
        "both_empty": int(both_empty.sum()),
        **_mean_and_interval("msa", counted),
        **_mean_and_interval("sa50", counted),
        "sa50_pooled": pooled[0] if pooled else np.nan,
        "msa_pooled": float(np.mean(pooled)) if pooled else np.nan,
        "seconds": float(scores["seconds"].astype(float).median()),
        "status": result.status,
        "mixed": result.mixed,
        "control": result.control,
        "lost": escape.plain(result.lost),
        "run": result.run_id[:12],
        "run_id": result.run_id,
    }


def _mean_and_interval(metric: str, counted: pd.DataFrame) -> Row:
    values = counted[metric].astype(float)
    interval = bootstrap_interval(values.to_numpy(), counted["group"].tolist())
    low, high = interval or (np.nan, np.nan)
    return {metric: float(values.mean()), f"{metric}_low": low, f"{metric}_high": high}


def best(frame: pd.DataFrame) -> pd.Series[bool]:
    """Which rows hold the best mSA among the complete runs on the same data, controls aside."""
    complete = frame["msa"].where((frame["status"] == "complete") & ~frame["control"])
    top = complete.groupby([frame[key] for key in COMPARABLE]).transform("max")
    return (complete == top).astype(bool)


def data_names(frame: pd.DataFrame) -> pd.Series[str]:
    """The data set of each row, with split and protocol where the table mixes several.

    A star says that its images are not those of the published study; where rows of one data
    set are of different images, the beginning of their digest tells them apart.
    """
    names = frame["data"]
    for key in ("split", "protocol"):
        if frame[key].nunique() > 1:
            names = names + ", " + frame[key]
    several = frame.groupby(["data", "split", "protocol"])["images_id"].transform("nunique") > 1
    names = names.where(~several, names + " #" + frame["images_id"])
    return names.where(frame["lost"] == "", names + "*")


def notes(frame: pd.DataFrame) -> list[str]:
    """What a reader has to know below the table, in sentences."""
    lines = [
        "SA50 = TP / (TP + FP + FN) at an IoU of at least 0.5, which this field often calls "
        "AP50; mSA is the mean of SA over IoU 0.50, 0.55, ..., 0.95. Images are 2-D.",
        "Intervals: 95 % bootstrap of the mean over images, resampling whole groups. Scored "
        f"under protocol {', '.join(sorted(frame['protocol'].unique()))}.",
    ]
    for protocol, rows in frame[frame["both_empty"] > 0].groupby("protocol"):
        policy = "are left out of the means" if rows["excluded"].any() else "score 0"
        lines.append(
            f"Protocol {protocol}: images without any object, true or predicted, {policy} "
            f"(up to {rows['both_empty'].max()} per run)."
        )
    if frame["status"].str.startswith("partial").any():
        lines.append("partial: means over the images done so far; never marked as best.")
    if frame["weights"].str.len().any():
        lines.append(
            "weights: by name where their digest is the one on their card; user: a file of "
            "one's own, by its digest; digest unconfirmed: nobody publishes one, and the first "
            "download's is held to."
        )
    for (data, reason), _ in frame[frame["lost"] != ""].groupby(["data", "lost"]):
        lines.append(f"* {data}: not the published study's own images, as {reason}.")
    if frame["mixed"].any():
        lines.append("mixed: made in attempts that differ in code or environment.")
    return lines


def _number(value: float) -> str:
    return MISSING if pd.isna(value) else f"{value:.3f}"


def _interval(metric: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        low, high = row[f"{metric}_low"], row[f"{metric}_high"]
        if pd.isna(low):
            groups = row["groups"]
            return f"{MISSING} ({groups} group{'' if groups == 1 else 's'})"
        return f"{low:.3f} - {high:.3f}"

    return text


@dataclass(frozen=True)
class _Column:
    header: str
    text: Callable[[Row], str]
    right: bool = False
    width: int | None = None  # letters in the terminal, where names and intervals give way
    marks_best: bool = False


_SHOWN = (
    _Column("model", lambda row: row["model"]),
    _Column("weights", lambda row: row["weights"]),
    _Column("data", lambda row: row["shown_data"]),
    _Column("images", lambda row: str(row["images"]), right=True, width=6),
    _Column("groups", lambda row: str(row["groups"]), right=True, width=6),
    _Column("mSA", lambda row: _number(row["msa"]), right=True, width=5, marks_best=True),
    _Column("95 % interval", _interval("msa")),
    _Column("SA50", lambda row: _number(row["sa50"]), right=True, width=5),
    _Column("95 % interval", _interval("sa50")),
    _Column("status", lambda row: row["status"] + (", mixed" if row["mixed"] else "")),
    _Column("run", lambda row: row["run"], width=12),
)


def _shown(frame: pd.DataFrame) -> list[_Column]:
    """The columns that say something: weights only where a model has any."""
    weighted = bool(frame["weights"].str.len().any())
    return [column for column in _SHOWN if weighted or column.header != "weights"]


def _rows(
    frame: pd.DataFrame, written: Callable[[str], Cell], bold: Callable[[Cell], Cell]
) -> Iterator[list[Cell]]:
    """The table's cells as a format writes them, the best mSA in bold."""
    shown = frame.assign(shown_data=data_names(frame), best=best(frame))
    for row in shown.to_dict("records"):
        cells = {str(key): value for key, value in row.items()}
        yield [
            bold(cell) if column.marks_best and cells["best"] else cell
            for column in _shown(frame)
            for cell in [written(column.text(cells))]
        ]


def console(frame: pd.DataFrame) -> Table:
    """For the terminal; `Text` objects, so that no name is read as markup."""
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=0,  # 80 columns are few for this table; the box leaves one between cells
        caption=Text("\n".join(escape.plain(line) for line in notes(frame))),
        caption_justify="left",
    )
    for column in _shown(frame):
        table.add_column(
            column.header,
            justify="right" if column.right else "left",
            overflow="fold",
            width=column.width,
        )
    for row in _rows(
        frame, lambda text: Text(escape.plain(text)), lambda cell: Text(cell.plain, "bold")
    ):
        table.add_row(*row)
    return table


def markdown(frame: pd.DataFrame) -> str:
    """A table in GitHub-flavoured Markdown, with its notes."""
    lines = [
        [escape.markdown(column.header) for column in _shown(frame)],
        ["---:" if column.right else "---" for column in _shown(frame)],
        *_rows(frame, escape.markdown, lambda cell: f"**{cell}**"),
    ]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{table}\n{' '.join(escape.markdown(line) for line in notes(frame))}\n"


def latex(frame: pd.DataFrame) -> str:
    r"""A `tabular` with its notes, to be \input into a table; needs \usepackage{booktabs}."""

    def line(cells: list[str]) -> str:
        return f"{' & '.join(cells)} \\\\"

    columns = _shown(frame)
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            rf"\begin{{tabular}}{{{''.join('r' if column.right else 'l' for column in columns)}}}",
            r"\toprule",
            line([escape.latex(column.header) for column in columns]),
            r"\midrule",
            *(line(row) for row in _rows(frame, escape.latex, lambda cell: rf"\textbf{{{cell}}}")),
            r"\bottomrule",
            r"\end{tabular}",
            "",
            rf"{{\footnotesize {' '.join(escape.latex(text) for text in notes(frame))}\par}}",
            "",
        ]
    )


def csv(frame: pd.DataFrame) -> str:
    """Every column at full precision, with the run id in full, safe to open in a spreadsheet."""

    def cell(value: Any) -> Any:
        if isinstance(value, str):
            return escape.csv_cell(value)
        return MISSING if pd.isna(value) else value

    written = frame.drop(columns="run")
    out = io.StringIO()
    writer = csv_module.writer(out, lineterminator="\n")
    writer.writerow(written.columns)
    writer.writerows([cell(value) for value in row] for row in written.itertuples(index=False))
    return out.getvalue()
