"""What a sweep has to do: its cells, and which of them need no job."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import DONE, PARTIAL, BenchmarkError, UsageError
from benchmark.job import Job
from benchmark.report.results import load_result, summary_of
from benchmark.settings import Action, Overwrite
from benchmark.store.shard import Shard
from benchmark.sweeps.process import OPEN, JobOutcome
from benchmark.sweeps.state import StoredRuns


@dataclass(frozen=True)
class SweepJob:
    """One job of a sweep.

    Attributes:
        number: its own, which names its folder.
        overrides: the words of its command line.
        words: those that tell it from the others, for people.
        job: what it is to do; None where only its own process can say what is wrong with it.
    """

    number: int
    overrides: Sequence[str]
    words: str
    job: Job | None


def sweep_jobs(
    combinations: Sequence[Sequence[str]], first: int, make_job: Callable[[Sequence[str]], Job]
) -> list[SweepJob]:
    """The cells of a sweep, those of runs that are split over shards once per shard.

    Args:
        combinations: the words of each.
        first: number of the first.
        make_job: composes one.

    Raises:
        UsageError: `shards` is none.
    """
    # What all jobs share tells nobody which is which.
    shared = set.intersection(*map(set, combinations))
    if len(combinations) == 1:
        shared = {word for word in shared if not word.startswith(("model=", "data="))}
    found: list[SweepJob] = []
    for combination in combinations:
        own = [word.removeprefix(OPEN) for word in combination if word not in shared]
        try:
            job = make_job(combination)
        except BenchmarkError:  # a missing value, say: its own process tells
            job = None
        for shard in _shards(job):
            extra = [f"shard={shard}"] if shard else []
            split = job if job is None or not extra else make_job([*combination, *extra])
            words = [word.removeprefix(OPEN) for word in combination] + extra
            name = " ".join([*own, *extra]) or "the only job"
            found.append(SweepJob(first + len(found), words, name, split))
    return found


def _shards(job: Job | None) -> Iterator[Shard | None]:
    count = 1 if job is None else job.settings.shards
    if count < 1:
        raise UsageError(f"shards is {count}; it must be 1 or more.")
    if count == 1 or (job is not None and job.settings.shard):
        yield None
    else:
        yield from (Shard.parse(f"{index}/{count}") for index in range(1, count + 1))


def settled(cell: SweepJob, study: StoredRuns, any_device: bool) -> JobOutcome | None:
    """What came of a cell that needs no job: it is complete, or can't run; else None.

    Args:
        cell: it.
        study: the stored runs.
        any_device: the job will run on another machine, so that its device isn't known here.
    """
    job = cell.job
    if job is None or job.settings.action is not Action.run:
        return None
    try:
        state = study.of_job(job)
        told = {"model": job.model_name, "data": str(job.settings.data["name"])}
        # Without its prepared data, whose digests it has to fit, a run is known by name alone.
        prepared = job.prepared if state.is_complete else None
        if job.settings.overwrite is Overwrite.missing and prepared and state.store:
            # Two truths of the same images: the run has to name the one that is asked for now.
            described = state.store.describe() or {}
            same_truth = described.get("labels") in (None, prepared.labels_digest())
            here = any_device or state.device == job.device
            if here and same_truth and (state.store.path / "report" / "table.csv").exists():
                result = load_result(state.store, job.score_key_on(prepared), job.protocol.name)
                told |= summary_of(result) if result else {}
                return JobOutcome(cell.words, DONE, None, told | {"state": "done"}, 0.0)
        if state.unavailable_reason and not state.is_complete:
            told |= {"state": "skipped", "reason": state.unavailable_reason}
            job.record_skipped(state.unavailable_reason)
            return JobOutcome(cell.words, PARTIAL, None, told, 0.0)
    except BenchmarkError:
        pass  # told by its own process, with all that belongs to it
    return None


def job_folder(sweep: Path, cell: SweepJob) -> Path:
    """Where a cell's job keeps its log and what came of it."""
    return sweep / str(cell.number)
