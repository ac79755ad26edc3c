"""The one frame that tables, figures and the site read: a row is one method on one data set.

Where its number comes from (the published study, or a run on this machine) is a column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from benchmark.errors import StoreError
from benchmark.report import escape
from benchmark.report.marks import RUN_MARKS, UNMARKED, marks_of_run
from benchmark.report.results import RunResult
from benchmark.store.skipped import SkippedModel

MODALITIES = {
    "label_free_cells": "label-free cells",
    "fluorescence_cells": "fluorescence cells",
    "fluorescence_nuclei": "fluorescence nuclei",
    "histopathology": "histopathology",
    "organoids": "organoids",
    "synthetic": "synthetic",
    "": "other",
}
"""Every modality with what people call it, in the order of tables."""

COMPLETE, SKIPPED, NOT_REPORTED = "complete", "skipped", "not reported"

DTYPES = {
    "source": "object", "method": "object", "key": "object", "data": "object",
    "data_label": "object", "modality": "object", "score": "float64", "score_low": "float64",
    "score_high": "float64", "images": "Int64", "groups": "Int64", "status": "object",
    "reason": "object", "in_domain": "boolean", "protocol": "object", "split": "object",
    "weights": "object", "mark": "object", **dict.fromkeys(RUN_MARKS, "bool"),
    "control": "bool", "lost": "object", "seconds": "float64",
    "memory": "float64", "run": "object", "run_id": "object", "images_id": "object",
    "truth": "object", "set_aside": "object", "result": "object", "variant_of": "object",
    "ranked": "bool", "labelled": "object", "selection": "object",
}  # fmt: skip
"""The columns, in this order.

- `source`: `published` or `runs`; `method`: what tables call it; `key`: the name of the model's
  YAML, empty where its parameters are not those of our YAML of that name; of a published method
  the YAML that stands for it, else its configuration;
  Of tuned runs with `tuned`, grid, metric and rule behind it;
- `data`: the data set's name; `data_label`: as people write it; `modality`: a key of
  `MODALITIES`, empty where a user's own data has none;
- `score`: the mean over images of the metric that the frame is about, with its 95 % interval
  `score_low` to `score_high`: NaN where there is no number;
- `images` and `groups` that the mean is over: NA where unknown;
- `status`: `complete`, `partial (10 of 197)`, `skipped` (for the `reason`), `not reported`;
- `in_domain`: whether the weights were trained on data of this set: the authors' flag, or by
  the weights' card; NA where nobody knows;
- `protocol`, `split`; `weights` as a table shows them and their `mark`: `verified`, `user`,
  `demo` or empty; the marks of runs (`benchmark.report.marks`), such as `mixed`; `control`: known
  beforehand; `lost`: why the study's own images can't be had;
