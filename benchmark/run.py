"""The loop: read, predict, check, score and store what a run lacks, or score it again.

Only the model is waited for: the next samples are read, and the last ones scored and stored,
in one thread each (`benchmark.background`). What a model returned is checked before it is passed
on, which takes a tenth of a millisecond, so that a failure counts before the next sample begins.
Predictions that are stored already are scored by several processes (`benchmark.rescore`).
"""

from __future__ import annotations

import hashlib
import random
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from benchmark.adapter import AdapterInfo, PredictionInfo, class_of
from benchmark.background import BackgroundWorker, prefetch
from benchmark.choices import CHECKOUT
from benchmark.console import Steps, note
from benchmark.data.prepared import Entry, PreparedData
from benchmark.errors import BenchmarkError
from benchmark.failures import grouped, without_sample
from benchmark.framing.framed import Framed
from benchmark.framing.framing import Framing
from benchmark.profiling import Measurement
from benchmark.rescore import Scored, score_stored, stored_predictions
from benchmark.scoring.metrics import required
from benchmark.scoring.protocol import Protocol
from benchmark.scoring.score import score_key, score_row
from benchmark.store.digest import array_digest
from benchmark.store.plain import plain, plain_text, text_of
from benchmark.store.record import Record
from benchmark.store.store import RunStore, RunWriter
from benchmark.types import Attending, Image, Labels, Sample, Segmenter, check_labels

PREFETCHED, UNSTORED = 2, 2
"""Maximum numbers of samples read in advance, and of predictions waiting to be stored."""

