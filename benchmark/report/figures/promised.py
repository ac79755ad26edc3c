"""What choices promised on the images that chose, against what they deliver on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.report.figures.style import (
    NORMAL,
    SMALL,
    Styles,
    footnote,
    legend,
    plain_axes,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROMISED, DELIVERED = "#882255", "#117733"
_ROW = 0.6  # inches
_LETTERS = 28  # in a line of a label


@dataclass(frozen=True)
class Gain:
    """The gain of a choice over the default, in the metric's direction: above 0 is better.

    Attributes:
        label: of the row; it may have two lines.
        promised: by the best point, on the images that chose.
        lower: the lower end of its 95 % interval; None where there is none.
        delivered: on images that did not choose.
        low: of its 95 % interval; None where there is none.
        high: likewise.
    """

    label: str
    promised: float
    lower: float | None
    delivered: float
    low: float | None
    high: float | None


def draw(gains: Sequence[Gain], title: str) -> Figure:
    """A row for each choice: what it promised, and what it delivers, with their intervals.

    Args:
        gains: of the choices.
        title: of the metric.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(6.4, _ROW * len(gains) + 0.9), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="black", linewidth=0.8)
    for place, gain in enumerate(gains):
        above, below = place - 0.15, place + 0.15
        if gain.lower is not None:  # one-sided
            axes.plot([gain.lower, gain.promised], [above] * 2, color=PROMISED, linewidth=1.2)
            axes.plot([gain.lower], [above], "|", color=PROMISED, markersize=7)
        axes.plot([gain.promised], [above], "o", color=PROMISED, markersize=6)
        if gain.low is not None and gain.high is not None:
            axes.plot([gain.low, gain.high], [below] * 2, color=DELIVERED, linewidth=1.2)
        axes.plot([gain.delivered], [below], "s", color=DELIVERED, markersize=6)
    labels = ["\n".join(wrapped(line, _LETTERS) for line in g.label.split("\n")) for g in gains]
    axes.set_yticks(range(len(gains)), labels)
    axes.set_ylim(len(gains) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelsize=NORMAL)
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.set_xlabel(f"gain in {title} over the default", fontsize=NORMAL)
    plain_axes(axes, "x")
    said: Styles = {
        "promised by the best point": {"color": PROMISED, "marker": "o"},
        "delivered by the choice": {"color": DELIVERED, "marker": "s"},
    }
    handles = [Line2D([], [], label=label, linestyle="", **style) for label, style in said.items()]
    legend(figure, handles, max(map(len, said)))
    footnote(
        figure,
        [
            "Promised: on the images that chose; the line begins at the lower end of the 95 % "
            "interval, which accounts for the choice among all points. Delivered: on images that "
            "did not choose, with its 95 % interval."
        ],
    )
    return figure
