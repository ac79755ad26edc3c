"""The jobs of a sweep, and which of them need no process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmark.errors import DONE, PARTIAL, BenchmarkError, UsageError
from benchmark.job import Job
from benchmark.report.results import load_result, summary_of
from benchmark.settings import Action, Overwrite
from benchmark.store.shard import Shard
from benchmark.sweeps.process import JobOutcome
from benchmark.sweeps.progress import SweepProgress
from benchmark.sweeps.state import StoredRuns


@dataclass(frozen=True)
class SweepJob:
    """One job of a sweep.

    Attributes:
        number: unique in the sweep; the name of its folder.
        overrides: of its command line.
        label: the overrides that distinguish it from the others, for messages.
        job: composed from the overrides; None if they are invalid, which its process explains.
    """

    number: int
    overrides: Sequence[str]
    label: str
    job: Job | None


class Backend(Protocol):
    """What runs the jobs of a sweep."""

    elsewhere: bool
    """Whether jobs run on other machines, whose devices can't be known here."""

    def run(
        self, jobs: Sequence[SweepJob], folder: Path, progress: SweepProgress
    ) -> Iterator[tuple[int, JobOutcome]]:
        """Run jobs.

        Args:
            jobs: those that need a process.
            folder: the sweep's folder.
            progress: is informed of each job that begins.

        Yields:
            The number of a job and its outcome.
        """


def sweep_jobs(
    combinations: Sequence[Sequence[str]], make_job: Callable[[Sequence[str]], Job]
) -> list[SweepJob]:
    """The jobs of a sweep: one per combination, or one per shard of its run.

    Args:
        combinations: the overrides of each.
        make_job: composes a job from overrides.

    Raises:
        UsageError: `shards` is invalid.
    """
    # Overrides that all jobs share do not distinguish them.
    shared = set.intersection(*map(set, combinations))
    if len(combinations) == 1:
        shared = {each for each in shared if not each.startswith(("model=", "data="))}
    found: list[SweepJob] = []
    outputs: dict[str, str] = {}
    for combination in combinations:
        own = [override for override in combination if override not in shared]
        try:
            job = make_job(combination)
        except BenchmarkError:  # such as a missing value: its own process explains it
            job = None
        _refuse_same_output(job, outputs, " ".join(own))
        for shard in _shards(job):
            extra = [f"shard={shard}"] if shard else []
            split = job if job is None or not extra else make_job([*combination, *extra])
            label = " ".join([*own, *extra]) or "the only job"
            found.append(SweepJob(len(found), [*combination, *extra], label, split))
    return found


def _refuse_same_output(job: Job | None, outputs: dict[str, str], label: str) -> None:
    """Refuse jobs that would export into one folder, and replace each other's files.

    Raises:
        UsageError: an earlier job has the same folder.
    """
    output = None if job is None else job.settings.output
    if output is None:
        return
    if output in outputs:
        raise UsageError(
            f"the jobs '{outputs[output]}' and '{label}' would both export to {output}. Give each "
            "a folder of its own, such as output='masks/${model.name}-${data.name}'."
        )
    outputs[output] = label


def _shards(job: Job | None) -> Iterator[Shard | None]:
    count = 1 if job is None else job.settings.shards
    if count < 1:
        raise UsageError(f"shards is {count}; it must be 1 or more.")
    if count == 1 or (job is not None and job.settings.shard):
        yield None
    else:
        yield from (Shard.parse(f"{index}/{count}") for index in range(1, count + 1))


def groups(jobs: Sequence[SweepJob]) -> list[list[SweepJob]]:
    """The jobs that share a process, which imports their library and loads their weights once.

    Within a group the jobs on one data set follow each other: methods with the same encoder find
    its embeddings while they are kept.

    Args:
        jobs: of a sweep.

    Returns:
        The groups in the order of their first jobs. A job without weights is a group of its own,
        as is one that can't be composed.
    """
    found: dict[Any, dict[str, list[SweepJob]]] = {}
    for job in jobs:
        data = "" if job.job is None else str(job.job.settings.data["name"])
        found.setdefault(_shared(job), {}).setdefault(data, []).append(job)
    return [[job for same in by_data.values() for job in same] for by_data in found.values()]


def _shared(sweep_job: SweepJob) -> Any:
    """What the jobs of a process have in common."""
    alone = ("job", sweep_job.number)
    job = sweep_job.job
    if job is None or job.settings.action not in (Action.run, Action.segment, Action.tune):
        return alone
    try:
        settings = job.settings
        names = tuple(choice.about().name for choice in job.weights_choices)
        if not names:
            return alone
        loaded = (names, settings.weights_dir, settings.weights_unsafe)
        return (loaded, job.info.libraries, settings.device, settings.threads)
    except BenchmarkError:  # its own process explains it
        return alone


def settled(sweep_job: SweepJob, runs: StoredRuns, any_device: bool) -> JobOutcome | None:
    """The outcome of a job that needs no process: it is complete, or can't run; else None.

    Args:
        sweep_job: the job.
        runs: the stored runs.
        any_device: whether it will run on another machine, whose device isn't known here.
    """
    job = sweep_job.job
    if job is None or job.settings.action is not Action.run or job.settings.tuned:
        return None  # what is tuned is known by its parameters, once they are chosen
    try:
        state = runs.of_job(job)
        details = {"model": job.model_name, "data": str(job.settings.data["name"])}
        # Without its prepared data, whose digests must match, a run is known by name alone.
        prepared = job.prepared if state.is_complete else None
        if job.settings.overwrite is Overwrite.missing and prepared and state.store:
            # The same images may have two truths: the run has to name the requested one.
            described = state.store.describe() or {}
            same_truth = described.get("labels") in (None, prepared.labels_digest())
            here = any_device or state.device == job.device
            # An edited adapter is noticed by the job itself.
            same = same_truth and state.store.knows_code(job.adapter_code)
            if here and same and (state.store.path / "report" / "table.csv").exists():
                result = load_result(state.store, job.score_key_on(prepared), job.protocol.name)
                details |= summary_of(result) if result else {}
                details["state"] = "done"
                return JobOutcome(sweep_job.label, DONE, None, details, 0.0)
        if state.unavailable and not state.is_complete:
            details |= {"state": "skipped", "reason": state.unavailable}
            job.record_skipped(state.unavailable)
            return JobOutcome(sweep_job.label, PARTIAL, None, details, 0.0)
    except BenchmarkError:
        pass  # its own process explains it
    return None