BATCH = 16
"""Scores of stored predictions that are written at once; a killed evaluation is repeated."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        requested: number of requested samples.
        done: how many of these are predicted and, where they have labels, scored.
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

    @property
    def problem(self) -> str | None:
        """What went wrong, for people; None if nothing did."""
        if self.stopped or not self.failed:
            return self.stopped
        how = f"{len(self.failed)} of {self.requested} samples failed"
        # A sweep's summary has the first line.
        return f"{how}, e.g. " + "\n  ".join(grouped(self.failed))


class Runner:
    """Processes the samples of one run, under its lease.

    Args:
        data: the prepared samples.
        store: the run.
        writer: adds to it.
        load_model: builds the segmenter; called only if a sample has to be predicted.
        model: its name, for messages.
        protocol: how to score.
        basis: what the scores depend on besides the predictions.
        seed: with the sample's id it seeds random, numpy and torch before each prediction.
        trained: whether its scores mean anything; if not, progress does not show them. Nor does
            it where no sample has labels.
        workers: processes that score stored predictions; None: one per core.
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
        workers: int | None = None,
    ) -> None:
        self._data, self._store, self._writer = data, store, writer
        self._load_model, self._model = load_model, model
        self._protocol, self._seed = protocol, seed
        self._basis, self._key = basis, score_key(basis)
        self._show_scores = trained and data.labels_digest() is not None
        self._workers = workers
        self._warm = False

    def run(self, requested: Sequence[Entry], overwrite: str, allowed_failures: int) -> Outcome:
        """Predict and score what is missing.

        Args:
            requested: the samples asked for.
            overwrite: `missing` predicts samples never tried, `errors` also those that failed or
                whose stored prediction is damaged, `all` every one.
            allowed_failures: with more failed samples than this, the loop stops. Samples that
                failed in an earlier attempt and are not predicted again count as well.

        Raises:
            StoreError: the run can't be written.
            BenchmarkError: the model can't be built.
        """
        records = self._store.records()
        scores = self._store.scores(self._key, records)
        missing = [entry for entry in requested if self._wants(records.get(entry.id), overwrite)]
        wanted = {entry.id for entry in missing}
        kept = [entry for entry in requested if entry.id not in wanted]
        done = [entry for entry in kept if records[entry.id].status == "done"]
        failed = {
            entry.id: str(records[entry.id].error)
            for entry in kept
            if records[entry.id].status == "error"
        }
        # A damaged score, which lacks a metric, is made again.
        needed = set(required())
        whole = {name: row for name, row in scores.items() if needed <= row["metrics"].keys()}
        msa = {entry.id: whole[entry.id]["metrics"]["msa"] for entry in done if entry.id in whole}
        msa |= {entry.id: None for entry in done if entry.is_unlabelled}
        if len(failed) > allowed_failures:
            return Outcome(len(requested), len(msa), failed, _too_many(failed, "failed before"))
        unscored = [entry for entry in done if entry.id not in msa]
        title = f"{self._model} on {self._data.name}"
        with Steps(title, len(unscored) + len(missing)) as steps:
            progress = _Progress(steps, allowed_failures, failed, msa, self._show_scores)
            self._writer.restore_basis(self._key, self._basis)
            self._score_stored(unscored, {}, progress)
            if not progress.stopped:
                self._predict_missing(missing, records, progress)
        return progress.outcome(len(requested))

    def rescore(self, requested: Sequence[Entry], allowed_failures: int) -> Outcome:
        """Score stored predictions again, whether they were scored before or not.

        Args:
            requested: samples with a stored prediction and labels.
            allowed_failures: with more samples than this that can't be read, the loop stops.

        Raises:
            StoreError: the run can't be written.
        """
        before = self._store.scores(self._key)
        attempts = {e.id: before.get(e.id, {}).get("attempt", 0) + 1 for e in requested}
        with Steps(f"scoring {self._model} on {self._data.name}", len(requested)) as steps:
            progress = _Progress(steps, allowed_failures, {}, {}, self._show_scores)
            self._score_stored(requested, attempts, progress)
        return progress.outcome(len(requested))

    def _score_stored(
        self, entries: Sequence[Entry], attempts: Mapping[str, int], progress: _Progress
    ) -> None:
        """Score stored predictions; one that can't be read, or without its truth, fails.

        Args:
            entries: the samples.
            attempts: by sample; of several scores the one of the highest attempt counts.
            progress: counts and shows the samples.
        """
        predictions = stored_predictions(self._data, self._store, entries)
        with (
            closing(score_stored(predictions, self._protocol, self._workers)) as scored,
            BackgroundWorker[list[_Stored]](1) as storing,
        ):
            for batch in _batches(zip(entries, scored, strict=True), BATCH):
                for _, one in batch:
                    if not isinstance(one, str) and one[0]["sample"] in attempts:
                        one[0]["attempt"] = attempts[one[0]["sample"]]
                progress.add(chain.from_iterable(storing.give(partial(self._store_scores, batch))))
                if progress.stopped:
                    break
            progress.add(chain.from_iterable(storing.finish()))

    def _store_scores(self, batch: Sequence[tuple[Entry, Scored | str]]) -> list[_Stored]:
        scored = [one for _, one in batch if not isinstance(one, str)]
        if scored:
            self._writer.append_scores(self._key, self._basis, scored)
        return [
            _Stored(entry, error=one)
            if isinstance(one, str)
            else _Stored(entry, msa=one[0]["metrics"]["msa"])
            for entry, one in batch
        ]

    def _predict_missing(
        self, entries: Sequence[Entry], records: Mapping[str, Record], progress: _Progress
    ) -> None:
        segmenter: Segmenter | None = None
        with (
            closing(prefetch(self._data.read, entries, PREFETCHED)) as samples,
            BackgroundWorker[_Stored](UNSTORED) as storing,
        ):
            for entry, sample in samples:
                if segmenter is None and entry.error is None:
                    segmenter = self._load_model()
                before = records.get(entry.id)
                work, error = self._predict(
                    entry, before.attempt + 1 if before else 1, segmenter, sample
                )
                del sample  # or this sample would be kept while the next ones are read
                if error is not None:
                    progress.count_failure(entry, error)
                progress.add(storing.give(work))
                if progress.stopped:
                    break
            progress.add(storing.finish())

    def _predict(
        self, entry: Entry, attempt: int, segmenter: Segmenter | None, reading: Future[Sample]
    ) -> tuple[Callable[[], _Stored], str | None]:
        """Predict one sample; return how to store the result, and the reason if it failed."""
        try:
            sample = reading.result()
            assert segmenter is not None  # a sample that was prepared has loaded the model
            seed_everything(self._seed, entry.id)
            if isinstance(segmenter, Attending):
                segmenter.attend(sample)
            with Measurement() as measure:
                labels = segmenter.predict(sample.image)
            labels = check_labels(
                labels, sample.image, model=self._model, of=f"sample '{entry.id}'"
            )
            labels = labels.copy()  # a model may reuse its array for the next image
            info = PredictionInfo.of(segmenter)
        except BenchmarkError as error:
            reason, trace = text_of(error), None
        except (Exception, SystemExit) as error:  # a model may raise anything
            reason = plain_text(f"model '{self._model}' raised {describe_error(error)}")
            trace = plain_text(_traceback(error))
        else:
            record = Record(
                entry.id,
                "done",
                attempt,
                seconds=measure.seconds,
                stages=plain(info.stages),
                memory=measure.memory,
                warm_up=not self._warm,
                details=plain(
                    info.details
                    | _unused_channels(segmenter, sample.image)
                    | _shrunk(segmenter, sample.image)
                ),
                cached=plain(info.cached),
                stage_memory=plain(info.stage_memory),
            )
            self._warm = True
            return partial(self._store_prediction, entry, sample.labels, record, labels), None
        failure = Record(entry.id, "error", attempt, error=reason, traceback=trace)
        return partial(self._store_failure, entry, failure), reason

    def _store_failure(self, entry: Entry, failure: Record) -> _Stored:
        self._writer.append(failure)
        return _Stored(entry, error=failure.error)

    def _store_prediction(
        self, entry: Entry, truth: Labels | None, record: Record, labels: Labels
    ) -> _Stored:
        digest = array_digest(labels)
        self._writer.append(msgspec.structs.replace(record, prediction=digest), labels)
        if truth is None:
            return _Stored(entry)
        try:
            row, objects = score_row(entry, truth, labels, digest, self._protocol)
        except BenchmarkError as error:  # of a metric; the prediction is stored
            return _Stored(entry, error=str(error))
        self._writer.append_scores(self._key, self._basis, [(row, objects)])
        return _Stored(entry, msa=row["metrics"]["msa"])

    def _wants(self, record: Record | None, overwrite: str) -> bool:
        if record is None or overwrite == "all":
            return True
        return overwrite == "errors" and (record.status == "error" or not self._store.holds(record))


