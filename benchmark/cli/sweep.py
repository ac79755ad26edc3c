"""A sweep: jobs that need no process are settled, the others run, and all are summarised.

Hydra's basic launcher runs all jobs in its own process: a job that is killed takes the later
ones with it. Here a killed job is named with its signal, and the rest go on.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, flag_override

from benchmark.actions import plan, status
from benchmark.cli.compose import ABOUT_ALL_RUNS, Composer, check_options, expand_places
from benchmark.console import complain, note
from benchmark.errors import INTERRUPTED, BenchmarkError
from benchmark.settings import Action
from benchmark.store.files import disk_errors
from benchmark.sweeps.plan import Backend, SweepJob, settled, sweep_jobs
from benchmark.sweeps.process import JobOutcome, summarise
from benchmark.sweeps.progress import SweepProgress
from benchmark.sweeps.state import StoredRuns

if TYPE_CHECKING:
    from benchmark.job import Job


def run_sweep(
    combinations: Sequence[Sequence[str]],
    loader: ConfigLoader,
    config: DictConfig,
    backend: Backend,
) -> int:
    """Do what a sweep asks for.

    Args:
        combinations: the overrides of each of its jobs.
        loader: composes the jobs' configurations.
        config: of the sweep itself.
        backend: runs the jobs.

    Returns:
        The exit status of the whole.

    Raises:
        HydraException, OmegaConfBaseException: an override is invalid for every job.
        BenchmarkError: the sweep can't begin, or its action can't be done.
    """
    with flag_override(config, ["struct", "readonly"], False):
        expand_places(config)
    check_options(config)
    composer = Composer(loader, varying(combinations))
    if config.action in (*ABOUT_ALL_RUNS, Action.plan):
        return _about_all(config, combinations, composer)
    jobs = sweep_jobs(combinations, composer.job)
    folder = new_folder(Path(os.path.expanduser(str(config.hydra.sweep.dir))))  # noqa: PTH111
    with disk_errors(folder):
        OmegaConf.save(config, folder / "multirun.yaml")
    statuses = [summarise(_outcomes(jobs, folder, backend))]
    if config.report and statuses != [INTERRUPTED]:
        statuses += _reports(jobs)
    return max(statuses)


def varying(combinations: Sequence[Sequence[str]]) -> set[str]:
    """The keys that not all jobs of a sweep have in common."""
    shared = set.intersection(*map(set, combinations))
    return {each.partition("=")[0] for overrides in combinations for each in overrides} - {
        each.partition("=")[0] for each in shared
    }


def _outcomes(jobs: Sequence[SweepJob], folder: Path, backend: Backend) -> list[JobOutcome]:
    """The outcomes of the jobs, in their order; of some only if the sweep was interrupted."""
    outcomes: dict[int, JobOutcome] = {}
    first = next((job.job for job in jobs if job.job), None)
    with SweepProgress(len(jobs)) as progress:
        if first is not None:
            runs = StoredRuns(first.runs, first.settings.lease.timeout)
            for job in jobs:
                outcome = settled(job, runs, backend.elsewhere)
                if outcome is not None:
                    outcomes[job.number] = outcome
                    progress.ends(outcome)
        left = [job for job in jobs if job.number not in outcomes]
        for number, outcome in backend.run(left, folder, progress):
            outcomes[number] = outcome
            progress.ends(outcome)
    return [outcomes[number] for number in sorted(outcomes)]


def _about_all(config: Any, combinations: Sequence[Sequence[str]], composer: Composer) -> int:
    """Do an action once; the state of a sweep, and its plan, are those of its own jobs."""
    if config.action not in (Action.status, Action.plan):
        action = importlib.import_module(f"benchmark.actions.{config.action.name}")
        done: int = action.perform(composer.job(combinations[0]))
        return done
    jobs = [composer.job(overrides) for overrides in combinations]
    if config.action is Action.plan:
        return plan.show(jobs)
    runs = StoredRuns(jobs[0].runs, jobs[0].settings.lease.timeout)
    foreign = sorted({target for job in jobs for target in job.not_imported})
    if foreign:
        note(
            f"not imported: {', '.join(foreign)}; action=status runs no code from outside this "
            "repository, and finds those runs by their names"
        )
    return status.show([runs.of_job(job) for job in jobs], jobs[0].settings.format)


def _reports(sweep_jobs: Sequence[SweepJob]) -> Iterator[int]:
    """Draw the report of all runs under each protocol of the sweep; their exit statuses."""
    from benchmark.actions import report  # only now: it imports pandas

    jobs: dict[str, Job] = {}
    for job in (each.job for each in sweep_jobs if each.job is not None):
        with contextlib.suppress(
            BenchmarkError
        ):  # an invalid protocol, which the job itself reports
            jobs.setdefault(job.protocol.name, job)
    for job in jobs.values():
        try:
            yield report.perform(job)
        except BenchmarkError as error:  # the next may have something to show
            complain(str(error))
            yield error.exit_status


def new_folder(wanted: Path) -> Path:
    """Make a folder for a sweep alone: two sweeps may begin in the same second.

    Returns:
        The folder; its name ends in a number if the wanted one exists.

    Raises:
        StoreError: the folder can't be made.
    """
    with disk_errors(wanted):
        wanted.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    raise AssertionError
