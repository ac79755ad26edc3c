"""A Hydra launcher that gives every job of a multirun a process of its own.

Hydra's basic launcher runs all jobs in one process: a job that is killed takes the later
ones with it, and memory and global state carry over. Here a killed job is `failed`, with
its signal, and the rest go on. One job runs at a time.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import ClassVar

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from rich.text import Text

from benchmark.console import err, note, printable
from benchmark.errors import INTERRUPTED
from benchmark.sweep import OPEN, JobOutcome, run_job


class ProcessLauncher(Launcher):
    """One process per job, one after the other; `outcomes` collects how they ended."""

    outcomes: ClassVar[list[JobOutcome]] = []

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what `launch` needs."""
        self._sweep_dir = config.hydra.sweep.dir

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs."""
        returns = []
        job_overrides = [[word.removeprefix(OPEN) for word in words] for words in job_overrides]
        folder = Path(str(self._sweep_dir))
        # What all jobs share tells nobody which is which.
        shared = set.intersection(*map(set, job_overrides)) if len(job_overrides) > 1 else set()
        for number, overrides in enumerate(job_overrides, start=initial_job_idx):
            own = [word for word in overrides if word not in shared]
            words = " ".join(filter_overrides(own))
            place = f"[{number - initial_job_idx + 1}/{len(job_overrides)}]"
            with err.status(Text(printable(f"{place} {words}"))):
                outcome = run_job(list(overrides), words, folder / str(number))
            self.outcomes.append(outcome)
            note(f"{place} {words}: {outcome.state}, {outcome.seconds:.0f} s")
            done = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
            done.return_value = outcome.status
            returns.append(done)
            if outcome.status == INTERRUPTED:
                break
        return returns


def register() -> None:
    """Make the launcher known to Hydra as `hydra/launcher: processes`.

    Hydra instantiates launchers from modules below `hydra_plugins` alone, registered by hand
    or not, so this module gets a second name there.
    """
    plugins = Plugins.instance()  # looks for installed plugins, before the stand-in is there
    try:
        place = importlib.import_module("hydra_plugins")
    except ModuleNotFoundError:  # no other plugin is installed
        place = sys.modules["hydra_plugins"] = ModuleType("hydra_plugins")
    name = "hydra_plugins.benchmark"
    setattr(place, "benchmark", sys.modules[__name__])  # noqa: B010
    ProcessLauncher.__module__ = name
    plugins.register(ProcessLauncher)
    ConfigStore.instance().store(
        group="hydra/launcher", name="processes", node={"_target_": f"{name}.ProcessLauncher"}
    )
