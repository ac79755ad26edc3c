"""The next job of a sweep starts up while one works, and does nothing else before its start."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from helpers.runs import SAMPLES, command, environment, run, wait_for

from benchmark.errors import INTERRUPTED
from benchmark.sweeps.process import JobProcess
from benchmark.sweeps.warm_start import START, wait_for_start

pytestmark = pytest.mark.alone


def events(trace):
    return [line.split() for line in trace.read_text().splitlines()] if trace.exists() else []


@pytest.fixture
def traced(tmp_path, monkeypatch):
    for key, value in environment(TRACE=str(tmp_path / "trace")).items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "trace"


def small_job(root, *words):
    """The words of a small run after `python -m benchmark`."""
    found = command(root, *words, model="importing")[3:]
    at = found.index("--config-dir")
    return [*found[:at], *found[at + 2 :]], [found[at + 1]]


def rests(process, looks=5):
    """Whether a process does nothing, at so many looks one after the other (Linux)."""
    for _ in range(looks):
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state != "S":
            return False
        time.sleep(0.05)
    return True


@pytest.mark.slow
def test_a_waiting_job_imports_and_touches_nothing(tmp_path, traced):
    words, folders = small_job(tmp_path, "limit=1")
    job = JobProcess(words, "a", tmp_path / "0", config_dirs=folders, waits=True)
    wait_for(lambda: events(traced))
    wait_for(lambda: rests(job.process))  # it waits for its turn
    assert [event for event, *_ in events(traced)] == ["import"]
    assert not (tmp_path / "results").exists() and not (tmp_path / "datasets").exists()
    outcome = job.finish()
    assert outcome.status == 0, outcome.log.read_text()
    assert [event for event, *_ in events(traced)] == ["import", "load", "start"]
    assert outcome.details["status"] == "partial (1 of 4)"


def test_a_job_that_never_begins_leaves_no_trace(tmp_path, traced):
    words, folders = small_job(tmp_path)
    job = JobProcess(words, "a", tmp_path / "0", config_dirs=folders, waits=True)
    wait_for(lambda: events(traced))
    job.discard()
    assert job.process.returncode == -signal.SIGKILL
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_the_next_job_of_a_sweep_has_imported_before_the_one_at_work_ends(tmp_path):
    trace = tmp_path / "trace"
    finished = run(
        tmp_path, "-m", "seed=0,1", "limit=2", model="importing", TRACE=str(trace),
        ODD=f"{SAMPLES[0]}=wait_for_the_next",
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    found = events(trace)
    order = [(event, pid) for event, _, pid in found]
    first, second = (pid for event, pid in order if event == "load")
    last = len(order) - 1 - order[::-1].index(("start", first))
    assert order.index(("import", second)) < last < order.index(("load", second))


@pytest.mark.slow
def test_a_sweep_that_is_killed_leaves_no_job_that_waits(tmp_path):
    trace = tmp_path / "trace"
    sweep = subprocess.Popen(
        command(tmp_path, "-m", "seed=0,1", model="importing"), cwd=tmp_path,
        env=environment(TRACE=str(trace), ODD="*=wait"),
    )  # fmt: skip
    wait_for(lambda: [event for event, *_ in events(trace)].count("import") == 2)
    wait_for(lambda: "start" in [event for event, *_ in events(trace)])
    sweep.kill()
    sweep.wait()
    pids = {pid for *_, pid in events(trace)}
    wait_for(lambda: not any(Path("/proc", pid).exists() for pid in pids))
    assert [event for event, *_ in events(trace)].count("load") == 1


def test_outside_a_sweep_nothing_waits_and_nothing_is_imported(monkeypatch):
    monkeypatch.delenv(START, raising=False)
    wait_for_start(["this", "no_such_library"])
    import sys

    assert "this" not in sys.modules


def test_a_job_that_waits_for_a_sweep_that_ended_ends_too(monkeypatch):
    mine, theirs = os.pipe()
    os.close(theirs)
    monkeypatch.setenv(START, str(mine))
    with pytest.raises(SystemExit) as ended:
        wait_for_start([])
    assert ended.value.code == INTERRUPTED
