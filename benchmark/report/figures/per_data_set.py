"""One bar per method and data set, with its interval where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.report.figures.methods import marked, order
from benchmark.report.figures.style import (
    IN_DOMAIN,
    NORMAL,
    PARTIAL,
    SMALL,
    NothingToDrawError,
    Styles,
    bar_styles,
    footnote,
    legend,
    plain_axes,
    save,
    shorten,
    span,
    written,
)
from benchmark.report.frame import NOT_REPORTED, SKIPPED
from benchmark.report.marks import in_words
from benchmark.report.tables.run_summary import data_names
from benchmark.scoring.metrics import MSA, Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR, _GAP, _HEADING = 0.17, 0.12, 0.24  # inches; a heading holds the name of a data set
_BARS_PER_PANEL = 80
_PANEL_WIDTH = 5.2
_TINY = 5.5  # points
_DASHES = (0, (4, 2))


def bars(frame: pd.DataFrame, path_stem: Path, metric: Metric = MSA) -> list[Path]:
    """One bar per run, grouped by data set: its score, with its interval where there is one.

    Partial runs are hatched. Many data sets are laid out in several panels side by side.

    Args:
        frame: what `tables.summary` returned.
        path_stem: the files' path without their suffix, in a folder that exists.
        metric: whose scores they are.

    Returns:
        The paths written: PNG and SVG.

    Raises:
        BenchmarkError: the frame has no row.
    """
    entries = frame.assign(
        label=marked(frame["model"], frame["weights_mark"]),
        group=data_names(frame),
        in_domain=False,
        **{f"score{end}": frame[f"{metric.name}{end}"] for end in ("", "_low", "_high")},
    )
    styles = bar_styles(order(entries, metric))
    return save(draw(entries, styles, metric=metric), path_stem, ("png", "svg"))


def draw(
    entries: pd.DataFrame,
    styles: Styles,
    left_out: str = "",
    *,
    numbered: bool = False,
    metric: Metric = MSA,
) -> Figure:
    """The figure of `bars`, of entries.

    A diamond marks methods that were trained on the data set. What is not reported, or was
    skipped, is an empty place that says so.

    Args:
        entries: with columns label, group, score, score_low, score_high, status, mixed, edited,
            in_domain.
        styles: of each label, in the order of a group's bars.
        left_out: a sentence about others.
        numbered: bars bear their label's number, where there are so many that their greys
            don't tell them apart.
        metric: whose scores they are.

    Raises:
        NothingToDrawError: there is no row.
    """
    from matplotlib.figure import Figure

    if entries.empty:
        raise NothingToDrawError("There is no run to draw. Run a model first, then report.")
    reported = entries.groupby("label")["score"].transform("count") > 0
    without = entries.loc[~reported & (entries["status"] == NOT_REPORTED), "label"].unique()
    if len(without) < entries["label"].nunique():
        entries = entries[~entries["label"].isin(without)]
    else:
        without = without[:0]
    styles = {label: style for label, style in styles.items() if label in set(entries["label"])}
    numbers = dict(zip(styles, range(1, 1 + len(styles)), strict=True)) if numbered else {}

    panels = _panels(entries)
    limits = span(entries[["score", "score_low", "score_high"]])
    height = max(sum(_height(rows) for rows in panel) for panel in panels)
    figure = Figure(figsize=(_PANEL_WIDTH * len(panels), height + 0.7), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        labels = _draw(axes, panel, styles, height, limits)
        axes.set_xlabel(f"{metric.title} (mean over images)")
        axes.set_yticks([])
        if numbered:
            axes.set_yticks(list(labels), [str(numbers[label]) for label in labels.values()])
            axes.tick_params(axis="y", length=0, pad=2, labelsize=_TINY)
    handles, longest = _handles(entries, styles, numbers)
    legend(figure, handles, longest)
    nowhere = f"Not reported on any data set: {', '.join(without)}." if len(without) else ""
    footnote(figure, [nowhere, left_out])
    return figure


def _height(rows: pd.DataFrame) -> float:
    return _HEADING + _BAR * len(rows) + _GAP


def _panels(entries: pd.DataFrame) -> list[list[pd.DataFrame]]:
    """The data sets' rows, shared out evenly over as many panels as keep the page in shape."""
    groups = [rows for _, rows in entries.groupby("group", sort=False)]
    heights = np.array([_height(rows) for rows in groups])
    count = min(len(groups), -(-len(entries) // _BARS_PER_PANEL))
    middles = heights.cumsum() - heights / 2
    place = (count * middles / heights.sum()).astype(int)
    panels = [[groups[i] for i in np.flatnonzero(place == panel)] for panel in range(count)]
    return [panel for panel in panels if panel]


def _draw(
    axes: Axes,
    panel: list[pd.DataFrame],
    styles: Styles,
    height: float,
    limits: tuple[float, float],
) -> dict[float, str]:
    """Draw the data sets of a panel; returns the label of each bar by where its middle is."""
    places = {label: place for place, label in enumerate(styles)}
    low, high = limits
    width = high - low
    labels = {}
    y = 0.0  # inches from the top, so that bars are equally thick whatever the page
    for rows in panel:
        name = written(rows["group"].iloc[0])
        axes.text(low, y + 0.8 * _HEADING, name, fontsize=NORMAL, fontweight="bold", va="baseline")
        y += _HEADING
        ordered = rows.sort_values("label", key=lambda names: names.map(places))
        _ceilings(axes, ordered, (y, y + _BAR * len(ordered)), limits)
        for row in ordered.to_dict("records"):
            _bar(axes, y + _BAR / 2, row, styles[row["label"]], limits)
            labels[y + _BAR / 2] = row["label"]
            y += _BAR
        y += _GAP
    ticks = low + width * np.arange(0, 1.1, 0.2)
    axes.set(xlim=(low, low + 1.1 * width), ylim=(height, 0), xticks=ticks)
    plain_axes(axes, "x")
    axes.spines["bottom"].set_bounds(low, high)  # no score lies beyond; labels do
    return labels


def _ceilings(
    axes: Axes, rows: pd.DataFrame, between: tuple[float, float], limits: tuple[float, float]
) -> None:
    """A line across the bars of a data set at the score of each control that is within the axis."""
    low, high = limits
    for score in rows.loc[rows["control"].astype(bool), "score"]:
        if low < score < high:
            axes.plot([score] * 2, between, color="black", linestyle=_DASHES, lw=1, zorder=1.5)


def _bar(
    axes: Axes,
    middle: float,
    row: Mapping[Any, Any],
    style: dict[str, Any],
    limits: tuple[float, float],
) -> None:
    from matplotlib.patheffects import withStroke

    width = limits[1] - limits[0]
    if row["status"] in (NOT_REPORTED, SKIPPED):
        axes.text(
            limits[0] + 0.012 * width,
            middle,
            row["status"],
            fontsize=SMALL,
            va="center",
            style="italic",
        )
        return
    end = np.nan_to_num(row["score"])
    if row["status"] != "complete":
        style = style | {"hatch": style["hatch"] + PARTIAL, "alpha": 0.55}
    axes.barh(middle, end, 0.88 * _BAR, edgecolor="black", linewidth=0.6, **style)
    if pd.notna(row["score_low"]):
        axes.plot(
            [row["score_low"], row["score_high"]], [middle, middle],
            color="black", linewidth=1.1, solid_capstyle="butt",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
    label = "n/a" if pd.isna(row["score"]) else f"{row['score']:.3f}"
    label += f" {IN_DOMAIN}" * (row["in_domain"] is True)
    label += "".join(f" {mark.words}" for mark in in_words(row))
    right = np.nanmax([end, row["score_high"]])
    axes.text(right + 0.012 * width, middle, label, fontsize=SMALL, va="center")


def _handles(
    entries: pd.DataFrame, styles: Styles, numbers: Mapping[str, int]
) -> tuple[list[Any], int]:
    """What the legend shows, and the letters of its longest label."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(
            edgecolor="black",
            label=f"{numbers.get(label, '')} {written(label)}".strip(),
            **style,
        )
        for label, style in styles.items()
    ]
    if entries["score_low"].notna().any():
        handles.append(Line2D([], [], color="black", label="95 % interval"))
    within = entries["score"].between(*span(entries["score"]), inclusive="neither")
    if (entries["control"].astype(bool) & within).any():
        handles.append(Line2D([], [], color="black", linestyle=_DASHES, label="a control's score"))
    without = entries["status"].isin([NOT_REPORTED, SKIPPED, "complete"])
    if not without.all():
        handles.append(Patch(facecolor="white", edgecolor="black", hatch=PARTIAL, label="partial"))
    if (entries["in_domain"] == True).any():  # noqa: E712 (may be NA)
        handles.append(
            Line2D([], [], color="black", marker="D", linestyle="", markersize=4, label="in-domain")
        )
    return handles, max(len("95 % interval"), *(len(shorten(label)) for label in styles))
