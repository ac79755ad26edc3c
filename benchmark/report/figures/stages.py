"""The stage account: a stacked bar for each run, of the true objects by where they were lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.report.figures.style import (
    NORMAL,
    SMALL,
    NothingToDrawError,
    Styles,
    footnote,
    legend,
    plain_axes,
    written,
)
from benchmark.scoring.stages import FOUND, OUTCOMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW, _HEADING = 0.3, 0.26  # inches
_NARROWEST = 0.035  # share of a part that has room for its number

# Found objects are light, so that the losses show; each loss has a hatch, for prints in grey.
STYLES: Styles = dict(
    zip(
        OUTCOMES,
        (
            {"facecolor": "#882255", "hatch": ""},
            {"facecolor": "#CC6677", "hatch": "////"},
            {"facecolor": "#DDCC77", "hatch": ""},
            {"facecolor": "#44AA99", "hatch": "...."},
            {"facecolor": "#332288", "hatch": ""},
            {"facecolor": "#EEEEEE", "hatch": ""},
        ),
        strict=True,
    )
)
"""How each outcome looks."""

_DARK = ("#882255", "#332288")


def draw(accounts: pd.DataFrame, labels: Sequence[str], groups: Sequence[str]) -> Figure:
    """A bar for each run: shares of its true objects, in the order of the stages.

    Args:
        accounts: what `benchmark.report.tables.stages.accounts` returned.
        labels: the name of each run.
        groups: the data set of each; runs of one are together.

    Raises:
        NothingToDrawError: there is no true object.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    counted = accounts.assign(label=list(labels), group=list(groups))
    counted = counted[counted["objects"] > 0]
    if counted.empty:
        raise NothingToDrawError("no run has a stage account of a true object.")
    names = list(counted["group"].unique())
    height = _ROW * len(counted) + _HEADING * len(names)
    figure = Figure(figsize=(7.6, height + 0.75), layout="constrained")
    axes = figure.subplots()
    y, ticks = 0.0, {}
    for name in names:
        axes.text(0, y + 0.75 * _HEADING, written(name), fontsize=NORMAL, fontweight="bold")
        y += _HEADING
        for row in counted[counted["group"] == name].to_dict("records"):
            middle, left = y + _ROW / 2, 0.0
            for outcome in reversed(OUTCOMES):  # what is found first, as in every other bar
                share = row[outcome] / row["objects"]
                style = STYLES[outcome]
                axes.barh(
                    middle, share, 0.8 * _ROW, left, edgecolor="black", linewidth=0.5, **style
                )
                if share >= _NARROWEST:
                    text = axes.text(
                        left + share / 2, middle, f"{row[outcome]:.0f}", fontsize=SMALL,
                        ha="center", va="center",
                        color="white" if style["facecolor"] in _DARK else "black",
                    )  # fmt: skip
                    if style["hatch"]:
                        text.set_bbox({"facecolor": style["facecolor"], "pad": 1.5, "lw": 0})
                left += share
            axes.text(1.01, middle, f"of {row['objects']:.0f}", fontsize=SMALL, va="center")
            ticks[middle] = written(str(row["label"]), 34)
            y += _ROW
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set(xlim=(0, 1.1), ylim=(y, 0), xticks=[0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.set_xlabel("share of the true objects", fontsize=NORMAL)
    axes.tick_params(axis="y", length=0)
    plain_axes(axes, "x")
    axes.spines["bottom"].set_bounds(0, 1)
    shown = [o for o in reversed(OUTCOMES) if o == FOUND or counted[o].any()]
    legend(
        figure,
        [Patch(edgecolor="black", label=outcome, **STYLES[outcome]) for outcome in shown],
        max(map(len, shown)),
    )
    footnote(figure, ["At an IoU of at least 0.5; numbers are objects, added up over images."])
    return figure
