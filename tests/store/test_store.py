"""A run on disk: killed or damaged at any moment, what it says stays true."""

import json
import os
import re
import shutil
import signal
import sys

import numpy as np
import pytest
from helpers.runs import SAMPLES, contents, do, journals, make_job, said, tree, undisturbed
from msgspec.structs import asdict, replace

from benchmark.actions import check, evaluate
from benchmark.errors import PARTIAL, StoreError
from benchmark.store.digest import array_digest
from benchmark.store.store import Record, RunStore
from benchmark.store.tiff import tiff_bytes

pytestmark = pytest.mark.alone

# --- killed exactly between two steps


def steps_of(root, die_at=None, **changes):
    """Do a run in a fork that kills itself before its step `die_at`.

    Returns how many steps there were, or None if it was killed.

    A step is whatever changes the disk below `root`: opening a file for writing, flushing it,
    renaming, removing, making a folder, cutting.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            _count_steps(root, die_at, write_end)
            do(make_job(root, **changes))
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        steps = len(pipe.read())
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, -signal.SIGKILL) and (status == 0) == (steps + 1 != die_at)
    return steps if status == 0 else None


def _count_steps(root, die_at, pipe):
    taken = 0

    def step():
        nonlocal taken
        taken += 1
        if taken == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(pipe, b".")

    def look(event, arguments):
        changes = ("os.rename", "os.remove", "os.mkdir", "os.truncate")
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        # The lease's probes depend on the time it takes; the lease has tests of its own.
        ours = arguments and str(root) in str(arguments[0]) and ".now." not in str(arguments[0])
        if ours and (writes or event in changes):
            step()

    fsync = os.fsync
    os.fsync = lambda descriptor: (step(), fsync(descriptor))
    sys.addaudithook(look)


@pytest.mark.slow
def test_a_run_killed_before_any_of_its_steps_is_finished_by_the_next(prepared, root, tmp_path):
    runs, limit = root / "results", 2
    do(make_job(prepared, limit=limit))
    steps = steps_of(root, limit=limit)
    wanted = said(root, limit=limit)
    assert steps > 40  # it did see them: 2 samples, some 16 steps each
    for n in range(1, steps + 1):
        shutil.rmtree(runs)
        assert steps_of(root, n, limit=limit) is None
        outcome = do(make_job(root, limit=limit))
        assert outcome.complete, f"killed before step {n}"
        assert said(root, limit=limit) == wanted, f"killed before step {n}"
        rows = [row["sample"] for row in journals(runs, "records")]
        assert sorted(rows) == SAMPLES[:limit], f"killed before step {n}: a sample done twice"


def test_a_run_killed_again_and_again_one_step_later_each_time_gets_through(prepared, root):
    wanted = undisturbed(prepared)
    kills = next(n for n in range(1, 200) if steps_of(root, n) is not None)
    assert kills > 20
    assert said(root) == wanted
    assert sorted(row["sample"] for row in journals(root / "results", "records")) == SAMPLES


@pytest.mark.slow
def test_a_prediction_killed_while_it_is_replaced_is_never_vouched_for_by_its_old_record(
    prepared, root, monkeypatch
):
    changes = {"limit": 1}
    do(make_job(root, **changes))
    first = tree(root / "results")
    monkeypatch.setenv("ODD", "*=other")  # the same model, other labels: as on a GPU
    steps = steps_of(root, overwrite="all", **changes)
    do(make_job(root, overwrite="all", **changes))
    replaced = said(root, **changes)
    seen = set()
    for n in range(1, steps + 1):
        shutil.rmtree(root / "results")
        for name, content in first.items():
            path = root / "results" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        assert steps_of(root, n, overwrite="all", **changes) is None
        store = make_job(root, **changes).store
        record = store.records()[SAMPLES[0]]
        seen.add(record.status)
        assert record.status == "error" or store.holds(record), f"killed before step {n}"
        do(make_job(root, overwrite="errors", **changes))
        do(make_job(root, overwrite="all", **changes))
        assert said(root, **changes) == replaced, f"killed before step {n}"
    assert seen == {"done", "error"}


# --- damage


def test_a_damaged_line_in_the_middle_is_passed_over_and_its_sample_done_again(
    prepared, root, capsys
):
    do(make_job(root))
    (path,) = (make_job(root).store.path / "records").iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1][:20] + b"\x00" * 20 + lines[1][40:]
    path.write_bytes(b"".join(lines))
    capsys.readouterr()
    assert do(make_job(root)).complete
    assert f"{path}, line 2, is damaged" in capsys.readouterr().err
    again = [p for p in path.parent.iterdir() if p != path] or [path]
    new = again[0].read_text().splitlines()[-1]
    assert json.loads(new)["sample"] == json.loads(lines[0])["sample"][:-1] + "1"
    job = make_job(root)
    assert contents(job.store, job.score_key) == undisturbed(prepared)


def test_torn_last_lines_of_all_journals_are_cut_off_and_told_anew(prepared, root):
    do(make_job(root))
    paths = list((root / "results").rglob("*.jsonl"))
    assert len(paths) == 4  # records, scores, objects, attempts
    for path in paths:
        os.truncate(path, path.stat().st_size - 3)
    assert do(make_job(root)).complete
    assert said(root) == undisturbed(prepared)


def test_the_score_of_a_prediction_that_was_replaced_counts_no_more(root, monkeypatch):
    do(make_job(root))
    job = make_job(root)
    labels = np.ones((64, 64), np.uint16)
    with job.store.writing(job.describe(), dict) as writer:  # killed before it was scored
        writer.append(Record(SAMPLES[0], "done", 2, array_digest(labels)), labels)
    assert set(job.store.scores(job.score_key)) == set(SAMPLES[1:])
    assert do(job).complete
    assert job.store.scores(job.score_key)[SAMPLES[0]]["n_predicted"] == 1


def same_as(before, now):
    """But for the time at which the basis was written."""

    def timeless(files):
        return {name: re.sub(rb'"written": "[^"]*"', b"", file) for name, file in files.items()}

    return timeless(before) == timeless(now)


@pytest.mark.parametrize("content", ["", '{"run_id": ', "[]", "{}", "\udcff", "[" * 10**5, None])
@pytest.mark.parametrize("place", ["run.json", "scores/*/basis.json"])
@pytest.mark.parametrize("action", [do, evaluate.perform], ids=["run", "evaluate"])
def test_a_damaged_or_lost_description_is_written_again_and_nothing_is_predicted_again(
    root, content, place, action, monkeypatch, tmp_path
):
    do(make_job(root))
    monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
    store = make_job(root).store
    (path,) = store.path.glob(place)
    before = tree(store.path / "records") | {path.name: path.read_bytes()}
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content.encode(errors="surrogateescape"))
    action(make_job(root))
    assert same_as(before, tree(store.path / "records") | {path.name: path.read_bytes()})
    assert not (tmp_path / "trace").exists(), "no sample is predicted"


@pytest.mark.parametrize("overwrite", ["missing", "all"])
def test_a_lost_run_json_is_no_reason_to_leave_a_run_out(root, overwrite):
    """Of an interrupted run and of one done again, too."""
    do(make_job(root, limit=2))
    path = make_job(root).store.path / "run.json"
    before = path.read_bytes()
    path.unlink()
    assert do(make_job(root, overwrite=overwrite)).complete
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [None, "{"])
def test_a_run_without_its_run_json_is_named_by_whoever_reads_all_runs(root, content, capsys):
    done, other = make_job(root), make_job(root, level=2.0)
    do(done)
    do(other)
    path = done.store.path / "run.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(StoreError, match=r"run\.json can't be read .*Repeat the command"):
        done.store.describe()
    assert [store.path for store, _ in RunStore.readable(done.runs)] == [other.store.path]
    assert str(path) in "".join(capsys.readouterr().err.split("\n"))
    assert check.perform(make_job(root)) == PARTIAL
    assert str(path) in "".join(capsys.readouterr().err.split("\n"))


def test_folders_that_are_no_runs_are_not_taken_for_one_that_lost_its_run_json(root):
    do(make_job(root))
    runs = make_job(root).runs
    (runs / "notes" / "records").mkdir(parents=True)
    (runs / "notes" / "records" / "a.jsonl").touch()
    (runs / f"begun-{'0' * 12}" / "records").mkdir(parents=True)
    assert len([*RunStore.readable(runs)]) == 1


@pytest.mark.parametrize("damage", ["cut", "other", "gone"])
def test_a_damaged_prediction_is_named_and_overwrite_errors_predicts_it_again(
    prepared, root, damage
):
    do(make_job(root))
    job = make_job(root)
    path = job.store.path / "predictions" / f"{SAMPLES[1]}.tif"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "other":
        path.write_bytes(tiff_bytes(np.ones((64, 64), np.uint16)))
    else:
        path.unlink()
    with pytest.raises(StoreError, match=rf"{SAMPLES[1]}\.tif .*overwrite=errors"):
        job.store.prediction(job.store.records()[SAMPLES[1]])
    clean = do(make_job(root, protocol="clean"))  # scores are missing: it has to be read
    assert not clean.complete and SAMPLES[1] in clean.failed
    assert "overwrite=errors" in clean.stopped
    assert do(make_job(root, overwrite="errors")).complete
    assert said(root) == undisturbed(prepared)
    attempts = {id_: record.attempt for id_, record in job.store.records().items()}
    assert attempts == {id_: 1 + (id_ == SAMPLES[1]) for id_ in SAMPLES}


def test_damaged_scores_basis_is_one_clear_message(root):
    do(make_job(root))
    (path,) = make_job(root).store.path.glob("scores/*/basis.json")
    path.write_text("{")
    with pytest.raises(StoreError, match=r"basis\.json can't be read"):
        make_job(root).store.score_bases()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 3), (3, 4)])
@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64])
def test_a_prediction_of_any_shape_and_type_is_read_as_it_was_stored(tmp_path, shape, dtype):
    labels = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    labels[-1, -1] = np.iinfo(dtype).max
    store = RunStore(tmp_path)
    with store.writing({"run_id": "0"}, dict) as writer:
        writer.append(Record("s", "done", 1, array_digest(labels)), labels)
    found = store.prediction(store.records()["s"])
    assert found.dtype == dtype and np.array_equal(found, labels)


def test_a_writer_that_lost_its_lease_stores_nothing_more(root):
    job = make_job(root)
    labels = np.zeros((2, 2), np.uint16)
    with job.store.writing(job.describe(), dict) as writer:
        lease = job.store.path / "lease" / "00000002.json"
        lease.write_text('{"host": "elsewhere"}')
        for write in (
            lambda: writer.append(Record("s", "done", 1, array_digest(labels)), labels),
            lambda: writer.append_scores("key", {}, [({"sample": "s", "prediction": ""}, "{}")]),
        ):
            with pytest.raises(StoreError, match="another process"):
                write()
    assert lease.read_text() == '{"host": "elsewhere"}'
    assert {p.name for p in job.store.path.rglob("*") if p.is_file()} == {
        "00000001.json", lease.name,
    }  # fmt: skip


# --- two folders of one run that were merged


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")], ids=["done first", "failed first"])
def test_of_equal_attempts_the_done_one_counts(names, tmp_path):
    store = RunStore(tmp_path)
    done = Record("cell", "done", 1, prediction="1" * 64)
    failed = Record("cell", "error", 1, error="out of memory")
    for writer, record in zip(names, (done, failed), strict=True):
        store._records.append(writer, asdict(record))
    assert store.records()["cell"].status == "done"
    store._records.append("c", asdict(replace(failed, attempt=2)))
    assert store.records()["cell"].status == "error"
