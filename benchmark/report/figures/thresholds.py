"""Segmentation accuracy over the IoU threshold: who finds objects, and who outlines them well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.report.figures.style import (
    NORMAL,
    NothingToDrawError,
    Styles,
    grid,
    legend,
    plain_axes,
    shorten,
    written,
)
from benchmark.report.results import RunResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THRESHOLDS = np.linspace(0.5, 0.95, 10)


def curve(scores: pd.DataFrame) -> NDArray[np.float64] | None:
    """SA at each threshold, as the mean over images that count; its own mean is the run's mSA.

    Args:
        scores: of a `RunResult`.

    Returns:
        One number per threshold; None where no image counts.
    """
    counted = scores[scores["msa"].notna()]
    if counted.empty:
        return None
    matched = np.array(counted["true_positives"].tolist(), float)
    objects = (counted["n_true"] + counted["n_predicted"]).to_numpy(float)[:, np.newaxis]
    with np.errstate(invalid="ignore"):  # two empty images, which score 0 where they count
        accuracy = np.nan_to_num(matched / (objects - matched))
    return np.asarray(accuracy.mean(axis=0), float)


def draw(results: Sequence[RunResult], entries: pd.DataFrame, styles: Styles) -> Figure:
    """A panel per data set, a curve per run; partial runs have hollow markers.

    Args:
        results: scored runs.
        entries: their rows of `entries`.
        styles: of lines, by label.

    Raises:
        NothingToDrawError: no run has a scored image.
    """
    from matplotlib.lines import Line2D

    found = ((result.key, curve(result.scores)) for result in results)
    curves = {run: drawn for run, drawn in found if drawn is not None}
    rows = entries[entries["result"].isin(list(curves))]
    if rows.empty:
        raise NothingToDrawError("no run has a scored image.")
    groups = list(rows["group"].unique())
    figure, panels = grid(len(groups), 2.9, 2.5, "IoU threshold")
    for axes, group in zip(panels, groups, strict=True):
        for row in rows[rows["group"] == group].to_dict("records"):
            style = styles[row["label"]]
            fill = style["color"] if row["status"] == "complete" else "white"
            axes.plot(
                THRESHOLDS, curves[row["result"]], linewidth=1.4, markersize=4,
                markerfacecolor=fill, **style,
            )  # fmt: skip
        axes.set_title(written(group, 34), fontsize=NORMAL)
        axes.set(xlim=(0.48, 0.97), ylim=(-0.02, 1.02), xticks=[0.5, 0.6, 0.7, 0.8, 0.9])
        plain_axes(axes)
    figure.supylabel("SA (mean over images)", fontsize=NORMAL)
    labels = [label for label in styles if label in set(rows["label"])]
    handles = [Line2D([], [], markersize=4, label=written(name), **styles[name]) for name in labels]
    if (rows["status"] != "complete").any():
        handles.append(
            Line2D([], [], color="black", marker="o", markerfacecolor="white", label="partial")
        )
    legend(figure, handles, max(len(shorten(label)) for label in labels))
    return figure
