"""One process at a time works on a run, and a dead one is succeeded."""

import errno
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.runs import wait_for

from benchmark.errors import RunHeldError, StoreError, UsageError
from benchmark.store import lease as lease_module
from benchmark.store import machine
from benchmark.store.files import is_abandoned, temporary_name
from benchmark.store.lease import HEARTBEAT, Lease, describe_holder, is_held

pytestmark = pytest.mark.alone

TIMEOUT = 300.0
OLD = HEARTBEAT * 100  # longer than TIMEOUT


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "lease"


def held_by(folder, generation=1, **changes):
    """A lease file as another process left it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{generation:08d}.json"
    path.write_text(json.dumps(lease_module._this_process() | changes))
    return path


def silent_for(path, seconds):
    """Set back the last sign of life, by the file system's clock."""
    now = path.stat().st_mtime
    os.utime(path, (now - seconds, now - seconds))


def acquired(folder, timeout=TIMEOUT):
    lease = Lease(folder, timeout)
    lease.acquire(wait=False)
    return lease


@pytest.fixture
def other_process():
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def start_of(pid):
    return lease_module.process_start(pid)


def test_the_second_is_told_who_holds_the_run_at_once(folder, monkeypatch):
    lease = acquired(folder)
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits"))
    with pytest.raises(RunHeldError) as caught:
        acquired(folder)
    told = str(caught.value)
    assert f"process {os.getpid()} on host {socket.gethostname()}" in told
    assert str(folder.parent) in told and "lease.wait=true" in told
    lease.release()
    assert describe_holder(folder) is None and not is_held(folder, TIMEOUT)


def test_the_second_waits_if_asked_and_is_told_once_for_whom(folder):
    first, told = acquired(folder), []
    threading.Timer(0.7, first.release).start()
    second = Lease(folder, TIMEOUT)
    second.acquire(wait=True, on_wait=told.append)
    assert len(told) == 1 and str(os.getpid()) in told[0]
    assert not second.lost and first.lost
    second.release()


def test_a_lease_can_be_released_and_taken_again_by_the_same_object(folder):
    lease = Lease(folder, TIMEOUT)
    for _ in range(3):
        lease.acquire(wait=False)
        assert not lease.lost and is_held(folder, TIMEOUT)
        lease.release()
    assert [p.name for p in folder.iterdir()] == ["00000003.json"]


def test_releasing_what_is_not_held_does_nothing(folder):
    Lease(folder, TIMEOUT).release()
    assert not folder.exists()


def test_a_living_process_of_this_host_holds_however_long_it_is_silent(folder, other_process):
    path = held_by(folder, pid=other_process.pid, start=start_of(other_process.pid))
    silent_for(path, OLD)
    with pytest.raises(RunHeldError, match=f"process {other_process.pid} "):
        acquired(folder)


def test_a_dead_process_of_this_host_is_succeeded_at_once(folder, other_process):
    held_by(folder, pid=other_process.pid, start=start_of(other_process.pid))
    other_process.kill()
    os.waitid(os.P_PID, other_process.pid, os.WEXITED | os.WNOWAIT)  # a zombie, not yet reaped
    acquired(folder).release()


def test_a_number_that_another_process_got_since_is_no_holder(folder):
    held_by(folder, start="1")  # this very process's number, which is alive
    acquired(folder).release()


def test_a_lease_of_version_0_1_is_read_as_before(folder, other_process):
    def old(**changes):
        path = held_by(folder, **changes)
        content = json.loads(path.read_text())
        del content["machine"]
        path.write_text(json.dumps(content))
        silent_for(path, OLD)

    old(pid=other_process.pid, start=start_of(other_process.pid))
    with pytest.raises(RunHeldError, match=f"process {other_process.pid} "):
        acquired(folder)
    old(pid=2**22 + 1)
    acquired(folder).release()


@pytest.mark.parametrize(
    "odd",
    [{"pid": "7"}, {"pid": -1}, {"start": 7}, {"since": "noon"}, {"since": 3}, {"host": None},
     {"boot": []}, {"machine": 3}],
)  # fmt: skip
def test_a_lease_with_values_of_wrong_types_is_as_damaged_as_an_empty_one(folder, odd):
    path = held_by(folder, **odd)
    assert describe_holder(folder) is None and is_held(folder, TIMEOUT)
    silent_for(path, HEARTBEAT)
    acquired(folder).release()


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [HEARTBEAT, OLD, 1e9])
def test_an_empty_lease_dated_ahead_of_the_clock_is_succeeded(folder, ahead):
    path = held_by(folder)
    path.write_text("")
    silent_for(path, -ahead)
    acquired(folder).release()


