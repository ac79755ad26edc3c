"""Signals, full disks, odd stored files, hostile YAMLs and names; counts what goes wrong.

    python scripts/stress.py [signals | disks | mutations | names ...] [--trials N] [--seed 0]

- signals: processes get a random signal at a random moment, and are started again;
- disks: runs on disks in memory that fill up, and get room afterwards (root alone can mount them);
- mutations: entries of the files of a run are edited, then all runs are reported and listed;
- names: runs whose YAML or whose files' names come from somebody hostile.

Prints what was lost or doubled, tracebacks and hangs (after Ctrl-C of the trials so far); the exit
status is 0 if there are none.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from helpers.hostile import HOSTILE, leave_files
from helpers.kills import SECONDS, assert_nothing_twice, the_run
from helpers.mutations import FILES, leave_lease, mutations, read_all
from helpers.runs import (
    SAMPLES,
    arguments,
    assert_sound,
    contents,
    do,
    environment,
    journals,
    make_job,
)
from helpers.runs import run as in_this_process

from benchmark.__main__ import run
from benchmark.console import UNPRINTABLE
from benchmark.errors import DONE, INTERRUPTED, PARTIAL, USAGE

KINDS = ("lost", "doubled", "tracebacks", "hangs")
PATIENCE = 300  # seconds, after which a process hangs
FAULT = 70  # the exit status of a fork that raises
QUICK = 60  # the same for reading a few small files
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP]


class Findings:
    """What went wrong in the trials of one part."""

    def __init__(self, part: str, folder: Path, chance: random.Random) -> None:
        self.part, self.folder, self.chance = part, folder, chance
        self.trials = 0
        self.details: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()

    def add(self, kind: str, detail: str) -> None:
        """Count something that went wrong, and print it."""
        self.wrong[kind] += 1
        print(f"{self.part}, trial {self.trials}: {kind}: {detail}", file=sys.stderr, flush=True)

    def check_text(self, text: str) -> None:
        """Count a traceback in what a process printed."""
        if "Traceback" in text:
            self.add("tracebacks", text[-1500:])

    def check_run(self, root: Path, wanted: Any, twice: Callable[[], None] = lambda: None) -> None:
        """Compare a complete run with an undisturbed one."""
        store, key = the_run(root)
        try:
            assert_sound(root, store)
            assert contents(store, key) == wanted, "another result"
        except AssertionError as error:
            self.add("lost", str(error))
        try:
            assert sorted(row["sample"] for row in journals(root, "records")) == SAMPLES
            twice()
        except AssertionError as error:
            self.add("doubled", str(error))

    def __str__(self) -> str:
        """One line."""
        wrong = ", ".join(f"{kind} {self.wrong[kind]}" for kind in KINDS)
        details = ", ".join(f"{many} {name}" for name, many in sorted(self.details.items()))
        return f"{self.part}: {self.trials} trials ({details}): {wrong}"


class Forked:
    """The command line in a fork of this process, which has imported and compiled everything.

    Args:
        root: the working directory; results and data are below it.
        words: the arguments; those of a small run where not given.
        environment: further variables.
    """

    def __init__(self, root: Path, *words: str, **environment: str) -> None:
        self._log = root / "log.txt"
        self._pid = os.fork()
        if self._pid == 0:
            status = INTERRUPTED
            try:
                _become(root, self._log, words or arguments(root), environment)
                status = run()
            except KeyboardInterrupt:  # between these lines
                pass
            except BaseException:
                traceback.print_exc()
                status = FAULT
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        self.pid = self._pid

    def wait(self, seconds: float) -> int | None:
        """Wait for its end: its exit status, negative for a signal; None if it takes longer."""
        until = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > until:
                return None
            time.sleep(0.005)

    def stop(self, which: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, which)

    @property
    def printed(self) -> str:
        """What it printed."""
        return self._log.read_text(errors="surrogateescape") if self._log.exists() else ""


def _become(root: Path, log: Path, words: Sequence[str], variables: Mapping[str, str]) -> None:
    """Make this process a command in a folder."""
    os.chdir(root)
    os.environ.update(environment(**variables))
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(written, 1)
    os.dup2(written, 2)
    sys.argv[1:] = words


def undisturbed(root: Path) -> tuple[Any, float]:
    """What a run stores that nothing disturbs, and the seconds that its process takes."""
    root.mkdir()
    warm = root / "warm"
    warm.mkdir()
    assert in_this_process(warm).returncode == 0
    began = time.monotonic()
    process = Forked(root, SECONDS=SECONDS)
    assert process.wait(PATIENCE) == 0, process.printed
    return contents(*the_run(root)), time.monotonic() - began


def signals(findings: Findings, trials: int) -> None:
    """Send signals to processes that work on runs, until so many were sent."""
    chance = findings.chance
    wanted, seconds = undisturbed(findings.folder / "undisturbed")
    for number in itertools.count():
        if findings.trials == trials:
            break
        root = findings.folder / f"run_{number}"
        root.mkdir()
        trace = root / "trace"
        trace.touch()
        stopped = set[int]()
        while True:
            process = Forked(root, TRACE=str(trace), SECONDS=SECONDS)
            over = findings.trials == trials
            status = process.wait(PATIENCE if over else chance.uniform(0, seconds))
            if status is None and not over:
                _stop(findings, process, chance.choice(SIGNALS))
                stopped.add(process.pid)
                continue
            findings.check_text(process.printed)
            if status == 0:
                findings.check_run(root, wanted, partial(assert_nothing_twice, trace, stopped))
            else:
                findings.add("hangs" if status is None else "lost", process.printed[-1500:])
            break


def _stop(findings: Findings, process: Forked, which: signal.Signals) -> None:
    """Send a signal and wait for the end."""
    findings.trials += 1
    findings.details[which.name] += 1
    process.stop(which)
    status = process.wait(PATIENCE)
    if status is None:
        process.stop(signal.SIGKILL)
        process.wait(PATIENCE)
        findings.add("hangs", f"after {which.name}: {process.printed[-500:]}")
    findings.check_text(process.printed)
    if which is signal.SIGINT and status not in (DONE, INTERRUPTED):
        findings.add("lost", f"status {status} after Ctrl-C: {process.printed[-500:]}")


def disks(findings: Findings, trials: int) -> None:
    """Run on disks of random sizes, then on the same disks with more room."""
    wanted, _ = undisturbed(findings.folder / "undisturbed")
    for number in range(trials):
        findings.trials += 1
        root = findings.folder / f"disk_{number}"
        disk = root / "disk"
        disk.mkdir(parents=True)
        pages = findings.chance.randint(4, 60)
        with _mounted(disk, f"size={4 * pages}k,nr_inodes={findings.chance.randint(20, 200)}"):
            for name in ("results", "datasets"):
                (disk / name).mkdir()
                (root / name).symlink_to(disk / name)
            findings.details[_on_disk(findings, root, full=True)] += 1
            subprocess.run(["mount", "-o", "remount,size=32m,nr_inodes=0", str(disk)], check=True)
            _on_disk(findings, root, full=False)
            findings.check_run(root, wanted)
        shutil.rmtree(root)


@contextlib.contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _on_disk(findings: Findings, root: Path, full: bool) -> str:
    """Run once; say how it ended."""
    process = Forked(root)
    status = process.wait(PATIENCE)
    if status is None:
        process.stop(signal.SIGKILL)
        process.wait(PATIENCE)
        findings.add("hangs", "on a full disk" if full else "with room again")
        return "hung"
    findings.check_text(process.printed)
    if status == 0:
        return "complete"
    errors = [line for line in process.printed.splitlines() if line.startswith("error: ")]
    if not full or len(errors) != 1 or not re.search("No space left|are free", errors[0]):
        findings.add("lost", process.printed[-1500:])
    return "full"


def mutated(findings: Findings, trials: int) -> None:
    """Edit files of one of two runs, then report both and print their states."""
    jobs = [make_job(findings.folder, level=level) for level in (1.0, 1.3)]
    for job in jobs:
        do(job)
    runs, odd, whole = jobs[0].runs, jobs[0].store.path, jobs[1].store.path.name
    leave_lease(odd)
    edits = [
        (file, what, content)
        for pattern in FILES
        for file in odd.glob(pattern)
        for what, content in mutations(file.read_bytes())
    ]
    findings.chance.shuffle(edits)
    for file, what, content in edits[:trials]:
        findings.trials += 1
        findings.details[file.relative_to(odd).parts[0]] += 1
        before = file.read_bytes()
        file.write_bytes(content)
        try:
            with _at_most(QUICK), contextlib.redirect_stdout(io.StringIO()) as printed:
                shown, left_out = read_all(runs, odd.name)
            if whole not in shown or shown | left_out != {odd.name, whole}:
                findings.add("lost", f"{file.name} {what}: a run: {printed.getvalue()[-500:]}")
        except TimeoutError:
            findings.add("hangs", f"{file.name} {what}")
        except Exception as error:  # counted, whatever it is
            findings.add("tracebacks", f"{file.name} {what}: {type(error).__name__}: {error}")
        finally:
            file.write_bytes(before)


@contextlib.contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in this thread if its work takes longer."""

    def ring(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def names(findings: Findings, trials: int) -> None:
    """Run with hostile YAMLs and names; nothing is written beside the run."""
    undisturbed(findings.folder / "undisturbed")
    for name, files in [*HOSTILE.items()][:trials]:
        findings.trials += 1
        root = findings.folder / f"root_{findings.trials}"
        home = root / "a" / "b"
        words = leave_files(home, files)
        before = {path for path in root.rglob("*") if home not in path.parents}
        for action in ("run", "report", "status", "list"):
            process = Forked(
                home, "--config-dir", "own", *words, f"action={action}",
                f"results={home / 'results'}", f"datasets={home / 'datasets'}",
            )  # fmt: skip
            status = process.wait(PATIENCE)
            if status is None:
                process.stop(signal.SIGKILL)
                findings.add("hangs", f"{name}: {action}")
                continue
            printed = process.printed
            findings.check_text(printed)
            findings.details[f"status {status}"] += 1
            if status not in (DONE, PARTIAL, USAGE):
                findings.add("tracebacks", f"{name}: {action}: status {status}")
            if UNPRINTABLE.search(printed):
                findings.add("lost", f"{name}: {action}: {printed[-1500:]!a}")
        after = {path for path in root.rglob("*") if home not in path.parents}
        if before != after or any(root.rglob("evil*")):
            findings.add("lost", f"{name}: wrote outside: {after - before}")


PARTS = {"signals": (signals, 200), "disks": (disks, 50), "mutations": (mutated, 3000),
         "names": (names, len(HOSTILE))}  # fmt: skip


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--trials", type=int, help="of each part")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    wrong = 0
    for part in chosen.parts or PARTS:
        perform, trials = PARTS[part]
        with tempfile.TemporaryDirectory() as folder:
            findings = Findings(part, Path(folder).resolve(), random.Random(chosen.seed))
            try:
                perform(findings, chosen.trials or trials)
            finally:  # after a Ctrl-C as well
                print(findings, flush=True)
        wrong += findings.wrong.total()
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
