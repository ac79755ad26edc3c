"""The loop: for each missing sample read and verify, predict, check, score, store."""

from __future__ import annotations

import hashlib
import math
import random
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.console import Steps, note
from benchmark.data.prepared import Entry, PreparedData
from benchmark.digest import array_digest
from benchmark.errors import BenchmarkError
from benchmark.measure import Measure
from benchmark.protocol import Protocol
from benchmark.record import Record
from benchmark.scoring import score_key, score_row
from benchmark.store import RunStore, RunWriter
from benchmark.types import Sample, Segmenter, check_labels


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        requested: samples that were asked for.
        done: of these, how many are predicted and scored.
        failed: of these, sample -> reason.
        stopped: why the loop ended before the last sample, else None.
    """

    requested: int
    done: int
    failed: Mapping[str, str]
    stopped: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every requested sample is done."""
        return self.done == self.requested


class Runner:
    """Does the samples of one run, under its lease.

    Args:
        data: the prepared samples.
        store: where the run is.
        writer: adds to it.
        load_model: builds the segmenter; called only if a sample is missing.
        model: its name, for messages.
        protocol: how to score.
        basis: what the scores depend on besides the predictions.
        seed: with the sample's id it seeds random, numpy and torch before each prediction.
        trained: whether its scores mean anything; where not, progress does not tell them.
    """

    def __init__(
        self,
        data: PreparedData,
        store: RunStore,
        writer: RunWriter,
        load_model: Callable[[], Segmenter],
        *,
        model: str,
        protocol: Protocol,
        basis: dict[str, Any],
        seed: int,
        trained: bool = True,
    ) -> None:
        self._data, self._store, self._writer = data, store, writer
        self._load_model, self._model = load_model, model
        self._protocol, self._seed = protocol, seed
        self._basis, self._key = basis, score_key(basis)
        self._trained = trained
        self._warm = False

    def run(self, requested: Sequence[Entry], overwrite: str, allowed_failures: int) -> Outcome:
        """Predict and score what is missing.

        Args:
            requested: the samples asked for.
            overwrite: `missing` does samples never tried, `errors` also those that failed or
                whose stored prediction is damaged, `all` every one.
            allowed_failures: with more failed samples than this, the loop stops. Samples that
                failed in an earlier attempt and are not done again count as well.

        Raises:
            StoreError: the run can't be written.
            BenchmarkError: the model can't be built.
        """
        records = self._store.records()
        scores = self._store.scores(self._key)
        todo = [entry for entry in requested if self._wants(records.get(entry.id), overwrite)]
        wanted = {entry.id for entry in todo}
        unscored = [
            entry
            for entry in requested
            if entry.id not in wanted
            and records[entry.id].status == "done"
            and entry.id not in scores
        ]
        ids = {entry.id for entry in requested}
        failed = {
            id_: str(record.error)
            for id_, record in records.items()
            if id_ in ids and id_ not in wanted and record.status == "error"
        }
        msa = {id_: row["metrics"]["msa"] for id_, row in scores.items() if id_ in ids - wanted}
        if len(failed) > allowed_failures:
            return Outcome(len(requested), len(msa), failed, _too_many(failed, "failed before"))

        segmenter: Segmenter | None = None
        with Steps(f"{self._model} on {self._data.name}", len(todo) + len(unscored)) as steps:
            for entry in [*unscored, *todo]:
                before = records.get(entry.id)
                if entry.id not in wanted:
                    error = self._score_stored(entry, records[entry.id], msa)
                else:
                    if segmenter is None and entry.error is None:
                        segmenter = self._load_model()
                    attempt = before.attempt + 1 if before else 1
                    error = self._predict(entry, attempt, segmenter, msa)
                if error is not None:
                    failed[entry.id] = error
                    note(f"sample '{entry.id}' failed: {error}")
                steps.advance(_detail(entry, msa) if self._trained else entry.id)
                if len(failed) > allowed_failures:
                    return Outcome(len(requested), len(msa), failed, _too_many(failed, "failed"))
        return Outcome(len(requested), len(msa), failed)

    def _predict(
        self,
        entry: Entry,
        attempt: int,
        segmenter: Segmenter | None,
        msa: dict[str, float | None],
    ) -> str | None:
        """Do one sample; the reason if it failed. Only faults of the disk end the run."""
        try:
            sample = self._data.read(entry)
            assert segmenter is not None  # a sample that was prepared has loaded the model
            _seed_everything(self._seed, entry.id)
            attend = getattr(segmenter, "attend", None)
            if attend is not None:
                attend(sample)
            with Measure() as measure:
                labels = segmenter.predict(sample.image)
            labels = check_labels(labels, sample.image, model=self._model, sample=entry.id)
            stages = _stages(segmenter)
            details = dict(getattr(segmenter, "details", {}))
        except (Exception, SystemExit) as error:  # whatever a model or a file does
            known = isinstance(error, BenchmarkError)
            what = f"model '{self._model}' raised {type(error).__name__}: {error}"
            reason = str(error) if known else what
            trace = None if known else traceback.format_exc()
            self._writer.append(Record(entry.id, "error", attempt, error=reason, traceback=trace))
            return reason
        digest = array_digest(labels)
        record = Record(
            entry.id,
            "done",
            attempt,
            digest,
            measure.seconds,
            stages,
            measure.memory,
            warm_up=not self._warm,
            details=details,
        )
        self._warm = True
        self._writer.append(record, labels)
        self._score(sample, labels, digest, msa)
        return None

    def _score_stored(
        self, entry: Entry, record: Record, msa: dict[str, float | None]
    ) -> str | None:
        """Score a stored prediction; the reason if it or its truth can't be read."""
        try:
            labels = self._store.prediction(record)
            sample = self._data.read(entry)
        except BenchmarkError as error:
            return str(error)
        self._score(sample, labels, str(record.prediction), msa)
        return None

    def _wants(self, record: Record | None, overwrite: str) -> bool:
        if record is None or overwrite == "all":
            return True
        return overwrite == "errors" and (record.status == "error" or not self._store.holds(record))

    def _score(
        self, sample: Sample, labels: Any, digest: str, msa: dict[str, float | None]
    ) -> None:
        row, objects = score_row(sample, labels, digest, self._protocol)
        self._writer.append_score(self._key, self._basis, row, objects)
        msa[sample.id] = row["metrics"]["msa"]


def _too_many(failed: Mapping[str, str], how: str) -> str:
    sample, reason = next(iter(failed.items()))
    return (
        f"{len(failed)} sample{'s' * (len(failed) > 1)} {how}, more than errors.max_failures "
        f"allows: '{sample}': {reason}\nTry failed samples again with overwrite=errors, or go on "
        f"without them with errors.max_failures={len(failed)}."
    )


def _detail(entry: Entry, msa: Mapping[str, float | None]) -> str:
    defined = [value for value in msa.values() if value is not None]
    running = f"mSA {np.mean(defined):.3f}" if defined else "mSA n/a"
    return f"{running}, {entry.id}"


def _stages(segmenter: Any) -> dict[str, float]:
    stages = {str(name): float(s) for name, s in getattr(segmenter, "stages", {}).items()}
    if not all(map(math.isfinite, stages.values())):
        raise ValueError(f"its stages are {stages}, but seconds are finite")
    return stages


def _seed_everything(seed: int, sample: str) -> None:
    """Give each sample its own random stream, so that resuming changes nothing."""
    digest = hashlib.sha256(f"{seed}:{sample}".encode()).digest()
    number = int.from_bytes(digest[:4], "little")
    random.seed(number)
    np.random.seed(number)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(number)
