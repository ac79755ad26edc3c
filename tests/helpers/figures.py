"""Rows and runs to draw figures of, and a look at what was drawn.

A file of tests imports a fixture under its own name, `import x as x`: so pytest finds it there,
and the linter takes it for meant.
"""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.paper.card import PUBLISHED
from benchmark.paper.published import published_frame
from benchmark.report import escape
from benchmark.report.figures import methods, style
from benchmark.report.frame import MODALITIES, frame_of_rows
from benchmark.report.marks import UNMARKED
from benchmark.report.results import RunResult
from benchmark.scoring.metrics import mean_segmentation_accuracy


def cell(method="a", data="d", score=0.5, **changes):
    """A row of cells: one complete run."""
    row = {
        "source": "runs", "method": escape.plain(method), "key": "", "data": escape.plain(data),
        "data_label": escape.plain(data), "modality": "fluorescence_nuclei", "score": score,
        "score_low": np.nan, "score_high": np.nan, "images": 10, "groups": 10, "status": "complete",
        "reason": "", "in_domain": pd.NA, "protocol": "paper", "split": "test", "weights": "",
        "mark": "", **UNMARKED, "control": False, "lost": "",
        "seconds": np.nan, "memory": np.nan, "run": "r",
        "run_id": f"{method}/{data}".encode("utf-8", "replace").hex(),
        "images_id": "0a0a0a", "truth": "", "set_aside": "", "result": f"{method}/{data}",
        "variant_of": "", "ranked": True, "labelled": "",
    }  # fmt: skip
    return row | changes


def many(methods, sets, seed=0, **changes):
    """Cells of every method on every data set, of three modalities, with random numbers."""
    rng = np.random.default_rng(seed)
    kinds = list(MODALITIES)[:3]
    return frame_of_rows(
        [
            cell(
                method, f"data {j}", round(rng.random(), 3), modality=kinds[j % 3],
                seconds=10 ** rng.uniform(-2, 2), in_domain=bool(rng.random() < 0.3), **changes,
            )
            for method, j in itertools.product(methods, range(sets))
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def published():
    return methods.entries(published_frame())


@pytest.fixture(scope="module")
def reference():
    """The study's numbers straight from the file: data sets x (method, setting)."""
    table = pd.read_csv(PUBLISHED / "msa.csv")
    return table.pivot(index=["modality", "dataset"], columns=["method", "setting"], values="msa")


SHOWN = {
    "SAM": "amg_sam_vit_b", "AIS": "ais", "APG": "apg_cc", "Cellpose 3": "cellpose3_cyto3",
    "CellPoseSAM": "cellposesam_cpsam", "CellSAM": "cellsam", "SAM3": "sam3_text_cell",
}  # fmt: skip


def styles_of(frame):
    labels = methods.order(frame)
    return style.bar_styles(labels), style.line_styles(labels)


def texts_of(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def run(model="otsu", data="d", n=6, seed=0, **changes):
    """A run of random counts, scored by the harness's own metric; its last image is empty."""
    rng = np.random.default_rng([seed, *model.encode("utf-8", "replace")])
    true, predicted = rng.integers(1, 30, n), rng.integers(1, 30, n)
    true[-1:] = predicted[-1:] = 0
    matched = np.sort(rng.integers(0, np.minimum(true, predicted) + 1, (10, n)), axis=0)[::-1].T
    counts = zip(matched, true, predicted, strict=True)
    msa = [mean_segmentation_accuracy(*image) for image in counts]
    scores = pd.DataFrame(
        {
            "group": [f"g{i}" for i in range(n)], "n_true": true.astype(float),
            "n_predicted": predicted.astype(float),
            "true_positives": [tuple(row) for row in matched],
            "both_empty": true == 0, "seconds": rng.uniform(0.1, 9, n), "msa": msa, "sa50": msa,
        },
        index=pd.Index([f"s{i}" for i in range(n)], name="sample"),
    )  # fmt: skip
    fields = {
        "run_id": f"{model}/{data}".encode("utf-8", "replace").hex(), "path": Path("nowhere"),
        "model": model, "data": data, "split": "test", "protocol": "paper", "expected": n,
        "failed": 0, "mixed": False,
    }  # fmt: skip
    return RunResult(**(fields | changes), scores=scores)
