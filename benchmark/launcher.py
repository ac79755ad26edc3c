"""A Hydra launcher that gives every job of a multirun a process of its own.

Hydra's basic launcher runs all jobs in one process: a job that is killed takes the later
ones with it, and memory and global state carry over. Here a killed job is `failed`, with
its signal, and the rest go on. One job runs at a time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from rich.table import Table
from rich.text import Text

from benchmark.choices import config_folders
from benchmark.console import err, note, out, printable
from benchmark.errors import INTERRUPTED, PARTIAL
from benchmark.files import disk_errors

OUTCOME = "BENCHMARK_OUTCOME"
"""Environment variable: the file in which a job leaves what came of it, for the summary."""


@dataclass(frozen=True)
class JobOutcome:
    """How one job ended.

    Attributes:
        words: its overrides.
        status: exit status; negative: the signal that killed it.
        log: what it printed.
        told: what it left for the summary (see `leave_outcome`).
        seconds: wall time.
    """

    words: str
    status: int
    log: Path
    told: dict[str, Any]
    seconds: float

    @property
    def state(self) -> str:
        """`done`, `failed`, or what killed it."""
        if self.status < 0:
            return f"killed by {signal.Signals(-self.status).name}"
        return {0: "done", INTERRUPTED: "interrupted"}.get(self.status, "failed")

    @property
    def reason(self) -> str:
        """The last error it printed."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines[-1:] or ["it printed nothing"])[-1].removeprefix("error: ")


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
        folder = Path(str(self._sweep_dir))
        for number, overrides in enumerate(job_overrides, start=initial_job_idx):
            words = " ".join(filter_overrides(list(overrides)))
            place = f"[{number - initial_job_idx + 1}/{len(job_overrides)}]"
            with err.status(Text(printable(f"{place} {words}"))):
                outcome = _run_job(list(overrides), words, folder / str(number))
            self.outcomes.append(outcome)
            note(f"{place} {words}: {outcome.state}, {outcome.seconds:.0f} s")
            done = JobReturn(overrides=list(overrides), status=JobStatus.COMPLETED)
            done.return_value = outcome.status
            returns.append(done)
            if outcome.status == INTERRUPTED:
                raise KeyboardInterrupt
        return returns


def register() -> None:
    """Make the launcher known to Hydra as `hydra/launcher: processes`."""
    Plugins.instance().register(ProcessLauncher)
    target = f"{ProcessLauncher.__module__}.{ProcessLauncher.__qualname__}"
    ConfigStore.instance().store(
        group="hydra/launcher", name="processes", node={"_target_": target}
    )


def leave_outcome(told: dict[str, Any]) -> None:
    """In a job of a multirun: leave what came of it for the summary."""
    path = os.environ.get(OUTCOME)
    if path:
        Path(path).write_text(json.dumps(told))


def summarise() -> list[int]:
    """Print one table over the jobs of a multirun, and for each failure its reason and log.

    Returns:
        The exit status of each job, 1 for one that was killed; empty after a single run.
    """
    outcomes = ProcessLauncher.outcomes
    if not outcomes:
        return []
    table = Table("job", "state", "model", "data", "samples", "mSA", "SA50", "seconds")
    for outcome in outcomes:
        cells = [outcome.told.get(key, "") for key in ("model", "data", "status", "msa", "sa50")]
        row = [outcome.words, outcome.state, *cells, f"{outcome.seconds:.0f}"]
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    out.print(table)
    for outcome in outcomes:
        if outcome.status != 0:
            note(f"{outcome.words}: {outcome.state}: {outcome.reason}\n  log: {outcome.log}")
    return [outcome.status if outcome.status >= 0 else PARTIAL for outcome in outcomes]


def _run_job(overrides: list[str], words: str, folder: Path) -> JobOutcome:
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    log, left = folder / "log.txt", folder / "outcome.json"
    own_folders = config_folders()[:-1]
    command = [sys.executable, "-m", "benchmark"]
    command += [word for own in own_folders for word in ("--config-dir", str(own))]
    environment = os.environ | {OUTCOME: str(left), "PYTHONUNBUFFERED": "1"}
    environment.pop("HYDRA_FULL_ERROR", None)
    start = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, *overrides], stdout=file, stderr=subprocess.STDOUT, env=environment
        )
        try:
            status = process.wait()
        except KeyboardInterrupt:
            # The terminal has told the job as well: let it store what it has.
            process.wait()
            status = INTERRUPTED
    told = json.loads(left.read_text()) if left.exists() else {}
    return JobOutcome(words, status, log, told, time.monotonic() - start)
