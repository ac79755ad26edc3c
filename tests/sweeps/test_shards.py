"""Many jobs write into one run at once: every sample is there, once, whoever was killed."""

import multiprocessing
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from helpers.runs import (
    SAMPLES,
    assert_sound,
    contents,
    do,
    drawn,
    journals,
    make_job,
    run,
    wait_for,
)

from benchmark.errors import RunHeldError
from benchmark.store.journal import Journal
from benchmark.store.shard_lease import holders
from benchmark.store.store import RunStore

pytestmark = pytest.mark.alone

SHARDS = 8
FORK = multiprocessing.get_context("fork")


def many(root, **changes):
    """A job on 16 drawn samples, two for each of eight shards."""
    return make_job(root, data=drawn(per_style=8) | {"name": "many"}, **changes)


def begin(root, trace, shard):
    """A process that works on a shard, and waits in its first prediction until it may go on."""

    def work():
        os.environ |= {"TRACE": str(trace), "ODD": "*=wait"}
        outcome = do(many(root, shard=f"{shard}/{SHARDS}"), attempt={"host": "a"})
        os._exit(0 if outcome.complete else 1)

    process = FORK.Process(target=work)
    process.start()
    return process


def starts(trace):
    return [line.split()[1:] for line in trace.read_text().splitlines() if line[:5] == "start"]


def test_eight_shards_at_once_two_of_them_killed_and_started_again(tmp_path):
    """Complete, no sample twice, no record lost; and what they made is what one job makes."""
    trace, alone = tmp_path / "trace", tmp_path / "alone"
    do(many(alone), attempt={"host": "a"})
    many(tmp_path).data  # noqa: B018  (prepared once, before anybody is killed)
    trace.touch()
    workers = {shard: begin(tmp_path, trace, shard) for shard in range(1, SHARDS + 1)}
    pids = {worker.pid for worker in workers.values()}
    wait_for(lambda: {int(pid) for _, pid in starts(trace)} == pids)  # all are at it, at once
    store = many(tmp_path).store
    alive = holders(store.path / "lease", 300)
    assert len(alive) == SHARDS, alive
    killed = {shard: workers.pop(shard) for shard in (3, 6)}
    for worker in killed.values():
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    in_hand = {pid: sample for sample, pid in starts(trace)}
    Path(f"{trace}.go").touch()
    again = [begin(tmp_path, trace, shard) for shard in killed]
    for worker in (*workers.values(), *again):
        worker.join(600)
        assert worker.exitcode == 0
    samples = sorted(entry.id for entry in many(tmp_path).data.entries)
    assert len(samples) == 16
    rows = journals(tmp_path / "results", "records")
    assert sorted(row["sample"] for row in rows) == samples  # each exactly once
    assert {row["attempt"] for row in rows} == {1}
    assert_sound(tmp_path, store)
    finished = many(tmp_path)
    assert contents(finished.store, finished.score_key) == contents(
        many(alone).store, many(alone).score_key
    )
    # Predicted again was only what a killed process had in hand.
    times = Counter(sample for sample, _ in starts(trace))
    repeated = {sample for sample, many_times in times.items() if many_times > 1}
    assert repeated == {in_hand[str(worker.pid)] for worker in killed.values()}
    assert not finished.store.is_mixed() and holders(store.path / "lease", 300) == []


def test_the_runs_identity_knows_nothing_of_shards(root):
    whole = make_job(root)
    part = make_job(root, shard="1/2")
    assert whole.identity == part.identity and whole.store.path == part.store.path
    assert do(part).requested == 2
    outcome = do(make_job(root, shard="1/3"))  # another cut of the same run
    assert outcome.complete and outcome.requested == 2
    assert do(whole).complete
    rows = journals(root / "results", "records")
    assert sorted(row["sample"] for row in rows) == SAMPLES


def test_a_limit_is_split_as_well(root):
    assert do(make_job(root, limit=3, shard="1/2")).requested == 2
    assert do(make_job(root, limit=3, shard="2/2")).requested == 1
    assert set(make_job(root).store.records()) == set(SAMPLES[:3])


