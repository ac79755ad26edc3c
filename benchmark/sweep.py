"""The jobs of a multirun: each in a process of its own, and one summary over all of them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from benchmark.choices import config_folders
from benchmark.console import note, out, printable
from benchmark.errors import DONE, INTERRUPTED, PARTIAL
from benchmark.files import disk_errors, write_whole

OUTCOME = "BENCHMARK_OUTCOME"
"""Environment variable: the file in which a job leaves what came of it, for the summary."""
PROBES = "BENCHMARK_PROBES"
"""Environment variable: the folder in which a sweep's jobs tell each other of the network."""


OPEN = "++"
"""Before a word of a sweep: a parameter that not every model (data set) in it has."""


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
        """`done`, `failed`, `skipped`, or what killed it."""
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
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        if self.status < 0:
            hint = "often for want of memory; " if self.status == -signal.SIGKILL else ""
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
    for outcome in outcomes:
        if outcome.status != 0:
            note(f"{outcome.words}: {outcome.state}: {outcome.reason}\n  log: {outcome.log}")
    statuses = {outcome.status for outcome in outcomes}
    return DONE if statuses == {DONE} else INTERRUPTED if INTERRUPTED in statuses else PARTIAL


def run_job(overrides: list[str], words: str, folder: Path) -> JobOutcome:
    """Run one job to its end.

    Args:
        overrides: its words.
        words: the same for people.
        folder: where its log goes.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    log, left = folder / "log.txt", folder / "outcome.json"
    left.unlink(missing_ok=True)  # of an earlier sweep in the same folder
    own_folders = config_folders()[:-1]
    command = [sys.executable, "-m", "benchmark"]
    command += [word for own in own_folders for word in ("--config-dir", str(own))]
    environment = os.environ | {OUTCOME: str(left), "PYTHONUNBUFFERED": "1"}
    environment |= {PROBES: str(folder.parent / "network")}
    environment.pop("HYDRA_FULL_ERROR", None)
    start = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, *overrides], stdout=file, stderr=subprocess.STDOUT, env=environment
        )
        try:
            status = process.wait()
        except KeyboardInterrupt:
            status = INTERRUPTED
            _stop(process)
    told = json.loads(left.read_text()) if left.exists() else {}
    return JobOutcome(words, status, log, told, time.monotonic() - start)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let an interrupted job store what it has; none is left behind."""
    try:
        # A terminal tells the job as well. Whoever told this process alone means both.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            return
        process.send_signal(signal.SIGINT)
        process.wait()
    except KeyboardInterrupt:  # once more: somebody is in a hurry
        process.kill()
        process.wait()


_GRACE = 2.0  # seconds for a job to end by itself after the terminal has told it
