"""A sweep survives what happens to it: its jobs, the one who started it, and the disk."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from helpers.runs import run, wait_for
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

from benchmark.store.store import RunStore

pytestmark = pytest.mark.alone


@pytest.fixture
def begin():
    """Starts sweeps; those that still run in the end are killed."""
    begun = []
    yield lambda *words: begun.append(_begin(*words)) or begun[-1]
    for process in begun:
        process.kill()
        process.wait()


def _begin(root, *words):
    return subprocess.Popen(
        sweep(root, *words), env=faulty(root), cwd=root, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def in_hand(root):
    """Sample and process of the last prediction begun."""
    lines = [line.split() for line in (root / "trace").read_text().splitlines()]
    return next(((s, int(pid)) for event, s, pid in reversed(lines) if event == "start"), ("", 0))


@pytest.mark.slow
def test_all_faults_in_one_local_sweep_and_in_the_end_everything_is_there_once(tmp_path, begin):
    # tiny_a: traced raises on one image. tiny_b: its job is killed. tiny_c: it takes for ever,
    # and meanwhile who submitted the sweep is killed, then what was started again is too.
    first = begin(tmp_path)
    wait_for(lambda: lingers(tmp_path))
    job = in_hand(tmp_path)[1]
    first.kill()
    first.communicate()
    wait_for(lambda: not Path("/proc", str(job)).exists())  # it does not go on unseen
    again = begin(tmp_path)
    output, _ = again.communicate(timeout=900)
    assert again.returncode == 1 and "Traceback" not in output, output
    found = states(output)
    assert found.pop(("traced", "tiny_a")) == "partial"  # as many failed as are allowed
    assert set(found.values()) == {"done"} and len(found) == 11
    assert "11 done, 1 partial" in output
    reason = f"traced data=tiny_a: partial: 1 of 3 samples failed, e.g. '{RAISES}': model 'traced'"
    assert reason in output
    assert_all_is_done_once(tmp_path)
    counts = starts(tmp_path)
    # Two kills: each costs the sample in hand, and at most two that were still to be stored.
    assert counts[KILLS] == counts[LINGERS] == 2
    assert set(counts.values()) == {1, 2} and list(counts.values()).count(2) <= 2 * 3
    # Said once more, nothing is left to do but to tell of the failure.
    third = subprocess.run(
        sweep(tmp_path), env=faulty(tmp_path), cwd=tmp_path, text=True, capture_output=True
    )
    assert third.returncode == 1 and states(third.stdout)["traced", "tiny_a"] == "partial"
    assert starts(tmp_path) == counts
    assert_all_is_done_once(tmp_path)


@pytest.mark.slow
def test_a_job_that_is_terminated_is_told_and_the_others_go_on(tmp_path, begin):
    words = ("model=traced,oracle", "data=tiny_c")
    process = begin(tmp_path, *words)
    wait_for(lambda: lingers(tmp_path))
    os.kill(in_hand(tmp_path)[1], signal.SIGTERM)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert re.search(r"model=traced +│ killed by SIGTERM", output), output
    assert re.search(r"model=oracle +│ done", output)
    again = subprocess.run(
        sweep(tmp_path, *words), env=faulty(tmp_path), cwd=tmp_path, text=True, capture_output=True
    )
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
def test_a_full_disk_during_a_sweep_is_told_of_every_job_and_nothing_is_lost(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"this user can't mount: {mounted.stderr.decode().strip()}")
    try:
        words = ("-m", "model=oracle,empty,traced", f"datasets={tmp_path / 'datasets'}")
        prepared = run(tmp_path, "limit=1", "model=otsu")  # and data, on the other disk
        assert prepared.returncode == 0
        (tmp_path / "other").mkdir()
        ballast = disk / "ballast"
        with pytest.raises(OSError, match="No space"):
            ballast.write_bytes(bytes(1 << 20))
        os.truncate(ballast, ballast.stat().st_size - 16 * 4096)
        full = run(tmp_path, *words, f"results={disk}")
        output = full.stdout + full.stderr
        assert full.returncode == 1 and "Traceback" not in output, output
        assert len(re.findall(r"model=(?:oracle|empty|traced) +│ failed", full.stdout)) >= 2, output
        assert "No space left on device" in output
        for store in RunStore.all(disk / "runs"):
            for record in store.records().values():
                assert store.holds(record)
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=32m", str(disk)], check=True)
        room = run(tmp_path, *words, f"results={disk}")
        assert room.returncode == 0, room.stdout + room.stderr
        for store in RunStore.all(disk / "runs"):
            assert len(store.completed()) == 4 and not list(store.path.rglob("*.tmp"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_run_that_somebody_else_works_on_is_told_as_such(tmp_path):
    assert run(tmp_path, "limit=1").returncode == 0
    (store,) = RunStore.all(tmp_path / "results" / "runs")
    with store.writing(store.describe(), dict):
        finished = run(tmp_path, "-m", "model=traced", "limit=2")
    assert finished.returncode == 1
    assert re.search(r"model=traced .*│ running elsewhere", finished.stdout)
    assert f"process {os.getpid()} on host" in finished.stderr
