"""A sweep does every job, whatever becomes of the others, and says what became of each."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.runs import SAMPLES, assert_sound, command, environment, run, wait_for

from benchmark.errors import INTERRUPTED, StoreError
from benchmark.store.store import RunStore
from benchmark.sweeps.process import (
    ENDED,
    OUTCOME,
    JobOutcome,
    JobProcess,
    complete_outcome,
    leave_outcome,
    read_ended,
    summarise,
)

pytestmark = pytest.mark.alone


def test_every_job_runs_whatever_became_of_those_before_and_the_summary_tells_all(tmp_path):
    finished = run(tmp_path, "-m", "limit=1", model="killed,raising,mistaken,traced")
    assert finished.returncode == 1
    table = finished.stdout
    fates = {
        "killed": ("killed by SIGKILL", "its last line: "),
        "raising": ("failed", "model 'raising' raised RuntimeError: no luck"),
        "mistaken": ("failed", "no_such"),
    }
    for model, (state, reason) in fates.items():
        assert re.search(rf"model={model}\b.* {state} ", table)
        output = re.search(
            rf"model={model}\b[^\n]*: {state}: ([^\n]*)\n  log: (\S+)", finished.stderr
        )
        assert output, finished.stderr
        assert reason in output[1]
        assert Path(output[2]).read_text().strip() or model == "killed"
    assert re.search(r"model=traced\b.* done .*partial \(1 of 4\)", table)
    assert "Traceback" not in finished.stdout + finished.stderr


@pytest.mark.slow
def test_a_sweep_of_good_jobs_ends_with_status_0(tmp_path):
    finished = run(tmp_path, "-m", "seed=0,1", "limit=1")
    assert finished.returncode == 0, finished.stderr
    assert len(re.findall(r"seed=[01] .*done", finished.stdout)) == 2


@pytest.mark.parametrize(
    "whom", [pytest.param("everybody", marks=pytest.mark.slow), "the sweep alone"]
)
def test_ctrl_c_in_a_sweep_ends_it_with_status_130_and_a_summary_and_leaves_no_process(
    tmp_path, whom
):
    trace = tmp_path / "trace"
    trace.touch()
    sweep = subprocess.Popen(
        command(tmp_path, "-m", "seed=0,1"), cwd=tmp_path, start_new_session=True,
        env=environment(ODD=f"{SAMPLES[1]}=wait", TRACE=str(trace)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_for(lambda: trace.read_text().count("start") == 2 or sweep.poll() is not None)
    if whom == "everybody":  # as a terminal does it
        os.killpg(sweep.pid, signal.SIGINT)
    else:
        sweep.send_signal(signal.SIGINT)
    output, _ = sweep.communicate(timeout=600)
    assert sweep.returncode == 130 and "Traceback" not in output, output
    assert re.search(r"seed=0 .*interrupted", output) and not re.search(r"seed=1 .*done", output)
    pids = {line.split()[2] for line in trace.read_text().splitlines()}
    assert len(pids) == 1 and not Path("/proc", pids.pop()).exists()
    (store,) = RunStore.all(tmp_path / "results" / "runs")
    assert_sound(tmp_path, store)
    assert 1 <= len(store.records()) < 4


@pytest.mark.slow
def test_a_job_whose_model_ends_the_process_with_status_0_is_failed(tmp_path):
    finished = run(tmp_path, "-m", "limit=1", model="leaving,quitting,traced")
    assert finished.returncode == 1
    found = dict(re.findall(r"model=(\w+) +│ ([\w ]+?) +│", finished.stdout))
    assert found == {"leaving": "failed", "quitting": "failed", "traced": "done"}
    leaving = "model=leaving: failed: its process ended with exit status 0 before the job was done"
    assert leaving in finished.stderr
    assert (
        "model=quitting: failed: the process was ended from within (SystemExit: 0)"
        in finished.stderr
    )
    assert "1 done" in finished.stderr and "2 failed" in finished.stderr


@pytest.mark.slow
def test_an_action_that_has_no_result_for_the_summary_is_done_all_the_same(tmp_path):
    assert run(tmp_path, "limit=1").returncode == 0
    finished = run(tmp_path, "-m", "limit=1", "action=evaluate")
    assert finished.returncode == 0 and "1 done" in finished.stderr, finished.stderr


def test_a_model_that_ends_the_process_as_it_is_built_is_an_error(tmp_path):
    finished = run(tmp_path, "limit=1", model="quitting")
    assert finished.returncode == 1
    assert (
        "error: the process was ended from within (SystemExit: 0), by model 'quitting'"
        in finished.stderr
    )


@pytest.mark.parametrize(
    ("does", "state", "status"),
    [
        ("os._exit(0)", "failed", 1),
        ("sys.exit(0)", "failed", 1),
        ("complete_outcome()", "done", 0),
        ("complete_outcome(); os._exit(0)", "done", 0),
        ("leave_outcome({'msa': 1}); complete_outcome()", "done", 0),
        ("leave_outcome({'state': 'partial'}); complete_outcome()", "partial", 0),
        ("complete_outcome(); os._exit(3)", "failed", 3),
    ],
)
def test_done_needs_a_result(tmp_path, monkeypatch, does, state, status):
    start = subprocess.Popen
    script = "import os, sys; from benchmark.sweeps.process import leave_outcome, complete_outcome"
    script += f"; print('almost', flush=True); {does}"
    monkeypatch.setattr(
        subprocess, "Popen", lambda _, **how: start([sys.executable, "-c", script], **how)
    )
    told = []
    found = JobProcess().do(["a=b"], "a=b", tmp_path, told.append)
    assert (found.state, found.status) == (state, status)
    assert told == [0 if status == 1 else status]  # Slurm is asked about the process, not the job
    assert read_ended("a=b", tmp_path) == found and (tmp_path / ENDED).exists()
    if status == 1:
        assert "before the job was done" in found.reason
        assert found.reason.endswith("its last line: almost")
    else:
        assert "msa" in found.details or "msa" not in does


def test_outside_a_sweep_no_result_is_left(tmp_path, monkeypatch):
    monkeypatch.delenv(OUTCOME, raising=False)
    monkeypatch.chdir(tmp_path)
    complete_outcome()
    assert list(tmp_path.iterdir()) == []


def outcome(status, log="", folder=Path()):
    path = folder / "log.txt"
    path.write_text(log)
    return JobOutcome("model=a", status, path, {}, 1.0)


def test_a_failed_jobs_reason_is_the_last_error_it_printed(tmp_path):
    log = "error: first\nsomething\nerror: second\nand on\n"
    assert outcome(1, log, tmp_path).reason == "second"
    assert outcome(1, "Traceback ...\nKeyError: 'a'\n", tmp_path).reason == "KeyError: 'a'"
    assert outcome(1, "", tmp_path).reason == "it printed nothing"


def test_a_killed_jobs_reason_is_no_error_that_it_survived(tmp_path):
    killed = outcome(-signal.SIGSEGV, "error: mended\n3/4 done\n", tmp_path)
    assert killed.state == "killed by SIGSEGV"
    assert killed.reason == "its last line: 3/4 done"


@pytest.mark.slow
def test_a_job_with_failures_that_were_allowed_is_partial_not_failed(tmp_path):
    assert run(tmp_path, "limit=3", model="oracle").returncode == 0  # so that it needs no process
    words = ("-m", "limit=3", "model=traced,oracle", "errors.max_failures=1")
    first = run(tmp_path, *words, ODD=f"{SAMPLES[1]}=raise")
    assert re.search(r"model=traced +│ partial +│.*partial \(2 of 4, 1 failed\)", first.stdout)
    assert first.returncode == 1 and "1 partial, 1 done" in first.stderr
    assert f"partial: 1 of 3 samples failed, e.g. '{SAMPLES[1]}': model" in first.stderr
    again = run(tmp_path, *words, "errors.max_failures=0")
    assert re.search(r"model=traced +│ failed ", again.stdout), again.stdout


@pytest.mark.parametrize(
    ("statuses", "whole"), [([0, 0], 0), ([0, 2], 1), ([-9, 0], 1), ([0, 1, INTERRUPTED], 130)]
)
def test_the_status_of_the_whole_follows_from_the_jobs(tmp_path, statuses, whole):
    assert summarise([outcome(status, "", tmp_path) for status in statuses]) == whole


def test_what_an_earlier_sweep_left_in_the_folder_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "0").mkdir()
    monkeypatch.setenv(OUTCOME, str(tmp_path / "0" / "outcome.json"))
    leave_outcome({"model": "old"})
    found = JobProcess().do(["action=nonsense"], "action=nonsense", tmp_path / "0")
    assert found.status == 2 and found.details == {}


def test_an_outcome_is_left_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv(OUTCOME, str(tmp_path / "outcome.json"))
    leave_outcome({"model": "a"})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError):
        leave_outcome({"model": "b"})
    assert [p.name for p in tmp_path.iterdir()] == ["outcome.json"]
    assert (tmp_path / "outcome.json").read_text() == '{"model": "a"}'
