"""Chosen samples: the image with true outlines, beside it the predictions of each method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.report import pictures
from benchmark.report.figures.style import (
    NORMAL,
    NothingToDrawError,
    legend,
    wrapped,
)
from benchmark.report.results import RunResult
from benchmark.types import Image, Labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDE, _TITLE = 2.8, 0.5  # inches
_PIXELS = 420  # of a panel's side: its inches at the PNG's resolution, so that lines stay crisp
_COLUMNS = 5


def draw(results: Sequence[RunResult], labels: Sequence[str]) -> Figure:
    """Draw a row of panels per chosen sample.

    Args:
        results: runs on the same images.
        labels: the name of each in the figure.

    Raises:
        NothingToDrawError: no sample is scored in all runs, or prepared data or predictions are
            no longer there.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    scored_by_all = pictures.scores_of(results).dropna()
    chosen = pictures.choose(scored_by_all, pictures.FOR_FIGURE)
    if not chosen:
        raise NothingToDrawError("no sample is scored in all of its runs.")
    try:
        stored = pictures.StoredSamples(results)
        samples = {name: stored.read(name) for _, name in chosen}
        predictions = {
            name: [stored.prediction(name, result) for result in results] for name in samples
        }
    except BenchmarkError as error:
        raise NothingToDrawError(str(error)) from error

    columns = min(_COLUMNS, len(results) + 1)
    lines = -(-(len(results) + 1) // columns)  # of one sample
    tall = max(_fitted_shape(sample.image)[0] for sample in samples.values()) / _PIXELS
    height = len(chosen) * lines * (tall * _SIDE + _TITLE)
    figure = Figure(figsize=(columns * _SIDE, height), layout="constrained")
    grid = figure.subplots(len(chosen) * lines, columns, squeeze=False)
    for axes in grid.ravel():
        axes.axis("off")
    for block, (reason, name) in enumerate(chosen):
        first, *others = grid[block * lines : (block + 1) * lines].ravel()
        sample = samples[name]
        _panel(first, sample.image, sample.labels, None)
        first.set_title(f"{reason}\n{wrapped(name, 34)}", fontsize=NORMAL, fontweight="bold")
        shown = zip(others, results, labels, predictions[name], strict=False)
        for axes, result, label, predicted in shown:
            _panel(axes, sample.image, sample.labels, predicted)
            score = f"{result.metric.title} {result.values[name]:.3f}"
            axes.set_title(f"{wrapped(label, 34)}\n{score}", fontsize=NORMAL)
    handles = [
        Line2D(
            [], [], color=np.divide(colour, 255).tolist(), label=name, linewidth=3,
            linestyle=(0, (1.5, 1)) if name == "predicted" else "-", path_effects=[_edge()],
        )
        for name, colour in pictures.OUTLINES.items()
    ]  # fmt: skip
    legend(figure, handles, len("predicted"))
    return figure


def _fitted_shape(image: Image) -> tuple[int, int]:
    sides = image.shape[:2]
    height, width = (max(1, round(n * _PIXELS / max(sides))) for n in sides)
    return height, width


def _fitted(labels: Labels) -> Labels:
    """Resize a label image to its panel, by nearest pixels."""
    rows, columns = (
        ((np.arange(size) + 0.5) * n / size).astype(int)
        for size, n in zip(_fitted_shape(labels), labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def _picture(image: Image) -> NDArray[np.uint8]:
    """Resize an image to its panel; pixels are averaged where it is reduced."""
    from skimage.transform import resize

    shown = pictures.rgb(image)
    shape = _fitted_shape(shown[..., 0])
    reduced = shape[0] < shown.shape[0]
    small = resize(shown, shape, order=int(reduced), anti_aliasing=reduced, preserve_range=True)
    return np.asarray(small.round(), np.uint8)


def _panel(axes: Axes, image: Image, true: Labels | None, predicted: Labels | None) -> None:
    picture: Any = (pictures.DIMMED * _picture(image)).astype(np.uint8)
    blank = np.zeros(picture.shape[:2], bool)
    outlines = {"true": blank if true is None else pictures.outline(_fitted(true), 1, 1)}
    if predicted is not None:
        found = pictures.outline(_fitted(predicted), 1, 1)
        rows, columns = np.indices(found.shape) // 3
        # Broken lines, which differ from the truth in grey prints as well.
        outlines["predicted"] = found & ((rows + columns) % 2 == 0)
        outlines["both"] = outlines["true"] & found
    for name, mask in outlines.items():
        picture[mask] = pictures.OUTLINES[name]
    axes.imshow(picture, interpolation="none")


def _edge() -> Any:
    from matplotlib.patheffects import withStroke

    return withStroke(linewidth=4.5, foreground="black")
