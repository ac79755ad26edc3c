"""One run as the report sees it: what was run, and one row of numbers per sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.metrics import VERSION
from benchmark.protocol import Protocol
from benchmark.store import RunStore


@dataclass(frozen=True, eq=False)
class RunResult:
    """A scored run.

    Attributes:
        run_id: the run's identity (hexadecimal); the first 12 characters are its short name.
        path: the run's folder.
        model: the model's name, and in brackets the parameters that differ from its YAML.
        data: the data set's name.
        split: test, val or all.
        protocol: name of the protocol that the scores follow.
        expected: samples in the data set (of that split).
        failed: samples that ended in an error.
        mixed: the run was made in several attempts of differing code or environment.
        scores: one row per scored sample, indexed by sample id, in ascending order: group,
            n_true, n_predicted, true_positives (tuple, one per threshold), both_empty,
            seconds (with every stage computed), and each metric (msa, sa50, ...; NaN where
            undefined or excluded).
        control: its score is known beforehand; it is shown, but never marked as best.
        weights: how a table shows its weights; empty for a model without.
        mark: `verified` or `user`; empty for a model without weights.
        lost: why the published study's own images can't be had; empty where they can.
        images_id: the beginning of the images' digest: rows of other images are not compared.
    """

    run_id: str
    path: Path
    model: str
    data: str
    split: str
    protocol: str
    expected: int
    failed: int
    mixed: bool
    scores: pd.DataFrame
    control: bool = False
    weights: str = ""
    mark: str = ""
    lost: str = ""
    images_id: str = ""

    @property
    def status(self) -> str:
        """`complete`, or `partial (10 of 197)`, with the number of failed samples."""
        done = len(self.scores)
        if done == self.expected:
            return "complete"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"partial ({done} of {self.expected}{failed})"


def load_result(store: RunStore, key: str, protocol: str) -> RunResult | None:
    """The run with the scores under one key; None before the run has begun.

    None also for untrained weights, which only tests make: their scores are no result.

    Raises:
        StoreError: run.json is damaged.
    """
    described = store.describe()
    weights = (described or {}).get("weights") or {}
    if described is None or weights.get("mark") == "untrained":
        return None
    records = store.records()
    rows = [
        {
            **{name: row[name] for name in ("sample", "group", "n_true", "n_predicted")},
            "true_positives": tuple(row["true_positives"]),
            "both_empty": row["both_empty"],
            # The first prediction after loading compiles and warms up: no time to compare.
            "seconds": None if records[sample].warm_up else records[sample].computed_seconds,
            **row["metrics"],
        }
        for sample, row in sorted(store.scores(key).items())
    ]
    scores = pd.DataFrame(rows, columns=None if rows else ["sample", *_COLUMNS])
    return RunResult(
        run_id=described["run_id"],
        path=store.path,
        model=described["model"],
        data=described["data"],
        split=described["split"],
        protocol=protocol,
        expected=described["samples"],
        failed=sum(record.status == "error" for record in records.values()),
        mixed=store.is_mixed(),
        scores=_numeric(scores.set_index("sample")),
        control=described["control"],
        weights=weights.get("label", ""),
        mark=weights.get("mark", ""),
        images_id=described["identity"]["images"][:6],
        lost=_lost(described.get("data_card", {}), described["split"]),
    )


def _lost(card: Mapping[str, Any], split: str) -> str:
    """Why a split's images are not the study's own."""
    reasons = card.get("not_recoverable") or {}
    return str(reasons.get(split) or (reasons and split == "all" and min(reasons.values())) or "")


def load_results(runs: Path, protocol: Protocol) -> list[RunResult]:
    """Every run that has scores of the present metrics under a protocol.

    Where a run was scored against several versions of the truth, the newest counts.
    """
    results = []
    for store in RunStore.all(runs):
        keys = [
            key
            for key, basis in store.score_bases().items()
            if protocol.made(basis["protocol"]) and basis["metrics"] == VERSION
        ]
        result = load_result(store, keys[-1], protocol.name) if keys else None
        if result is not None:
            results.append(result)
    return results


_COLUMNS = (
    "group",
    "n_true",
    "n_predicted",
    "true_positives",
    "both_empty",
    "seconds",
    "msa",
    "sa50",
)


def _numeric(scores: pd.DataFrame) -> pd.DataFrame:
    """Undefined metrics as NaN: a column of nothing but None would not be numbers."""
    others = {"group", "true_positives", "both_empty"}
    numbers = [column for column in scores.columns if column not in others]
    return scores.astype(dict.fromkeys(numbers, float))
