"""Signals, full disks, odd stored files, hostile YAMLs and names; counts what goes wrong.

    python scripts/stress.py [signals | disks | mutations | names ...] [--trials N] [--seed 0]

- signals: run, evaluate, export and tune get random signals at random moments, and go on after;
- disks: the same on disks in memory that fill up, and get room afterwards (root alone can mount);
- mutations: every kind of stored file is edited, then runs are reported, checked and resumed;
- names: runs whose YAML or whose files' names come from somebody hostile.

Prints what was lost or doubled, tracebacks and hangs (after Ctrl-C of the trials so far); the exit
status is 0 if there are none.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import os
import platform
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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from helpers import stored_kinds
from helpers.hostile import HOSTILE, leave_files
from helpers.kills import assert_nothing_twice
from helpers.runs import (
    arguments,
    assert_sound,
    contents,
    environment,
    journals,
)
from helpers.runs import run as in_this_process

from benchmark.__main__ import run
from benchmark.console import UNPRINTABLE
from benchmark.errors import DONE, INTERRUPTED, PARTIAL, USAGE
from benchmark.store.provenance import code_revision
from benchmark.store.store import RunStore

KINDS = ("lost", "doubled", "tracebacks", "hangs")
PATIENCE = 300  # seconds, after which a process hangs
FAULT = 70  # the exit status of a fork that raises
QUICK = 60  # the same for reading a few small files
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP]
EACH = "0.05"  # seconds that each prediction takes at least
PAGE = 4096  # bytes
IMAGES = ("data.source.per_style=8", "data.source.val_per_style=3", "workers=1")
COMMANDS: dict[str, Sequence[str]] = {
    "run": ["traced"],
    "evaluate": ["traced", "protocol=clean", "workers=2"],
    "export": ["traced", "action=export", "output=exported"],
    "tune": ["otsu", "action=tune", "tune.grid={sigma:[0,1,2,3]}"],
}
"""The model and the words of commands, each done after those before it."""


class Findings:
    """What went wrong in the trials of one part."""

    def __init__(self, part: str, folder: Path, chance: random.Random, first: int) -> None:
        self.part, self.folder, self.chance, self.first = part, folder, chance, first
        self.trials = 0
        self.details: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()

    def begin(self, detail: str) -> None:
        """Count a trial; print from time to time how many there were."""
        self.trials += 1
        self.details[detail] += 1
        if self.trials % 10 == 0:
            print(f"{time.strftime('%H:%M:%S')} {self}", file=sys.stderr, flush=True)

    def add(self, kind: str, detail: str) -> None:
        """Count something that went wrong, and print it."""
        self.wrong[kind] += 1
        print(f"{self.part}, trial {self.trials}: {kind}: {detail}", file=sys.stderr, flush=True)

    def check_text(self, text: str) -> None:
        """Count a traceback in what a process printed."""
        if "Traceback" in text:
            self.add("tracebacks", text[-1500:])

    def check_root(self, root: Path, step: Step) -> None:
        """Compare what lies below a folder with what the step leaves undisturbed."""
        try:
            assert stored(root) == step.wanted, "another result"
        except AssertionError as error:
            self.add("lost", f"{step.name}: {error}")
        for file, sample in written_twice(root):
            self.add("doubled", f"{sample} in {file}")

    def __str__(self) -> str:
        """One line."""
        wrong = ", ".join(f"{kind} {self.wrong[kind]}" for kind in KINDS)
        details = ", ".join(f"{many} {name}" for name, many in sorted(self.details.items()))
        return f"{self.part}: {self.trials} trials ({details}): {wrong}"


class Forked:
    """The command line in a fork of this process, which has imported and compiled everything.

    It and its worker processes are a group, as those that a shell starts.

    Args:
        root: the working directory; results and data are below it.
        words: the arguments; those of a small run where not given.
        environment: further variables.
    """

    def __init__(self, root: Path, *words: str, **environment: str) -> None:
        self._log = root / "log.txt"
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            status = INTERRUPTED
            try:
                os.setpgid(0, 0)
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
        os.setpgid(self.pid, self.pid)  # whichever of the two processes comes first

    def wait(self, seconds: float) -> int | None:
        """Wait for its end: its exit status, negative for a signal; None if it takes longer."""
        until = time.monotonic() + seconds
        while self._status is None and time.monotonic() < until:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            else:
                time.sleep(0.005)
        return self._status

    def stop(self, which: signal.Signals) -> None:
        """Send a signal, to the whole group where a terminal sends it."""
        send = os.killpg if which in (signal.SIGINT, signal.SIGHUP) else os.kill
        send(self.pid, which)

    def leaves_nothing(self, seconds: float) -> bool:
        """Whether its worker processes have ended too, or do so in this time; else kill them."""
        until = time.monotonic() + seconds
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < until:
                os.killpg(self.pid, 0)
                time.sleep(0.005)
            os.killpg(self.pid, signal.SIGKILL)
            return False
        return True

    @property
    def printed(self) -> str:
        """What it printed."""
        return self._log.read_text(errors="surrogateescape") if self._log.exists() else ""


def _become(root: Path, log: Path, words: Sequence[str], variables: Mapping[str, str]) -> None:
    """Make this process a command in a folder."""
    os.chdir(root)
    os.environ.update(environment(**variables))
    # A shell lets commands in the background ignore SIGINT, and nohup SIGHUP.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for which in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(which, signal.SIG_DFL)
    # Worker processes import the main module of their parent.
    sys.modules["__main__"] = sys.modules["benchmark.__main__"]
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(written, 1)
    os.dup2(written, 2)
    sys.argv[1:] = words


@dataclass(frozen=True)
class Step:
    """A command.

    Attributes:
        name: of it.
        before: a folder with the results and data that it starts from.
        wanted: what is stored after it, if nothing disturbs it.
        seconds: that it takes then.
    """

    name: str
    before: Path
    wanted: Any
    seconds: float

    def start(self, root: Path, **variables: str) -> Forked:
        """Start it in a folder."""
        model, *words = COMMANDS[self.name]
        return Forked(root, *arguments(root, *IMAGES, *words, model=model), **variables)


def warm_up(folder: Path) -> None:
    """Run once in this process, which imports and compiles what its forks need."""
    warm = folder / "warm"
    warm.mkdir()
    assert in_this_process(warm).returncode == 0


def undisturbed(folder: Path) -> list[Step]:
    """Do every command once, one after the other."""
    warm_up(folder)
    root = folder / "undisturbed"
    root.mkdir()
    steps = []
    for name in COMMANDS:
        before = folder / f"before_{name}"
        shutil.copytree(root, before)
        began = time.monotonic()
        process = Step(name, before, None, 0).start(root, SECONDS=EACH)
        assert process.wait(PATIENCE) == 0, process.printed
        steps.append(Step(name, before, stored(root), time.monotonic() - began))
        assert steps[-1].wanted, name
    return steps


def stored(root: Path) -> Any:
    """What was stored below a folder, without what may differ; an AssertionError if it is torn."""
    stores = RunStore.all(root / "results" / "runs")
    for store in stores:
        assert_sound(root, store)
    runs = [contents(store, key) for store in stores for key in sorted(store.score_bases())]
    exported = {path.name: path.read_bytes() for path in root.glob("exported/*.tif")}
    chosen = [json.loads(path.read_text()) for path in root.glob("results/tuning/*/*/choice.json")]
    return runs, exported, journals(root, "tuning/*/images"), chosen


def written_twice(root: Path) -> list[tuple[str, str]]:
    """The journals that have several lines of one sample; of objects that is right."""
    folders = [
        folder for kind in ("runs/*/records", "runs/*/scores/*", "tuning/*/images")
        for folder in root.glob(f"results/{kind}")
    ]  # fmt: skip
    found = []
    for folder in folders:
        rows = Counter(
            json.loads(line)["sample"]
            for path in folder.glob("*.jsonl")
            for line in path.read_text().splitlines()
        )
        found += [(str(folder), sample) for sample, count in rows.items() if count > 1]
    return found


def predicted(root: Path) -> set[str]:
    """The samples whose predictions are stored as recorded."""
    return {
        record.sample
        for store in RunStore.all(root / "results" / "runs")
        for record in store.records().values()
        if record.status == "done" and store.holds(record)
    }


def signals(findings: Findings, trials: int) -> None:
    """Send signals to commands, until so many were sent; each is started again until it ends."""
    steps = undisturbed(findings.folder)
    for number in itertools.count():
        if findings.trials == trials:
            break
        # The first of the commands in every second trial.
        step = steps[0 if number % 2 == 0 else 1 + number // 2 % (len(steps) - 1)]
        root = findings.folder / f"root_{number}"
        shutil.copytree(step.before, root)
        _interrupt(findings, step, root, trials)
        shutil.rmtree(root)


def _interrupt(findings: Findings, step: Step, root: Path, trials: int) -> None:
    """Send signals to a command and start it again, until it ends by itself; check what it left."""
    trace = root / "trace"
    trace.touch()
    stopped, kept, left = set[int](), predicted(root), list[Forked]()
    status: int | None = INTERRUPTED
    while status != DONE:
        process = step.start(root, TRACE=str(trace), SECONDS=EACH)
        left.append(process)
        over = findings.trials == trials
        status = process.wait(PATIENCE if over else findings.chance.uniform(0, step.seconds))
        if status is None and not over:
            status = _stop(findings, step, process)
            stopped.add(process.pid)
            now = predicted(root)
            if kept - now:
                findings.add("lost", f"{step.name}: {sorted(kept - now)}")
            kept = now
        elif status != DONE:
            findings.add("hangs" if status is None else "lost", process.printed[-1500:])
            break
        findings.check_text(process.printed)
    else:
        findings.check_root(root, step)
        try:
            assert_nothing_twice(trace, stopped)
        except AssertionError as error:
            findings.add("doubled", str(error))
    for process in left:
        if not process.leaves_nothing(PATIENCE):
            findings.add("hangs", f"{step.name}: a worker process outlives its parent")


def _stop(findings: Findings, step: Step, process: Forked) -> int | None:
    """Send a signal, Ctrl-C sometimes twice, and wait for the end."""
    which = findings.chance.choice(SIGNALS)
    twice = which is signal.SIGINT and findings.chance.random() < 0.25
    findings.begin(f"{which.name}{' twice' if twice else ''} in {step.name}")
    process.stop(which)
    if twice and process.wait(findings.chance.uniform(0, 0.3)) is None:
        process.stop(which)
    status = process.wait(PATIENCE)
    if status is None:
        process.stop(signal.SIGKILL)
        process.wait(PATIENCE)
        findings.add("hangs", f"{step.name}, after {which.name}: {process.printed[-500:]}")
    if which is signal.SIGINT and status not in (DONE, INTERRUPTED):
        findings.add("lost", f"status {status} after Ctrl-C: {process.printed[-500:]}")
    return status


def disks(findings: Findings, trials: int) -> None:
    """Do commands on disks of random sizes, then on the same disks with more room."""
    steps = undisturbed(findings.folder)
    for number in range(trials):
        step = steps[0 if number % 2 == 0 else 1 + number // 2 % (len(steps) - 1)]
        root = findings.folder / f"disk_{number}"
        disk = root / "disk"
        disk.mkdir(parents=True)
        used = [path for path in step.before.rglob("*") if path.parent != step.before]
        pages = sum(-(-path.stat().st_size // PAGE) for path in used if path.is_file())
        pages += findings.chance.randint(4, 60)
        nodes = len(used) + findings.chance.randint(20, 200)
        with _mounted(disk, f"size={pages * PAGE},nr_inodes={nodes}"):
            for name in ("results", "datasets", "exported"):
                if (step.before / name).exists():
                    shutil.copytree(step.before / name, disk / name)
                (disk / name).mkdir(exist_ok=True)
                (root / name).symlink_to(disk / name)
            how = _on_disk(findings, step, root, full=True)
            findings.begin(f"{how} in {step.name}")
            subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=0", str(disk)], check=True)
            _on_disk(findings, step, root, full=False)
            findings.check_root(root, step)
        shutil.rmtree(root)


@contextlib.contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _on_disk(findings: Findings, step: Step, root: Path, full: bool) -> str:
    """Do a command; say how it ended."""
    process = step.start(root)
    status = process.wait(PATIENCE)
    if status is None:
        process.stop(signal.SIGKILL)
        process.wait(PATIENCE)
        findings.add("hangs", f"{step.name}, {'a full disk' if full else 'room again'}")
        return "hung"
    findings.check_text(process.printed)
    if status == DONE:
        return "complete"
    errors = [line for line in process.printed.splitlines() if line.startswith("error: ")]
    if (
        not full
        or len(errors) != 1
        or not re.search("No space left|are free|took only a part", errors[0])
    ):
        findings.add("lost", f"{step.name}: {process.printed[-1500:]}")
    return "full"


def mutated(findings: Findings, trials: int) -> None:
    """Edit every kind of stored file, then report, check, resume, tune and export again."""
    whole, root = findings.folder / "whole", findings.folder / "root"
    whole.mkdir()
    with _silent():
        odd = stored_kinds.make(whole)
    edits = [*stored_kinds.edits(whole, odd)]
    findings.chance.shuffle(edits)
    for pattern, file, what, content in edits[findings.first :][:trials]:
        findings.begin(pattern.replace(f"runs/{odd}", "runs/*"))
        shutil.copytree(whole, root)
        (root / file).write_bytes(content)
        about = f"{pattern}: {what!a}"
        try:
            with _silent(), _at_most(QUICK):
                stored_kinds.read(root, odd, pattern, what, (whole / file).read_bytes())
        except HangError:
            findings.add("hangs", about)
        except AssertionError as error:
            findings.add("lost", f"{about}: {error}")
        except BaseException as error:  # counted, whatever it is
            if isinstance(error, KeyboardInterrupt):
                raise
            findings.add("tracebacks", f"{about}: {traceback.format_exc()[-1500:]}")
        finally:
            shutil.rmtree(root)


class HangError(BaseException):
    """Nothing in between takes it for an error of its own."""


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Print nothing of what is done in here."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        yield


@contextlib.contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Raise HangError in this thread if its work takes longer."""

    def ring(*_: Any) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def names(findings: Findings, trials: int) -> None:
    """Run with hostile YAMLs and names; nothing is written beside the run."""
    warm_up(findings.folder)
    for name, files in [*HOSTILE.items()][:trials]:
        findings.begin("YAMLs and names")
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
    parser.add_argument("--first", type=int, default=0, help="mutations to leave out before")
    chosen = parser.parse_args()
    code = ", ".join(f"{name} {value}" for name, value in code_revision().items())
    print(
        f"{time.strftime('%Y-%m-%d')}; code: {code}; Python {platform.python_version()}", flush=True
    )
    wrong = 0
    for part in chosen.parts or PARTS:
        perform, trials = PARTS[part]
        with tempfile.TemporaryDirectory() as folder:
            findings = Findings(
                part, Path(folder).resolve(), random.Random(chosen.seed), chosen.first
            )
            try:
                perform(findings, chosen.trials or trials)
            finally:  # after a Ctrl-C as well
                print(findings, flush=True)
        wrong += findings.wrong.total()
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
