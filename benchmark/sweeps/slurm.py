"""A sweep as jobs of Slurm: submitted as one array by submitit, watched through files and squeue.

submitit's own way of waiting is not used: it ends at the first job that fails, and waits for ever
for one that was killed where Slurm keeps no accounts.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.choices import config_folders
from benchmark.console import note
from benchmark.errors import INTERRUPTED, PARTIAL, BenchmarkError, UsageError
from benchmark.store.files import parse_json, write_whole
from benchmark.sweeps.plan import SweepJob, groups
from benchmark.sweeps.process import (
    ENDED,
    LEFT,
    PROGRESS_FILE,
    JobOutcome,
    JobProcess,
    last_line,
    read_ended,
    stop,
)
from benchmark.sweeps.progress import SweepProgress


@dataclass
class SlurmJob:
    """One job of a sweep, for Slurm.

    Jobs in the queue are pickled: its attributes keep their names. Those of a version that had no
    groups call it.
    """

    overrides: Sequence[str]
    words: str
    folder: Path
    config_dirs: Sequence[str]

    def __call__(self) -> int:
        """Run it; its exit status."""
        return SlurmGroup([self])()

    def checkpoint(self) -> Any:
        """Put it back in the queue."""
        return SlurmGroup([self]).checkpoint()


@dataclass
class SlurmGroup:
    """The function that Slurm runs: jobs of the sweep, one after the other, in a process below it.

    When its time is nearly up, or another job takes its place, submitit calls `checkpoint` and
    puts what is left back in the queue, where it starts again and resumes.
    """

    jobs: Sequence[SlurmJob]
    _process: JobProcess | None = field(default=None, init=False)

    def __call__(self) -> int:
        """Run them; the highest exit status."""
        statuses = []
        with JobProcess(
            config_dirs=self.jobs[0].config_dirs,
            ignored_signals=(signal.SIGUSR2,),  # it reaches all processes; submitit handles it here
        ) as self._process:
            for job in self.jobs:
                outcome = self._process.do(
                    job.overrides, job.words, job.folder, on_end=_wait_for_the_end
                )
                statuses.append(outcome.status)
                if outcome.status == INTERRUPTED:
                    break
        return max(statuses, key=abs)

    def checkpoint(self) -> Any:
        """Let the process store what it has, and put the jobs that are left back in the queue."""
        import submitit

        if self._process is not None and self._process.process is not None:
            stop(self._process.process, patience=20.0)
        left = [job for job in self.jobs if not (job.folder / ENDED).exists()]
        return submitit.helpers.DelayedSubmission(SlurmGroup(left or self.jobs))


def _wait_for_the_end(status: int) -> None:
    """Slurm ends a job by SIGTERM, then SIGKILL; and may start it again after that."""
    if status == -signal.SIGTERM:
        time.sleep(_KILL_WAIT)


@dataclass
class SlurmSettings:
    """What `hydra.launcher.<name>=` sets; `configs/launcher/slurm.yaml` has the values.

    None, where it is possible, leaves the decision to the cluster.
    """

    name: str = MISSING
    timeout_min: int = MISSING
    array_parallelism: int = MISSING
    max_num_timeout: int = MISSING
    signal_delay_s: int = MISSING
    stderr_to_stdout: bool = MISSING
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    gpus_per_node: int | None = None
    cpus_per_task: int | None = None
    mem_gb: int | None = None
    mem_per_cpu: str | None = None
    mem_per_gpu: str | None = None
    gres: str | None = None
    comment: str | None = None
    setup: list[str] | None = None
    additional_parameters: dict[str, Any] | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> SlurmSettings:
        """Settings by their names; those that are None are as if they were not given.

        Raises:
            UsageError: there is no such setting, its value is invalid, or one is missing.
        """
        known = {name: value for name, value in given.items() if value is not None}
        try:
            typed = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), known))
        except OmegaConfBaseException as error:
            raise UsageError(f"hydra.launcher: {str(error).splitlines()[0]}") from error
        assert isinstance(typed, SlurmSettings)
        return typed

    def of_sbatch(self) -> dict[str, Any]:
        """The parameters that submitit's executor has for them."""
        found = asdict(self) | {"nodes": 1, "ntasks_per_node": 1}
        del found["max_num_timeout"]
        for ours, theirs in (("name", "job_name"), ("timeout_min", "time"), ("mem_gb", "mem")):
            found[theirs] = found.pop(ours)
        found["mem"] = None if self.mem_gb is None else f"{self.mem_gb}GB"
        return found


