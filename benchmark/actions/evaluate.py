"""Score the stored predictions again, without a model; or check the scores against elf's."""

from __future__ import annotations

from contextlib import closing
from functools import partial

from benchmark.actions.run import notice_edits, runner
from benchmark.console import Steps, complain, note, say
from benchmark.data.prepared import Entry, describe_data
from benchmark.errors import DONE, PARTIAL, UsageError
from benchmark.job import Job
from benchmark.report.results import load_result
from benchmark.report.write import show
from benchmark.rescore import differences_from_elf, stored_predictions
from benchmark.store.provenance import describe_attempt


def perform(job: Job) -> int:
    """Score every stored prediction of the run.

    Returns:
        0 if every requested sample has a stored prediction (and, with a reference, equal
        numbers), else 1.

    Raises:
        UsageError: no prediction is stored, or no sample has labels.
    """
    if job.data.labels_digest() is None:
        raise UsageError(
            f"data '{job.data.name}' has no labels to score against; give some with data.labels."
        )
    entries = stored_entries(job)
    labelled = [entry for entry in entries if not entry.is_unlabelled]
    act = _compare_with_elf if job.settings.reference else _rescore
    equal = act(job, labelled)
    missing = len(job.requested) - len(entries)
    if missing:
        note(f"{missing} of {len(job.requested)} requested samples have no stored prediction")
    return DONE if equal and not missing else PARTIAL


def stored_entries(job: Job) -> list[Entry]:
    """The requested samples that have a stored prediction.

    Raises:
        UsageError: none has.
    """
    done = job.store.completed()
    entries = [entry for entry in job.requested if entry.id in done]
    if not entries:
        raise UsageError(
            f"no prediction of model '{job.model_name}' on data '{job.data.name}' is stored in "
            f"{job.runs}. Run it first, with the same overrides and action=run."
        )
    return entries


def _rescore(job: Job, entries: list[Entry]) -> bool:
    # The run may be of another environment; the truth is the one it is scored against now.
    described = job.store.readable_description()
    if described is None or not job.store.is_sealed():  # it was lost, damaged or edited
        described = job.describe()
    with job.store.writing(
        described | describe_data(job.data, job.settings.data),
        partial(describe_attempt, job.device, job.settings.threads, job.adapter_code),
        wait=job.settings.lease.wait,
        timeout=job.settings.lease.timeout,
        on_wait=lambda holder: note(f"waiting for {holder}, which works on this run"),
    ) as writer:
        notice_edits(job, writer)
        writer.keep_selection(job.score_basis, None)
        outcome = runner(job, writer).rescore(entries, job.allowed_failures(len(entries)))
    if outcome.problem:
        complain(outcome.problem)
    result = load_result(job.store, job.score_key, job.protocol.name, metric=job.metric)
    if result is not None:
        show([result])
    return outcome.complete


def _compare_with_elf(job: Job, entries: list[Entry]) -> bool:
    different = 0
    predictions = stored_predictions(job.data, job.store, entries)
    with (
        Steps(f"comparing with elf {job.model_name} on {job.data.name}", len(entries)) as steps,
        closing(differences_from_elf(predictions, job.protocol, job.settings.workers)) as outcomes,
    ):
        for entry, difference in zip(entries, outcomes, strict=True):
            if difference:
                different += 1
                complain(difference)
            steps.advance(entry.id)
    say(
        f"{len(entries)} samples scored with elf: mSA and SA at {len(job.protocol.thresholds)} "
        + (
            f"thresholds DIFFER in {different}."
            if different
            else "thresholds equal to the last bit."
        )
    )
    return different == 0
