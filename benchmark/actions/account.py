"""Where a method with prompts lost the true objects: stored samples predicted again, by stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.actions.evaluate import stored_entries
from benchmark.background import prefetch
from benchmark.console import Steps, complain, note, out
from benchmark.data.prepared import Entry
from benchmark.errors import DONE, PARTIAL, BenchmarkError, ModelError, SkippedError, UsageError
from benchmark.failures import grouped
from benchmark.job import Job
from benchmark.report import pictures
from benchmark.report.figures import post_hoc, stages
from benchmark.report.figures.style import NothingToDrawError, save
from benchmark.report.results import RunResult, load_result
from benchmark.report.tables import formats
from benchmark.report.tables.stages import accounts, stage_table
from benchmark.report.tables.table import Column, words
from benchmark.run import PREFETCHED, describe_error, seed_everything
from benchmark.scoring.stages import evidence
from benchmark.settings import Overwrite
from benchmark.store.digest import array_digest
from benchmark.store.files import disk_errors, path_of_id, write_whole
from benchmark.store.owned import replaced
from benchmark.store.plain import text_of
from benchmark.store.provenance import describe_attempt
from benchmark.store.record import Record
from benchmark.store.store import RunWriter
from benchmark.types import (
    Attending,
    Mapped,
    Sample,
    SegmentationStages,
    Staged,
    check_labels,
)

PICTURED: pictures.Rule = {"worst": (pictures.lowest, 4)}
"""The samples that are drawn stage by stage."""


def perform(job: Job) -> int:
    """Account for each true object of the stored samples; table, figure and pictures of it.

    Returns:
        0 if every requested sample with labels has its account, else 1; 1 also where the model
        can't run here.

    Raises:
        UsageError: nothing is stored, there are no labels, or the model shows no stages.
    """
    try:
        job.check_ready()
        return _account(job)
    except SkippedError as reason:
        note(f"skipped: {reason}")
        return PARTIAL


def _account(job: Job) -> int:
    if not issubclass(job.adapter, Staged):
        raise UsageError(
            f"model '{job.model_name}' shows no stages: action=account is for methods with "
            "prompts, whose class has segment_stages (benchmark.types.Staged)."
        )
    if job.framing.in_identity:
        raise UsageError(
            f"model '{job.name_on(job.data)}' is tiled or scaled, and shows no stages of an image "
            "as a whole; account for a run with model.tile=off and without model.rescale."
        )
    if job.data.labels_digest() is None:
        raise UsageError(
            f"data '{job.data.name}' has no labels to account for; give some with data.labels."
        )
    entries = [entry for entry in stored_entries(job) if not entry.is_unlabelled]
    settings = job.settings
    with job.store.writing(
        job.describe(),
        partial(describe_attempt, job.device, settings.threads, job.adapter_code),
        wait=settings.lease.wait,
        timeout=settings.lease.timeout,
        on_wait=lambda holder: note(f"waiting for {holder}, which works on this run"),
    ) as writer:
        result = load_result(job.store, job.score_key, job.protocol.name, metric=job.metric)
        folder = job.store.path / "report" / "account"
        with replaced(folder, _ACCOUNT) as place, disk_errors(folder):
            failed = _Account(job, writer, result).make(entries, place)
            if result is not None:
                _write(result, place)
    if failed:
        complain(
            f"{len(failed)} of {len(entries)} samples failed, e.g. " + "\n  ".join(grouped(failed))
        )
    note(f"table, figure and pictures are in {folder}")
    labelled = sum(not entry.is_unlabelled for entry in job.requested)
    return PARTIAL if failed or len(entries) < labelled else DONE


_ACCOUNT = (("", "stages.csv"),)


class _Account:
    """Predicts samples by stages, stores what each stage has of their objects, and draws some."""

    def __init__(self, job: Job, writer: RunWriter, result: RunResult | None) -> None:
        self._job, self._writer = job, writer
        self._records = job.store.records()
        self._shown: dict[str, str] = {}
        if result is not None:
            scores = pictures.scores_of([result])
            self._shown = {name: why for why, name in pictures.choose(scores, PICTURED)}
        self._result = result

    def make(self, entries: Sequence[Entry], place: Path) -> dict[str, str]:
        """Make what is missing, and the pictures.

        Args:
            entries: samples with labels and a stored prediction.
            place: the folder of the pictures.

        Returns:
            Of each sample that failed the reason.
        """
        job, failed = self._job, dict[str, str]()
        stored = job.store.stages(job.score_key, self._records)
        if job.settings.overwrite is Overwrite.all:
            stored = {}
        wanted = [e for e in entries if e.id not in stored or e.id in self._shown]
        if not wanted:
            return failed
        segmenter: Any = job.load_model()
        with (
            Steps(f"stages of {job.model_name} on {job.data.name}", len(wanted)) as steps,
            closing(prefetch(job.data.read, wanted, PREFETCHED)) as samples,
        ):
            for entry, reading in samples:
                try:
                    sample = reading.result()
                    found = self._stages(segmenter, sample, self._records[entry.id])
                    if entry.id not in stored:
                        self._store(sample, found)
                    if entry.id in self._shown:
                        self._draw(segmenter, sample, found, place)
                except BenchmarkError as error:
                    failed[entry.id] = text_of(error)
                except (Exception, SystemExit) as error:  # a model may raise anything
                    failed[entry.id] = describe_error(error)
                if len(failed) > job.allowed_failures(len(wanted)):
                    break
                steps.advance(entry.id)
        return failed

    def _stages(self, segmenter: Any, sample: Sample, record: Record) -> SegmentationStages:
        job = self._job
        seed_everything(job.settings.seed, sample.id)
        if isinstance(segmenter, Attending):
            segmenter.attend(sample)
        found: SegmentationStages = segmenter.segment_stages(sample.image)
        labels = check_labels(
            found.labels, sample.image, model=job.model_name, of=f"sample '{sample.id}'"
        )
        if array_digest(labels) != record.prediction:
            raise ModelError(
                f"sample '{sample.id}': its label image, predicted again, is not the stored one, "
                "as on another device, or with other libraries. Predict it again with action=run "
                "overwrite=all, then account for it."
            )
        return found

    def _store(self, sample: Sample, found: SegmentationStages) -> None:
        assert sample.labels is not None
        row: Mapping[str, Any] = {
            "sample": sample.id,
            "prediction": self._records[sample.id].prediction,
            "prompts": len(found.first.masks),
            "kept": len(found.kept),
            "true": evidence(sample.labels, found).columns(),
        }
        self._writer.append_stages(self._job.score_key, dict(row))

    def _draw(self, segmenter: Any, sample: Sample, found: SegmentationStages, place: Path) -> None:
        assert self._result is not None
        score = self._result.values[sample.id]
        title = f"{self._result.method} on {self._result.data}: {sample.id}, "
        title += f"{self._result.metric.title} {score:.3f}"
        maps = segmenter.maps(sample.image) if isinstance(segmenter, Mapped) else {}
        figure = post_hoc.draw(sample, found, maps, title)
        path = path_of_id(place, f"{self._shown[sample.id]}_{sample.id}", ".png")
        save(figure, path.with_suffix(""), ("png",))


def _write(result: RunResult, place: Path) -> None:
    """Write table and figure, and print the table."""
    table = stage_table([result], [[words(result.method), words(result.data)]], _HEADS)
    if table is None:
        return
    out.print(formats.console(table))
    for suffix, text in (("csv", formats.csv(table)), ("md", formats.markdown(table))):
        write_whole(place / f"stages.{suffix}", text.encode())
    found: pd.DataFrame = accounts([result])
    try:
        save(stages.draw(found, [result.method], [result.data]), place / "stages", ("png", "svg"))
    except NothingToDrawError as error:
        note(f"no figure: {error}")


_HEADS = [Column("method"), Column("data")]
