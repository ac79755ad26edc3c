"""Shards of a run are worked on side by side; two that share samples never at once."""

import errno
import fcntl
import json
import multiprocessing
import os
import random
import threading
import time

import pytest

from benchmark.errors import RunHeldError
from benchmark.store import lease as lease_module
from benchmark.store import shard_lease as claim_module
from benchmark.store.lease import HEARTBEAT
from benchmark.store.shard import WHOLE, Shard
from benchmark.store.shard_lease import ShardLease, holders

TIMEOUT = 300.0


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run" / "lease"


def claimed(folder, shard):
    claim = ShardLease(folder, shard, TIMEOUT)
    claim.acquire(wait=False)
    return claim


def left_behind(folder, shard, silent, **changes):
    """The lease file of another process."""
    place = claim_module._place(folder, shard)
    place.mkdir(parents=True, exist_ok=True)
    path = place / "00000001.json"
    path.write_text(json.dumps(lease_module._this_process() | changes))
    now = path.stat().st_mtime
    os.utime(path, (now - silent, now - silent))
    return path


def test_different_shards_of_one_division_are_held_at_once_and_told_apart(folder):
    shards = [Shard(1, 8), Shard(2, 8), Shard(4, 8), Shard(8, 8)]
    claims = [claimed(folder, shard) for shard in shards]
    assert not any(claim.lost for claim in claims)
    found = holders(folder, TIMEOUT)
    assert sorted(str(holder.shard) for holder in found) == ["1/8", "2/8", "4/8", "8/8"]
    assert all(str(os.getpid()) in holder.who and 0 <= holder.seconds < 600 for holder in found)
    for claim in claims:
        claim.release()
    assert holders(folder, TIMEOUT) == []
    claimed(folder, WHOLE).release()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (WHOLE, Shard(3, 8)),
        (Shard(3, 8), WHOLE),
        (Shard(1, 2), Shard(1, 3)),
        (Shard(1, 2), Shard(2, 4)),  # without a common sample
        (Shard(2, 3),) * 2,
    ],
)
def test_a_shard_of_another_division_than_a_living_holder_s_is_refused_with_its_name(
    folder, first, second
):
    held = claimed(folder, first)
    with pytest.raises(RunHeldError, match=rf"process {os.getpid()} on host .*lease\.wait=true"):
        claimed(folder, second)
    assert not held.lost
    held.release()
    claimed(folder, second).release()


def test_who_waits_for_a_shard_irritates_nobody_and_gets_the_run_in_the_end(folder):
    held = claimed(folder, Shard(1, 8))
    context = multiprocessing.get_context("fork")
    waits, got = context.Event(), context.Event()

    def wait():
        ShardLease(folder, WHOLE, TIMEOUT).acquire(wait=True, on_wait=lambda who: waits.set())
        got.set()

    waiting = context.Process(target=wait)
    waiting.start()
    assert waits.wait(600)
    for _ in range(5):  # other shards come and go meanwhile
        claimed(folder, Shard(2, 8)).release()
    assert not got.is_set()
    assert not list(folder.glob("*.json"))  # no lease was taken and given back for nothing
    held.release()
    assert got.wait(600)
    waiting.join(600)


def test_who_waits_for_another_shard_names_its_file_after_a_while(folder, monkeypatch, capsys):
    monkeypatch.setattr(lease_module, "PATIENCE", 0.2)
    held = claimed(folder, Shard(1, 3))
    (file,) = claim_module._place(folder, Shard(1, 3)).glob("*.json")
    timer = threading.Timer(1.2, held.release)
    timer.start()
    ShardLease(folder, Shard(1, 2), TIMEOUT).acquire(wait=True)
    timer.join()
    assert capsys.readouterr().err.count(f"still waiting for process {os.getpid()} ") == 1
    assert file.exists()


def test_a_shard_that_a_dead_process_left_is_taken_from_it(folder):
    left_behind(folder, Shard(1, 2), 0, start="1")  # our number, another process
    claimed(folder, Shard(3, 4)).release()
    assert holders(folder, TIMEOUT) == []