@pytest.mark.parametrize("where", [{"host": "elsewhere"}, {"machine": "1"}, {"boot": "another"}])
def test_a_holder_elsewhere_dated_ahead_of_the_clock_does_not_hold_until_then(folder, where):
    silent_for(held_by(folder, **where), -OLD)
    acquired(folder).release()


@pytest.mark.parametrize("content", ["", None])
@pytest.mark.parametrize("wait", [True, False])
def test_who_waits_names_the_file_after_a_while(folder, monkeypatch, capsys, content, wait):
    monkeypatch.setattr(lease_module, "PATIENCE", 0.2)
    path = held_by(folder, host="elsewhere")
    if content is not None:
        path.write_text(content)
    elif not wait:
        pytest.skip("refused at once")
    thread = threading.Timer(1.0, silent_for, [path, OLD])
    thread.start()
    lease = Lease(folder, TIMEOUT)
    lease.acquire(wait=wait)
    thread.join()
    lease.release()
    said = capsys.readouterr().err
    assert said.count("still waiting for ") == said.count(str(path)) == 1
    assert ("on host elsewhere" in said) == (content is None)


def test_who_gets_the_lease_soon_says_nothing(folder, capsys):
    first = acquired(folder)
    threading.Timer(0.3, first.release).start()
    second = Lease(folder, TIMEOUT)
    second.acquire(wait=True)
    second.release()
    assert capsys.readouterr().err == ""


def test_a_machine_is_known_by_the_digest_of_its_id(monkeypatch):
    found = machine.here()
    assert found.keys() == {"host", "pids", "boot", "machine"} and machine.here() == found
    machine_id = Path("/etc/machine-id")
    if machine_id.exists():
        assert machine_id.read_text().strip() not in found.values()
    before = machine.short_digest()
    monkeypatch.setattr(machine, "_machine_id", lambda: "another")
    assert machine.short_digest() != before


def test_temporaries_of_a_living_process_on_a_machine_of_the_same_name_stay(tmp_path, monkeypatch):
    """Its process id means nothing here."""
    with monkeypatch.context() as patch:
        patch.setattr(machine, "_machine_id", lambda: "another")
        name = temporary_name("a.tif").replace(f"-{os.getpid()}.", f"-{2**22 + 1}.")
    (tmp_path / name).touch()
    assert not is_abandoned(tmp_path / name)
    silent_for(tmp_path / name, 25 * 3600)
    assert is_abandoned(tmp_path / name)


@pytest.mark.parametrize("where", ["host", "pids", "boot", "machine"])
def test_a_holder_elsewhere_holds_while_its_heart_beats(folder, where):
    path = held_by(folder, pid=2**22 + 1, **{where: "elsewhere"})
    silent_for(path, TIMEOUT - 5)
    with pytest.raises(RunHeldError):
        acquired(folder)
    assert is_held(folder, TIMEOUT)
    silent_for(path, 10)
    assert not is_held(folder, TIMEOUT)
    lease = acquired(folder)
    assert not path.exists() and not lease.lost
    lease.release()


def test_silence_is_measured_by_the_file_systems_clock_not_ours(folder, monkeypatch):
    held_by(folder, host="elsewhere")
    monkeypatch.setattr(time, "time", lambda: 4e9)  # ours is a century ahead
    with pytest.raises(RunHeldError):
        acquired(folder)


def test_the_holder_gives_signs_of_life(folder, monkeypatch):
    monkeypatch.setattr(lease_module, "HEARTBEAT", 0.05)
    threads = set(threading.enumerate())
    lease = acquired(folder, timeout=1)
    path = folder / "00000001.json"
    silent_for(path, OLD)
    before = path.stat().st_mtime
    wait_for(lambda: path.stat().st_mtime > before + OLD / 2)
    (heart,) = set(threading.enumerate()) - threads
    lease.release()
    heart.join(60)
    assert not heart.is_alive()  # the heart of a released lease stands still


def test_a_lease_not_yet_written_is_waited_for_and_its_holder_named(folder):
    path = held_by(folder)
    content = path.read_text()
    path.write_text("")
    threading.Timer(0.3, path.write_text, [content]).start()
    with pytest.raises(RunHeldError, match=f"process {os.getpid()} "):
        acquired(folder)


@pytest.mark.parametrize("content", ["", "{", "{}", "[]"])
def test_a_lease_whose_holder_was_killed_before_writing_it_is_succeeded(folder, content):
    path = held_by(folder)
    path.write_text(content)
    assert is_held(folder, TIMEOUT)
    silent_for(path, HEARTBEAT)
    acquired(folder).release()


