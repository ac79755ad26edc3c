"""One run and several truths: numbers stand under the name of the truth that they belong to."""

import json

import pytest
from helpers.annotations import annotate_twice
from helpers.runs import PROTOCOLS, SAMPLES, do, make_job

from benchmark.actions import compare, evaluate
from benchmark.errors import UsageError
from benchmark.report.eligible import select_eligible
from benchmark.report.frame import frame_of_runs
from benchmark.report.results import gather
from benchmark.report.site.build import write_site
from benchmark.report.tables import run_summary
from benchmark.scoring.protocol import Protocol

PAPER = Protocol(**PROTOCOLS["paper"])


@pytest.fixture
def annotated(root):
    """The drawn images with two annotations: `b` has an object less in every image."""
    annotate_twice(root)
    return root


def job_on(root, truth, **changes):
    """A job on one of the annotations, under a name of its own."""
    places = {"images": str(root / "mine" / "images"), "labels": str(root / "mine" / truth)}
    source = {"_target_": "benchmark.data.sources.FolderSource", **places}
    data = {"name": f"annot_{truth}", "split": "test", "source": source, "recipe": []}
    return make_job(root, data=data, **changes)


def both_methods(root, truth):
    """Jobs of two methods on one of the annotations."""
    jobs = [job_on(root, truth, level=level) for level in (1.0, 1.3)]
    jobs[1].settings.model["name"] = "other"
    return jobs


def msa(job):
    return {
        sample: row["metrics"]["msa"] for sample, row in job.store.scores(job.score_key).items()
    }


def reported(root, truth, protocol=PAPER):
    """What a report calls the data of a truth, where they lie, and each sample's mSA."""
    results, left_out = gather(root / "results" / "runs", protocol)
    assert left_out == {}
    (result,) = [result for result in results if result.data == f"annot_{truth}"]
    assert result.present
    return result.data, result.prepared, result.scores["msa"].to_dict()


def test_a_truth_that_is_come_back_to_is_reported_by_its_own_numbers(annotated):
    jobs = {truth: job_on(annotated, truth) for truth in "ab"}
    for truth in "abab":
        job = job_on(annotated, truth)
        assert do(job).complete
        assert reported(annotated, truth) == (f"annot_{truth}", str(job.data.folder), msa(job))
    assert jobs["a"].store.path == jobs["b"].store.path and msa(jobs["a"]) != msa(jobs["b"])


def test_what_is_evaluated_against_another_truth_is_reported_under_its_name(annotated):
    do(job_on(annotated, "a"))
    for truth in "ba":
        job = job_on(annotated, truth)
        evaluate.perform(job)
        assert reported(annotated, truth) == (f"annot_{truth}", str(job.data.folder), msa(job))


def test_an_evaluation_changes_nothing_but_what_is_told_of_the_data(annotated):
    job = job_on(annotated, "a")
    do(job)
    path = job.store.path / "run.json"
    before = json.loads(path.read_text()) | {"model": "traced elsewhere"}
    del before["seal"]  # as an earlier version wrote it
    path.write_text(json.dumps(before))
    evaluate.perform(job_on(annotated, "b"))
    after = json.loads(path.read_text())
    told = {key for key in before if after[key] != before[key]}
    assert told == {"data", "prepared", "labels", "data_card"}
    assert before["labels"] == job.data.labels_digest() != after["labels"]


def test_a_truth_that_nothing_is_scored_against_lends_its_name_to_no_numbers(annotated):
    do(job_on(annotated, "a"))
    do(job_on(annotated, "b", protocol="clean"))
    results, _ = gather(annotated / "results" / "runs", PAPER)
    assert [result.data for result in results] == ["annot_a"]
    assert reported(annotated, "a")[2] == msa(job_on(annotated, "a"))
    evaluate.perform(job_on(annotated, "b"))
    assert reported(annotated, "b")[2] == msa(job_on(annotated, "b"))


def test_of_a_run_json_without_the_truth_the_newest_scores_count(annotated):
    for truth in "ab":
        do(job_on(annotated, truth))
    store = job_on(annotated, "a").store
    described = store.describe()
    del described["labels"]
    (store.path / "run.json").write_text(json.dumps(described))
    for place, truth in enumerate("ab"):  # both may have been written in one second
        path = store.path / "scores" / job_on(annotated, truth).score_key / "basis.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"written": str(place)}))
        (path.parent / "names.json").unlink(missing_ok=True)
    results, _ = gather(annotated / "results" / "runs", PAPER)
    (newest,) = [result for result in results if result.present]
    assert newest.values.to_dict() == msa(job_on(annotated, "b"))


