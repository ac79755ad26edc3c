"""The jobs of a multirun: each in a process of its own, and one summary over all of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rich.table import Table
from rich.text import Text

from benchmark.choices import config_folders
from benchmark.console import PROGRESS, note, out, printable
from benchmark.errors import DONE, INTERRUPTED, PARTIAL, StoreError
from benchmark.settings import PROBES
from benchmark.store.files import disk_errors, write_whole
from benchmark.sweeps.warm_start import TURN

OUTCOME = "BENCHMARK_OUTCOME"
"""Environment variable: the file in which a job leaves what came of it, for the summary."""
PARENT = "BENCHMARK_PARENT"
"""Environment variable: the process that a job of a sweep ends with."""


@dataclass(frozen=True)
class JobOutcome:
    """How one job ended.

    Attributes:
        words: its overrides.
        status: exit status; negative: the signal that killed it.
        log: what it printed; None of a job that was settled before it began.
        told: what it left for the summary (see `leave_outcome`).
        seconds: wall time.
    """

    words: str
    status: int
    log: Path | None
    told: dict[str, Any]
    seconds: float

    @property
    def state(self) -> str:
        """`done`, `partial`, `failed`, `skipped`, or what killed it."""
        if self.status < 0:
            return f"killed by {signal.Signals(-self.status).name}"
        if "state" in self.told:
            return str(self.told["state"])
        return {0: "done", INTERRUPTED: "interrupted"}.get(self.status, "failed")

    @property
    def reason(self) -> str:
        """The last error it printed; of a job that was killed, the last line."""
        if "reason" in self.told:
            return str(self.told["reason"])
        log = self.log
        lines = log.read_text(errors="replace").splitlines() if log and log.exists() else []
        if self.status < 0:
            hint = "often because memory ran out; " if self.status == -signal.SIGKILL else ""
            return f"{hint}its last line: {(lines or ['it printed nothing'])[-1]}"
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines[-1:] or ["it printed nothing"])[-1].removeprefix("error: ")


def leave_outcome(told: dict[str, Any]) -> None:
    """In a job of a multirun: leave what came of it for the summary."""
    path = os.environ.get(OUTCOME)
    if path:
        write_whole(Path(path), json.dumps(told).encode())


def summarise(outcomes: Sequence[JobOutcome]) -> int:
    """Print one table over the jobs of a multirun, and for each failure its reason and log.

    Returns:
        The exit status of the whole: 0 if every job is done, 130 if it was interrupted, else 1.
    """
    table = Table("job", "state", "model", "data", "samples", "mSA", "SA50", "seconds")
    for outcome in outcomes:
        cells = [outcome.told.get(key, "") for key in ("model", "data", "status", "msa", "sa50")]
        row = [outcome.words, outcome.state, *cells, f"{outcome.seconds:.0f}"]
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    out.print(table)
    reasons: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.status != 0:
            reason = f"{outcome.state}: {outcome.reason}"
            reason += f"\n  log: {outcome.log}" if outcome.log else ""
            reasons.setdefault(reason, []).append(outcome.words)
    for reason, alike in reasons.items():  # of a study, whole rows may be skipped for one reason
        more = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
        note(f"{alike[0]}{more}: {reason}")
    counts = Counter(outcome.state for outcome in outcomes)
    note(", ".join(f"{many} {state}" for state, many in counts.most_common()))
    statuses = {outcome.status for outcome in outcomes}
    return DONE if statuses == {DONE} else INTERRUPTED if INTERRUPTED in statuses else PARTIAL


class JobProcess:
    """The process of a job.

    Args:
        overrides: its words.
        words: the same for people.
        folder: where its log goes, and what it leaves for others.
        config_dirs: the user's own configuration folders; this process's where not given.
        deaf_to: signals that it is not to hear.
        waits: whether it only starts up, until `finish` gives it its turn.
    """

    def __init__(
        self,
        overrides: Sequence[str],
        words: str,
        folder: Path,
        *,
        config_dirs: Sequence[str] | None = None,
        deaf_to: Sequence[signal.Signals] = (),
        waits: bool = False,
    ) -> None:
        self._words, self._folder = words, folder
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for old in (LEFT, ENDED, PROGRESS_FILE):  # of an earlier sweep, or attempt
            (folder / old).unlink(missing_ok=True)
        if config_dirs is None:
            config_dirs = [str(own) for own in config_folders()[:-1]]
        # -P: the working directory is not searched for our packages.
        command = [sys.executable, "-P", "-m", "benchmark"]
        command += [word for own in config_dirs for word in ("--config-dir", own)]
        environment = {k: v for k, v in os.environ.items() if k not in _FOR_TERMINALS}
        environment |= {OUTCOME: str(folder / LEFT), PROGRESS: str(folder / PROGRESS_FILE)}
        environment |= {PARENT: str(os.getpid()), PROBES: str(folder.parent / "network")}
        environment |= {"PYTHONUNBUFFERED": "1"}
        theirs: int | None = None
        self._turn: int | None = None
        if waits:
            theirs, self._turn = os.pipe()
        if theirs is not None:
            environment[TURN] = str(theirs)

        def be_deaf() -> None:
            for number in deaf_to:
                signal.signal(number, signal.SIG_IGN)

        self.process = subprocess.Popen(
            [*command, *overrides, "hydra.mode=RUN"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            preexec_fn=be_deaf if deaf_to else None,
            pass_fds=() if theirs is None else (theirs,),
        )
        if theirs is not None:
            os.close(theirs)

    def finish(self, on_end: Callable[[int], None] = lambda status: None) -> JobOutcome:
        """Let it work, to its end.

        Args:
            on_end: is given its status, before anybody else is.
        """
        folder, process = self._folder, self.process
        log, left = folder / "log.txt", folder / LEFT
        start = time.monotonic()
        with disk_errors(log), log.open("w", encoding="utf-8") as file:
            if self._turn is not None:
                with contextlib.suppress(BrokenPipeError):  # it has died; its status tells
                    os.write(self._turn, b".")
            reader = threading.Thread(target=_write_plain, args=(process.stdout, file), daemon=True)
            reader.start()
            try:
                status = _wait(process)
            except KeyboardInterrupt:
                status = INTERRUPTED
                # A terminal tells the job as well. Whoever told this process alone means both.
                stop(process, grace=_GRACE)
            on_end(status)
            # Something that the job left behind may hold the pipe open for ever.
            reader.join(timeout=5)
            if process.stdout is not None and not reader.is_alive():
                process.stdout.close()
            told = json.loads(left.read_text()) if left.exists() else {}
        self._close()
        outcome = JobOutcome(self._words, status, log, told, time.monotonic() - start)
        ended = {"status": status, "told": told, "seconds": outcome.seconds}
        with contextlib.suppress(StoreError):  # the job itself has told of a full disk
            write_whole(folder / ENDED, json.dumps(ended).encode())
        return outcome

    def discard(self) -> None:
        """End it; for one that still waits. Once it has ended, nothing happens."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._close()

    def _close(self) -> None:
        if self._turn is not None:
            os.close(self._turn)
            self._turn = None


