"""Jobs of a sweep in processes of their own, and the summary over the jobs of a sweep."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rich.table import Table
from rich.text import Text

from benchmark.choices import config_folders
from benchmark.console import PROGRESS, note, out, printable
from benchmark.errors import DONE, INTERRUPTED, PARTIAL, StoreError
from benchmark.store.files import disk_errors, write_whole
from benchmark.sweeps.further_jobs import JOBS, receive, send

OUTCOME = "BENCHMARK_OUTCOME"
"""Environment variable: the file into which a job writes its result for the summary."""
PARENT = "BENCHMARK_PARENT"
"""Environment variable: the id of the process whose end also ends a job of a sweep."""


@dataclass(frozen=True)
class JobOutcome:
    """How one job ended.

    Attributes:
        label: what distinguishes the job in messages, from its overrides.
        status: exit status; negative: the signal that killed it.
        log: file of what it printed; None for a job that needed no process.
        details: what it wrote for the summary (see `leave_outcome`).
        seconds: wall time.
    """

    label: str
    status: int
    log: Path | None
    details: dict[str, Any]
    seconds: float

    @property
    def state(self) -> str:
        """`done`, `partial`, `failed`, `skipped`, or what killed it."""
        if self.status < 0:
            return f"killed by {signal.Signals(-self.status).name}"
        if "state" in self.details:
            return str(self.details["state"])
        return {0: "done", INTERRUPTED: "interrupted"}.get(self.status, "failed")

    @property
    def reason(self) -> str:
        """The last error it printed; of a job that was killed, the last line."""
        if "reason" in self.details:
            return str(self.details["reason"])
        if self.status < 0:
            hint = "often because memory ran out; " if self.status == -signal.SIGKILL else ""
            return hint + last_line(self.log)
        lines = _lines(self.log)
        errors = [line for line in lines if line.startswith("error: ")]
        return (errors or lines[-1:] or ["it printed nothing"])[-1].removeprefix("error: ")


def leave_outcome(details: dict[str, Any]) -> None:
    """In a job of a sweep, write its result for the summary; elsewhere do nothing.

    Args:
        details: `state`, `reason`, and what the summary's columns show.
    """
    path = os.environ.get(OUTCOME)
    if path:
        write_whole(Path(path), json.dumps(details).encode())


def complete_outcome() -> None:
    """At the end of a job of a sweep, see that it has left a result, if only an empty one.

    A process that ends without is not done, whatever its exit status: a model may end it.
    """
    path = os.environ.get(OUTCOME)
    if path and not Path(path).exists():
        leave_outcome({})


def summarise(outcomes: Sequence[JobOutcome]) -> int:
    """Print one table over the jobs of a sweep, and the reason and log of each failure.

    Returns:
        The exit status of the whole: 0 if every job is done, 130 if it was interrupted, else 1.
    """
    table = Table("job", "state", "model", "data", "samples", "mSA", "SA50", "seconds")
    for outcome in outcomes:
        columns = ("model", "data", "status", "msa", "sa50")
        values = [outcome.details.get(column, "") for column in columns]
        row = [outcome.label, outcome.state, *values, f"{outcome.seconds:.0f}"]
        table.add_row(*(Text(printable(str(value))) for value in row))
    out.print(table)
    reasons: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.status != 0:
            reason = f"{outcome.state}: {outcome.reason}"
            reason += f"\n  log: {outcome.log}" if outcome.log else ""
            reasons.setdefault(reason, []).append(outcome.label)
    for reason, alike in reasons.items():  # of a study, whole rows may be skipped for one reason
        more = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
        note(f"{alike[0]}{more}: {reason}")
    counts = Counter(outcome.state for outcome in outcomes)
    note(", ".join(f"{many} {state}" for state, many in counts.most_common()))
    statuses = {outcome.status for outcome in outcomes}
    return DONE if statuses == {DONE} else INTERRUPTED if INTERRUPTED in statuses else PARTIAL


def last_line(log: Path | None) -> str:
    """What a job printed last, for messages."""
    lines = _lines(log)
    return f"its last line: {lines[-1]}" if lines else "it printed nothing"


def _lines(log: Path | None) -> list[str]:
    return log.read_text(errors="replace").splitlines() if log and log.exists() else []


class JobProcess:
    """A process that does jobs of a sweep, one after the other.

    It starts with its first job. One that did not go well ends it, and the next job starts it
    again.

    Args:
        config_dirs: the user's own configuration folders; by default those of this process.
        ignored_signals: signals that do not end it.

    Attributes:
        process: that of the last job; None before the first.
    """

    def __init__(
        self,
        *,
        config_dirs: Sequence[str] | None = None,
        ignored_signals: Sequence[signal.Signals] = (),
    ) -> None:
        if config_dirs is None:
            config_dirs = [str(own) for own in config_folders()[:-1]]
        self._flags = [f"--config-dir={own}" for own in config_dirs]
        self._ignored_signals = ignored_signals
        self.process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None  # while it may be sent another job

    def __enter__(self) -> JobProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; it does nothing now."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self.process is not None:
            self.process.wait()

    def _kill(self) -> None:
        if self.process is not None:
            self.process.kill()
        self.close()

    def do(
        self,
        overrides: Sequence[str],
        label: str,
        folder: Path,
        on_end: Callable[[int], None] = lambda status: None,
    ) -> JobOutcome:
        """Do a job, and wait for its end.

        Args:
            overrides: of its command line.
            label: what distinguishes it in messages.
            folder: where it writes its log, result and progress.
            on_end: is called with its exit status, before that is written to any file.

        Returns:
            How it ended; `failed` if its folder can't be written, as the next may find room.
        """
        try:
            outcome = self._do(overrides, label, folder, on_end)
        except BaseException as error:
            self._kill()
            if not isinstance(error, StoreError):
                raise
            details = {"state": "failed", "reason": str(error)}
            return JobOutcome(label, PARTIAL, None, details, 0.0)
        if outcome.state != "done":
            # After a sample that failed, nobody knows the state of a library or a device.
            self.close()
        return outcome

    def _do(
        self,
        overrides: Sequence[str],
        label: str,
        folder: Path,
        on_end: Callable[[int], None],
    ) -> JobOutcome:
        log, left = folder / "log.txt", folder / LEFT
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for old in (LEFT, ENDED, PROGRESS_FILE):  # of an earlier sweep, or attempt
            (folder / old).unlink(missing_ok=True)
        start = time.monotonic()
        with disk_errors(log), log.open("w", encoding="utf-8") as file:
            output = self._begin(overrides, folder)
            reader = threading.Thread(target=_write_plain, args=(output, file), daemon=True)
            reader.start()
            assert self.process is not None
            try:
                status = self._status()
            except KeyboardInterrupt:
                status = INTERRUPTED
                # A terminal interrupts the job as well; a signal to this process alone means both.
                stop(self.process, grace=_GRACE)
            on_end(status)
            # A process that the job started may hold the pipe open for ever.
            reader.join(timeout=5)
            if not reader.is_alive():
                output.close()
            details = json.loads(left.read_text()) if left.exists() else {}
        if status == DONE and not left.exists():
            status = PARTIAL
            details = {
                "state": "failed",
                "reason": "its process ended with exit status 0 before the job was done (a model "
                f"or a library may have called os._exit); {last_line(log)}",
            }
        outcome = JobOutcome(label, status, log, details, time.monotonic() - start)
        ended = {"status": status, "told": details, "seconds": outcome.seconds}
        with contextlib.suppress(StoreError):  # of a full disk the job itself said so
            write_whole(folder / ENDED, json.dumps(ended).encode())
        return outcome

    def _begin(self, overrides: Sequence[str], folder: Path) -> IO[bytes]:
        """Begin a job; what it prints, until it ends."""
        arguments = [*self._flags, *overrides, "hydra.mode=RUN"]
        environment = {OUTCOME: str(folder / LEFT), PROGRESS: str(folder / PROGRESS_FILE)}
        read_end, write_end = os.pipe()
        try:
            if not self._sent(arguments, environment, write_end):
                self.close()
                self._start(arguments, environment, write_end)
        finally:
            os.close(write_end)
        return os.fdopen(read_end, "rb")

    def _sent(self, arguments: Sequence[str], environment: Mapping[str, str], output: int) -> bool:
        """Send a job to the process; whether there is one to take it."""
        if self._connection is None or self.process is None or self.process.poll() is not None:
            return False
        message = {"arguments": list(arguments), "environment": dict(environment)}
        try:
            send(self._connection, message, output)
        except OSError:  # killed since
            return False
        return True

    def _start(self, arguments: Sequence[str], environment: Mapping[str, str], output: int) -> None:
        inherited = {k: v for k, v in os.environ.items() if k not in _FOR_TERMINALS}
        self._connection, other_end = socket.socketpair()

        def ignore_signals() -> None:
            for number in self._ignored_signals:
                signal.signal(number, signal.SIG_IGN)

        with other_end:
            self.process = subprocess.Popen(
                # -P: the working directory is not searched for our packages.
                [sys.executable, "-P", "-m", "benchmark", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={
                    **inherited,
                    **environment,
                    PARENT: str(os.getpid()),
                    JOBS: str(other_end.fileno()),
                    "PYTHONUNBUFFERED": "1",
                },
                preexec_fn=ignore_signals if self._ignored_signals else None,
                pass_fds=(other_end.fileno(),),
            )

    def _status(self) -> int:
        """Wait for the end of the job; its exit status, or the signal that ended the process."""
        assert self.process is not None and self._connection is not None
        while self.process.poll() is None:
            # With a time limit: a process that the job forked may hold the socket open for ever.
            if select.select([self._connection], [], [], 1.0)[0]:
                with contextlib.suppress(ConnectionResetError):
                    message = receive(self._connection)
                    if message is not None:
                        return int(message["status"])
                break
        return _wait(self.process)


def read_ended(label: str, folder: Path) -> JobOutcome | None:
    """The outcome of a job that another process ran; None while it runs."""
    try:
        ended = json.loads((folder / ENDED).read_text())
    except (OSError, ValueError):
        return None
    return JobOutcome(label, ended["status"], folder / "log.txt", ended["told"], ended["seconds"])


def _write_plain(source: IO[bytes], log: IO[str]) -> None:
    """Copy what a job prints into its log, as a terminal would show it in the end."""
    for line in source:
        # Progress bars of libraries go back to the beginning of their line, or colour it.
        shown = [part for part in line.rstrip(b"\r\n").split(b"\r") if part] or [b""]
        text = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", shown[-1].decode(errors="replace"))
        with contextlib.suppress(OSError, ValueError):  # a full disk: the job must not wait for us
            log.write(printable(text.expandtabs()) + "\n")
            log.flush()


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for its exit status; a signal handler may wait for it at the same time."""
    while True:
        # Without a time limit Popen would hold a lock that the handler needs.
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=3600)


def stop(
    process: subprocess.Popen[bytes], grace: float = 0.0, patience: float | None = None
) -> None:
    """Interrupt a job and wait until it has stored what it has; kill it if it does not end.

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
    except (KeyboardInterrupt, subprocess.TimeoutExpired):  # interrupted a second time, or late
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)


LEFT, ENDED, PROGRESS_FILE = "outcome.json", "ended.json", "progress.json"
# Variables by which libraries print as for a terminal, and Hydra its own tracebacks.
_FOR_TERMINALS = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "HYDRA_FULL_ERROR")
_GRACE = 2.0  # seconds for a job to end after an interrupt by the terminal, or once killed
