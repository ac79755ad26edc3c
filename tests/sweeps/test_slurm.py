"""Sweeps by Slurm: on a real cluster of one node where it can be had, and against a stand-in."""

import os
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.runs import journals
from helpers.sweeps import (
    KILLS,
    LINGERS,
    RAISES,
    assert_all_is_done_once,
    faulty,
    lingers,
    starts,
    states,
    sweep,
)
from omegaconf import OmegaConf

from benchmark.choices import CONFIGS
from benchmark.errors import UsageError
from benchmark.sweeps import slurm
from benchmark.sweeps.plan import SweepJob
from benchmark.sweeps.process import ENDED
from benchmark.sweeps.progress import SweepProgress

pytestmark = pytest.mark.alone

SCRIPT = Path(__file__).parents[2] / "scripts" / "local_slurm.sh"
SMALL = (
    "+launcher=slurm", "hydra.launcher.gpus_per_node=null", "hydra.launcher.mem_gb=1",
    "hydra.launcher.cpus_per_task=1", "hydra.launcher.array_parallelism=3",
)  # fmt: skip


@pytest.fixture
def cluster():
    """The environment that speaks to the local cluster."""
    conf = os.environ.get("BENCHMARK_SLURM")
    if not conf:
        pytest.skip(f"root can start a cluster by {SCRIPT}; BENCHMARK_SLURM=<the file it names>")
    return {"SLURM_CONF": conf}