class SlurmQueue:
    """Hands the jobs to Slurm and watches them; Ctrl-C ends the watching, not the jobs.

    Args:
        settings: those of `SlurmSettings`, by their names.

    Raises:
        UsageError: submitit is not installed, or a setting is unknown, invalid or missing.
    """

    elsewhere = True

    def __init__(self, settings: Mapping[str, Any]) -> None:
        if importlib.util.find_spec("submitit") is None:
            raise UsageError('Slurm needs: pip install -e ".[slurm]"')
        self._settings = SlurmSettings.of(settings)

    def run(
        self, jobs: Sequence[SweepJob], folder: Path, progress: SweepProgress
    ) -> Iterator[tuple[int, JobOutcome]]:
        """Submit what no earlier sweep has in the queue, and watch all until they ended."""
        ledger = folder.parent / "slurm"
        queued = _queue() or {}
        watched: list[_Watched] = []
        new = []
        for job in jobs:
            known = _read(ledger / _key(job))
            over = (Path(known.get("folder", "/nonexistent")) / ENDED).exists()
            if known.get("job") in queued and not over:
                watched.append(_Watched(known["job"], job, Path(known["folder"])))
            else:
                new.append(job)
        if watched:
            note(f"{len(watched)} jobs of an earlier sweep are still with Slurm: watching them")
        if new:
            tasks = [
                [(job, (folder / str(job.number)).resolve()) for job in task]
                for task in _tasks(new)
            ]
            for task, number in zip(tasks, self._submit(tasks), strict=True):
                for job, place in task:
                    entry = {"job": number, "folder": str(place), "words": job.label}
                    write_whole(ledger / _key(job), json.dumps(entry).encode())
                    watched.append(_Watched(number, job, place))
            note(f"submitted {len(new)} jobs to Slurm; logs in {folder}/<number>/log.txt")
        yield from _watch(watched, progress)

    def _submit(self, tasks: Sequence[Sequence[tuple[SweepJob, Path]]]) -> list[str]:
        """Submit jobs and their folders as the tasks of one array; their numbers with Slurm."""
        import submitit

        for _, place in itertools.chain(*tasks):
            place.mkdir(parents=True, exist_ok=True)
            for old in (LEFT, ENDED, PROGRESS_FILE):
                (place / old).unlink(missing_ok=True)
        sweep = tasks[0][0][1].parent
        (sweep.parent / "slurm").mkdir(exist_ok=True)
        try:
            executor = submitit.SlurmExecutor(
                sweep / ".submitit" / "%j", self._settings.max_num_timeout
            )
            executor.update_parameters(**self._settings.of_sbatch())
            own = [str(folder.resolve()) for folder in config_folders()[:-1]]
            calls = [
                SlurmGroup([SlurmJob(list(job.overrides), job.label, at, own) for job, at in task])
                for task in tasks
            ]
            return [submitted.job_id for submitted in executor.submit_array(calls)]
        except (RuntimeError, ValueError, submitit.core.utils.FailedJobError) as error:
            raise BenchmarkError(f"Slurm refused the jobs: {error}") from error


class _Watched(NamedTuple):
    """A job with Slurm, by Slurm's number of the task that does it, and its folder."""

    number: str
    job: SweepJob
    folder: Path


def _tasks(jobs: Sequence[SweepJob]) -> Iterator[list[SweepJob]]:
    """The jobs of each task: a group, but of one that is split into shards each job alone."""
    for group in groups(jobs):
        if any(each.job is not None and each.job.settings.shards > 1 for each in group):
            yield from ([job] for job in group)
        else:
            yield group


