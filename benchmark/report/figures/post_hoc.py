"""One image through the stages of a method with prompts: where it went wrong, to look at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.report import pictures
from benchmark.report.figures.stages import STYLES
from benchmark.report.figures.style import NORMAL, wrapped, written
from benchmark.scoring.stages import OUTCOMES, evidence, outcomes
from benchmark.types import CutMask, Image, Labels, Sample, SegmentationStages

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDE, _TITLE = 2.8, 0.3  # inches
_DPI = 150  # at which a panel shows each pixel of an image as large as this
_COLUMNS = 5  # at most
_TITLE_LETTERS = 160
Picture = NDArray[np.uint8]


def draw(
    sample: Sample, stages: SegmentationStages, maps: Mapping[str, NDArray[Any]], title: str
) -> Figure:
    """Draw panels: the fate of each true object, maps, prompts, masks of each stage, the result.

    Args:
        sample: with labels.
        stages: of its image.
        maps: what prompts were derived from, each H x W; empty where there are none.
        title: a line above the panels.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    assert sample.labels is not None
    truth, base = sample.labels, _dimmed(sample.image)
    found = evidence(truth, stages)
    fates = outcomes(found)
    last = stages.first if stages.refined is None else stages.refined
    kept = [last.masks[number] for number in stages.kept]
    true = _outlined(base, truth, pictures.OUTLINES["true"])
    panels: dict[str, NDArray[Any]] = {
        "truth, by what became of it": _by_fate(base, truth, found.ids, fates),
        **maps,
        f"{_count(stages)} prompts": true,
        "first masks": _masks(base, stages.first.masks),
        **({} if stages.refined is None else {"refined masks": _masks(base, last.masks)}),
        f"{len(kept)} masks kept": _masks(base, kept),
        "result and truth": _result(base, truth, stages.labels),
    }
    rows = math.ceil(len(panels) / _COLUMNS)
    columns = math.ceil(len(panels) / rows)
    height, width = truth.shape
    side = max(_SIDE, max(height, width) / _DPI)
    size = columns * side * width / max(height, width), side * height / max(height, width) + _TITLE
    figure = Figure(figsize=(size[0], rows * size[1] + 0.6), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, (name, panel) in zip(grid, panels.items(), strict=False):
        axes.imshow(panel, interpolation="none", cmap="gray")
        axes.set_title(wrapped(name, 40), fontsize=NORMAL)
        if name.endswith(" prompts"):
            _prompts(axes, stages)
    handles = [
        Patch(
            facecolor=STYLES[outcome]["facecolor"],
            edgecolor="black",
            label=f"{outcome}: {count}",
        )
        for outcome in OUTCOMES
        if (count := int((fates == outcome).sum()))
    ]
    figure.legend(
        handles=handles, loc="outside lower left", ncols=len(OUTCOMES), fontsize=8, frameon=False
    )
    figure.suptitle(written(title, _TITLE_LETTERS), fontsize=NORMAL, x=0.01, ha="left")
    return figure


def _count(stages: SegmentationStages) -> int:
    return len(stages.first.masks)


def _dimmed(image: Image) -> Picture:
    return (pictures.DIMMED * pictures.rgb(image)).astype(np.uint8)


def _by_fate(base: Picture, truth: Labels, ids: NDArray[Any], fates: NDArray[Any]) -> Picture:
    from matplotlib.colors import to_rgb

    picture = base
    for outcome in OUTCOMES:
        own = np.where(np.isin(truth, ids[fates == outcome]), truth, 0)
        colour = 255 * np.array(to_rgb(STYLES[outcome]["facecolor"]))
        picture = _outlined(picture, own, colour.astype(int), filled=0.35)
    return picture


def _result(base: Picture, truth: Labels, labels: Labels) -> Picture:
    of_truth, of_result = (pictures.outline(each, 1, 1) for each in (truth, labels))
    picture = base.copy()
    masks = (of_truth, of_result, of_truth & of_result)
    for mask, colour in zip(masks, pictures.OUTLINES.values(), strict=True):
        picture[mask] = colour
    return picture


def _outlined(base: Picture, labels: Labels, colour: Any, filled: float = 0.0) -> Picture:
    picture = base.copy()
    if filled:
        inside = labels > 0
        mixed = (1 - filled) * picture[inside] + filled * np.asarray(colour)
        picture[inside] = mixed.astype(np.uint8)
    picture[pictures.outline(labels, 1, 1)] = colour
    return picture


def _masks(base: Picture, masks: Iterable[CutMask]) -> Picture:
    """Outlines of masks, which may overlap."""
    picture = base.copy()
    for each in masks:
        height, width = each.mask.shape
        inner = np.pad(each.mask, 1)
        inside = inner[1:-1, 1:-1] & inner[2:, 1:-1] & inner[:-2, 1:-1]
        inside &= inner[1:-1, 2:] & inner[1:-1, :-2]
        region = picture[each.row : each.row + height, each.column : each.column + width]
        region[each.mask & ~inside] = pictures.OUTLINES["predicted"]
    return picture


def _prompts(axes: Axes, stages: SegmentationStages) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    prompts, colour = stages.prompts, np.divide(pictures.OUTLINES["predicted"], 255).tolist()
    if prompts.points is not None:
        points = np.asarray(prompts.points)
        inside = np.ones(points.shape[:2], bool)
        if prompts.point_labels is not None:
            inside = np.asarray(prompts.point_labels) == 1
        for which, marker in ((inside, "o"), (~inside, "x")):
            axes.plot(
                *points[which].T, marker, markersize=3, markeredgewidth=0.6, color=colour,
                markeredgecolor="black" if marker == "o" else colour,
            )  # fmt: skip
    if prompts.boxes is not None:
        boxes = [
            Rectangle((left - 0.5, top - 0.5), right - left + 1, bottom - top + 1)
            for left, top, right, bottom in np.asarray(prompts.boxes)
        ]
        axes.add_collection(
            PatchCollection(boxes, facecolor="none", edgecolor=colour, linewidth=0.7)
        )
