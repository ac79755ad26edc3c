"""The loop: what a sample's failure means, and what the seed of a run is for.

`overwrite` and `errors.max_failures` as they are meant (see benchmark/run.py): a run asked for
again does what was never tried. Samples that failed before count as failures until they are
done again with overwrite=errors, or more failures are allowed.
"""

import json
import re
import sys
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import tifffile
from helpers.runs import SAMPLES, contents, do, make_job, run
from helpers.traced import root as root
from helpers.traced import started

from benchmark.console import UNPRINTABLE
from benchmark.errors import BenchmarkError, UsageError
from benchmark.report.results import load_result
from benchmark.store.plain import MAX_TEXT

BAD = SAMPLES[1]
REASONS = {
    "raise": "model 'traced' raised RuntimeError: no luck with",
    "float": "float64: not integers",
    "shape": r"shape \(63, 64\)",
    "negative": r"negative ids \(smallest -1\)",
    "none": "predict returned NoneType",
    "3d": r"shape \(1, 64, 64\)",
    "stages": "raised ValueError: its stages are",
    "exit": "raised SystemExit: 0",
    "memory": "raised .*MemoryError: ",
}


# --- samples that fail


@pytest.mark.parametrize("odd", REASONS)
def test_what_a_model_does_wrong_is_its_samples_error_with_the_reason(
    root, monkeypatch, odd, capsys
):
    monkeypatch.setenv("ODD", f"{BAD}={odd}")
    job = make_job(root, max_failures=1)
    outcome = do(job)
    assert (outcome.done, outcome.complete, outcome.stopped) == (3, False, None)
    records = job.store.records()
    assert {s for s, record in records.items() if record.status == "done"} == {*SAMPLES} - {BAD}
    failed = records[BAD]
    assert (failed.status, failed.prediction, failed.error) == ("error", None, outcome.failed[BAD])
    with pytest.raises(AssertionError, match=REASONS[odd]):
        raise AssertionError(failed.error)
    told = capsys.readouterr().err
    assert f"sample '{BAD}' failed: " in told and failed.error.splitlines()[0] in told
    assert "model 'traced'" in failed.error
    assert not (job.store.path / "predictions" / f"{BAD}.tif").exists()


def test_details_of_any_type_are_stored_as_plain_values(root, monkeypatch):
    monkeypatch.setenv("ODD", f"{BAD}=details")
    job = make_job(root)
    assert do(job).complete
    found = job.store.records()[BAD].details
    assert found.pop("circle") and "digits" in found.pop("huge") and len(found.pop("many")) < 200
    assert found == {
        "rate": 0.5, "count": 3, "nan": "nan", "sizes": [0, 1, 2], "flag": True,
        "7": {"path": "a", "odd": "(a UnspeakableError whose text can't be shown)"},
        "text": r"\ud800\u202e",
    }  # fmt: skip
    json.dumps(msgspec.structs.asdict(job.store.records()[BAD]), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("odd", "said"),
    [("unspeakable", "UnspeakableError: (a UnspeakableError whose"), ("hostile", "half")],
)
def test_whatever_a_model_raises_is_stored_and_printed_as_plain_text(
    root, monkeypatch, capsys, odd, said
):
    monkeypatch.setenv("ODD", f"{BAD}={odd}")
    job = make_job(root, max_failures=1)
    assert do(job).done == 3
    failed = job.store.records()[BAD]
    assert said in failed.error and len(failed.error) < 2 * MAX_TEXT
    assert f"sample '{BAD}' failed: " in capsys.readouterr().err
    assert "segmenters.py" in failed.traceback and len(failed.traceback) < 2 * MAX_TEXT
    for text in (failed.error, failed.traceback):
        assert UNPRINTABLE.search(text) is None


def test_a_failure_is_stored_before_it_is_printed(root, monkeypatch):
    def broken_pipe(text):
        raise BrokenPipeError(text)

    monkeypatch.setenv("ODD", f"{BAD}=raise")
    monkeypatch.setattr("benchmark.run.note", broken_pipe)
    job = make_job(root)
    with pytest.raises(BrokenPipeError, match=BAD):
        do(job)
    assert job.store.records()[BAD].status == "error"


def test_a_failure_names_the_last_line_of_the_model_s_own_code(root, monkeypatch):
    monkeypatch.setenv("ODD", f"{BAD}=raise,{SAMPLES[2]}=none")
    job = make_job(root, max_failures=2)
    do(job)
    error = job.store.records()[BAD].error
    assert re.search(r"segmenters\.py, line \d+: raise RuntimeError\(f\"no luck", error)
    assert "segmenters.py" not in job.store.records()[SAMPLES[2]].error


def test_only_a_surprise_keeps_its_traceback_for_the_models_author(root, monkeypatch):
    monkeypatch.setenv("ODD", f"{BAD}=raise,{SAMPLES[2]}=none")
    job = make_job(root, max_failures=2)
    do(job)
    records = job.store.records()
    assert "segmenters.py" in records[BAD].traceback and records[SAMPLES[2]].traceback is None


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_file_that_goes_bad_after_preparation_is_its_samples_error(root, damage, kind):
    path = make_job(root).data.folder / kind / f"{BAD}.tif"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "changed":
        tifffile.imwrite(path, np.ones((64, 64), np.uint16))
    else:
        path.unlink()
    job = make_job(root, max_failures=1)
    outcome = do(job)
    assert outcome.done == 3 and set(outcome.failed) == {BAD}
    assert started(root) == [s for s in SAMPLES if s != BAD]
    error = job.store.records()[BAD].error
    assert str(path) in error and f"sample '{BAD}'" in error and "Remove" in error


