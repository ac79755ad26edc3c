"""The jobs of a sweep, and those that need no process: complete, or unable to run."""

import json
import re
import shutil

from helpers.runs import do, make_job, run

from benchmark.errors import DONE, PARTIAL, UsageError
from benchmark.report.results import load_result
from benchmark.report.write import write_report
from benchmark.settings import Settings
from benchmark.sweeps.plan import SweepJob, settled, sweep_jobs
from benchmark.sweeps.state import StoredRuns


def finished(root, **changes):
    job = make_job(root, **changes)
    do(job)
    result = load_result(job.store, job.score_key, job.protocol.name)
    write_report([result], job.store.path / "report")


def outcome(root, any_device=False, **changes):
    job = make_job(root, **changes)
    study = StoredRuns(job.runs, 300)
    return settled(SweepJob(0, [], "a job", job), study, any_device)


def test_a_complete_job_needs_no_process_and_is_listed_with_its_score(root):
    finished(root)
    found = outcome(root)
    assert (found.status, found.state, found.log, found.seconds) == (DONE, "done", None, 0.0)
    assert found.details["status"] == "complete" and re.fullmatch(r"0\.\d{3}", found.details["msa"])


def test_a_job_that_differs_from_what_was_done_needs_one(root):
    finished(root, limit=3)
    assert outcome(root, limit=3).status == DONE
    assert outcome(root) is None  # one more sample
    for changes in ({"seed": 1}, {"level": 1.2}, {"protocol": "clean"}, {"overwrite": "all"}):
        assert outcome(root, limit=3, **changes) is None, changes


def test_a_complete_run_that_names_another_truth_gets_a_job_that_names_this_one(root):
    finished(root)
    path = make_job(root).store.path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": "another truth"}))
    assert outcome(root) is None
    finished(root)
    assert outcome(root).status == DONE


def test_a_run_whose_report_was_not_drawn_gets_a_job_that_draws_it(root):
    do(make_job(root))
    assert outcome(root) is None


def test_a_job_whose_prepared_data_is_gone_or_changed_is_run(root):
    """A whole run of that name may be of another data set, or of other parameters."""
    finished(root)
    shutil.rmtree(root / "datasets")
    assert outcome(root) is None
    assert outcome(root, level=1.2) is None


def test_where_jobs_run_elsewhere_any_device_will_do(root, monkeypatch):
    finished(root)
    monkeypatch.setattr("benchmark.job.choose_device", lambda *_: "cuda")
    assert outcome(root) is None
    assert outcome(root, any_device=True).status == DONE


def test_a_job_that_cant_run_is_skipped_with_the_reason(root):
    found = outcome(root, target="helpers.segmenters.Homeless", weights="vit_b_lm")
    assert (found.status, found.state) == (PARTIAL, "skipped")
    assert found.reason.startswith("library missing: no-such-library>=2 is not installed")


def test_an_invalid_job_is_left_to_its_own_process(root):
    assert outcome(root, target="helpers.segmenters.Nonexistent") is None
    assert settled(SweepJob(0, [], "a job", None), StoredRuns(root / "none", 300), False) is None


def test_jobs_are_labelled_by_what_distinguishes_them_and_split_over_shards(root):
    seen = []

    def composed(words):
        seen.append(list(words))
        if "model=wrong" in words:
            raise UsageError("no")
        shards = 2 if "shards=2" in words and not words[-1].startswith("shard=") else 1
        settings = Settings(shards=shards, shard=None)
        return type("Job", (), {"settings": settings})()

    found = sweep_jobs(
        [["model=a", "model.x=1", "shards=2"], ["model=wrong", "shards=2"]], composed
    )
    assert [(job.number, job.label) for job in found] == [
        (0, "model=a model.x=1 shard=1/2"),
        (1, "model=a model.x=1 shard=2/2"),
        (2, "model=wrong"),
    ]
    assert found[0].overrides == ["model=a", "model.x=1", "shards=2", "shard=1/2"]
    assert found[2].job is None


def test_the_only_combination_is_named_by_model_and_data(root):
    composed = type("Job", (), {"settings": Settings()})()
    (job,) = sweep_jobs([["model=a", "data=b", "results=/x"]], lambda words: composed)
    assert job.label == "model=a data=b"


def test_repeating_a_sweep_no_model_is_loaded_for_what_is_complete(tmp_path):
    trace = tmp_path / "trace"
    words = ("-m", "model=traced,homeless", "limit=1")
    assert run(tmp_path, "limit=1", TRACE=str(trace)).returncode == 0
    loads = trace.read_text().count("load")
    again = run(tmp_path, *words, TRACE=str(trace))
    assert again.returncode == 1  # skipped is not done
    assert loads == trace.read_text().count("load") == 1
    assert re.search(r"model=traced +│ done .*partial \(1 of 4\)", again.stdout)
    assert re.search(r"model=homeless +│ skipped", again.stdout)
    assert "model=homeless: skipped: library missing: no-such-library" in again.stderr
    newest = max((tmp_path / "results" / "sweeps").glob("2*"))
    assert [path.name for path in newest.iterdir()] == ["multirun.yaml"]  # no job was started
