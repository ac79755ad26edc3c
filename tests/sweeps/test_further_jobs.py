"""Jobs that share weights share a process, for as long as all goes well; their results do not."""

import itertools
import os
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from helpers.runs import (
    SAMPLES,
    command,
    contents,
    environment,
    make_job,
    run,
    run_process,
    wait_for,
)

from benchmark.store.store import RunStore
from benchmark.sweeps.further_jobs import JOBS, do_further_jobs
from benchmark.sweeps.plan import SweepJob, groups
from benchmark.sweeps.process import JobProcess

pytestmark = pytest.mark.alone

WEIGHTED = "helpers.segmenters.Weighted"


@pytest.fixture
def file(tmp_path):
    """Weights that `Weighted` never reads."""
    path = tmp_path / "any.pt"
    path.write_bytes(b"weights")
    return path


def events(root):
    """What the segmenters did: event -> the process of each time."""
    found = {}
    for line in (root / "trace").read_text().splitlines():
        event, *_, process = line.split()
        found.setdefault(event, []).append(process)
    return found


def sweep(root, file, *words, model="weighted", **more):
    """Three jobs that share weights."""
    words = ("-m", "limit=2", "model.level=1.0,1.1,1.2", f"model.weights={file}", *words)
    return run(root, *words, model=model, TRACE=str(root / "trace"), **more)


# --- which jobs


def planned(root, *described):
    """Jobs of a sweep, numbered from 0."""
    jobs = [make_job(root, **changes) for changes in described]
    return [SweepJob(number, [], "", job) for number, job in enumerate(jobs)]


def numbers(jobs):
    return [[job.number for job in group] for group in groups(jobs)]


def test_jobs_with_equal_weights_device_and_threads_form_a_group(root, file):
    one = {"target": WEIGHTED, "weights": str(file)}
    other = root / "other.pt"
    other.write_bytes(b"others")
    jobs = planned(
        root, one, {}, one | {"level": 2.0}, one | {"weights": str(other)}, one | {"threads": 1},
        {}, one,
    )  # fmt: skip
    assert numbers(jobs) == [[0, 2, 6], [1], [3], [4], [5]]


def test_in_a_group_the_jobs_of_a_data_set_follow_each_other(root, file):
    one = {"target": WEIGHTED, "weights": str(file)}
    jobs = planned(root, *[one] * 4)
    for job, name in zip(jobs, "abab", strict=True):
        job.job.settings.data = {**job.job.settings.data, "name": name}
    assert numbers(jobs) == [[0, 2, 1, 3]]


def test_a_job_that_can_not_be_composed_or_has_unknown_weights_is_alone(root, file):
    jobs = planned(root, {"target": WEIGHTED, "weights": "no-such-weights"}, {})
    assert numbers([*jobs, SweepJob(2, [], "", None)]) == [[0], [1], [2]]


# --- one process


@pytest.mark.slow
def test_jobs_of_a_group_share_a_process_and_what_is_loaded(tmp_path, file):
    finished = sweep(tmp_path, file, "seed=0,1", model="unattended")
    assert finished.returncode == 0, finished.stderr
    assert "6 done" in finished.stderr
    found = events(tmp_path)
    assert len(set(found["start"])) == 1 and len(found["start"]) == 6 * 2
    # Levels are 1.0, 1.0, 1.1, ... in turn: the next job takes the segmenter that is there.
    assert len(found["load"]) == 3
    logs = sorted(tmp_path.rglob("log.txt"))
    assert len(logs) == 6
    for log in logs:
        assert log.read_text().count("tables and pictures in") == 1, log


@pytest.mark.slow
@pytest.mark.parametrize("fate", ["raise", "kill_once", "leave", "memory"])
def test_after_a_job_that_did_not_go_well_the_next_one_gets_a_new_process(tmp_path, file, fate):
    order = ["model.level=1.0", "model.level=1.1", "model.level=1.2"]
    # The second sample is tried by the second and third job alone.
    assert sweep(tmp_path, file, "limit=1").returncode == 0
    (tmp_path / "trace").write_text("")
    finished = sweep(tmp_path, file, ODD=f"{SAMPLES[1]}={fate}")
    assert finished.returncode == 1
    states = re.findall(r"(model.level=1.\d) +│ ([\w ]+?) +│", finished.stdout)
    assert [name for name, _ in states] == order  # in the order of the sweep
    bad = {
        "raise": "failed",
        "memory": "failed",
        "leave": "failed",
        "kill_once": "killed by SIGKILL",
    }
    expected = [bad[fate]] + [bad[fate] if fate != "kill_once" else "done"] * 2
    assert [state for _, state in states] == expected, finished.stdout
    processes = Counter(events(tmp_path)["start"])
    assert len(processes) == (2 if fate == "kill_once" else 3)


@pytest.mark.slow
def test_a_job_whose_failures_were_allowed_ends_its_process_too(tmp_path, file):
    finished = sweep(tmp_path, file, "errors.max_failures=1", ODD=f"{SAMPLES[0]}=raise")
    assert "3 partial" in finished.stderr
    assert len(set(events(tmp_path)["start"])) == 3


