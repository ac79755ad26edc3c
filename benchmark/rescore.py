"""Read stored predictions by several processes: to score them again, or to compare with elf."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.data.prepared import Entry, PreparedData, read_verified
from benchmark.errors import BenchmarkError
from benchmark.scoring.match import match
from benchmark.scoring.metrics import score
from benchmark.scoring.protocol import Protocol
from benchmark.scoring.score import score_row
from benchmark.store.record import Record
from benchmark.store.store import RunStore
from benchmark.types import Labels
from benchmark.workers import side_by_side

Scored = tuple[dict[str, Any], str]
"""A row of numbers, and the line of JSON with its objects."""


@dataclass(frozen=True)
class StoredPrediction:
    """A stored prediction, as another process needs to know it.

    Attributes:
        folder: of the prepared data.
        data: the data set's name.
        entry: the sample.
        store: the run.
        record: of the prediction.
    """

    folder: Path
    data: str
    entry: Entry
    store: RunStore
    record: Record

    def read(self) -> tuple[Labels, Labels]:
        """Read and verify the truth and the prediction.

        Raises:
            DataError: the truth is missing or was changed.
            StoreError: the prediction is missing or not the one that was recorded.
        """
        truth = read_verified(self.folder, self.data, self.entry, "labels")
        return truth, self.store.prediction(self.record)


def stored_predictions(
    data: PreparedData, store: RunStore, entries: Sequence[Entry]
) -> list[StoredPrediction]:
    """Return the stored predictions of some samples, each of which has one."""
    records = store.records()
    return [StoredPrediction(data.folder, data.name, e, store, records[e.id]) for e in entries]


def score_stored(
    predictions: Sequence[StoredPrediction], protocol: Protocol, workers: int | None
) -> Generator[Scored | str, None, None]:
    """Score each prediction, in order; of one that can't be read the reason is returned."""
    return side_by_side(partial(_score, protocol), predictions, __name__, workers)


def differences_from_elf(
    predictions: Sequence[StoredPrediction], protocol: Protocol, workers: int | None
) -> Generator[str | None, None, None]:
    """Compare the numbers of each prediction with elf's, in order; None where they are equal.

    Raises:
        BenchmarkError: a prediction or its truth can't be read.
    """
    no_exclusion = replace(protocol, both_empty="zero")  # elf does not exclude images
    return side_by_side(partial(_compare_with_elf, no_exclusion), predictions, __name__, workers)


def _score(protocol: Protocol, one: StoredPrediction) -> Scored | str:
    try:
        truth, labels = one.read()
    except BenchmarkError as error:
        return str(error)
    return score_row(one.entry, truth, labels, str(one.record.prediction), protocol)


def _compare_with_elf(protocol: Protocol, one: StoredPrediction) -> str | None:
    from benchmark.scoring.elf import elf_numbers

    truth, labels = one.read()
    ours = score(match(truth, labels), protocol)
    accuracies = tuple(v for k, v in ours.metrics.items() if k.startswith("sa"))
    theirs = elf_numbers(truth, labels, protocol.thresholds)
    if (ours.metrics["msa"], accuracies) == theirs:
        return None
    return (
        f"sample '{one.entry.id}' (prediction {str(one.record.prediction)[:12]}): mSA ours "
        f"{ours.metrics['msa']!r}, elf's {theirs[0]!r}; SA ours {accuracies}, elf's {theirs[1]}"
    )
