"""A sweep as jobs of Slurm: submitted as one array by submitit, watched through files and squeue.

hydra-submitit-launcher brings the settings and their types. Its way of waiting is not used: it
ends at the first job that fails, and waits for ever for one that was killed where Slurm keeps no
accounts.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.choices import config_folders
from benchmark.console import note
from benchmark.errors import INTERRUPTED, PARTIAL, BenchmarkError, UsageError
from benchmark.store.files import write_whole
from benchmark.sweeps.process import (
    ENDED,
    LEFT,
    PROGRESS_FILE,
    JobOutcome,
    JobProcess,
    read_ended,
    stop,
)
from benchmark.sweeps.progress import SweepProgress

if TYPE_CHECKING:
    from benchmark.sweeps.plan import SweepJob


@dataclass
class SlurmJob:
    """What Slurm runs: one job of the sweep, in a process below this one.

    When its time is nearly up, or another job takes its place, submitit calls `checkpoint` and
    puts it back in the queue; there it starts again and resumes.
    """

    overrides: Sequence[str]
    words: str
    folder: Path
    config_dirs: Sequence[str]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __call__(self) -> int:
        """Run it; its exit status."""
        job = JobProcess(
            self.overrides,
            self.words,
            self.folder,
            config_dirs=self.config_dirs,
            deaf_to=(signal.SIGUSR2,),  # Slurm tells every process; submitit's handler sees to it
        )
        self._process = job.process
        return job.finish(on_end=self._wait_for_the_end).status

    def checkpoint(self) -> Any:
        """Let the process store what it has; the same again is what goes back in the queue."""
        import submitit

        if self._process is not None:
            stop(self._process, patience=20.0)
        again = SlurmJob(self.overrides, self.words, self.folder, self.config_dirs)
        return submitit.helpers.DelayedSubmission(again)

    def _wait_for_the_end(self, status: int) -> None:
        """Slurm ends a job by SIGTERM, then SIGKILL; and may start it again after that."""
        if status == -signal.SIGTERM:
            time.sleep(_KILL_WAIT)


class SlurmQueue:
    """Hands the jobs to Slurm and watches them; Ctrl-C ends the watching, not the jobs.

    Args:
        params: of hydra-submitit-launcher's SlurmLauncher.

    Raises:
        UsageError: it is not installed, there is no such parameter, or its value is none.
    """

    def __init__(self, **params: Any) -> None:
        try:
            from hydra_plugins.hydra_submitit_launcher.config import SlurmQueueConf
        except ImportError as error:
            raise UsageError('Slurm needs: pip install -e ".[slurm]"') from error
        given = {name: value for name, value in params.items() if value is not None}
        try:
            typed = OmegaConf.merge(OmegaConf.structured(SlurmQueueConf), given)
        except OmegaConfBaseException as error:
            raise UsageError(f"hydra.launcher: {str(error).splitlines()[0]}") from error
        self._params: dict[Any, Any] = dict(OmegaConf.to_container(typed, resolve=True))  # type: ignore[arg-type]
        del self._params["_target_"]

    def run(
        self, cells: Sequence[SweepJob], folder: Path, view: SweepProgress
    ) -> Iterator[tuple[int, JobOutcome]]:
        """Submit what no earlier sweep has in the queue, and watch all until they ended."""
        ledger = folder.parent / "slurm"
        queued = _queue() or {}
        watched: dict[str, tuple[SweepJob, Path]] = {}
        new = []
        for cell in cells:
            known = _read(ledger / _key(cell))
            over = (Path(known.get("folder", "/nonexistent")) / ENDED).exists()
            if known.get("job") in queued and not over:
                watched[known["job"]] = (cell, Path(known["folder"]))
            else:
                new.append(cell)
        if watched:
            note(f"{len(watched)} jobs of an earlier sweep are still with Slurm: watching them")
        if new:
            places = [(folder / str(cell.number)).resolve() for cell in new]
            for cell, place, job in zip(new, places, self._submit(new, places), strict=True):
                told = {"job": job, "folder": str(place), "words": cell.words}
                write_whole(ledger / _key(cell), json.dumps(told).encode())
                watched[job] = (cell, place)
            note(f"submitted {len(new)} jobs to Slurm; logs in {folder}/<number>/log.txt")
        yield from _watch(watched, view)

    def _submit(self, cells: Sequence[SweepJob], places: Sequence[Path]) -> list[str]:
        """Submit the cells as one array; their ids."""
        import submitit

        for place in places:
            place.mkdir(parents=True, exist_ok=True)
            for old in (LEFT, ENDED, PROGRESS_FILE):
                (place / old).unlink(missing_ok=True)
        (places[0].parent.parent / "slurm").mkdir(exist_ok=True)
        params = dict(self._params)
        try:
            executor = submitit.AutoExecutor(
                params.pop("submitit_folder"),
                cluster="slurm",
                slurm_max_num_timeout=params.pop("max_num_timeout"),
            )
            executor.update_parameters(
                **{k if k in _SHARED else f"slurm_{k}": v for k, v in params.items()}
            )
            own = [str(folder.resolve()) for folder in config_folders()[:-1]]
            jobs = [
                SlurmJob(list(cell.overrides), cell.words, place, own)
                for cell, place in zip(cells, places, strict=True)
            ]
            return [job.job_id for job in executor.submit_array(jobs)]
        except (RuntimeError, ValueError, submitit.core.utils.FailedJobError) as error:
            raise BenchmarkError(f"Slurm refused the jobs: {error}") from error


def _watch(
    watched: dict[str, tuple[SweepJob, Path]], view: SweepProgress
) -> Iterator[tuple[int, JobOutcome]]:
    """Wait for the jobs, in whatever order they end."""
    missing: dict[str, float] = {}
    pause = 0.5
    try:
        while watched:
            queued = _queue()
            for job, (cell, place) in list(watched.items()):
                state = None if queued is None else queued.get(job, "")
                outcome = read_ended(cell.words, place)
                if outcome is None and state == "":
                    # Also a job that goes back in the queue may be in no list for a moment, and
                    # what it wrote on a shared disk comes late.
                    since = missing.setdefault(job, time.monotonic())
                    if time.monotonic() - since > _GONE:
                        outcome = _gone(cell, place, job)
                elif state:
                    missing.pop(job, None)
                if outcome is not None:
                    del watched[job]
                    yield cell.number, outcome
                elif state == "RUNNING":
                    view.begins(cell.words, place)
                elif state:
                    view.waits(cell.words)
            time.sleep(pause)
            pause = min(pause * 1.2, _PAUSE)
    except KeyboardInterrupt:
        ids = " ".join(watched)
        note(
            "the jobs continue without being watched; running the same command watches them "
            f"again, and 'scancel {ids}' ends them"
        )
        for cell, place in watched.values():
            told = {"state": "with Slurm", "reason": "no longer watched"}
            yield cell.number, JobOutcome(cell.words, INTERRUPTED, place / "log.txt", told, 0.0)


def _gone(cell: SweepJob, place: Path, job: str) -> JobOutcome:
    """A job that Slurm knows no more and that could not say how it ended."""
    log = place / "log.txt"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    last = f"its last line: {lines[-1]}" if lines else "it printed nothing"
    told = {
        "state": "killed",
        "reason": f"Slurm's job {job} ended without a message (cancelled, out of memory, or out of "
        f"time more often than hydra.launcher.max_num_timeout); {last}",
    }
    return JobOutcome(cell.words, PARTIAL, log, told, 0.0)


def _queue() -> Mapping[str, str] | None:
    """The user's jobs that are waiting or running, with their states; None: Slurm didn't answer."""
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    rows = (line.split() for line in done.stdout.splitlines())
    return {row[0]: row[1] for row in rows if len(row) == 2}


def _key(cell: SweepJob) -> str:
    """The file in which a sweep notes who does a cell."""
    from benchmark.store.digest import json_digest  # only now: it imports numpy

    return f"{json_digest([list(cell.overrides), str(Path.cwd())])[:16]}.json"


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text())
        if isinstance(found, dict):
            return found
    return {}


# Settings that submitit has for every kind of cluster; all others are Slurm's own.
_SHARED = (
    "timeout_min",
    "cpus_per_task",
    "gpus_per_node",
    "tasks_per_node",
    "mem_gb",
    "nodes",
    "name",
    "stderr_to_stdout",
)
_PAUSE = 5.0  # seconds at most between two looks at the queue
_GONE = 10.0  # seconds that a job is in no list before it counts as ended
_KILL_WAIT = 300.0  # seconds at most between Slurm's SIGTERM and its SIGKILL