def read_ended(words: str, folder: Path) -> JobOutcome | None:
    """How a job ended that ran elsewhere; None where it has not."""
    try:
        ended = json.loads((folder / ENDED).read_text())
    except (OSError, ValueError):
        return None
    return JobOutcome(words, log=folder / "log.txt", **ended)


def _write_plain(source: IO[bytes], log: IO[str]) -> None:
    """Copy what a job prints into its log, as a terminal would be left showing it."""
    for line in source:
        # Progress bars of libraries go back to the beginning of their line, or colour it.
        shown = [part for part in line.rstrip(b"\r\n").split(b"\r") if part] or [b""]
        text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", shown[-1].decode(errors="replace"))
        with contextlib.suppress(OSError, ValueError):  # a full disk: the job must not wait for us
            log.write(printable(text.expandtabs()) + "\n")
            log.flush()


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Its exit status; a handler of signals may wait as well meanwhile."""
    while True:
        # Without a time limit Popen would hold a lock that the handler needs.
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=3600)


def stop(
    process: subprocess.Popen[bytes], grace: float = 0.0, patience: float | None = None
) -> None:
    """Let an interrupted job store what it has; none is left behind.

    Args:
        process: the job.
        grace: seconds for it to end by itself.
        patience: seconds until it is killed; None: for ever.
    """
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
            return
        process.send_signal(signal.SIGINT)
        process.wait(patience)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):  # once more: somebody is in a hurry
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)


LEFT, ENDED, PROGRESS_FILE = "outcome.json", "ended.json", "progress.json"
# What makes libraries print for terminals; and Hydra print its own tracebacks.
_FOR_TERMINALS = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "HYDRA_FULL_ERROR")
_GRACE = 2.0  # seconds for a job to end by itself after the terminal has told it, or once killed
