"""Chosen samples: the image with its true outlines, and beside it what each method made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.report.figures.style import (
    NORMAL,
    NothingToDrawError,
    legend,
    wrapped,
)
from benchmark.report.results import RunResult
from benchmark.store.store import RunStore
from benchmark.types import Image, Labels, Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDE, _TITLE = 2.8, 0.5  # inches
_PIXELS = (
    420  # of a panel's side: its inches at the resolution of the PNG, so that lines stay crisp
)
_COLUMNS = 5


def choose(results: Sequence[RunResult], seed: int = 0) -> list[tuple[str, str]]:
    """The samples to show, of those that every run has scored.

    Args:
        results: runs on the same images.
        seed: of the sample drawn at random.

    Returns:
        (why, sample id): where methods differ most, where their mean is worst, where it is the
        median, and one drawn at random. Of equals the first by id; no sample twice.
    """
    table = pd.concat([result.scores["msa"] for result in results], axis="columns", join="inner")
    table = table.dropna().sort_index()
    mean = table.mean(axis="columns")
    span = table.max(axis="columns") - table.min(axis="columns")
    middle = (mean - float(mean.quantile(0.5, interpolation="lower"))).abs()
    drawn = pd.Series(np.random.default_rng(seed).permutation(len(table)), table.index)
    by_reason = {"worst": mean, "median": middle, "drawn at random": drawn}
    if len(results) > 1:
        by_reason = {"largest difference": -span, **by_reason}
    chosen: dict[str, str] = {}
    for why, key in by_reason.items():
        left = key.drop(list(chosen))
        if len(left):
            chosen[str(left.idxmin())] = why
    return [(why, sample) for sample, why in chosen.items()]


def draw(results: Sequence[RunResult], labels: Sequence[str], seed: int = 0) -> Figure:
    """A row of panels per chosen sample.

    Args:
        results: runs on the same images.
        labels: what each is called.
        seed: of the choice.

    Raises:
        NothingToDrawError: no sample was scored by all, or prepared data or predictions are
            not there any more.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from benchmark.report import pictures

    chosen = choose(results, seed)
    if not chosen:
        raise NothingToDrawError("no sample is scored in all of its runs.")
    try:
        samples = _samples(results[0], [sample for _, sample in chosen])
        made = [_predictions(result, [sample for _, sample in chosen]) for result in results]
    except BenchmarkError as error:
        raise NothingToDrawError(str(error)) from error
    except KeyError as error:
        raise NothingToDrawError(f"its runs don't say {error}, or don't hold it.") from error

    columns = min(_COLUMNS, len(results) + 1)
    lines = -(-(len(results) + 1) // columns)  # of one sample
    tall = max(_fitted_shape(sample.labels)[0] for sample in samples.values()) / _PIXELS
    height = len(chosen) * lines * (tall * _SIDE + _TITLE)
    figure = Figure(figsize=(columns * _SIDE, height), layout="constrained")
    grid = figure.subplots(len(chosen) * lines, columns, squeeze=False)
    for axes in grid.ravel():
        axes.axis("off")
    for block, (why, name) in enumerate(chosen):
        cells = grid[block * lines : (block + 1) * lines].ravel()
        sample = samples[name]
        _panel(cells[0], sample.image, sample.labels, None)
        cells[0].set_title(f"{why}\n{wrapped(name, 34)}", fontsize=NORMAL, fontweight="bold")
        for axes, result, label, predictions in zip(cells[1:], results, labels, made, strict=False):
            _panel(axes, sample.image, sample.labels, predictions[name])
            told = f"mSA {result.scores['msa'][name]:.3f}"
            axes.set_title(f"{wrapped(label, 34)}\n{told}", fontsize=NORMAL)
    handles = [
        Line2D(
            [], [], color=np.divide(colour, 255).tolist(), label=name, linewidth=3,
            linestyle=(0, (1.5, 1)) if name == "predicted" else "-", path_effects=[_edge()],
        )
        for name, colour in pictures.OUTLINES.items()
    ]  # fmt: skip
    legend(figure, handles, len("predicted"))
    return figure


def _samples(result: RunResult, wanted: Sequence[str]) -> dict[str, Sample]:
    from benchmark.report import pictures

    data = pictures.prepared_of(result)
    entries = {entry.id: entry for entry in data.entries}
    return {name: data.read(entries[name]) for name in wanted}


def _predictions(result: RunResult, wanted: Sequence[str]) -> dict[str, Labels]:
    store = RunStore(result.path)
    records = store.records()
    return {name: store.prediction(records[name]) for name in wanted}


def _fitted_shape(labels: Labels) -> tuple[int, int]:
    scale = _PIXELS / max(labels.shape)
    height, width = (max(1, round(n * scale)) for n in labels.shape)
    return height, width


def _fitted(labels: Labels) -> Labels:
    """The label image at the size of its panel, by nearest pixels."""
    rows, columns = (
        ((np.arange(size) + 0.5) * n / size).astype(int)
        for size, n in zip(_fitted_shape(labels), labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def _picture(image: Image) -> NDArray[np.uint8]:
    """The image at the size of its panel: averaged where it is reduced."""
    from skimage.transform import resize

    from benchmark.report import pictures

    shown = pictures.rgb(image)
    shape = _fitted_shape(shown[..., 0])
    reduced = shape[0] < shown.shape[0]
    small = resize(shown, shape, order=int(reduced), anti_aliasing=reduced, preserve_range=True)
    return np.asarray(small.round(), np.uint8)


def _panel(axes: Axes, image: Image, true: Labels, predicted: Labels | None) -> None:
    from benchmark.report import pictures

    picture: Any = (pictures.DIMMED * _picture(image)).astype(np.uint8)
    outlines = {"true": pictures.outline(_fitted(true), 1, 1)}
    if predicted is not None:
        found = pictures.outline(_fitted(predicted), 1, 1)
        rows, columns = np.indices(found.shape) // 3
        # Broken lines: prints in grey tell them from the truth.
        outlines["predicted"] = found & ((rows + columns) % 2 == 0)
        outlines["both"] = outlines["true"] & found
    for name, mask in outlines.items():
        picture[mask] = pictures.OUTLINES[name]
    axes.imshow(picture, interpolation="none")


def _edge() -> Any:
    from matplotlib.patheffects import withStroke

    return withStroke(linewidth=4.5, foreground="black")