def wait_for(condition, seconds=600):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def submit(root, cluster, *words):
    return subprocess.Popen(
        sweep(root, *SMALL, *words), env=faulty(root) | cluster, cwd=root, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def queue(cluster):
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
    done = subprocess.run(command, env=os.environ | cluster, capture_output=True, text=True)
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.mark.slurm
@pytest.mark.slow
def test_all_faults_in_one_sweep_by_slurm_and_in_the_end_everything_is_there_once(
    tmp_path, cluster
):
    # tiny_a: traced raises on one image. tiny_b: its job is killed. tiny_c: it runs out of time,
    # and goes back in the queue. Who submitted all this is killed, and started again.
    words = ("hydra.launcher.timeout_min=3", "hydra.launcher.signal_delay_s=10")
    first = submit(tmp_path, cluster, *words)
    try:
        wait_for(lambda: len(list((tmp_path / "results" / "sweeps").glob(f"*/*/{ENDED}"))) > 1)
    finally:
        first.kill()
        first.communicate()
    assert len(queue(cluster)) > 1  # they go on
    again = submit(tmp_path, cluster, *words)
    output, _ = again.communicate(timeout=1200)
    assert "jobs of an earlier sweep are still with Slurm: watching them" in output, output
    assert again.returncode == 1 and "Traceback" not in output, output
    found = states(output)
    if found["traced", "tiny_b"] != "done":  # it was killed in the second sweep's time
        assert "killed by SIGKILL" in output or "ended without a message" in output, output
        again = submit(tmp_path, cluster, *words)
        output, _ = again.communicate(timeout=1200)
        found = states(output)
    assert found.pop(("traced", "tiny_a")) == "partial", output
    assert set(found.values()) == {"done"} and len(found) == 11, output
    assert again.returncode == 1 and f"e.g. '{RAISES}'" in output
    assert_all_is_done_once(tmp_path)
    counts = starts(tmp_path)
    assert counts[KILLS] == counts[LINGERS] == 2  # the sample in hand, and no other
    logs = "".join(p.read_text() for p in tmp_path.rglob(".submitit/*/*_log.out"))
    assert re.search(r"Requeued job \d+_\d+ \(\d+ remaining timeouts\)", logs), logs
    assert not queue(cluster)
    for log in tmp_path.rglob("log.txt"):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", log.read_text()), log


@pytest.mark.slurm
@pytest.mark.slow
def test_shards_of_a_run_by_slurm_and_a_job_that_another_takes_the_place_of(tmp_path, cluster):
    words = (
        "model=traced", "data=tiny_c", "shards=3", "hydra.launcher.partition=low",
        "hydra.launcher.additional_parameters={requeue: true}",
    )  # fmt: skip
    submitted = submit(tmp_path, cluster, *words)
    wait_for(lambda: lingers(tmp_path) or submitted.poll() is not None)
    # All of the node for a moment: the partition `main` goes before `low`, whose jobs it puts
    # back in the queue.
    subprocess.run(
        ["srun", "--partition=main", "--exclusive", "--immediate=60", "sleep", "1"],
        env=os.environ | cluster, check=True, timeout=120,
    )  # fmt: skip
    output, _ = submitted.communicate(timeout=1200)
    assert submitted.returncode == 0, output
    assert len(re.findall(r"shard=\d/3 +│ done", output)) == 3, output
    counts = starts(tmp_path)
    assert counts[LINGERS] == 2 and set(counts.values()) <= {1, 2}
    rows = journals(tmp_path / "results", "records")
    assert sorted(row["sample"] for row in rows) == sorted(counts)
    assert len(rows) == 3


# --- against stand-ins for Slurm's commands


SETTINGS = OmegaConf.to_container(OmegaConf.load(CONFIGS / "launcher" / "slurm.yaml"))
del SETTINGS["_target_"]


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """Accepts every job; what was submitted is in the file `submitted`."""
    for name, does in (("srun", "exit 0"), ("sbatch", f"cat $1 > {tmp_path / 'submitted'}; "
                                                      "echo Submitted batch job 7")):  # fmt: skip
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/sh\n{does}\n")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "submitted"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, {"time": "240", "gpus-per-node": "1", "cpus-per-task": "4", "mem": "32GB",
              "job-name": "benchmark", "signal": "USR2@120", "nodes": "1", "ntasks-per-node": "1",
              "array": "0-1%2"}),
        ({"gpus_per_node": None, "mem_gb": None}, {"gpus-per-node": None, "mem": None}),
        ({"partition": "gpu", "account": "a", "qos": "q", "constraint": "c", "exclude": "n1"},
         {"partition": "gpu", "account": "a", "qos": "q", "constraint": "c", "exclude": "n1"}),
        ({"timeout_min": 9, "array_parallelism": 1}, {"time": "9", "array": "0-1%1"}),
        ({"additional_parameters": {"requeue": True, "mail-type": "FAIL"}},
         {"requeue": "", "mail-type": "FAIL"}),
    ],
)  # fmt: skip
def test_the_settings_reach_sbatch(tmp_path, sbatch, changes, found):
    pytest.importorskip("submitit")
    queue = slurm.SlurmQueue(SETTINGS | {"setup": ["module load cuda"]} | changes)
    places = [tmp_path / "sweep" / str(number) for number in range(2)]
    jobs = [SweepJob(number, ["limit=1"], f"job {number}", None) for number in range(2)]
    tasks = [[pair] for pair in zip(jobs, places, strict=True)]
    assert queue._submit(tasks) == ["7_0", "7_1"]
    text = sbatch.read_text()
    given = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", text, re.MULTILINE))
    assert {name: given.get(name) for name in found} == found
    assert "\nmodule load cuda\n" in text
    assert len(list((tmp_path / "sweep" / ".submitit").glob("7_*/*_submitted.pkl"))) == 2


@pytest.mark.parametrize(
    "changes", [{"timeout_min": None}, {"timeout_min": "soon"}, {"mem_gb": "much"}, {"nodes": 2}]
)
def test_a_setting_that_is_unknown_missing_or_invalid_is_named(changes):
    pytest.importorskip("submitit")
    with pytest.raises(UsageError, match=f"hydra.launcher: .*{next(iter(changes))}|soon|much"):
        slurm.SlurmQueue(SETTINGS | changes)


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """A command that prints what is in a file, and fails where it is gone."""
    answer = tmp_path / "answer"
    command = tmp_path / "bin" / "squeue"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\nexec cat {answer}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "_PAUSE", 0.05)
    monkeypatch.setattr(slurm, "_GONE", 0.3)
    return answer


def ended(place, status=0):
    place.mkdir(exist_ok=True)
    (place / ENDED).write_text(f'{{"status": {status}, "told": {{}}, "seconds": 3.5}}')


