"""A figure of predictions, good and bad: true outlines beside predicted ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_KINDS = {"best": 1.0, "median": 0.5, "worst": 0.0}
_TRUE, _PREDICTED = "#00b0ff", "#ff9600"


def draw(results: Sequence[Any], path: Path) -> None:
    """Of each run its best, median and worst image by mSA.

    Args:
        results: scored runs, as `benchmark.report.results.load_results` gives them.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    from benchmark.report.pictures import prepared_of
    from benchmark.store.store import RunStore

    figure = Figure(figsize=(4.2 * len(_KINDS) * 2, 3.6 * len(results)), layout="constrained")
    rows = figure.subplots(len(results), 2 * len(_KINDS), squeeze=False)
    for axes, result in zip(rows, results, strict=True):
        store = RunStore(result.path)
        data = prepared_of(result)
        entries, records = {entry.id: entry for entry in data.entries}, store.records()
        ranked = result.scores["msa"].dropna().sort_values()
        for place, (kind, share) in enumerate(_KINDS.items()):
            name = str(ranked.index[round(share * (len(ranked) - 1))])
            sample, predicted = data.read(entries[name]), store.prediction(records[name])
            panels = (
                ("truth", sample.labels, _TRUE),
                (result.method, predicted, _PREDICTED),
            )
            for at, (title, labels, colour) in zip(axes[2 * place :], panels, strict=False):
                _panel(at, sample.image, labels, colour)
                at.set_title(f"{title}: {result.data}, {kind}, mSA {ranked[name]:.2f}", fontsize=9)
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