- `seconds` (median per image, warm-up aside) and `memory` (peak of the host, bytes);
- `run` (folder), `run_id`, `images_id` (the beginning of the images' digest), `truth` (of the
  labels'), `result` (the key of its `RunResult`);
- `set_aside`: why the labels keep it out of means and ranks, or empty;
- `variant_of`: the key of the method that it is a variant of, or empty; `ranked`: whether it
  is ranked wherever methods are compared;
- `labelled`: `10 of 100` where only so many of the images have labels, else empty;
- `selection`: the beginning of the digest of what chose the run's parameters on other images, or
  empty: a run whose parameters were given by hand and chosen as well has a row for each.
"""

SAME_IMAGES = ["data", "split", "protocol", "images_id", "truth"]
"""Rows that agree in these are over the same images and labels, and scored alike."""

KEY = ["source", "method", "data", "split", "protocol", "truth", "run_id", "selection"]
"""What no two rows share."""


def frame_of_rows(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a frame of the right columns and types, checked.

    Raises:
        StoreError: one run lies in two folders.
        ValueError: a row is not written as it should be, which is a fault of ours.
    """
    frame = pd.DataFrame(rows, columns=list(DTYPES)).astype(DTYPES)
    return check_frame(frame)


def check_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, if it is what its readers rely on.

    Raises:
        StoreError: one run lies in two folders.
        ValueError: anything else, which is a fault of ours.
    """
    wrong = {name for name, dtype in DTYPES.items() if str(frame.get(name, _NONE).dtype) != dtype}
    if wrong or list(frame.columns) != list(DTYPES):
        raise ValueError(f"columns of the cells are missing or of another type: {sorted(wrong)}")
    twice = frame[frame.duplicated(KEY, keep=False)]
    if len(twice):
        where = sorted(map(str, twice["run"].unique()))
        raise StoreError(
            f"the run {twice['run_id'].iloc[0][:12]} of {twice['method'].iloc[0]} on "
            f"{twice['data'].iloc[0]} is there more than once ({', '.join(where)}), and would be "
            "counted twice. Move all but one of these folders away."
        )
    without = frame["status"].isin([SKIPPED, NOT_REPORTED])
    checks = {
        "source": frame["source"].isin(["published", "runs"]),
        "modality": frame["modality"].isin(list(MODALITIES)),
        "status": without | (frame["status"] == COMPLETE) | frame["status"].str.match("partial "),
        "score": frame["score"].isna() | (np.isfinite(frame["score"]) & ~without),
        "reason": (frame["reason"] != "") == (frame["status"] == SKIPPED),
        "mark": frame["mark"].isin(["verified", "user", "demo", ""]),
    }
    for name, right in checks.items():
        if not right.all():
            raise ValueError(f"cells with a wrong {name}:\n{frame[~right].to_string()}")
    return frame


def frame_of_runs(
    results: Sequence[RunResult],
    skipped: Sequence[SkippedModel] = (),
    variants: Mapping[str, str] = MappingProxyType({}),
    truth: str = "",
) -> pd.DataFrame:
    """A row for each run, and one for each method that was skipped and never ran.

    Args:
        results: scored runs.
        skipped: methods that could not run here.
        variants: key of a method -> key of the method that it is a variant of.
        truth: of data sets with the same images but other labels, the name of the one that counts.

    Raises:
        StoreError: one run lies in two folders.
    """
    ran = {(result.config, result.data) for result in results}
    left = [skip for skip in skipped if (skip.model, skip.data) not in ran]
    truths: dict[tuple[str, str], dict[str, str]] = {}
    for result in results:
        if result.present and result.truth:
            of_images = truths.setdefault((result.protocol, result.images_id), {})
            of_images[result.data] = result.truth
    rows = [
        _row_of_run(result, truths.get((result.protocol, result.images_id), {}), truth)
        for result in results
    ]
    rows += map(_row_of_skipped, left)
    one = _modalities(rows)
    return frame_of_rows(
        [
            row
            | {
                "variant_of": variants.get(row["key"], ""),
                "modality": one.get(row["data"], row["modality"]),
            }
            for row in rows
        ]
    )


def _modalities(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The modality of each data set: the one that most of its rows name, if any does.

    A user's own data set may have been run without it, or with another one: its methods would then
    be compared with nobody.
    """
    named: dict[str, Counter[str]] = {}
    for row in rows:
        if row["modality"]:
            named.setdefault(row["data"], Counter())[row["modality"]] += 1
    # Of equals the first in the order of tables.
    return {data: max(MODALITIES, key=of.__getitem__) for data, of in named.items()}


def _row_of_run(result: RunResult, truths: Mapping[str, str], truth: str) -> dict[str, Any]:
    numbers = result.numbers
    return {
        "source": "runs",
        **{
            key: escape.plain(getattr(result, key))
            for key in ("data", "protocol", "split", "weights", "lost", "images_id", "truth")
        },
        "set_aside": escape.plain(_set_aside(result, truths, truth)),
        "method": escape.plain(result.method),
        "key": escape.plain(result.method_key),
        "data_label": escape.plain(result.data_label or result.data),
        "modality": result.modality if result.modality in MODALITIES else "",
        **{key: numbers[key] for key in ("score", "score_low", "score_high", "images", "groups")},
        "status": result.status,
        "reason": "",
        "in_domain": pd.NA if result.in_domain is None else result.in_domain,
        "mark": result.mark,
        **marks_of_run(result),
        "control": result.control,
        "seconds": numbers["seconds"],
        "memory": numbers["memory"],
        "run": escape.plain(result.path.name),
        "run_id": result.run_id,
        "result": result.key,
        "labelled": result.labelled,
        "selection": result.selection_id,
        "ranked": True,
    }


def _set_aside(result: RunResult, truths: Mapping[str, str], truth: str) -> str:
    """Why the labels of a run keep it out of means and ranks; empty where they don't.

    Args:
        result: the run.
        truths: the data sets that have its images -> the digest of their labels under its
            protocol.
        truth: the one of them that counts.
    """
    if not result.present:
        return "its labels are not those that the data set has now"
    others = sorted(
        name for name, digest in truths.items() if name != result.data and digest != result.truth
    )
    if not result.images_id or not result.truth or not others or result.data == truth:
        return ""
    if truth in others:
        return f"the same images count with the labels of {truth}"
    return f"the same images are in {', '.join(others)} with other labels; truth=<name> chooses one"


def _row_of_skipped(skip: SkippedModel) -> dict[str, Any]:
    texts = dict.fromkeys((name for name, dtype in DTYPES.items() if dtype == "object"), "")
    return texts | {
        "source": "runs",
        "method": escape.plain(skip.model),
        "data": escape.plain(skip.data),
        "data_label": escape.plain(skip.title or skip.data),
        "modality": skip.modality if skip.modality in MODALITIES else "",
        "status": SKIPPED,
        "reason": escape.plain(skip.reason) or "no reason was given",
        "protocol": escape.plain(skip.protocol),
        **UNMARKED,
        "control": False,
        "ranked": True,
    }


_NONE = pd.Series(dtype="category")  # of no type that a column has
