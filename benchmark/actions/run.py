"""Segment, score and store what is missing; print the table."""

from __future__ import annotations

from functools import partial

from benchmark.console import complain, note
from benchmark.errors import DONE, PARTIAL, RunHeldError, SkippedError, UsageError
from benchmark.framing.framing import SHRUNK
from benchmark.job import Job
from benchmark.report.results import load_result, summary_of
from benchmark.report.text import counted
from benchmark.report.write import show, write_report
from benchmark.run import Outcome, Runner
from benchmark.settings import Overwrite
from benchmark.store.code_digest import changes
from benchmark.store.lease import Lease
from benchmark.store.provenance import describe_attempt
from benchmark.store.shard import WHOLE
from benchmark.store.skipped import remove_skipped
from benchmark.store.store import RunWriter
from benchmark.sweeps.process import leave_outcome
from benchmark.tuning.choose import NothingChosenError, check_tunable
from benchmark.tuning.tuned import tuned_job


def perform(job: Job) -> int:
    """Bring the run as far as was asked for, then report it.

    Returns:
        0 if every requested sample is done, else 1; 1 also where the model can't run here.
    """
    if job.settings.shards > 1 and job.shard == WHOLE:
        raise UsageError(
            f"shards={job.settings.shards} splits the runs of a sweep: add -m, or do one part "
            f"with shard=1/{job.settings.shards}."
        )
    if job.settings.tuned:
        check_tunable(job)  # a mistake is reported before anything is prepared
    details = {"model": str(job.settings.model["name"]), "data": str(job.settings.data["name"])}
    try:
        job.check_ready()
        job.check_labels()
        if job.settings.tuned:
            job = tuned_job(job)
        return _run(job)
    except NothingChosenError as reason:
        complain(str(reason))
        return PARTIAL
    except SkippedError as reason:
        note(f"skipped: {reason}")
        leave_outcome(details | {"state": "skipped", "reason": str(reason)})
        job.record_skipped(reason)
        return PARTIAL
    except RunHeldError as reason:
        leave_outcome(details | {"state": "running elsewhere", "reason": str(reason)})
        raise


def _run(job: Job) -> int:
    settings = job.settings
    with job.store.writing(
        job.describe(),
        partial(describe_attempt, job.device, settings.threads, job.adapter_code),
        shard=job.shard,
        wait=settings.lease.wait,
        timeout=settings.lease.timeout,
        on_wait=lambda holder: note(f"waiting for {holder}, which works on this run"),
    ) as writer:
        notice_edits(job, writer)
        _warn_of_large_images(job)
        writer.keep_selection(job.score_basis, job.selection)
        outcome = runner(job, writer).run(
            job.requested,
            settings.overwrite.name,
            job.allowed_failures(len(job.requested)),
        )
        if outcome.problem:
            complain(outcome.problem)
        remove_skipped(job.runs, str(settings.model["name"]), job.data.name)
        if not _is_trained(job):
            note("no table: these weights were never trained")
        # Still under the lease: two processes must not draw one report.
        if job.shard == WHOLE:
            _report(job, outcome)
        else:
            _report_if_last(job, outcome)
    return DONE if outcome.complete else PARTIAL


def runner(job: Job, writer: RunWriter) -> Runner:
    """The loop over a job's samples, for `action=run` and `action=evaluate`."""
    return Runner(
        job.data,
        job.store,
        writer,
        job.load_model,
        model=job.model_name,
        protocol=job.protocol,
        basis=job.score_basis,
        seed=job.settings.seed,
        trained=_is_trained(job),
        workers=job.settings.workers,
    )


def notice_edits(job: Job, writer: RunWriter) -> None:
    """Warn, and mark the run, if the adapter's code is not the one that made its predictions."""
    now = job.adapter_code
    if now is None:
        return
    writer.keep_requested_code(now)
    others = [code for code in job.store.adapter_codes() if code != now]
    if others and job.settings.overwrite is not Overwrite.all:
        note(
            f"warning: stored predictions of model '{job.model_name}' on {job.data.name} were made "
            f"by other code: {', '.join(changes(others, now))}. They are kept, and the run is "
            "marked as edited. If its results change, raise `version` in the adapter's class, "
            "which makes another run; or predict again with overwrite=all."
        )


def _warn_of_large_images(job: Job) -> None:
    """Warn of images that the model shrinks so much that cells are lost."""
    size = job.info.input_size
    large = [e for e in job.requested if e.shape and job.framing.shrinks(e.shape, size)]
    if not large:
        return
    note(
        f"warning: {len(large)} of {counted(len(job.requested), 'image')} {_HAVE[len(large) > 1]} "
        f"more than {SHRUNK * size} pixels along a side, which model '{job.model_name}' shrinks to "
        f"{size}: small cells are lost. model.tile=auto predicts such images in tiles."
    )


_HAVE = ("has", "have")


def _is_trained(job: Job) -> bool:
    return job.all_weights is None or job.all_weights.mark != "untrained"


def _report(job: Job, outcome: Outcome) -> None:
    """Print the table, draw the report, and leave the numbers for a sweep's summary."""
    result = load_result(
        job.store, job.score_key, job.protocol.name, metric=job.metric, selection=job.selection
    )
    if result is None:
        return
    show([result])
    leave_outcome(summary_of(result) | _state(outcome))
    folder = write_report([result], job.store.path / "report")
    note(f"stored in {job.store.path}, tables and pictures in {folder}")


def _report_if_last(job: Job, outcome: Outcome) -> None:
    """Report, once no sample of the run is untried; by one shard at a time."""
    part = f"shard {job.shard}: {outcome.done} of {outcome.requested}"
    wanted = job.data.entries[: job.settings.limit]
    untried = {entry.id for entry in wanted} - job.store.records().keys()
    if untried:
        note(f"{part} samples; the table comes with the last shard")
        leave_outcome(
            {"model": job.model_name, "data": job.data.name, "status": part} | _state(outcome)
        )
        return
    with Lease(job.store.path / "lease" / "report", job.settings.lease.timeout).held():
        _report(job, outcome)


def _state(outcome: Outcome) -> dict[str, str]:
    """What a sweep calls a job all of whose failures were allowed; of others it knows by itself."""
    return {"state": "partial"} if outcome.failed and not outcome.stopped else {}