def test_a_holder_that_was_taken_for_dead_knows_that_it_lost(folder):
    lost = acquired(folder)
    held_by(folder, generation=2, host="elsewhere")
    assert lost.lost
    lost.release()
    assert "released" not in (folder / "00000002.json").read_text()
    assert describe_holder(folder).startswith("process") and "elsewhere" in describe_holder(folder)


def test_who_judged_from_an_old_list_withdraws(folder, monkeypatch):
    held_by(folder, generation=5)
    fresh, old = lease_module.current_file, [None]
    monkeypatch.setattr(lease_module, "current_file", lambda f: old.pop() if old else fresh(f))
    assert not Lease(folder, TIMEOUT)._try()
    assert [p.name for p in folder.iterdir()] == ["00000005.json"]


def test_temporaries_of_killed_holders_are_swept(folder):
    held_by(folder, released=True)
    for name in ("00000001.json", "now"):
        killed = temporary_name(name).replace(f"-{os.getpid()}.", f"-{2**22 + 1}.")
        (folder / killed).touch()
    acquired(folder).release()
    assert [p.name for p in folder.iterdir()] == ["00000002.json"]


def test_files_that_are_no_leases_are_neither_removed_nor_taken_for_one(folder):
    held_by(folder, released=True)
    for name in ("0-notes.json", "notes.json", "00000000-copy.json", "7.json"):
        (folder / name).write_text("mine")
    acquired(folder).release()
    acquired(folder).release()
    assert {p.name for p in folder.iterdir() if p.read_text() == "mine"} == {
        "0-notes.json", "notes.json", "00000000-copy.json", "7.json",
    }  # fmt: skip
    assert (folder / "00000003.json").exists()


def test_a_full_disk_leaves_no_half_lease_that_others_would_wait_for(folder, monkeypatch):
    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(json, "dump", no_space)
        with pytest.raises(StoreError, match="No space left"):
            acquired(folder)
    assert list(folder.iterdir()) == []


def test_a_release_that_cant_be_written_hides_no_other_error(folder, monkeypatch):
    lease = acquired(folder)

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    lease.release()
    assert is_held(folder, TIMEOUT)  # until this process ends


def test_a_timeout_below_the_time_between_two_signs_of_life_is_refused(folder):
    with pytest.raises(UsageError, match=r"lease.timeout is 5; .*10"):
        acquired(folder, timeout=5)


def _race(folder, started, rounds, result):
    """Take the lease again and again; in the room behind it there is one bed."""
    started.wait()
    bed, clashes, turns = folder / "bed", 0, 0
    for _ in range(rounds):
        lease = Lease(folder / "lease", TIMEOUT)
        while True:
            try:
                lease.acquire(wait=False)
                break
            except RunHeldError:
                time.sleep(0.001)
        try:
            bed.touch(exist_ok=False)
        except FileExistsError:
            clashes += 1
        turns += 1
        time.sleep(0.001)
        bed.unlink(missing_ok=True)
        lease.release()
    result.put((turns, clashes))


def test_eight_processes_racing_for_one_lease_never_hold_it_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    started, result = context.Event(), context.Queue()
    racers = [context.Process(target=_race, args=(tmp_path, started, 12, result)) for _ in range(8)]
    for racer in racers:
        racer.start()
    started.set()
    found = [result.get(timeout=600) for _ in racers]
    for racer in racers:
        racer.join(timeout=600)
    assert found == [(12, 0)] * 8
    assert [p.name for p in (tmp_path / "lease").glob("*.json")] == ["00000096.json"]


def _die_holding(folder, started):
    started.wait()
    try:
        Lease(folder, TIMEOUT).acquire(wait=False)
    except RunHeldError:
        os._exit(1)
    os._exit(0)  # dies while it holds


def test_of_many_successors_of_a_dead_holder_one_wins_at_a_time(folder):
    context = multiprocessing.get_context("fork")
    for _ in range(5):
        started = context.Event()
        heirs = [context.Process(target=_die_holding, args=(folder, started)) for _ in range(6)]
        for heir in heirs:
            heir.start()
        before = max((int(p.stem) for p in folder.glob("*.json")), default=0)
        started.set()
        for heir in heirs:
            heir.join()
        winners = sum(heir.exitcode == 0 for heir in heirs)
        now = max(int(p.stem) for p in folder.glob("*.json"))
        assert winners == now - before >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_programs_name_with_brackets_does_not_confuse_its_start(tmp_path, other_process):
    odd = tmp_path / "a) (b c"
    odd.symlink_to("/bin/sleep")
    process = subprocess.Popen([str(odd), "600"])
    try:
        assert int(start_of(process.pid)) >= int(start_of(other_process.pid))
    finally:
        process.kill()
        process.wait()
    assert start_of(process.pid) is None