@pytest.mark.slow
def test_ctrl_c_in_a_later_job_of_a_group_ends_the_sweep_and_leaves_no_process(tmp_path, file):
    trace = tmp_path / "trace"
    trace.touch()
    words = ("-m", "limit=2", "model.level=1.0,1.1,1.2", f"model.weights={file}")
    started = subprocess.Popen(
        command(tmp_path, *words, model="weighted"), cwd=tmp_path, start_new_session=True,
        env=environment(ODD=f"{SAMPLES[1]}=wait_for_four", TRACE=str(trace)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_for(lambda: trace.read_text().count("start") == 4 or started.poll() is not None)
    os.killpg(started.pid, signal.SIGINT)
    output, _ = started.communicate(timeout=600)
    assert started.returncode == 130 and "Traceback" not in output, output
    found = dict(re.findall(r"(model.level=1.\d) +│ ([\w ]+?) +│", output))
    assert found == {"model.level=1.0": "done", "model.level=1.1": "interrupted"}
    (process,) = set(events(tmp_path)["start"])
    wait_for(lambda: not Path("/proc", process).exists())


@pytest.mark.slow
def test_a_sweep_that_is_killed_takes_the_process_of_its_jobs_along(tmp_path, file):
    trace = tmp_path / "trace"
    trace.touch()
    words = ("-m", "model.level=1.0,1.1", f"model.weights={file}")
    started = subprocess.Popen(
        command(tmp_path, *words, model="weighted"), cwd=tmp_path,
        env=environment(TRACE=str(trace), ODD="*=wait"),
    )  # fmt: skip
    wait_for(lambda: "start" in trace.read_text())
    started.kill()
    started.wait()
    (process,) = set(events(tmp_path)["start"])
    wait_for(lambda: not Path("/proc", process).exists())


@pytest.mark.slow
def test_a_process_that_died_between_two_jobs_is_replaced(tmp_path, monkeypatch):
    for key, value in environment().items():
        monkeypatch.setenv(key, value)
    arguments = command(tmp_path, "limit=1")[3:]
    at = arguments.index("--config-dir")
    folders = [arguments.pop(at), arguments.pop(at)][1:]
    with JobProcess(config_dirs=folders) as process:
        first = process.do(arguments, "a", tmp_path / "0")
        number = process.process.pid
        same = process.do([*arguments, "seed=1"], "b", tmp_path / "1")
        assert process.process.pid == number
        process.process.kill()
        process.process.wait()
        last = process.do([*arguments, "seed=2"], "c", tmp_path / "2")
        assert process.process.pid != number
    assert [outcome.state for outcome in (first, same, last)] == ["done"] * 3


@pytest.mark.slow
def test_a_process_that_dies_as_it_is_sent_a_job_is_replaced(tmp_path, monkeypatch):
    for key, value in environment().items():
        monkeypatch.setenv(key, value)
    arguments = command(tmp_path, "limit=1")[3:]
    at = arguments.index("--config-dir")
    folders = [arguments.pop(at), arguments.pop(at)][1:]

    def broken(connection, *_):
        connection.close()
        raise BrokenPipeError

    with JobProcess(config_dirs=folders) as process:
        assert process.do(arguments, "a", tmp_path / "0").state == "done"
        number = process.process.pid
        with monkeypatch.context() as patch:
            patch.setattr("benchmark.sweeps.process.send", broken)
            assert process.do([*arguments, "seed=1"], "b", tmp_path / "1").state == "done"
        assert process.process.pid != number


def test_a_folder_that_can_not_be_written_is_a_failed_job(tmp_path):
    (tmp_path / "file").write_text("")
    with JobProcess() as process:
        outcome = process.do(["a=b"], "a", tmp_path / "file" / "0")
    assert outcome.state == "failed" and "file" in outcome.reason and process.process is None


def test_outside_a_sweep_no_further_job_is_waited_for(monkeypatch):
    monkeypatch.delenv(JOBS, raising=False)
    assert do_further_jobs(lambda: pytest.fail("another job"), 3) == 3


# --- their results


@pytest.mark.slow
def test_labels_do_not_depend_on_which_job_came_before(tmp_path):
    """Every order of three methods with the same weights, in one process, and each alone."""
    models = ("demo_ais", "demo_amg", "demo_apg")
    words = ("limit=1", "data.source.size=96")

    def results(root):
        found = {}
        for store in RunStore.all(root / "results" / "runs"):
            (key,) = store.score_bases()
            found[store.path.name] = contents(store, key)
        return found

    alone = tmp_path / "alone"
    alone.mkdir()
    for model in models:
        assert run_process(alone, *words, "cache=off", model=model).returncode == 0
    expected = results(alone)
    assert len(expected) == 3
    for number, order in enumerate(itertools.permutations(models)):
        root = tmp_path / str(number)
        root.mkdir()
        finished = run(root, "-m", *words, "cache=off", model=",".join(order))
        assert finished.returncode == 0, finished.stderr
        assert results(root) == expected
