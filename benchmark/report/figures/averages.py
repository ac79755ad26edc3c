"""Each method's mean over the data sets of a modality, with its mean rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.report.figures.methods import matrix
from benchmark.report.figures.style import (
    NORMAL,
    PARTIAL,
    SMALL,
    NothingToDrawError,
    Styles,
    footnote,
    grid,
    legend,
    plain_axes,
    span,
    written,
)
from benchmark.report.frame import MODALITIES
from benchmark.report.tables.numbers import averages, mean_ranks, ranks
from benchmark.scoring.metrics import MSA, Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_BAR = 0.26  # inches
_LETTER = 0.075


def shown(rows: pd.DataFrame, metric: Metric = MSA) -> pd.DataFrame:
    """What the figure shows, a row per modality and label.

    Args:
        rows: what `entries.comparable` returned.
        metric: whose scores they are.

    Returns:
        Indexed by (modality, method): mean (of scores over the method's data sets), median, sets
        (how many these are), of (how many the modality has), rank (mean over the data sets
        that all have, equal numbers sharing theirs; NaN where it stands alone), ranked (how
        many data sets these are), outside (the mean without the data sets that the method was
        trained on; NaN where it was trained on none of them, or on all).
    """
    table = matrix(rows, metric)
    frame = averages(table)
    keys = ["modality", "method"]
    seen = rows.assign(method=rows["label"], trained=rows["in_domain"].fillna(False).astype(bool))
    outside = seen[~seen["trained"]].groupby(keys)["score"].mean().reindex(frame.index)
    ranked = mean_ranks(ranks(metric.sign * table))
    by_method = pd.Series(ranked.drop(columns="sets").stack())
    placed = by_method.reindex(frame.index) if table.shape[1] > 1 else np.nan
    in_each = frame.index.get_level_values("modality")
    frame = frame.assign(
        of=table.groupby(level="modality").size().reindex(in_each).to_numpy(),
        ranked=ranked["sets"].reindex(in_each, fill_value=0).to_numpy(),
        rank=placed,
        outside=outside.where(seen.groupby(keys)["trained"].any().reindex(frame.index)),
    )
    return frame


def draw(rows: pd.DataFrame, left_out: str, styles: Styles, metric: Metric = MSA) -> Figure:
    """Bars of `shown`, a panel per modality, the methods in the same order in each.

    Raises:
        NothingToDrawError: no complete cell is left.
    """
    from matplotlib.patches import Patch

    if rows.empty:
        raise NothingToDrawError("no complete run of a method is there.", left_out)
    frame = shown(rows, metric)
    labels = [label for label in styles if label in set(rows["label"])]
    in_each = frame.index.get_level_values("modality")
    modalities = [name for name in MODALITIES if name in in_each]
    figure, panels = grid(len(modalities), 2.7, _BAR * len(labels) + 0.75, f"mean {metric.title}")
    names = [written(label) for label in labels]
    limits = span(frame[["mean", "outside"]])
    figure.set_figwidth(figure.get_figwidth() + _LETTER * max(map(len, names)))
    for axes, modality in zip(panels, modalities, strict=True):
        those = frame[in_each == modality].droplevel("modality")
        _panel(axes, those, labels, styles, limits)
        sets, ranked = (int(those[key].max()) for key in ("of", "ranked"))
        over = f", ranks over {ranked}" if frame["rank"].notna().any() and ranked < sets else ""
        axes.set_title(
            f"{MODALITIES[modality].capitalize()} ({sets} data set{'s' * (sets != 1)}{over})",
            fontsize=NORMAL, loc="left",
        )  # fmt: skip
    panels[0].set(yticks=range(len(labels)), ylim=(len(labels) - 0.4, -0.6))
    panels[0].set_yticklabels(names)
    handles: list[Any] = []
    if frame["outside"].notna().any():
        handles.append(
            _diamond([], [], "mean without the data sets that the method was trained on")
        )
    if (frame["sets"] < frame["of"]).any():
        label = "not on all data sets of the modality"
        handles.append(Patch(facecolor="white", edgecolor="black", hatch=PARTIAL, label=label))
    if handles:
        legend(figure, handles, 58)
    of_ranks = (
        "In brackets the mean rank over data sets (1 is best, equal numbers share their rank)."
    )
    whose = "Numbers are those of the bars, not of the diamonds."
    footnote(
        figure,
        [
            whose if frame["outside"].notna().any() else "",
            of_ranks if frame["rank"].notna().any() else "",
            left_out,
        ],
    )
    return figure


def _panel(
    axes: Axes,
    frame: pd.DataFrame,
    labels: list[str],
    styles: Styles,
    limits: tuple[float, float],
) -> None:
    low, high = limits
    width = high - low
    for place, label in enumerate(labels):
        if label not in frame.index:
            axes.text(
                low + 0.012 * width, place, "no data", fontsize=SMALL, va="center", style="italic"
            )
            continue
        row: dict[Any, Any] = frame.loc[label].to_dict()
        style, right = styles[label], row["mean"]
        text = f"{row['mean']:.3f}"
        if pd.notna(row["rank"]):
            text += f" ({row['rank']:.2f})"
        if row["sets"] < row["of"]:
            style = style | {"hatch": style["hatch"] + PARTIAL, "alpha": 0.55}
            text += f", {row['sets']:.0f} of {row['of']:.0f} sets"
        axes.barh(place, row["mean"], 0.8, edgecolor="black", linewidth=0.6, **style)
        if pd.notna(row["outside"]):
            axes.add_line(_diamond([row["outside"]], [place]))
            right = max(right, row["outside"] + 0.02 * width)
        axes.text(right + 0.03 * width, place, text, fontsize=8, va="center")
    axes.set(xlim=(low, low + 1.3 * width), xticks=low + width * np.arange(0, 1.1, 0.2))
    plain_axes(axes, "x")
    axes.spines["bottom"].set_bounds(low, high)
    axes.tick_params(axis="y", length=0)


def _diamond(x: list[float], y: list[float], label: str = "") -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D(
        x, y, color="black", marker="D", markersize=5, markerfacecolor="white", linestyle="",
        label=label, zorder=3,
    )  # fmt: skip
