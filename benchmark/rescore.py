"""Stored predictions scored again, or checked against elf's numbers, by several processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmark.data.prepared import Entry, PreparedData, read_verified
from benchmark.scoring.match import match
from benchmark.scoring.metrics import score
from benchmark.scoring.protocol import Protocol
from benchmark.scoring.score import score_row
from benchmark.store.record import Record
from benchmark.store.store import RunStore
from benchmark.types import Labels
from benchmark.workers import WORTH_WORKERS, Workers, default_workers

Told = TypeVar("Told")
Scored = tuple[dict[str, Any], str]


@dataclass(frozen=True)
class Stored:
    """A stored prediction, as a process needs to know it.

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
        """The truth and the prediction, both verified.

        Raises:
            DataError: the truth is missing or was changed.
            StoreError: the prediction is missing or not the one that was recorded.
        """
        truth = read_verified(self.folder, self.data, self.entry, "labels")
        return truth, self.store.prediction(self.record)


def stored(data: PreparedData, store: RunStore, entries: Sequence[Entry]) -> list[Stored]:
    """The stored predictions of some samples, each of which has one."""
    records = store.records()
    return [Stored(data.folder, data.name, e, store, records[e.id]) for e in entries]


def scored(
    predictions: Sequence[Stored], protocol: Protocol, workers: int | None
) -> Generator[Scored, None, None]:
    """Each one's row of numbers and line of objects, in order; raises as `Stored.read`."""
    return _each(partial(_score, protocol), predictions, workers)


def differences_from_elf(
    predictions: Sequence[Stored], protocol: Protocol, workers: int | None
) -> Generator[str | None, None, None]:
    """How each one's numbers differ from elf's; None where they don't. Raises as `Stored.read`."""
    no_exclusion = replace(protocol, both_empty="zero")  # elf knows no excluded images
    return _each(partial(_compare_with_elf, no_exclusion), predictions, workers)


def _each(
    perform: Callable[[Stored], Told], predictions: Sequence[Stored], workers: int | None
) -> Generator[Told, None, None]:
    count = workers or default_workers()
    if count == 1 or len(predictions) < WORTH_WORKERS:
        yield from map(perform, predictions)
        return
    crew = Workers(count, __name__)
    try:
        with closing(crew.outcomes(perform, predictions)) as outcomes:
            yield from outcomes
    finally:
        crew.close()


def _score(protocol: Protocol, one: Stored) -> Scored:
    truth, labels = one.read()
    return score_row(one.entry, truth, labels, str(one.record.prediction), protocol)


def _compare_with_elf(protocol: Protocol, one: Stored) -> str | None:
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
