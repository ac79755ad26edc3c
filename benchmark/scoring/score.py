"""Prediction + truth + protocol -> a row of numbers, and the key it is stored under."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmark.data.prepared import Entry
from benchmark.errors import BenchmarkError
from benchmark.scoring.interior import match_interior
from benchmark.scoring.match import match
from benchmark.scoring.metrics import metrics_version, object_rows, score
from benchmark.scoring.protocol import Protocol
from benchmark.store.digest import canonical_json, json_digest
from benchmark.types import Labels


def score_basis(
    protocol: Protocol, labels_digest: str | None, of_data: Iterable[str] = ()
) -> dict[str, Any]:
    """What scores depend on besides the prediction.

    Args:
        protocol: how predictions are scored.
        labels_digest: of the truth; None where there is none.
        of_data: the protocol's switches that shaped this data set.
    """
    switches = protocol.switches(of_data)
    return {"protocol": switches, "labels": labels_digest, "metrics": metrics_version()}


def score_key(basis: dict[str, Any]) -> str:
    """The folder name that stands for a basis."""
    return json_digest(basis)[:16]


def score_row(
    entry: Entry, truth: Labels, prediction: Labels, digest: str, protocol: Protocol
) -> tuple[dict[str, Any], str]:
    """Score one prediction.

    Args:
        entry: the sample's.
        truth: its labels, H x W integers.
        prediction: H x W integers, of the same shape.
        digest: of the prediction, which the score belongs to.
        protocol: how to score.

    Returns:
        The row of numbers, JSON-able; and the row of its objects, in columns, as a line of JSON
        already: of thousands of objects, that is cheaper to hand to another process.
    """
    overlap = match(truth, prediction)
    try:
        result = score(overlap, protocol, match_interior(truth, prediction))
    except BenchmarkError as error:
        raise BenchmarkError(f"sample '{entry.id}': {error}") from error
    row = {
        "sample": entry.id,
        "prediction": digest,
        "group": entry.group,
        "n_true": result.n_true,
        "n_predicted": result.n_predicted,
        "true_positives": list(result.true_positives),
        "both_empty": result.both_empty,
        "metrics": dict(result.metrics),
    }
    return row, canonical_json({"sample": entry.id, "prediction": digest, **object_rows(overlap)})
