"""The benchmark's plug-ins for Hydra: its sweeper and its launchers.

It is installed as `hydra_plugins.cell_benchmark`, which every Hydra program of the environment
imports in search of plug-ins. It therefore imports Hydra alone, and adds no choice to those of
other programs: the benchmark's own command line registers what selects these classes.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from benchmark.sweeps.plan import Backend


MAX_JOBS = 100_000
"""Jobs of a sweep, each of which is composed before the first begins."""


class JobSweeper(Sweeper):
    """Expands a sweep into the overrides of its jobs, and has them launched.

    The command line composes and checks them once; `validate_batch_is_legal` is not used.

    Args:
        params: overrides of the configuration, by their keys; the command line's come after them.
    """

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self._params = dict(params or {})

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Make the launcher."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> int:
        """Run a sweep.

        Args:
            arguments: overrides, some of them with several values.

        Returns:
            The exit status of the whole.

        Raises:
            HydraException: an override is invalid, or a sweep has no finite number of values.
        """
        assert self.launcher is not None and self.hydra_context is not None
        configured = [f"{key}={value}" for key, value in self._params.items()]
        parser = OverridesParser.create(self.hydra_context.config_loader)
        jobs = combinations(parser.parse_overrides([*configured, *arguments]))
        returns = self.launcher.launch(jobs, initial_job_idx=0)
        return max(int(returned.return_value) for returned in returns)


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """The overrides of every job: each combination of the values that are swept.

    Args:
        overrides: of the sweep; of several with one key the last counts, in the first one's place.

    Raises:
        HydraException: an override has no finite number of values, or there are too many jobs.
    """
    alternatives: dict[str, list[str]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            alternatives[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            some = itertools.islice(override.sweep_string_iterator(), MAX_JOBS + 1)
            alternatives[key] = [f"{key}={value}" for value in some]
        else:
            raise HydraException(
                f"{override.input_line}: an interval has no finite number of values; a sweep is "
                "over a,b, choice(a,b), range(1,4) or glob(*)"
            )
    if math.prod(map(len, alternatives.values())) > MAX_JOBS:
        raise HydraException(f"the sweep has more than {MAX_JOBS} jobs; run parts of it")
    return [list(job) for job in itertools.product(*alternatives.values())]


class JobLauncher(Launcher):
    """What the launchers have in common: a sweep is planned, run and summarised alike."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what `launch` needs."""
        self._loader, self._config = hydra_context.config_loader, config
        self._backend = self.backend()

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs of a sweep.

        Returns:
            One for all of them: its value is the exit status of the whole.
        """
        from benchmark.cli.sweep import run_sweep

        status = run_sweep(job_overrides, self._loader, self._config, self._backend)
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=status)]

    @abstractmethod
    def backend(self) -> Backend:
        """What runs the jobs."""


class ProcessLauncher(JobLauncher):
    """Runs the jobs on this machine, one after the other."""

    def backend(self) -> Backend:
        """Processes of this machine."""
        from benchmark.sweeps.local import LocalProcesses

        return LocalProcesses()


class SlurmLauncher(JobLauncher):
    """Hands the jobs to Slurm and watches them.

    Args:
        settings: those of `benchmark.sweeps.slurm.SlurmSettings`, as in `launcher/slurm.yaml`.
    """

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def backend(self) -> Backend:
        """The queue of Slurm.

        Raises:
            UsageError: submitit is not installed, or a setting is unknown or invalid.
        """
        from benchmark.sweeps.slurm import SlurmQueue

        return SlurmQueue(self._settings)