def test_every_truth_has_a_row_and_means_take_the_images_once(annotated):
    for truth in "ab":
        for job in both_methods(annotated, truth):
            do(job)
    results, _ = gather(annotated / "results" / "runs", PAPER)
    assert sorted(result.data for result in results) == ["annot_a", "annot_a", "annot_b", "annot_b"]
    rows = frame_of_runs(results)
    chosen = select_eligible(rows)
    assert chosen.cells.empty and any("truth=<name>" in note for note in chosen.notes)
    chosen = select_eligible(frame_of_runs(results, truth="annot_a"))
    assert set(chosen.cells["data"]) == {"annot_a"} and len(chosen.cells) == 2
    assert any("count with the labels of annot_a" in note for note in chosen.notes)
    shown = run_summary.markdown(run_summary.summary(results))
    assert shown.count("annot\\_a") == shown.count("annot\\_b") == 2


def test_a_site_has_a_page_for_each_truth(annotated, blank_pictures):
    for truth in "ab":
        do(job_on(annotated, truth))
    results, _ = gather(annotated / "results" / "runs", PAPER)
    page = write_site(frame_of_runs(results), results, annotated / "site", private=True)
    assert {f"{r.data}.html" for r in results} == {
        p.name for p in (page.parent / "data").glob("*.html")
    }
    runs = [path.read_text(encoding="utf-8") for path in (page.parent / "runs").iterdir()]
    assert len(runs) == 2
    index = page.read_text(encoding="utf-8")
    assert index.count("not ranked") == 2, "the same images would count twice"
    chosen = write_site(
        frame_of_runs(results, truth="annot_b"), results, annotated / "chosen", private=True
    )
    assert chosen.read_text(encoding="utf-8").count("not ranked") == 1
    for result in results:
        (own,) = [text for text in runs if f"data/{result.data}.html" in text]
        assert f"{result.values.mean():.3f}" in own


def test_the_report_does_not_depend_on_which_truth_came_last(annotated):
    pages = []
    for order in ("ab", "ba"):
        for truth in order:
            for job in both_methods(annotated, truth):
                do(job)
                evaluate.perform(job)
        results, _ = gather(annotated / "results" / "runs", PAPER)
        pages.append(run_summary.markdown(run_summary.summary(results)))
    assert pages[0] == pages[1]


def test_labels_that_were_replaced_are_shown_and_not_averaged(annotated):
    for job in both_methods(annotated, "a"):
        do(job)
    for job in both_methods(annotated, "b"):
        job.settings.data["name"] = "annot_a"
        do(job)
    results, _ = gather(annotated / "results" / "runs", PAPER)
    assert [result.present for result in results].count(True) == 2 and len(results) == 4
    rows = frame_of_runs(results)
    chosen = select_eligible(rows)
    present = {result.truth for result in results if result.present}
    assert set(chosen.cells["truth"]) == present and len(chosen.cells) == 2
    names = run_summary.data_names(run_summary.summary(results))
    assert names.nunique() == 2, "told apart by the labels' digest"


def test_two_runs_are_compared_on_the_truth_that_is_come_back_to(annotated, capsys):
    for truth in "aba":
        for level in (1.0, 1.3):
            do(job_on(annotated, truth, level=level))
    results, _ = gather(annotated / "results" / "runs", PAPER)
    a, b = (result for result in results if result.data == "annot_a")
    job = job_on(annotated, "a")
    job.settings.a, job.settings.b = a.path.name, b.path.name
    with pytest.raises(UsageError, match=r"annot_a, annot_b.*truth="):
        compare.perform(job)
    job.settings.truth = "annot_a"
    assert compare.perform(job) == 0
    told = " ".join(capsys.readouterr().out.split())
    numbers = [msa(job_on(annotated, "a", level=level)) for level in (1.0, 1.3)]
    differences = [abs(numbers[0][sample] - numbers[1][sample]) for sample in SAMPLES]
    assert "mSA on annot_a" in told
    for difference in differences:
        assert f"{difference:.3f}" in told
