"""Two methods, image by image, as points: who is better, where, and by how much."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.report.figures.style import COLOURS, NORMAL, SMALL, plain_axes, save, span, written
from benchmark.scoring.metrics import MSA, Metric

_SIDE = 5.2  # inches
_CORNER = 0.03  # of the axes
_A, _B, _EQUAL = COLOURS[0], COLOURS[4], "0.45"


def scatter(
    pairs: pd.DataFrame, a: str, b: str, title: str, path_stem: Path, metric: Metric = MSA
) -> list[Path]:
    """A point per sample: b's score to the right, a's upwards.

    Args:
        pairs: a, b and difference, one row per sample.
        a: what to call the first method.
        b: the second.
        title: one line.
        path_stem: the files' path without their suffix, in a folder that exists.
        metric: whose scores they are.

    Returns:
        The paths written: PNG and SVG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIDE, _SIDE + 0.3), layout="constrained")
    axes = figure.add_subplot()
    ends = span(pairs[["a", "b"]])
    axes.plot(ends, ends, color="0.4", linewidth=0.9, zorder=1)
    better = {
        "a": (metric.sign * pairs["difference"] > 0, _A, "^"),
        "b": (metric.sign * pairs["difference"] < 0, _B, "v"),
        "equal": (pairs["difference"] == 0, _EQUAL, "o"),
    }
    for rows, colour, marker in better.values():
        axes.scatter(
            pairs["b"][rows], pairs["a"][rows], s=26, marker=marker, facecolor=colour,
            edgecolor="white", linewidth=0.4, alpha=0.75, zorder=2, clip_on=False,
        )  # fmt: skip
    mean_b, mean_a = pairs["b"].mean(), pairs["a"].mean()
    axes.plot(
        mean_b, mean_a, marker="P", markersize=11, color="black", markeredgecolor="white",
        linestyle="none", zorder=3, label=f"mean: a {mean_a:.3f}, b {mean_b:.3f}",
    )  # fmt: skip
    above, below = ("a", "b") if metric.higher_is_better else ("b", "a")
    for name, x, y, side in (
        (above, _CORNER, 1 - _CORNER, "left"),
        (below, 1 - _CORNER, 0.07, "right"),
    ):
        count = int(better[name][0].sum())
        axes.text(
            x, y, f"{name} is better on {count} of {len(pairs)}", color=better[name][1],
            ha=side, va="top", fontsize=NORMAL, fontweight="bold", zorder=4,
            transform=axes.transAxes,
        )  # fmt: skip
    plain_axes(axes)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.set_xlabel(f"b = {written(b)}, {metric.title}", fontsize=NORMAL)
    axes.set_ylabel(f"a = {written(a)}, {metric.title}", fontsize=NORMAL)
    axes.set_title(written(title, 70), fontsize=NORMAL, loc="left")
    axes.tick_params(labelsize=SMALL + 1)
    figure.legend(loc="outside lower right", fontsize=SMALL + 1, frameon=False)
    return save(figure, path_stem, ("png", "svg"))
