"""Hydra's sweeps: what needs no job is settled at once, the rest gets processes of its own.

Hydra's basic launcher runs all jobs in one process: a job that is killed takes the later
ones with it, and memory and global state carry over. Here a killed job is `failed`, with
its signal, and the rest go on. One job runs at a time; `benchmark.sweeps.slurm` hands them to
Slurm.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import sys
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, flag_override

from benchmark.console import complain, note
from benchmark.errors import INTERRUPTED, PARTIAL, BenchmarkError, StoreError
from benchmark.settings import PROBES
from benchmark.store.files import disk_errors
from benchmark.sweeps.process import JobOutcome, JobProcess, summarise
from benchmark.sweeps.progress import SweepProgress

if TYPE_CHECKING:
    from benchmark.job import Job
    from benchmark.sweeps.plan import SweepJob

statuses: list[int] = []
"""The exit status of every sweep of this process; Hydra has no way to hand it on."""


class SweepLauncher(Launcher):
    """What launchers have in common; `run` is theirs."""

    elsewhere = False
    """Whether jobs run on other machines, whose devices can't be known here."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what `launch` needs."""
        self._loader, self._config = hydra_context.config_loader, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Do what the sweep asks for, and sum it up."""
        from benchmark.cli.compose import ABOUT_ALL_RUNS, Composer
        from benchmark.sweeps.plan import settled, sweep_jobs
        from benchmark.sweeps.state import StoredRuns

        config = self._config
        folder = Path(str(config.hydra.sweep.dir))
        os.environ.setdefault(PROBES, str(folder / "network"))
        composer = Composer(self._loader, config.hydra.job.config_name)
        if config.action in ABOUT_ALL_RUNS:
            statuses.append(_about_all(config, job_overrides, composer))
            with contextlib.suppress(OSError):  # Hydra's folder for a sweep that is none
                (folder / "multirun.yaml").unlink()
                folder.rmdir()
            return []
        found = sweep_jobs(job_overrides, initial_job_idx, composer.job)
        first = next((cell.job for cell in found if cell.job), None)
        outcomes: dict[int, JobOutcome] = {}
        with SweepProgress(len(found)) as view:
            if first is not None:
                study = StoredRuns(first.runs, first.settings.lease.timeout)
                for cell in found:
                    outcome = settled(cell, study, self.elsewhere)
                    if outcome is not None:
                        outcomes[cell.number] = outcome
                        view.ends(outcome)
            open_cells = [cell for cell in found if cell.number not in outcomes]
            for number, outcome in self.run(open_cells, folder, view):
                outcomes[number] = outcome
                view.ends(outcome)
        statuses.append(summarise([outcomes[number] for number in sorted(outcomes)]))
        if config.report and INTERRUPTED not in statuses:
            statuses.extend(_reports(found))
        return []

    @abstractmethod
    def run(
        self, sweep_jobs: Sequence[SweepJob], folder: Path, view: SweepProgress
    ) -> Iterator[tuple[int, JobOutcome]]:
        """Run the jobs.

        Args:
            sweep_jobs: those that need a process.
            folder: the sweep's folder.
            view: is informed of each job that begins.

        Yields:
            The number of a job and its outcome.
        """


class ProcessLauncher(SweepLauncher):
    """One process per job, one after the other; the next starts up while one works."""

    def run(
        self, sweep_jobs: Sequence[SweepJob], folder: Path, view: SweepProgress
    ) -> Iterator[tuple[int, JobOutcome]]:
        """Run them."""
        ahead: JobProcess | StoreError | None = None
        try:
            for index, cell in enumerate(sweep_jobs):
                view.begins(cell.words, folder / str(cell.number))
                mine = ahead or _started(cell, folder)
                ahead = (
                    _started(sweep_jobs[index + 1], folder) if index + 1 < len(sweep_jobs) else None
                )
                outcome = _finished(mine, cell)
                yield cell.number, outcome
                if outcome.status == INTERRUPTED:
                    break
        finally:
            if isinstance(ahead, JobProcess):
                ahead.discard()


class SlurmLauncher(SweepLauncher):
    """Hands the jobs to Slurm and watches them.

    Args:
        params: of hydra-submitit-launcher's SlurmLauncher.

    Raises:
        UsageError: it is not installed, there is no such parameter, or its value is invalid.
    """

    elsewhere = True

    def __init__(self, **params: Any) -> None:
        from benchmark.sweeps.slurm import SlurmQueue

        self._queue = SlurmQueue(**params)

    def run(
        self, sweep_jobs: Sequence[SweepJob], folder: Path, view: SweepProgress
    ) -> Iterator[tuple[int, JobOutcome]]:
        """Submit what no earlier sweep has in the queue, and watch all until they ended."""
        return self._queue.run(sweep_jobs, folder, view)


def _started(cell: SweepJob, folder: Path) -> JobProcess | StoreError:
    """The process of a job, which waits for its turn; or why there is none."""
    try:
        return JobProcess(cell.overrides, cell.words, folder / str(cell.number), waits=True)
    except StoreError as error:
        return error


def _finished(job: JobProcess | StoreError, cell: SweepJob) -> JobOutcome:
    """What came of a job; a full disk ends one alone: the next may find room."""
    try:
        if isinstance(job, StoreError):
            raise job
        return job.finish()
    except StoreError as error:
        if isinstance(job, JobProcess):
            job.discard()
        told = {"state": "failed", "reason": str(error)}
        return JobOutcome(cell.words, PARTIAL, None, told, 0.0)


def _about_all(config: Any, combinations: Sequence[Sequence[str]], composer: Any) -> int:
    """An action about all runs, once; the state of a sweep is that of its own cells."""
    from benchmark.actions import status
    from benchmark.settings import Action
    from benchmark.sweeps.state import StoredRuns

    if config.action is not Action.status:
        action = importlib.import_module(f"benchmark.actions.{config.action.name}")
        done: int = action.perform(composer.job(combinations[0]))
        return done
    jobs = [composer.job(words) for words in combinations]
    study = StoredRuns(jobs[0].runs, jobs[0].settings.lease.timeout)
    foreign = sorted({target for job in jobs for target in job.not_imported})
    if foreign:
        note(
            f"not imported: {', '.join(foreign)}; action=status runs no code from outside this "
            "repository, and finds those runs by their names"
        )
    return status.show([study.of_job(job) for job in jobs])


def _reports(sweep_jobs: Sequence[SweepJob]) -> Iterator[int]:
    """The report of all runs under each protocol of the sweep; their exit statuses."""
    from benchmark.actions import report

    jobs: dict[str, Job] = {}
    for job in (cell.job for cell in sweep_jobs if cell.job is not None):
        with contextlib.suppress(BenchmarkError):  # a protocol that is none; its own job told so
            jobs.setdefault(job.protocol.name, job)
    for job in jobs.values():
        try:
            yield report.perform(job)
        except BenchmarkError as error:  # the next may have something to show
            complain(str(error))
            yield error.exit_status


def new_folder(wanted: Path) -> Path:
    """Make a folder for a sweep that no other one has: two may begin in the same second.

    Returns:
        It; with a number behind its name where that was taken.

    Raises:
        StoreError: it can't be made.
    """
    with disk_errors(wanted):
        wanted.parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    raise AssertionError


def register() -> None:
    """Make the launchers known to Hydra (`hydra/launcher: processes`, `slurm`), and the sweeper.

    Hydra instantiates plugins from modules below `hydra_plugins` alone, registered by hand
    or not, so this module gets a second name there.
    """
    plugins = Plugins.instance()  # looks for installed plugins, before the stand-in is there
    try:
        place = importlib.import_module("hydra_plugins")
    except ModuleNotFoundError:  # no other plugin is installed
        place = sys.modules["hydra_plugins"] = ModuleType("hydra_plugins")
    name = "hydra_plugins.benchmark"
    setattr(place, "benchmark", sys.modules[__name__])  # noqa: B010
    no_more: dict[str, Any] = {"max_batch_size": None, "params": None}
    for plugin, group, choice, more in (
        (ProcessLauncher, "launcher", "processes", {}),
        (SlurmLauncher, "launcher", "slurm", {}),
        (_sweeper(), "sweeper", "cells", no_more),
    ):
        plugin.__module__ = name
        setattr(sys.modules[__name__], plugin.__name__, plugin)
        plugins.register(plugin)
        ConfigStore.instance().store(
            group=f"hydra/{group}",
            name=choice,
            node={"_target_": f"{name}.{plugin.__name__}", **more},
        )


def _sweeper() -> Any:
    """Hydra's own sweeper, but it leaves composing to the launcher: a study takes minutes twice.

    And the folder of a sweep is its alone: jobs leave there what came of them, by their numbers.
    Made only now: looking for plugins, Hydra executes the module of its sweeper anew.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    class Sweeper(BasicSweeper):
        def setup(
            self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
        ) -> None:
            from benchmark.cli.compose import expand_places

            with flag_override(config, ["struct", "readonly"], False):
                expand_places(config)
                wanted = os.path.expanduser(str(config.hydra.sweep.dir))  # noqa: PTH111
                folder = new_folder(Path(wanted))
                config.hydra.sweep.dir = str(folder)
            try:
                super().setup(
                    hydra_context=hydra_context, task_function=task_function, config=config
                )
            except BaseException:  # the launcher is mistaken
                folder.rmdir()
                raise

        def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
            pass

    Sweeper.__qualname__ = Sweeper.__name__  # Hydra looks it up in this module
    return Sweeper
