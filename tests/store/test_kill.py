"""SIGKILL at any moment costs the sample in hand and what waits to be stored; Ctrl-C the former.

The systematic version, a kill before every single step on the disk, is in test_store.py.
"""

import itertools
import json
import random
import signal
import socket
import subprocess
import time
from collections import Counter

import pytest
from helpers.kills import SECONDS, assert_nothing_twice, begin, events, may_go_on, the_run
from helpers.runs import (
    SAMPLES,
    assert_sound,
    contents,
    journals,
    run,
    run_process,
    wait_for,
)

pytestmark = pytest.mark.alone

KILLS = 20


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What an undisturbed run says."""
    root = tmp_path_factory.mktemp("undisturbed")
    assert run(root).returncode == 0
    return contents(*the_run(root))


@pytest.fixture(scope="module")
def seconds(tmp_path_factory):
    """How long a process takes that is not killed."""
    start = time.monotonic()
    finished = run_process(tmp_path_factory.mktemp("seconds"), SECONDS=SECONDS)
    assert finished.returncode == 0, finished.stderr
    return time.monotonic() - start


def phase(root, trace, pid):
    """How far the run had come when its process was killed."""
    if len(journals(root, "scores")) == len(SAMPLES):
        return "reporting"
    began = any(int(event[2]) == pid for event in events(trace))
    return "predicting" if began else "starting"


@pytest.mark.slow
def test_twenty_kills_at_random_moments_lose_and_repeat_nothing(tmp_path, undisturbed, seconds):
    chance, seen = random.Random(0), Counter()
    for folder in itertools.count():
        root = tmp_path / str(folder)
        root.mkdir()
        trace, killed, phases = root / "trace", set(), []
        trace.touch()
        while True:
            process = begin(root, trace)
            try:
                # Once killed while it reported, a run has no earlier phase left to be killed in.
                over = "reporting" in phases or seen.total() == KILLS
                told, _ = process.communicate(timeout=600 if over else chance.uniform(0, seconds))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                killed.add(process.pid)
                phases.append(phase(root, trace, process.pid))
                seen[phases[-1]] += 1
                continue
            assert process.returncode == 0, told
            break
        store, key = the_run(root)
        assert_sound(root, store)
        assert contents(store, key) == undisturbed
        assert sorted(row["sample"] for row in journals(root, "records")) == SAMPLES
        assert_nothing_twice(trace, killed)
        if seen.total() == KILLS:
            break
    assert len(seen) == 3, seen


@pytest.mark.slow
def test_a_kill_between_prediction_and_record_loses_that_sample_alone(tmp_path, undisturbed):
    trace = tmp_path / "trace"
    trace.touch()
    process = begin(tmp_path, trace, waits_on=SAMPLES[2])
    # The third prediction has begun, and the second is stored.
    wait_for(lambda: len(events(trace)) == 4 and len(journals(tmp_path, "scores")) == 2)
    process.kill()
    process.wait()
    finished = run_process(tmp_path, TRACE=str(trace))
    assert finished.returncode == 0, finished.stderr
    store, key = the_run(tmp_path)
    assert_sound(tmp_path, store)
    assert contents(store, key) == undisturbed
    again = [sample for event, sample, _ in events(trace) if event == "start"]
    assert again == [*SAMPLES[:3], *SAMPLES[2:]]


@pytest.mark.slow
def test_ctrl_c_ends_with_status_130_and_the_same_command_goes_on(tmp_path, undisturbed):
    trace = tmp_path / "trace"
    trace.touch()
    process = begin(tmp_path, trace, waits_on=SAMPLES[1])
    wait_for(lambda: len(events(trace)) == 3)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "interrupted; " in told and "Traceback" not in told
    store, _ = the_run(tmp_path)
    assert_sound(tmp_path, store)
    assert set(store.records()) == set(SAMPLES[:1])
    assert run(tmp_path, TRACE=str(trace)).returncode == 0
    assert contents(*the_run(tmp_path)) == undisturbed
    assert_nothing_twice(trace, {process.pid})


@pytest.mark.slow
def test_a_second_process_is_refused_at_once_or_waits_and_finds_all_done(tmp_path, undisturbed):
    trace = tmp_path / "trace"
    trace.touch()
    first = begin(tmp_path, trace, waits_on=SAMPLES[1])
    wait_for(lambda: len(events(trace)) == 3)
    waiting = begin(tmp_path, trace, "lease.wait=true")
    refused = run_process(tmp_path, TRACE=str(trace))
    assert first.poll() is None  # refused while the first still worked
    assert refused.returncode == 1
    assert f"process {first.pid} on host {socket.gethostname()}" in refused.stderr
    assert "lease.wait=true" in refused.stderr and "Traceback" not in refused.stderr
    may_go_on(trace)
    told = waiting.communicate(timeout=600)[0]
    assert waiting.returncode == 0 and f"waiting for process {first.pid}" in told
    assert first.wait(timeout=600) == 0
    # One process alone loaded the model, and predicted each sample once.
    assert [sample for _, sample, _ in events(trace)] == ["-", *SAMPLES]
    assert contents(*the_run(tmp_path)) == undisturbed


@pytest.mark.slow
def test_a_run_that_lost_its_lease_stops_with_a_message_and_stores_nothing_more(tmp_path):
    trace = tmp_path / "trace"
    trace.touch()
    process = begin(tmp_path, trace, waits_on=SAMPLES[1])
    wait_for(lambda: len(events(trace)) == 3 and len(journals(tmp_path, "scores")) == 1)
    (lease,) = tmp_path.glob("results/runs/*/lease/*.json")
    taken = json.loads(lease.read_text()) | {"host": "elsewhere"}
    (lease.parent / "00000099.json").write_text(json.dumps(taken))
    may_go_on(trace)
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 1
    assert "another process" in told and "Traceback" not in told
    assert [row["sample"] for row in journals(tmp_path, "records")] == SAMPLES[:1]
    assert max(path.name for path in lease.parent.iterdir()) == "00000099.json"
