"""The jobs of a sweep on this machine: one after the other, in a process for each group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.errors import INTERRUPTED
from benchmark.sweeps.plan import SweepJob, groups
from benchmark.sweeps.process import JobOutcome, JobProcess
from benchmark.sweeps.progress import SweepProgress


class LocalProcesses:
    """Runs one job at a time; the jobs of a group in one process."""

    elsewhere = False

    def run(
        self, jobs: Sequence[SweepJob], folder: Path, progress: SweepProgress
    ) -> Iterator[tuple[int, JobOutcome]]:
        """Run the jobs; see `Backend`."""
        for group in groups(jobs):
            with JobProcess() as process:
                for job in group:
                    place = folder / str(job.number)
                    progress.begins(job.label, place)
                    outcome = process.do(job.overrides, job.label, place)
                    yield job.number, outcome
                    if outcome.status == INTERRUPTED:
                        return
