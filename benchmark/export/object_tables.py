"""A table of objects as CSV: size, place, brightness, and with a truth what became of each."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.export.predicted import Predicted
from benchmark.report.escape import csv_cell
from benchmark.scoring.match import Match, match
from benchmark.scoring.metrics import object_rows
from benchmark.scoring.object_outcomes import (
    MATCHED,
    MERGED,
    MISSED,
    SPLIT,
    SPURIOUS,
    object_outcomes,
)
from benchmark.types import Image, Labels

PREDICTED, TRUE = "objects.csv", "true_objects.csv"
_KINDS = {
    MATCHED: "matched",
    MISSED: "missed",
    SPURIOUS: "spurious",
    SPLIT: "split",
    MERGED: "merged",
}
_COLUMNS = (
    "image", "id", "area", "centroid_x", "centroid_y",
    "box_left", "box_top", "box_right", "box_bottom",
)  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True)
class ObjectTables:
    """The format with all objects of all samples in one table, and the true ones in another."""

    needs_prediction: bool = True

    def names(self, samples: Sequence[str]) -> list[str]:
        """The two tables; that of true objects is written where there is a truth."""
        return [PREDICTED, TRUE]

    def files(self, predictions: Iterable[Predicted]) -> Iterator[tuple[str, bytes]]:
        """Yield the tables."""
        tables: dict[str, list[Row]] = {PREDICTED: [], TRUE: []}
        has_truth = False
        for each in predictions:
            truth, labels, image = each.truth, each.labels, each.sample.image
            overlap = None if truth is None else match(truth, labels)
            tables[PREDICTED] += _rows(each.name, labels, image, overlap, "predicted")
            if truth is not None:
                has_truth = True
                tables[TRUE] += _rows(each.name, truth, image, overlap, "true")
        yield PREDICTED, _csv(tables[PREDICTED])
        if has_truth:
            yield TRUE, _csv(tables[TRUE])


def measures(labels: Labels, image: Image) -> dict[str, Any]:
    """Measure each object.

    Args:
        labels: H x W integers, 0 = background.
        image: H x W or H x W x C.

    Returns:
        Columns, each in ascending order of ids. Coordinates are in pixels from the outer corner
        of the first pixel; a box is the border around all pixels of an object. Intensities are
        means of the image's own values.
    """
    from scipy.ndimage import find_objects

    ids, index = np.unique(labels, return_inverse=True)
    index = index.ravel() + int(not (len(ids) and ids[0] == 0))
    count = int(np.count_nonzero(ids))
    area = np.bincount(index, minlength=count + 1)[1:]
    rows, columns = np.indices(labels.shape)

    def mean(values: Any) -> Any:
        return np.bincount(index, weights=values.ravel(), minlength=count + 1)[1:] / area

    boxes = find_objects(index.reshape(labels.shape))
    found: dict[str, Any] = {
        "id": ids[ids > 0],
        "area": area,
        "centroid_x": mean(columns + 0.5),
        "centroid_y": mean(rows + 0.5),
        "box_left": [box[1].start for box in boxes],
        "box_top": [box[0].start for box in boxes],
        "box_right": [box[1].stop for box in boxes],
        "box_bottom": [box[0].stop for box in boxes],
    }
    if image.ndim == 2:
        return found | {"mean_intensity": mean(image.astype(float))}
    channels = range(image.shape[2])
    return found | {f"mean_intensity_{c}": mean(image[..., c].astype(float)) for c in channels}


def _rows(
    name: str, labels: Labels, image: Image, overlap: Match | None, side: str
) -> Iterator[Row]:
    columns: Mapping[str, Any] = {
        key: np.asarray(values).tolist() for key, values in measures(labels, image).items()
    }
    if overlap is not None:
        of_true, of_predicted = object_outcomes(overlap)
        kinds = {"true": of_true, "predicted": of_predicted}[side]
        columns = {
            **columns,
            "best_iou": object_rows(overlap)[side]["best_iou"],
            "outcome": [_KINDS[kind] for kind in kinds],
        }
    for values in zip(*columns.values(), strict=True):
        yield {"image": csv_cell(name), **dict(zip(columns, values, strict=True))}


def _csv(rows: Sequence[Row]) -> bytes:
    columns = dict.fromkeys([*_COLUMNS, *(key for row in rows for key in row)])
    last = [key for key in ("best_iou", "outcome") if key in columns]
    order = [*(key for key in columns if key not in last), *last]
    text = io.StringIO()
    writer = csv.DictWriter(text, order, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
