"""The loop: for each missing sample read and verify, predict, check, score, store.

The model alone is waited for: the next samples are read, and the last ones scored and stored,
in a thread each (`benchmark.background`). What a model returned is checked before it goes on, which
takes a tenth of a millisecond, so that a failure counts before the next sample is begun.
"""

from __future__ import annotations

import hashlib
import random
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmark.adapter import PredictionInfo
from benchmark.background import BackgroundWorker, prefetch
from benchmark.console import Steps, note
from benchmark.data.prepared import Entry, PreparedData
from benchmark.errors import BenchmarkError
from benchmark.profiling import Measurement
from benchmark.scoring.protocol import Protocol
from benchmark.scoring.score import score_key, score_row
from benchmark.store.digest import array_digest
from benchmark.store.record import Record
from benchmark.store.store import RunStore, RunWriter
from benchmark.types import Attending, Labels, Sample, Segmenter, check_labels

AHEAD, BEHIND = 2, 2
"""Samples that are read and wait for the model, and that it has done and are not stored yet."""

Given = Sample | tuple[Labels, Labels]
"""A sample to predict; or the truth and the stored prediction of one to score."""


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
        stopped = None

        def settle(stored: Sequence[_Stored]) -> None:
            for entry, is_scored, value in stored:
                if is_scored:
                    msa[entry.id] = value
                steps.advance(_detail(entry, msa) if self._trained else entry.id)

        with (
            Steps(f"{self._model} on {self._data.name}", len(todo) + len(unscored)) as steps,
            closing(
                prefetch(partial(self._read, records, wanted), [*unscored, *todo], AHEAD)
            ) as read,
            BackgroundWorker[_Stored](BEHIND) as behind,
        ):
            for entry, given in read:
                if entry.id not in wanted:
                    work, error = self._score_stored(entry, records[entry.id], given)
                else:
                    before = records.get(entry.id)
                    if segmenter is None and entry.error is None:
                        segmenter = self._load_model()
                    attempt = before.attempt + 1 if before else 1
                    work, error = self._predict(entry, attempt, segmenter, given)
                del given  # or this sample would be kept while the next are
                if error is not None:
                    failed[entry.id] = error
                    note(f"sample '{entry.id}' failed: {error}")
                settle(behind.give(work))
                if len(failed) > allowed_failures:
                    stopped = _too_many(failed, "failed")
                    break
            settle(behind.finish())
        return Outcome(len(requested), len(msa), failed, stopped)

    def _read(self, records: Mapping[str, Record], wanted: Collection[str], entry: Entry) -> Given:
        if entry.id in wanted:
            return self._data.read(entry)
        return self._data.truth(entry), self._store.prediction(records[entry.id])

    def _predict(
        self, entry: Entry, attempt: int, segmenter: Segmenter | None, given: Future[Given]
    ) -> tuple[_Work, str | None]:
        """Predict one sample: how to store what came of it, and the reason if it failed."""
        try:
            sample = given.result()
            assert isinstance(sample, Sample)
            assert segmenter is not None  # a sample that was prepared has loaded the model
            _seed_everything(self._seed, entry.id)
            if isinstance(segmenter, Attending):
                segmenter.attend(sample)
            with Measurement() as measure:
                labels = segmenter.predict(sample.image)
            labels = check_labels(labels, sample.image, model=self._model, sample=entry.id)
            labels = labels.copy()  # a model may use its own array again for the next image
            info = PredictionInfo.of(segmenter)
        except (Exception, SystemExit) as error:  # whatever a model or a file does
            known = isinstance(error, BenchmarkError)
            what = f"model '{self._model}' raised {type(error).__name__}: {error}"
            reason = str(error) if known else what
            trace = None if known else traceback.format_exc()
            failure = Record(entry.id, "error", attempt, error=reason, traceback=trace)
            return partial(self._store_failure, entry, failure), reason
        record = Record(
            entry.id,
            "done",
            attempt,
            None,
            measure.seconds,
            info.stages,
            measure.memory,
            warm_up=not self._warm,
            details=info.details,
            cached=info.cached,
            stage_memory=info.stage_memory,
        )
        self._warm = True
        return partial(self._store_prediction, entry, sample.labels, record, labels), None

    def _store_failure(self, entry: Entry, failure: Record) -> _Stored:
        self._writer.append(failure)
        return _Stored(entry)

    def _store_prediction(
        self, entry: Entry, truth: Labels, record: Record, labels: Labels
    ) -> _Stored:
        record = replace(record, prediction=array_digest(labels))
        self._writer.append(record, labels)
        return self._score(entry, truth, labels, str(record.prediction))

    def _score_stored(
        self, entry: Entry, record: Record, given: Future[Given]
    ) -> tuple[_Work, str | None]:
        """How to score a stored prediction; the reason if it or its truth can't be read."""
        try:
            read = given.result()
        except BenchmarkError as error:
            return partial(_Stored, entry), str(error)
        assert isinstance(read, tuple)
        return partial(self._score, entry, *read, str(record.prediction)), None

    def _score(self, entry: Entry, truth: Labels, labels: Labels, digest: str) -> _Stored:
        row, objects = score_row(entry, truth, labels, digest, self._protocol)
        self._writer.append_scores(self._key, self._basis, [(row, objects)])
        return _Stored(entry, True, row["metrics"]["msa"])

    def _wants(self, record: Record | None, overwrite: str) -> bool:
        if record is None or overwrite == "all":
            return True
        return overwrite == "errors" and (record.status == "error" or not self._store.holds(record))


class _Stored(NamedTuple):
    """What became of a sample: whether it is scored, and its mSA."""

    entry: Entry
    is_scored: bool = False
    msa: float | None = None


_Work = Callable[[], _Stored]


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


def _seed_everything(seed: int, sample: str) -> None:
    """Give each sample its own random stream, so that resuming changes nothing."""
    digest = hashlib.sha256(f"{seed}:{sample}".encode()).digest()
    number = int.from_bytes(digest[:4], "little")
    random.seed(number)
    np.random.seed(number)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(number)
