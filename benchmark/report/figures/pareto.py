"""Accuracy against time: which methods are worth their seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmark.report.figures.style import (
    NORMAL,
    NothingToDrawError,
    Styles,
    footnote,
    grid,
    legend,
    plain_axes,
    shorten,
    span,
    written,
)
from benchmark.report.tables.numbers import complete_block
from benchmark.scoring.metrics import MSA, Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def front(points: pd.DataFrame, sign: int = 1) -> list[str]:
    """The labels that no other beats: none is at least as good and as fast, and better in one.

    Args:
        points: indexed by label: score, seconds.
        sign: of the metric.

    Returns:
        The fastest first.
    """
    kept = []
    points = points.assign(score=sign * points["score"])
    for label, point in points.sort_values(["seconds", "score"]).iterrows():
        as_good = (points["score"] >= point["score"]) & (points["seconds"] <= point["seconds"])
        better = (points["score"] > point["score"]) | (points["seconds"] < point["seconds"])
        if not (as_good & better).any():
            kept.append(str(label))
    return kept


def views(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What each panel shows: all data sets that the methods share, then each one.

    Returns:
        By title: score and seconds (per image), indexed by label. Over several data sets score is
        the mean, seconds the mean of the medians.
    """
    timed = rows[rows["seconds"] > 0]
    found = {}
    groups = list(timed["group"].unique())
    if len(groups) > 1:
        times = complete_block(timed.pivot(index="group", columns="label", values="seconds"))
        if len(times) > 1 and times.shape[1] > 1:
            shared = timed[timed["group"].isin(times.index) & timed["label"].isin(times.columns)]
            title = f"{len(times)} data sets"
            found[title] = shared.groupby("label")[["score", "seconds"]].mean()
    for group in groups:
        found[group] = timed[timed["group"] == group].set_index("label")[["score", "seconds"]]
    return found


def draw(rows: pd.DataFrame, left_out: str, styles: Styles, metric: Metric = MSA) -> Figure:
    """A panel per data set, before them one over all; the front is a line of filled markers.

    Args:
        rows: what `entries.comparable` returned.
        left_out: a sentence about others.
        styles: of lines, by label.
        metric: whose scores they are.

    Raises:
        NothingToDrawError: no cell has a time.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import NullLocator

    panels = views(rows)
    if not panels:
        raise NothingToDrawError("no complete run has a time per image.", left_out)
    times = pd.concat(panels.values())["seconds"]
    decades = (
        10.0 ** np.floor(np.log10(times.min() / 1.3)),
        10.0 ** np.ceil(np.log10(times.max() * 1.3)),
    )
    low, high = span(pd.concat(panels.values())["score"])
    figure, drawn = grid(len(panels), 2.9, 2.5, "seconds per image")
    for axes, (title, points) in zip(drawn, panels.items(), strict=True):
        _panel(axes, points, styles, decades[1], metric.sign)
        axes.set_title(written(title, 34), fontsize=NORMAL)
    drawn[0].set(
        xscale="log", xlim=decades, ylim=(low - 0.02 * (high - low), high + 0.02 * (high - low))
    )
    drawn[0].xaxis.set_major_formatter("{x:g}")
    drawn[0].xaxis.set_minor_locator(NullLocator())
    figure.supylabel(metric.title, fontsize=NORMAL)
    shown = set().union(*(points.index for points in panels.values()))
    labels = [label for label in styles if label in shown]
    handles = [
        Line2D([], [], markersize=6, label=written(name), **(styles[name] | {"linestyle": ""}))
        for name in labels
    ]
    handles.append(Line2D([], [], color="0.4", linewidth=1, label="Pareto front"))
    legend(figure, handles, max(len("Pareto front"), *(len(shorten(name)) for name in labels)))
    footnote(
        figure,
        [
            "Filled: no other method is as accurate in less time. Medians over images, the first "
            "of each process left out, and over several data sets their means; times of "
            "different machines can't be compared.",
            left_out,
        ],
    )
    return figure


def _panel(axes: Axes, points: pd.DataFrame, styles: Styles, right: float, sign: int) -> None:
    best = front(points, sign)
    seconds = [*points.loc[best, "seconds"], right]
    reached = [*points.loc[best, "score"], sign * (sign * points["score"]).max()]
    axes.plot(seconds, reached, color="0.4", linewidth=1, drawstyle="steps-post", zorder=1)
    for label, point in points.iterrows():
        style = styles[str(label)] | {"linestyle": ""}
        fill = style["color"] if label in best else "white"
        axes.plot(
            point["seconds"], point["score"], markersize=7, markerfacecolor=fill,
            markeredgewidth=1.4, **style,
        )  # fmt: skip
    plain_axes(axes)