def test_a_silent_holder_on_another_host_that_wakes_up_finds_its_shard_lost(folder, monkeypatch):
    sleeper = claimed(folder, Shard(1, 2))
    (path,) = claim_module._place(folder, Shard(1, 2)).glob("*.json")
    path.write_text(json.dumps(lease_module._this_process() | {"host": "elsewhere"}))
    with pytest.raises(RunHeldError, match="elsewhere"):
        claimed(folder, WHOLE)
    now = path.stat().st_mtime
    os.utime(path, (now - TIMEOUT - 1, now - TIMEOUT - 1))
    monkeypatch.setattr(time, "time", lambda: 4e9)  # whatever our clock says
    whole = claimed(folder, WHOLE)
    assert sleeper.lost and not whole.lost
    whole.release()


def test_a_holder_whose_clock_is_ahead_holds_and_its_age_is_never_negative(folder):
    left_behind(folder, WHOLE, HEARTBEAT, host="elsewhere", since="2999-01-01 00:00:00 +0000")
    (holder,) = holders(folder, TIMEOUT)
    assert holder.host == "elsewhere" and holder.seconds == 0


def test_two_that_came_at_once_and_saw_each_other_do_not_both_give_up_for_ever(folder, monkeypatch):
    """The other withdraws as well: after a moment one of them gets through."""
    path = left_behind(folder, Shard(1, 2), 0, host="elsewhere")
    looks = iter(range(100))
    seen = claim_module.is_held

    def is_held(place, timeout):
        if next(looks) == 2:  # it has withdrawn
            path.write_text(json.dumps({"pid": 1, "released": True}))
        return seen(place, timeout)

    claim = ShardLease(folder, WHOLE, TIMEOUT)
    rival, first = claim._rival, iter([True])
    # Nobody is seen before taking the lease, somebody right after it.
    monkeypatch.setattr(claim, "_rival", lambda: None if next(first, None) else rival())
    monkeypatch.setattr(claim_module, "is_held", is_held)
    with pytest.raises(RunHeldError):  # it is still there at the next look
        claim.acquire(wait=False)
    claim.acquire(wait=False)
    claim.release()


def test_without_any_working_file_lock_claims_are_as_good(folder, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    for name in ("flock", "lockf", "fcntl"):
        monkeypatch.setattr(fcntl, name, no_locks)
    held = claimed(folder, Shard(1, 2))
    with pytest.raises(RunHeldError):
        claimed(folder, WHOLE)
    held.release()


TURNS = 6  # of each process


def _race(folder, number, started, result):
    chance = random.Random(number)
    clashes, turns = 0, 0
    started.wait()
    while turns < TURNS:
        shard = chance.choice([WHOLE, Shard(1, 2), Shard(2, 2), Shard(1, 4), Shard(3, 4)])
        claim = ShardLease(folder / "lease", shard, TIMEOUT)
        try:
            claim.acquire(wait=False)
        except RunHeldError:
            continue
        mine = [folder / f"sample{index}" for index in shard.take(range(4))]
        for path in mine:
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                clashes += 1
        time.sleep(0.002)
        for path in mine:
            path.unlink(missing_ok=True)
        turns += not claim.lost
        claim.release()
    result.put((turns, clashes))


def test_processes_racing_for_overlapping_shards_never_hold_one_sample_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    started, result = context.Event(), context.Queue()
    racers = [
        context.Process(target=_race, args=(tmp_path, number, started, result))
        for number in range(6)
    ]
    for racer in racers:
        racer.start()
    started.set()
    found = [result.get(timeout=600) for _ in racers]
    for racer in racers:
        racer.join(timeout=600)
    assert [turns for turns, _ in found] == [TURNS] * 6
    assert sum(clashes for _, clashes in found) == 0, found


def test_folders_that_are_no_shards_are_left_alone(folder):
    for name in ("notes-of-today", "1-of-many", "1-of-2-of-3"):
        (folder / name).mkdir(parents=True)
        (folder / name / "0-draft.json").write_text("mine")
    claimed(folder, Shard(1, 2)).release()
    claimed(folder, WHOLE).release()
    assert len(list(folder.glob("*/0-draft.json"))) == 3 and holders(folder, TIMEOUT) == []
