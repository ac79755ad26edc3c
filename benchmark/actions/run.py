"""Segment, score and store what is missing; print the table."""

from __future__ import annotations

from functools import partial

from benchmark.console import complain, note
from benchmark.errors import DONE, PARTIAL, SkippedError
from benchmark.job import Job
from benchmark.provenance import describe_attempt
from benchmark.report.results import RunResult, load_result
from benchmark.report.write import show, write_report
from benchmark.run import Outcome, Runner
from benchmark.skips import Skip, forget_skip, leave_skip
from benchmark.sweep import leave_outcome


def perform(job: Job) -> int:
    """Bring the run as far as was asked for, then report it.

    Returns:
        0 if every requested sample is done, else 1; 1 also where the model can't run here.
    """
    try:
        job.check_ready()
        return _run(job)
    except SkippedError as reason:
        note(f"skipped: {reason}")
        told = {"model": str(job.settings.model["name"]), "data": str(job.settings.data["name"])}
        leave_outcome(told | {"state": "skipped", "reason": str(reason)})
        about = {key: str(job.settings.data.get(key) or "") for key in ("title", "modality")}
        leave_skip(job.runs, Skip(**told, **about, protocol=job.protocol.name, reason=str(reason)))
        return PARTIAL


def _run(job: Job) -> int:
    settings = job.settings
    trained = job.weights is None or job.weights.mark != "untrained"
    with job.store.writing(
        job.describe(),
        partial(describe_attempt, job.device, settings.threads),
        wait=settings.lease.wait,
        timeout=settings.lease.timeout,
        on_wait=lambda holder: note(f"waiting for {holder}, which works on this run"),
    ) as writer:
        outcome = Runner(
            job.data,
            job.store,
            writer,
            job.load_model,
            model=job.model_name,
            protocol=job.protocol,
            basis=job.score_basis,
            seed=settings.seed,
            trained=trained,
        ).run(
            job.requested,
            settings.overwrite.name,
            job.allowed_failures(len(job.requested)),
        )
        _tell(outcome)
        forget_skip(job.runs, str(settings.model["name"]), job.data.name)
        # Still under the lease: two processes shall not draw one report.
        result = load_result(job.store, job.score_key, job.protocol.name)
        if not trained:
            note("no table: these weights were never trained")
        if result is not None:
            show([result])
            _leave(result)
            folder = write_report([result], job.store.path / "report")
            note(f"stored in {job.store.path}, tables and pictures in {folder}")
    return DONE if outcome.complete else PARTIAL


def _tell(outcome: Outcome) -> None:
    """Say what went wrong."""
    if outcome.stopped:
        complain(outcome.stopped)
    elif outcome.failed:
        sample, reason = next(iter(outcome.failed.items()))
        count = f"{len(outcome.failed)} of {outcome.requested} samples failed"
        complain(f"{count}, e.g. '{sample}': {reason}")


def _leave(result: RunResult) -> None:
    means = {name: result.scores[name].mean() for name in ("msa", "sa50")}
    told = {name: f"{value:.3f}" if value == value else "n/a" for name, value in means.items()}
    leave_outcome({"model": result.model, "data": result.data, "status": result.status, **told})
