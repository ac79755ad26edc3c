"""How well methods agree where images have no labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.report.agreement import WRONG_TOGETHER, Agreement, names_of
from benchmark.report.figures.heat_map import heat_map
from benchmark.report.figures.style import NothingToDrawError
from benchmark.report.text import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(one: Agreement) -> Figure:
    """A heat map of the mean mSA between methods.

    Args:
        one: the runs on one set of images.

    Raises:
        NothingToDrawError: no two runs predicted the same images.
    """
    if len(one.compared) < 2 or not len(one.samples):
        raise NothingToDrawError("no two methods predicted the same images without labels.")
    matrix = one.matrix
    texts = {
        (i, j): f"{matrix[i, j]:.2f}"
        for i in range(len(matrix))
        for j in range(len(matrix))
        if matrix[i, j] == matrix[i, j]
    }
    notes = [
        f"Mean over {counted(len(one.samples), 'image')} of the mSA that one method has if the "
        "other is taken for the truth.",
        WRONG_TOGETHER,
    ]
    return heat_map(matrix, texts, names_of(one.compared), "agreement", notes)
