"""A heat map of methods against methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.report.figures.style import NORMAL, footnote, written

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL = 0.56  # inches
_LETTER = 0.075


def heat_map(
    values: NDArray[Any],
    texts: Mapping[tuple[int, int], str],
    labels: Sequence[str],
    meaning: str,
    notes: Sequence[str],
) -> Figure:
    """Draw a square of numbers from 0 to 1.

    Args:
        values: the colour of each cell, row by row; none where it is NaN.
        texts: (row, column) -> what stands in the cell.
        labels: names of the rows; columns have their numbers.
        meaning: what the colour is.
        notes: sentences below.
    """
    from matplotlib.figure import Figure

    names = [f"{written(label)}  {number}" for number, label in enumerate(labels, 1)]
    side = _CELL * len(labels)
    width = side + _LETTER * max(map(len, names)) + 1.2
    figure = Figure(figsize=(width, side + 0.4), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(values, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for (down, across), text in texts.items():
        value = values[down, across]
        axes.text(
            across, down, text, ha="center", va="center",
            fontsize=7.5 if len(text) < 8 else 6.5, color="white" if value < 0.5 else "black",
        )  # fmt: skip
    axes.set_xticks(range(len(labels)), [str(number) for number in range(1, len(labels) + 1)])
    axes.set_yticks(range(len(labels)), names)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    bar = figure.colorbar(picture, ax=axes, aspect=14)
    bar.set_label(meaning, fontsize=NORMAL)
    footnote(figure, list(notes))
    return figure