def _watch(
    watched: Sequence[_Watched], progress: SweepProgress
) -> Iterator[tuple[int, JobOutcome]]:
    """Wait for the jobs, in whatever order they end."""
    missing: dict[str, float] = {}
    silent = False
    pause = 0.5
    left = list(watched)
    try:
        while left:
            try:
                queued: Mapping[str, str] | None = _asked()
            except _NoAnswerError as error:
                queued = None
                if not silent:
                    note(
                        f"squeue does not answer ({error}). The sweep goes on waiting for what its "
                        "jobs write; one that Slurm ended without a message is not noticed "
                        "meanwhile."
                    )
                silent = True
            busy: set[str] = set()  # tasks one of whose jobs is running: the others wait for it
            for each in list(left):
                number, job, place = each
                state = None if queued is None else queued.get(number, "")
                outcome = read_ended(job.label, place)
                if outcome is None and state == "":
                    # Also a job that goes back in the queue may be in no list for a moment, and
                    # what it wrote on a shared disk comes late.
                    since = missing.setdefault(number, time.monotonic())
                    if time.monotonic() - since > _GONE:
                        outcome = _gone(job, place, number)
                elif state:
                    missing.pop(number, None)
                if outcome is not None:
                    left.remove(each)
                    yield job.number, outcome
                elif state == "RUNNING" and number not in busy:
                    busy.add(number)
                    progress.begins(job.label, place)
                elif state:
                    progress.waits(job.label)
            time.sleep(pause)
            pause = min(pause * 1.2, _PAUSE)
    except KeyboardInterrupt:
        ids = " ".join(dict.fromkeys(each.number for each in left))
        note(
            "the jobs continue without being watched; running the same command watches them "
            f"again, and 'scancel {ids}' ends them"
        )
        for _, job, place in left:
            details = {"state": "with Slurm", "reason": "no longer watched"}
            yield job.number, JobOutcome(job.label, INTERRUPTED, place / "log.txt", details, 0.0)


def _gone(job: SweepJob, place: Path, number: str) -> JobOutcome:
    """The outcome of a job that left the queue without writing how it ended."""
    log = place / "log.txt"
    details = {
        "state": "killed",
        "reason": f"Slurm's job {number} ended without a message (cancelled, out of memory, or "
        f"out of time more often than hydra.launcher.max_num_timeout); {last_line(log)}",
    }
    return JobOutcome(job.label, PARTIAL, log, details, 0.0)


def _queue() -> Mapping[str, str] | None:
    """The user's waiting and running jobs with their states; None if Slurm does not answer."""
    with contextlib.suppress(_NoAnswerError):
        return _asked()
    return None


class _NoAnswerError(Exception):
    """squeue failed, or did not answer."""


def _asked() -> Mapping[str, str]:
    """The same.

    Raises:
        _NoAnswerError: Slurm does not answer; with the reason.
    """
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
    # In files: a process below squeue that hangs would keep pipes open.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        try:
            done = subprocess.run(command, stdout=out, stderr=err, timeout=_ANSWER)
        except subprocess.TimeoutExpired as error:
            raise _NoAnswerError(f"no answer within {_ANSWER:g} s") from error
        except OSError as error:
            raise _NoAnswerError(error.strerror or str(error)) from error
        out.seek(0)
        err.seek(0)
        if done.returncode:
            lines = err.read().strip().splitlines()
            raise _NoAnswerError(lines[0] if lines else f"exit status {done.returncode}")
        rows = (line.split() for line in out.read().splitlines())
        return {row[0]: row[1] for row in rows if len(row) == 2}


def _key(job: SweepJob) -> str:
    """The name of the file that says which of Slurm's jobs runs a job."""
    from benchmark.store.digest import json_digest  # only now: it imports numpy

    return f"{json_digest([list(job.overrides), str(Path.cwd())])[:16]}.json"


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = parse_json(path.read_text())
        if isinstance(found, dict):
            return found
    return {}


_ANSWER = 30.0  # seconds that squeue may take
_PAUSE = 5.0  # seconds at most between two looks at the queue
_GONE = 10.0  # seconds that a job is in no list before it counts as ended
_KILL_WAIT = 300.0  # seconds at most between Slurm's SIGTERM and its SIGKILL
