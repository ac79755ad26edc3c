"""Stored predictions scored again, by one process and by two."""

import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.runs import PROTOCOLS, do, make_job

from benchmark import rescore, run, workers
from benchmark.actions import evaluate
from benchmark.errors import DONE, PARTIAL, StoreError
from benchmark.rescore import differences_from_elf
from benchmark.scoring.protocol import Protocol

pytestmark = pytest.mark.alone


def scores(job):
    return job.store.scores(job.score_key), job.store.objects(job.score_key)


def score_again(root, workers, **changes):
    job = make_job(root, **changes)
    job.settings.workers = workers
    status = evaluate.perform(job)
    rows, objects = scores(job)
    return status, {s: {k: v for k, v in r.items() if k != "attempt"} for s, r in rows.items()}, {
        sample: row.get("attempt", 0) for sample, row in rows.items()
    }, objects  # fmt: skip


@pytest.fixture
def done(root, monkeypatch):
    monkeypatch.setattr(workers, "WORTH_WORKERS", 2)
    do(make_job(root))
    return root


@pytest.fixture
def pids(monkeypatch):
    """The pools that were started."""
    started = []
    real = workers.Workers

    def counted(count, module):
        started.append(count)
        return real(count, module)

    monkeypatch.setattr(workers, "Workers", counted)
    return started


@pytest.mark.parametrize("protocol", ["paper", pytest.param("clean", marks=pytest.mark.slow)])
def test_two_workers_score_as_one_does(done, pids, protocol):
    one = score_again(done, 1, protocol=protocol)
    assert pids == []
    two = score_again(done, 2, protocol=protocol)
    assert pids == [2]
    assert one[0] == two[0] == DONE
    assert one[1] == two[1] and one[3] == two[3] and len(one[1]) == 4
    assert all(b == a + 1 for a, b in zip(one[2].values(), two[2].values(), strict=True))


def test_batches_are_stored_whole_and_in_any_size(done, monkeypatch):
    whole = score_again(done, 1)
    monkeypatch.setattr(run, "BATCH", 3)
    assert score_again(done, 2)[1::2] == whole[1::2]


def test_a_few_samples_are_not_worth_a_process(root, pids):
    do(make_job(root))
    assert score_again(root, 2)[0] == DONE and pids == []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_truth_or_prediction_is_a_failure_of_its_sample(done, workers, capsys):
    job = make_job(done)
    path = job.data.folder / "labels" / f"{job.data.entries[2].id}.tif"
    content = path.read_bytes()
    path.unlink()
    others = {entry.id for entry in job.data.entries} - {path.stem}
    for protocol, allowed in (("paper", 0), ("clean", 1)):
        status, rows, *_ = score_again(done, workers, protocol=protocol, max_failures=allowed)
        assert status == PARTIAL
        assert f"sample '{path.stem}' failed: " in capsys.readouterr().err
    assert rows.keys() == others, "a new protocol scores the others"
    path.write_bytes(content)
    (job.store.path / "predictions" / path.name).unlink()
    assert score_again(done, workers)[0] == PARTIAL
    assert "overwrite=errors" in capsys.readouterr().err
    assert len(scores(job)[0]) == 4, "scores of before stay"


def kill(_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_worker_is_one_clear_error_and_scores_stay_whole(done):
    predictions = rescore.stored_predictions(
        make_job(done).data, make_job(done).store, make_job(done).requested
    )
    with pytest.raises(StoreError, match="was killed"):
        list(workers.side_by_side(kill, predictions, rescore.__name__, 2))
    assert score_again(done, 2)[0] == DONE


def test_samples_without_a_prediction_leave_the_status_at_partial(root, capsys):
    do(make_job(root, limit=2))
    assert score_again(root, 1)[0] == PARTIAL
    assert "2 of 4 requested samples have no stored prediction" in capsys.readouterr().err


def test_elf_agrees_by_two_workers_and_a_difference_is_told(done, monkeypatch, capsys):
    pytest.importorskip("elf", reason="python-elf is not installed")
    job = make_job(done)
    job.settings.reference, job.settings.workers = "elf", 2
    assert evaluate.perform(job) == DONE
    assert "4 samples scored with elf" in capsys.readouterr().out
    job.settings.workers = 1
    monkeypatch.setattr("benchmark.scoring.elf.elf_numbers", lambda *_: (0.5, ()))
    assert evaluate.perform(job) == PARTIAL
    told = capsys.readouterr()
    assert "DIFFER in 4" in told.out and "elf's 0.5" in told.err


def test_an_image_without_objects_that_is_left_out_of_means_still_equals_elf():
    pytest.importorskip("elf", reason="python-elf is not installed")
    nothing = np.zeros((8, 8), np.uint32)
    one = SimpleNamespace(read=lambda: (nothing, nothing), entry=None, record=None)
    assert list(differences_from_elf([one], Protocol(**PROTOCOLS["clean"]), 1)) == [None]
