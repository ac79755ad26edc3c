"""Rows of cells for tests of the study, and tables read back."""

import numpy as np
import pandas as pd

from benchmark.report.frame import DTYPES
from benchmark.report.marks import UNMARKED


def row(**changes):
    texts = dict.fromkeys((name for name, kind in DTYPES.items() if kind == "object"), "")
    numbers = dict.fromkeys(("score_low", "score_high", "seconds", "memory"), np.nan)
    about = {"source": "runs", "method": "otsu", "data": "u20s", "status": "complete", "score": 0.5,
             "images": 3, "groups": 3, "in_domain": pd.NA, **UNMARKED,
             "control": False, "ranked": True}  # fmt: skip
    return texts | numbers | about | changes


def some(method="a", data="u20s", score=0.5, **changes):
    about = {"modality": "fluorescence_nuclei", "data_label": data.upper(), "protocol": "paper",
             "split": "test", "images_id": "1", "run": f"{method}-{data}",
             "run_id": f"{method}{data}"}  # fmt: skip
    return row(method=method, data=data, score=score, **(about | changes))


def table(tables, name):
    """A table as {first column: {header: text}}, or rows of texts."""
    (found,) = [t for t in tables if t.name == name]
    return [
        {c.header: cell.text for c, cell in zip(found.columns, cells_, strict=True)}
        for cells_ in found.rows
    ]
