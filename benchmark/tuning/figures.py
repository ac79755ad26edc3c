"""Figures of a search: the effect of each parameter, and promised against delivered gain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.report.figures import promised
from benchmark.report.figures.style import (
    NORMAL,
    SMALL,
    Styles,
    footnote,
    legend,
    plain_axes,
    save,
    shorten,
    written,
)
from benchmark.tuning.words import override_value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from benchmark.tuning.selection import Selection

_COLUMNS = 3
_POINTS, _BEST, _DEFAULT, _CHOSEN = "0.7", "#332288", "#CC6677", "#117733"
_LONGEST = 12  # letters of a value on an axis


def draw(selection: Selection, folder: Path) -> list[Path]:
    """Draw the figures of a choice; those that an earlier one left there are replaced.

    Returns:
        The paths written.
    """
    figures = {"effect": effect(selection)}
    nested = selection.delivered
    if nested is not None:
        found = selection.choice
        gain = promised.Gain(
            selection.job.data.name, found.gain, found.lower, nested.gain, nested.low, nested.high
        )
        figures["promised_and_delivered"] = promised.draw([gain], selection.metric.title)
    return [path for name, figure in figures.items() for path in save(figure, folder / name)]


def effect(selection: Selection) -> Figure:
    """A panel for each parameter: the score of each point at its value, and the best of them."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    grid, metric = selection.grid, selection.metric
    means = selection.scores.values.mean(0) * metric.sign
    rows = -(-len(grid.axes) // _COLUMNS)
    columns = min(_COLUMNS, len(grid.axes))
    figure = Figure(figsize=(2.5 * columns + 0.6, 2.3 * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    marks = ((grid.points[0], _DEFAULT, "D", 6), (selection.point, _CHOSEN, "*", 9))
    for axes, (name, values) in zip(panels, grid.axes.items(), strict=False):
        at = np.array(grid.places(name))
        spread = np.linspace(-0.18, 0.18, len(at))[np.argsort(np.argsort(means))]
        axes.plot(at + spread, means, ".", color=_POINTS, markersize=3, zorder=1)
        best = [
            metric.sign * (metric.sign * means[at == number]).max() for number in range(len(values))
        ]
        axes.plot(range(len(values)), best, "-o", color=_BEST, markersize=4, zorder=2)
        for point, colour, marker, size in marks:
            number = grid.points.index(point)
            axes.plot(
                [at[number]], [means[number]], marker, color=colour,
                markersize=size, zorder=3, markeredgecolor="white", markeredgewidth=0.6,
            )  # fmt: skip
        labels = [written(shorten(override_value(value), _LONGEST)) for value in values]
        axes.set_xticks(range(len(values)), labels, fontsize=SMALL)
        if max(map(len, labels)) * len(labels) > 24:
            axes.tick_params(axis="x", rotation=90)
        axes.set_xlim(-0.5, len(values) - 0.5)
        axes.set_title(written(name), fontsize=NORMAL, loc="left")
        axes.tick_params(axis="y", labelsize=SMALL)
        plain_axes(axes, "y")
    for empty in panels[len(grid.axes) :]:
        empty.remove()
    for first in panels[::columns]:
        first.set_ylabel(f"mean {metric.title}", fontsize=NORMAL)
    said: Styles = {
        "a point of the grid": {"color": _POINTS, "marker": "."},
        "the best point with this value": {"color": _BEST, "marker": "o", "linestyle": "-"},
        "the default": {"color": _DEFAULT, "marker": "D"},
        "chosen": {"color": _CHOSEN, "marker": "*"},
    }
    handles = [Line2D([], [], **{"linestyle": "", "label": k, **v}) for k, v in said.items()]
    legend(figure, handles, max(map(len, said)))
    footnote(figure, [f"{selection.table_title}. Scores are means over the images that choose."])
    return figure
