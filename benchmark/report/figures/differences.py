"""Which method is best, as a forest plot: paired differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmark.report.figures.style import (
    NORMAL,
    SMALL,
    footnote,
    legend,
    plain_axes,
    written,
)
from benchmark.report.text import p_equation
from benchmark.report.verdict import BETTER, Against, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_ROW, _HEADING, _GAP = 0.24, 0.28, 0.12  # inches
_ROWS_PER_PANEL = 40
_PANEL_WIDTH = 4.6
_LETTER = 0.075
_COLOUR = "#332288"


def draw(found: Sequence[Verdict]) -> Figure:
    """A row for each method that one is set against, data set by data set.

    A filled square is a difference that the test finds; the line is its 95 % interval.

    Args:
        found: verdicts; at least one.
    """
    from matplotlib.figure import Figure

    panels = _panels(found)
    height = max(sum(_height(verdict) for verdict in panel) for panel in panels)
    every = [one for verdict in found for one in verdict.against]
    longest = max(len(written(one.other, 24)) for one in every)
    size = ((_PANEL_WIDTH + _LETTER * longest) * len(panels), height + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    limits = _limits(every)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw(axes, panel, height, limits)
        axes.set_xlabel(f"difference in {found[0].metric.title} (over images)", fontsize=NORMAL)
    handles = [
        _mark(True, label="better (p by Holm at most 0.05, and no 0 in the interval)"),
        _mark(False, label="unclear, or not tested"),
    ]
    legend(figure, handles, 36)
    lower = "" if found[0].metric.higher_is_better else "Lower scores are better. "
    footnote(
        figure,
        [
            f"{lower}Each row: the method in the heading minus the one beside it, over the images "
            "that both have, with the 95 % interval of that difference alone; p corrected by Holm "
            "for all pairs of methods on the data set."
        ],
    )
    return figure


def _height(verdict: Verdict) -> float:
    return _HEADING + _ROW * len(verdict.against) + _GAP


def _panels(found: Sequence[Verdict]) -> list[list[Verdict]]:
    """The data sets side by side in as many columns as keep the page in shape."""
    panels: list[list[Verdict]] = [[]]
    for verdict in found:
        rows = sum(len(one.against) for one in panels[-1])
        if panels[-1] and rows + len(verdict.against) > _ROWS_PER_PANEL:
            panels.append([])
        panels[-1].append(verdict)
    return panels


def _limits(every: Sequence[Against]) -> tuple[float, float]:
    ends = [0.0, *(v for one in every for v in (one.difference, one.low, one.high) if v == v)]
    low, high = min(ends), max(ends)
    pad = 0.05 * (high - low) or 0.05
    return low - pad, high + pad


def _draw(axes: Axes, panel: Sequence[Verdict], height: float, limits: tuple[float, float]) -> None:
    low, high = limits
    labels: dict[float, str] = {}
    y = 0.0  # inches from the top, so that rows are equally high whatever the page
    for verdict in panel:
        heading = f"{written(verdict.best, 30)} against others, {written(verdict.title, 24)}"
        axes.text(low, y + 0.75 * _HEADING, heading, fontsize=NORMAL, fontweight="bold")
        y += _HEADING
        for one in verdict.against:
            middle = y + _ROW / 2
            labels[middle] = written(one.other, 24)
            _row(axes, middle, one, high)
            y += _ROW
        rows = [y - _ROW * len(verdict.against), y]  # the line of no difference, of these alone
        axes.plot([0, 0], rows, color="black", linewidth=0.8)
        y += _GAP
    axes.set(xlim=(low, high), ylim=(height, 0))
    axes.set_yticks(list(labels), list(labels.values()), fontsize=8)
    plain_axes(axes, "x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _row(axes: Axes, middle: float, one: Against, right: float) -> None:
    if one.low == one.low:
        axes.plot([one.low, one.high], [middle, middle], color=_COLOUR, linewidth=1.4)
    if one.difference != one.difference:
        said = "no image in common"
    else:
        axes.add_line(_mark(one.outcome == BETTER, [one.difference], [middle]))
        said = f"{one.difference:+.3f}, {p_equation(one.p, one.groups)}"
    axes.annotate(
        said, (right, middle), xytext=(4, 0), textcoords="offset points", fontsize=SMALL,
        va="center", annotation_clip=False,
    )  # fmt: skip


def _mark(
    filled: bool, x: Sequence[float] = (), y: Sequence[float] = (), label: str = ""
) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D(
        list(x), list(y), color=_COLOUR, marker="s", markersize=5, linestyle="", zorder=3,
        markerfacecolor=_COLOUR if filled else "white", label=label,
    )  # fmt: skip
