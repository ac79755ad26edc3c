"""What the stored rows of runs tell besides accuracy: errors by kind, recall by size, cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmark.console import note
from benchmark.errors import StoreError
from benchmark.report.results import RunResult
from benchmark.store.store import RunStore

KINDS = ("missed", "spurious", "split", "merged")
DIAMETERS = (0.0, 10.0, 20.0, 40.0, 80.0, np.inf)
"""Limits of the classes of size: diameter in pixels of a circle of the object's area."""

_FOUND = 0.5  # IoU
_PEAKS = ("memory", "device_memory")


def errors(results: Sequence[RunResult]) -> pd.DataFrame:
    """Objects by what became of them, added up over the images of each run.

    missed and spurious objects have no partner with an IoU of at least 0.5; a split object
    holds more than half of each of two or more predictions, a merged prediction of two or
    more objects, whether or not it is also matched.

    Returns:
        A row for each run, in their order: n_true, n_predicted, and the four kinds.
    """
    columns = ["n_true", "n_predicted", *KINDS]
    sums = [result.scores.reindex(columns=columns).sum(min_count=1) for result in results]
    return pd.DataFrame(sums, columns=columns).reset_index(drop=True)


def boundaries(results: Sequence[RunResult]) -> pd.DataFrame:
    """What a pixel at the boundaries costs each run, and how far its counts of objects are off.

    Returns:
        A row for each run, in their order: msa and msa_tolerant, each the mean over the images
        that have both (msa over all, where no image has the other), and count_error, the mean of
        |predicted - true| / true objects over the images with a true object.
    """
    rows = []
    for result in results:
        scores = result.scores
        both = scores.reindex(columns=["msa", "msa_tolerant"]).dropna()
        off = (scores["n_predicted"] - scores["n_true"]).abs() / scores["n_true"].where(
            scores["n_true"] > 0
        )
        rows.append(
            {
                "msa": (both if len(both) else scores)["msa"].mean(),
                "msa_tolerant": both["msa_tolerant"].mean(),
                "count_error": off.mean(),
            }
        )
    return pd.DataFrame(rows, columns=["msa", "msa_tolerant", "count_error"], dtype=float)


def recall_by_size(result: RunResult) -> pd.DataFrame:
    """True objects of each class of size, and how many were found.

    An object is found if any prediction has an IoU of at least 0.5 with it. (As the rows of
    objects have their IoU to four digits, one of 0.49995 passes; of two objects that tie at
    exactly 0.5 for one prediction both do.)

    Returns:
        A row for each class of `DIAMETERS`: objects, found.
    """
    try:
        rows = [*RunStore(result.path).objects(result.score_key).values()]
    except StoreError as error:  # of one run; the report shows the others
        note(f"warning: {error} Its objects are left out.")
        rows = []
    true = [row["true"] for row in rows]
    areas = np.array([area for row in true for area in row["area"]], float)
    iou = np.array([value for row in true for value in row["best_iou"]], float)
    diameter = 2 * np.sqrt(areas / np.pi)
    found = diameter[iou >= _FOUND]
    return pd.DataFrame(
        {
            "objects": np.histogram(diameter, DIAMETERS)[0],
            "found": np.histogram(found, DIAMETERS)[0],
        }
    )


def cost(results: Sequence[RunResult]) -> pd.DataFrame:
    """Time and memory of each run, the first prediction of each process left out of times.

    Returns:
        A row for each run, in their order: images timed; median seconds, and of each stage
        that any model reports (`stage.<name>`); memory and device_memory (highest peak, bytes),
        and of each stage on the device, else of the host (`peak.<name>`).
    """
    rows = []
    for result in results:
        scores = result.scores
        stages = [name for name in scores if str(name).startswith("stage.")]
        peaks = [name for name in scores if name in _PEAKS or str(name).startswith("peak.")]
        rows.append(
            {
                "timed": int(scores["seconds"].notna().sum()),
                "seconds": float(scores["seconds"].median()),
                **{str(name): float(scores[name].median()) for name in stages},
                **{str(name): float(scores[name].max()) for name in peaks},
            }
        )
    frame = pd.DataFrame(rows)
    stages, peaks = (
        [name for name in frame if str(name).startswith(kind)] for kind in ("stage.", "peak.")
    )
    return frame.reindex(columns=["timed", "seconds", *stages, *_PEAKS, *peaks])
