"""A figure of predictions, good and bad: true outlines beside predicted ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_TRUE, _PREDICTED = "#00b0ff", "#ff9600"


def draw(results: Sequence[Any], path: Path) -> None:
    """Draw the best, the median and the worst image of each run by mSA.

    Args:
        results: scored runs, as `benchmark.report.results.load_results` gives them.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    from benchmark.report import pictures

    rule = {
        "best": (pictures.highest, 1),
        "median": (pictures.middle, 1),
        "worst": (pictures.lowest, 1),
    }
    figure = Figure(figsize=(4.2 * len(rule) * 2, 3.6 * len(results)), layout="constrained")
    rows = figure.subplots(len(results), 2 * len(rule), squeeze=False)
    for axes, result in zip(rows, results, strict=True):
        stored = pictures.StoredSamples([result])
        chosen = pictures.choose(pictures.scores_of([result]), rule)
        for place, (kind, name) in enumerate(chosen):
            sample, predicted = stored.read(name), stored.prediction(name, result)
            score = result.values[name]
            panels = (
                ("truth", sample.labels, _TRUE),
                (result.method, predicted, _PREDICTED),
            )
            for at, (title, labels, colour) in zip(axes[2 * place :], panels, strict=False):
                _panel(at, sample.image, labels, colour)
                at.set_title(f"{title}: {result.data}, {kind}, mSA {score:.2f}", fontsize=9)
    figure.savefig(path, dpi=100)


def _panel(axes: Any, image: Any, labels: Any, colour: str) -> None:
    from skimage.segmentation import find_boundaries

    grey = image if image.ndim == 2 else image.mean(axis=-1)
    low, high = np.percentile(grey, (1, 99.8))
    axes.imshow(grey, cmap="gray", vmin=low, vmax=max(high, low + 1), interpolation="nearest")
    edges = find_boundaries(labels, mode="inner")
    lines = np.where(edges, 1.0, np.nan)
    axes.imshow(lines, cmap=_single(colour), interpolation="nearest", alpha=0.9)
    axes.set_axis_off()


def _single(colour: str) -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap([colour])
