"""The critical-difference diagram: mean ranks over data sets, and which lie within chance.

Drawn here and not by scikit-posthocs, which draws on pyplot's global figure, shows neither the
critical difference nor the number of data sets, and wraps no long names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.report.figures.methods import matrix
from benchmark.report.figures.style import (
    NORMAL,
    SMALL,
    NothingToDrawError,
    footnote,
    wrapped,
)
from benchmark.report.tables.numbers import complete_block
from benchmark.report.tables.table import p_value
from benchmark.scoring.metrics import MSA, Metric
from benchmark.stats import FriedmanResult, friedman
from benchmark.stats.ranks import FEWEST_DATA_SETS, FEWEST_METHODS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SCALE = 4.6  # inches from the first rank to the last
_ROW = 0.3  # inches
_LETTER, _WRAP = 0.078, 26


def cliques(ranks: pd.Series[float], difference: float) -> list[tuple[str, str]]:
    """First and last method of each longest run of ranks that spans less than the difference.

    Args:
        ranks: mean ranks by label, ascending.
        difference: the critical one.
    """
    found: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = int((ranks - rank < difference).to_numpy().nonzero()[0].max())
        if last > first and not (found and found[-1][1] >= last):
            found.append((first, last))
    return [(str(ranks.index[first]), str(ranks.index[last])) for first, last in found]


def draw(rows: pd.DataFrame, left_out: str, metric: Metric = MSA) -> Figure:
    """The diagram of the methods on the data sets that all of them have.

    Args:
        rows: what `entries.comparable` returned.
        left_out: a sentence about others.
        metric: whose scores they are.

    Raises:
        NothingToDrawError: fewer than three methods or five data sets.
    """
    from matplotlib.figure import Figure

    table = complete_block(matrix(rows, metric)) if len(rows) else pd.DataFrame()
    tested = friedman(metric.sign * table)
    if tested is None:
        raise NothingToDrawError(
            f"it takes {FEWEST_METHODS} methods with complete runs on the same {FEWEST_DATA_SETS} "
            f"data sets, and there are {table.shape[1]} on {len(table)}.",
            left_out,
        )
    ranks = tested.mean_ranks
    bars = cliques(ranks, tested.critical_difference)
    left, right = ranks.index[: -(-len(ranks) // 2)], ranks.index[-(-len(ranks) // 2) :][::-1]
    names = {label: wrapped(str(label), _WRAP) for label in ranks.index}
    margins = [_LETTER * _letters([names[label] for label in side]) + 0.3 for side in (left, right)]

    top, rows_high = 0.75, _ROW * 0.6 * len(bars) + 0.25  # inches above and below the axis
    height = top + rows_high + _ROW * len(left)
    figure = Figure(figsize=(_SCALE + sum(margins) + 0.2, height), layout="constrained")
    axes = figure.subplots()
    per_inch = (len(ranks) - 1) / _SCALE
    axes.set_xlim(1 - margins[0] * per_inch, len(ranks) + margins[1] * per_inch)
    axes.set_ylim(height - top, -top)  # inches below the axis
    axes.axis("off")
    _scale(axes, len(ranks), tested)
    for place, (first, last) in enumerate(bars):
        y = 0.22 + _ROW * 0.6 * place
        ends = [ranks[first] - 0.03 * per_inch, ranks[last] + 0.03 * per_inch]
        axes.plot(ends, [y, y], color="black", linewidth=4, solid_capstyle="butt")
    for side, edge, align in ((left, 1, "right"), (right, len(ranks), "left")):
        out = 0.12 * per_inch * (-1 if align == "right" else 1)
        for place, label in enumerate(side):
            y = rows_high + _ROW * (place + 0.2)
            x = edge + out
            axes.plot(
                [ranks[label], ranks[label], x], [0, y, y], color="0.3", linewidth=0.9, zorder=1
            )
            text = f"{ranks[label]:.2f}"
            inner: dict[str, Any] = {"ha": "left" if align == "right" else "right", "va": "bottom"}
            # Beside its line, not on it, where the line ends at the edge of the axis.
            above = y - 0.01 if abs(ranks[label] - edge) > 0.12 * per_inch else y + 0.15
            axes.text(x, above, text, fontsize=SMALL, color="0.3", **inner)
            axes.text(x + out / 2, y, names[label], fontsize=8, ha=align, va="center")
    left_behind = set(rows["label"]) - set(table.columns)
    footnote(
        figure,
        [
            f"Mean ranks over {len(table)} data sets (1 is best). Friedman's test: p "
            f"{p_value(tested.p).text}. A bar joins methods that Nemenyi's test does not tell "
            f"apart (5 %). {tested.note}",
            left_out,
            f"Not on all these data sets: {', '.join(sorted(left_behind))}." if left_behind else "",
        ],
    )
    return figure


def _letters(names: list[str]) -> int:
    return max(len(line) for name in names for line in name.split("\n"))


def _scale(axes: Axes, last: int, tested: FriedmanResult) -> None:
    """The axis of ranks, and above it the critical difference as a length."""
    black: dict[str, Any] = {"color": "black", "linewidth": 1.2, "solid_capstyle": "butt"}
    axes.plot([1, last], [0, 0], **black)
    for rank in range(1, last + 1):
        axes.plot([rank, rank], [0, -0.08], **black)
        axes.text(rank, -0.1, str(rank), fontsize=NORMAL, ha="center", va="bottom")
    end = min(1 + tested.critical_difference, last)
    axes.plot([1, end], [-0.45, -0.45], **(black | {"linewidth": 2}))
    for x in np.array([1, end]):
        axes.plot([x, x], [-0.5, -0.4], **black)
    axes.text(
        1, -0.52, f"critical difference {tested.critical_difference:.2f}",
        fontsize=8, ha="left", va="bottom",
    )  # fmt: skip