def test_a_truth_that_goes_bad_keeps_the_others_from_no_score(root):
    do(make_job(root))
    (make_job(root).data.folder / "labels" / f"{SAMPLES[0]}.tif").unlink()
    outcome = do(make_job(root, protocol="clean", max_failures=1))
    assert outcome.done == 3 and "Remove" in outcome.failed[SAMPLES[0]]
    assert make_job(root).store.records()[SAMPLES[0]].status == "done"


@pytest.mark.parametrize(
    ("allowed", "tried"), [(0, 1), (1, 2), (2, 4), (0.25, 2), (0.49, 2), (0.5, 4), (0.99, 4)]
)
def test_more_failures_than_allowed_stop_the_run(root, monkeypatch, allowed, tried):
    monkeypatch.setenv("ODD", f"{SAMPLES[0]}=raise,{SAMPLES[1]}=raise")
    outcome = do(make_job(root, max_failures=allowed))
    assert started(root) == SAMPLES[:tried]
    assert (outcome.stopped is None) == (tried == 4)
    if outcome.stopped:
        assert f"errors.max_failures={len(outcome.failed)}" in outcome.stopped
        assert SAMPLES[0] in outcome.stopped and "no luck" in outcome.stopped


@pytest.mark.parametrize("allowed", [-1, 1.5])
def test_a_number_of_failures_that_is_none_is_refused(root, allowed):
    with pytest.raises(UsageError, match=r"errors\.max_failures is"):
        do(make_job(root, max_failures=allowed))


@pytest.mark.parametrize("slip", ["errors.max_failures", "protocol.threshold_grid"])
def test_a_slip_in_another_word_is_told_of_before_anything_is_prepared(tmp_path, slip):
    job = make_job(tmp_path)
    if slip.startswith("errors"):
        job.settings.errors.max_failures = float("nan")
    else:
        job.settings.protocol = {**job.settings.protocol, "threshold_grid": "odd"}
    with pytest.raises(UsageError, match=slip):
        job.data  # noqa: B018
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("overwrite", "redone"), [("missing", []), ("errors", [BAD]), ("all", SAMPLES)]
)
def test_overwrite_does_again_exactly_what_it_says(root, monkeypatch, overwrite, redone):
    monkeypatch.setenv("ODD", f"{BAD}=raise")
    do(make_job(root, max_failures=1))
    monkeypatch.delenv("ODD")
    assert started(root) == SAMPLES
    job = make_job(root, max_failures=1, overwrite=overwrite)
    outcome = do(job)
    assert started(root) == redone
    assert outcome.complete == bool(redone)
    attempts = {sample: record.attempt for sample, record in job.store.records().items()}
    assert attempts == {sample: 1 + (sample in redone) for sample in SAMPLES}


def test_a_sample_that_failed_before_counts_until_it_is_allowed_or_done_again(root, monkeypatch):
    monkeypatch.setenv("ODD", f"{BAD}=raise")
    assert "errors.max_failures=1" in do(make_job(root)).stopped
    monkeypatch.delenv("ODD")
    started(root)
    again = do(make_job(root))
    assert started(root) == []
    assert "failed before" in again.stopped and "overwrite=errors" in again.stopped
    assert do(make_job(root, max_failures=1)).done == 3
    assert started(root) == SAMPLES[2:]
    assert do(make_job(root, overwrite="errors")).complete
    assert started(root) == [BAD]


def test_the_table_of_a_run_with_failures_says_partial_and_how_many(root, monkeypatch):
    monkeypatch.setenv("ODD", f"{BAD}=raise")
    job = make_job(root, max_failures=1, limit=3)
    do(job)
    result = load_result(job.store, job.score_key, "paper")
    assert result.status == "partial (2 of 4, 1 failed)"
    finished = run(root, "errors.max_failures=1", ODD=f"{BAD}=raise")
    assert finished.returncode == 1
    assert "partial (3 of 4, 1 failed)" in " ".join(finished.stdout.split())
    assert re.search(rf"sample '{BAD}' .*model 'traced' .*RuntimeError", finished.stderr)


def test_a_model_that_cant_be_built_makes_no_run(root):
    job = make_job(root)
    job.settings.model = {"name": "none", "_target_": "helpers.segmenters.Unloadable"}
    with pytest.raises(BenchmarkError, match="model 'none': the weights are missing"):
        do(job)
    assert not (job.store.path / "run.json").exists() and job.store.attempts() == []


# --- seeds


def test_a_model_that_draws_lots_gives_the_same_labels_resumed_as_undisturbed(root):
    whole, parts = root / "whole", root / "parts"
    do(make_job(whole, draw=True))
    for limit in (1, 3, None):
        do(make_job(parts, draw=True, limit=limit))

    def found(folder, **changes):
        job = make_job(folder, draw=True, **changes)
        return contents(job.store, job.score_key)

    assert found(whole) == found(parts)
    do(make_job(whole, draw=True, seed=1))
    assert found(whole, seed=1)[1] != found(whole)[1]


def test_a_loaded_torch_is_seeded_for_each_sample_too(root, monkeypatch):
    class Torch:
        seeds: list[int] = []  # noqa: RUF012 - a stand-in
        cuda = SimpleNamespace(is_initialized=lambda: False)

        @classmethod
        def manual_seed(cls, number):
            cls.seeds.append(number)

    monkeypatch.setitem(sys.modules, "torch", Torch)
    do(make_job(root))
    once = list(Torch.seeds)
    assert len(set(once)) == 4
    do(make_job(root, overwrite="all"))
    assert Torch.seeds == once * 2