def test_the_whole_run_and_other_divisions_are_refused_while_a_shard_works(root):
    job = make_job(root, shard="2/4")
    with job.store.writing(job.describe(), dict, shard=job.shard):
        for other in (None, "1/3", "1/2"):  # the last one shares no sample with 2/4
            with pytest.raises(RunHeldError, match=r"shard 2/4 of the run .* other shards of 4 "):
                do(make_job(root, shard=other))
        assert do(make_job(root, shard="1/4")).complete
    assert do(make_job(root)).complete


def test_a_line_that_another_shard_is_just_writing_is_left_alone(root):
    do(make_job(root, shard="1/2"))
    folder = make_job(root).store.path / "records"
    half = folder / "s2of4-20260101T000000-elsewhere-1.jsonl"
    half.write_text('{"sample": "half')
    do(make_job(root, shard="1/4"))
    assert half.read_text() == '{"sample": "half'
    assert do(make_job(root)).complete  # who alone may write repairs it
    assert half.read_text() == ""
    assert len(list(Journal(folder).rows())) == len(SAMPLES)


def test_lines_of_somebody_in_a_folder_of_records_are_not_cut(root):
    do(make_job(root))
    notes = make_job(root).store.path / "records" / "notes.jsonl"
    notes.write_text('{"sample": "x"}\n{"the last line": "has no end of line"}')
    before = notes.read_text()
    assert do(make_job(root)).complete
    assert notes.read_text() == before


def test_what_a_writer_on_another_host_is_just_writing_is_left_alone(root):
    do(make_job(root, shard="1/2"))
    predictions = make_job(root).store.path / "predictions"
    theirs = predictions / ".sample.tif.01234567-1.tmp"
    forgotten = predictions / ".older.tif.01234567-1.tmp"
    for path in (theirs, forgotten):
        path.touch()
    os.utime(forgotten, (time.time() - 48 * 3600,) * 2)
    do(make_job(root, shard="2/2"))
    assert theirs.exists() and not forgotten.exists()


@pytest.mark.slow
def test_a_sweep_splits_its_runs_and_the_last_shard_reports(tmp_path):
    finished = run(tmp_path, "-m", "seed=0", "shards=2")
    assert finished.returncode == 0, finished.stderr
    assert re.search(r"shard=1/2 .* done .*shard 1/2: 2 of 2 ", finished.stdout)
    assert re.search(r"shard=2/2 .* done .* complete .* 0\.\d{3} ", finished.stdout)
    (store,) = RunStore.all(tmp_path / "results" / "runs")
    assert (store.path / "report" / "table.csv").exists()
    assert sorted(row["sample"] for row in journals(tmp_path, "records")) == SAMPLES


@pytest.mark.slow
def test_a_killed_shard_is_told_and_the_same_sweep_does_what_it_left(tmp_path):
    trace = tmp_path / "trace"
    words = ("-m", "shards=2", "model=traced")
    first = run(tmp_path, *words, TRACE=str(trace), ODD=f"{SAMPLES[2]}=kill")
    assert first.returncode == 1
    assert re.search(r"shard=1/2 .* killed by SIGKILL", first.stdout)
    assert re.search(r"shard=2/2 .* done", first.stdout)
    again = run(tmp_path, *words, TRACE=str(trace))
    assert again.returncode == 0, again.stderr
    rows = journals(tmp_path, "records")
    assert sorted(row["sample"] for row in rows) == SAMPLES
    assert Counter(sample for sample, _ in starts(trace))[SAMPLES[2]] == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["shard=0/2"], "such as 3/8"),
        (["shards=2"], "add -m, or do one part with shard=1/2"),
        (["-m", "shards=0"], "shards is 0; it must be 1 or more"),
    ],
)
def test_a_shard_that_is_none_is_a_usage_error(tmp_path, words, told):
    finished = run(tmp_path, *words)
    assert finished.returncode == 2
    assert told in finished.stderr and "Traceback" not in finished.stderr