class _Stored(NamedTuple):
    """A sample whose outcome is stored: its mSA (None if undefined or unlabelled), or the error."""

    entry: Entry
    msa: float | None = None
    error: str | None = None


class _Progress:
    """The outcome so far: printed once it is stored, and compared with the allowed failures."""

    def __init__(
        self,
        steps: Steps,
        allowed_failures: int,
        failed: dict[str, str],
        msa: dict[str, float | None],
        show_scores: bool,
    ) -> None:
        self._steps, self._allowed, self._show_scores = steps, allowed_failures, show_scores
        self._failed, self._msa = failed, msa
        self._shown: set[str] = set()
        defined = [value for value in msa.values() if value is not None]
        self._count, self._sum = len(defined), sum(defined)

    @property
    def stopped(self) -> str | None:
        """Why no further sample may begin, else None."""
        return _too_many(self._failed, "failed") if len(self._failed) > self._allowed else None

    def count_failure(self, entry: Entry, error: str) -> None:
        """Count a failure that is yet to be stored."""
        self._failed[entry.id] = error

    def add(self, stored: Iterable[_Stored]) -> None:
        """Count and show samples whose outcome is stored."""
        for entry, msa, error in stored:
            if error is not None:
                self._failed[entry.id] = error
                self._show_failure(entry.id, error)
            else:
                self._msa[entry.id] = msa
                if msa is not None:
                    self._count, self._sum = self._count + 1, self._sum + msa
            self._steps.advance(self._detail(entry) if self._show_scores else entry.id)

    def _show_failure(self, sample: str, error: str) -> None:
        """Print a reason once; the outcome has how many samples failed with it."""
        sentence = without_sample(sample, error)
        if sentence not in self._shown:
            self._shown.add(sentence)
            note(f"sample '{sample}' failed: {error}")

    def _detail(self, entry: Entry) -> str:
        """Return the mean so far; summed up, as the list may be long."""
        mean = f"mSA {self._sum / self._count:.3f}" if self._count else "mSA n/a"
        return f"{mean}, {entry.id}"

    def outcome(self, requested: int) -> Outcome:
        """The outcome of all requested samples."""
        return Outcome(requested, len(self._msa), self._failed, self.stopped)


