"""The steps of a recipe: small pure functions on one image and its labels.

A step yields (suffix, image, labels): one for a crop, several for tiles, none to leave an
image out. The suffix joins the sample's id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.errors import DataError, UsageError
from benchmark.types import Image, Labels

Step = Iterator[tuple[str, Image, Labels]]


def tiles(image: Image, labels: Labels, rows: int, columns: int) -> Step:
    """Cut into rows x columns tiles that differ by at most a pixel in size; ids are kept.

    Raises:
        ValueError: fewer than one row or column.
        DataError: the image is too small.
    """
    if min(rows, columns) < 1:
        raise ValueError(f"{rows} rows, {columns} columns: give 1 or more")
    height, width = labels.shape
    if rows > height or columns > width:
        raise DataError(f"{height} x {width} pixels are too few for {rows} x {columns} tiles.")
    row_edges = np.linspace(0, labels.shape[0], rows + 1).round().astype(int)
    column_edges = np.linspace(0, labels.shape[1], columns + 1).round().astype(int)
    for r in range(rows):
        for c in range(columns):
            window = np.s_[row_edges[r] : row_edges[r + 1], column_edges[c] : column_edges[c + 1]]
            yield f"_r{r}c{c}", image[window], labels[window]


TRANSFORMS: dict[str, Callable[..., Step]] = {"tiles": tiles}


def apply(recipe: Sequence[Mapping[str, Any]], image: Image, labels: Labels) -> Step:
    """Run an image through a recipe.

    Args:
        recipe: steps in order, each a mapping of one name to its keyword arguments.
        image: H x W or H x W x C.
        labels: H x W.

    Yields:
        (suffix, image, labels) of every sample it becomes.

    Raises:
        UsageError: a step that does not exist, or arguments that don't fit it.
        DataError: an image that a step can't be done to.
    """
    if not recipe:
        yield "", image, labels
        return
    step = recipe[0]
    if not isinstance(step, Mapping) or len(step) != 1 or not TRANSFORMS.keys() & step:
        raise UsageError(
            f"data.recipe: {step!r} is no step of the form {{name: arguments}}. "
            f"Names: {', '.join(TRANSFORMS)}."
        )
    ((name, arguments),) = step.items()
    try:
        outcome = list(TRANSFORMS[name](image, labels, **(arguments or {})))
    except (TypeError, ValueError) as error:
        raise UsageError(f"data.recipe: step '{name}': {error}.") from error
    for suffix, new_image, new_labels in outcome:
        for more_suffix, last_image, last_labels in apply(recipe[1:], new_image, new_labels):
            yield suffix + more_suffix, last_image, last_labels
