"""The jobs of a sweep on this machine: one process per job, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.errors import INTERRUPTED, PARTIAL, StoreError
from benchmark.sweeps.plan import SweepJob
from benchmark.sweeps.process import JobOutcome, JobProcess
from benchmark.sweeps.progress import SweepProgress


class LocalProcesses:
    """Runs one job at a time; the process of the next starts up while one works."""

    elsewhere = False

    def run(
        self, jobs: Sequence[SweepJob], folder: Path, progress: SweepProgress
    ) -> Iterator[tuple[int, JobOutcome]]:
        """Run the jobs; see `Backend`."""
        ahead: JobProcess | StoreError | None = None
        try:
            for index, job in enumerate(jobs):
                progress.begins(job.label, folder / str(job.number))
                process = ahead or _started(job, folder)
                ahead = _started(jobs[index + 1], folder) if index + 1 < len(jobs) else None
                outcome = _finished(process, job)
                yield job.number, outcome
                if outcome.status == INTERRUPTED:
                    break
        finally:
            if isinstance(ahead, JobProcess):
                ahead.discard()


def _started(job: SweepJob, folder: Path) -> JobProcess | StoreError:
    """The process of a job, which waits for its start; or why there is none."""
    try:
        return JobProcess(job.overrides, job.label, folder / str(job.number), waits=True)
    except StoreError as error:
        return error


def _finished(process: JobProcess | StoreError, job: SweepJob) -> JobOutcome:
    """The outcome of a job; a full disk ends one alone: the next may find room."""
    try:
        if isinstance(process, StoreError):
            raise process
        return process.finish()
    except StoreError as error:
        if isinstance(process, JobProcess):
            process.discard()
        details = {"state": "failed", "reason": str(error)}
        return JobOutcome(job.label, PARTIAL, None, details, 0.0)