def watch(*jobs):
    watched = [slurm._Watched(f"7_{job.number}", job, Path(place)) for job, place in jobs]
    return slurm._watch(watched, SweepProgress(len(watched)))


def test_outcomes_come_as_jobs_end_and_a_job_that_vanished_counts_as_killed(tmp_path, squeue):
    jobs = [(SweepJob(n, [], f"job {n}", None), tmp_path / str(n)) for n in range(3)]
    squeue.write_text("7_0 RUNNING\n7_1 PENDING\n7_2 RUNNING\n")
    ends = watch(*jobs)
    ended(tmp_path / "2")
    number, outcome = next(ends)
    assert (number, outcome.state, outcome.seconds) == (2, "done", 3.5)
    ended(tmp_path / "0", status=-9)
    number, outcome = next(ends)
    assert (number, outcome.state) == (0, "killed by SIGKILL")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "log.txt").write_text("first\n2 of 7\n")
    squeue.write_text("")
    number, outcome = next(ends)
    assert (number, outcome.state, outcome.status) == (1, "killed", 1)
    assert "job 7_1" in outcome.reason
    assert outcome.reason.endswith("its last line: 2 of 7")
    assert list(ends) == []


def test_a_queue_that_does_not_answer_loses_no_job(tmp_path, squeue):
    ends = watch((SweepJob(0, [], "a job", None), tmp_path / "0"))
    began = time.monotonic()

    def later():
        time.sleep(1.0)  # squeue fails meanwhile: its file is not there
        ended(tmp_path / "0")

    threading.Thread(target=later).start()
    _, outcome = next(ends)
    assert outcome.state == "done" and time.monotonic() - began >= 1


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'squeue: unrecognized option --me' >&2\nexit 1", "unrecognized option --me"),
        ("exit 3", "exit status 3"),
        ("sleep 600 &\nwait", "no answer within 0.1 s"),
    ],
    ids=["too old", "fails", "hangs"],
)
def test_a_queue_that_never_answers_is_noted_once(
    tmp_path, squeue, monkeypatch, capsys, script, reason
):
    monkeypatch.setattr(slurm, "_ANSWER", 0.1)
    (tmp_path / "bin" / "squeue").write_text(f"#!/bin/sh\n{script}\n")
    ends = watch((SweepJob(0, [], "a job", None), tmp_path / "0"))
    asked = []

    def pause(seconds):
        asked.append(seconds)
        if len(asked) == 3:
            ended(tmp_path / "0")

    monkeypatch.setattr(slurm.time, "sleep", pause)
    _, outcome = next(ends)
    assert outcome.state == "done" and len(asked) >= 3
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "squeue" in line]
    assert reason in line


def test_ctrl_c_ends_the_watching_and_says_how_to_end_the_jobs(tmp_path, squeue, capsys):
    squeue.write_text("7_0 RUNNING\n")
    ends = watch((SweepJob(0, [], "a job", None), tmp_path / "0"))

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slurm.time, "sleep", interrupt)
        ((_, outcome),) = ends
    assert (outcome.status, outcome.state) == (130, "with Slurm")
    assert "'scancel 7_0' ends them" in capsys.readouterr().err


def test_without_slurm_a_sweep_by_slurm_is_one_clear_error(tmp_path):
    pytest.importorskip("submitit", reason="needs submitit")
    environment = faulty(tmp_path) | {"PATH": "/nonexistent"}
    finished = call(sweep(tmp_path, *SMALL)[3:], tmp_path, environment=environment)
    assert finished.returncode == 1, finished.stderr
    assert "Could not detect" in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("hydra.launcher.timeout_min=soon", "timeout_min|soon"),
        ("+hydra.launcher.wishes=3", "wishes"),
    ],
)
def test_a_wrong_setting_of_slurm_is_a_usage_error(tmp_path, override, message):
    pytest.importorskip("submitit", reason="needs submitit")
    words = sweep(tmp_path, *SMALL, override)[3:]
    finished = call(words, tmp_path, environment=faulty(tmp_path))
    assert finished.returncode == 2 and "Traceback" not in finished.stderr, finished.stderr
    assert re.search(message, finished.stderr), finished.stderr