def _unused_channels(segmenter: Segmenter, image: Image) -> dict[str, list[int]]:
    """What the record says of channels that the model does not use; nothing if it uses all."""
    most = AdapterInfo.of(class_of(segmenter)).max_channels
    count = image.shape[2] if image.ndim == 3 else 1
    if not 0 < most < count:
        return {}
    return {"used_channels": [*range(most)], "unused_channels": [*range(most, count)]}


def _shrunk(segmenter: Segmenter, image: Image) -> dict[str, float]:
    """What the record says of an image that the model shrinks so much that cells are lost."""
    framing = segmenter.framing if isinstance(segmenter, Framed) else Framing()
    by = framing.shrinks(image.shape, AdapterInfo.of(class_of(segmenter)).input_size)
    return {"shrunk": round(by, 2)} if by else {}


def _batches(
    scored: Iterable[tuple[Entry, Scored | str]], size: int
) -> Iterator[list[tuple[Entry, Scored | str]]]:
    scored = iter(scored)
    while batch := list(islice(scored, size)):
        yield batch


def _too_many(failed: Mapping[str, str], how: str) -> str:
    reasons = "\n  ".join(grouped(failed))
    return (
        f"{len(failed)} sample{'s' * (len(failed) > 1)} {how}, more than errors.max_failures "
        f"allows: {reasons}\nTry failed samples again with "
        f"overwrite=errors, or go on without them with errors.max_failures={len(failed)}."
    )


def describe_error(error: BaseException) -> str:
    """Return type and message of an exception, and the last line of the model's own code."""
    described = f"{type(error).__name__}: {text_of(error)}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    if not own:
        return described
    line = plain_text(own[-1].line or "")
    return f"{described} ({plain_text(own[-1].filename)}, line {own[-1].lineno}: {line})"


def _is_own(file: str) -> bool:
    """Whether a file is of a model: not of the benchmark, of Python or of an installed library."""
    path = Path(file)
    library = {"site-packages", "dist-packages"} & {*path.parts}
    ours = path.is_relative_to(CHECKOUT / "benchmark")
    return not (library or ours or file.startswith("<") or path.is_relative_to(_PYTHON))


_PYTHON = sysconfig.get_paths()["stdlib"]


def _traceback(error: BaseException) -> str:
    """Return the traceback; an exception may fail to give its own."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # the error's own __str__ is a stranger's code, and may raise anything
        return "".join(traceback.format_tb(error.__traceback__))


def seed_everything(seed: int, sample: str) -> None:
    """Give each sample its own random stream, so that resuming changes nothing."""
    digest = hashlib.sha256(f"{seed}:{sample}".encode()).digest()
    number = int.from_bytes(digest[:4], "little")
    random.seed(number)
    np.random.seed(number)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(number)
