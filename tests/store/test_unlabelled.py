"""Runs on images without labels: all are predicted, what is labelled is scored, also later."""

import json
import shutil

import pytest
from helpers.runs import PROTOCOLS, SAMPLES, do, journals, make_job

from benchmark.actions import evaluate
from benchmark.actions import run as run_action
from benchmark.errors import DONE, PARTIAL, DataError, SkippedError, UsageError
from benchmark.report.frame import frame_of_runs
from benchmark.report.results import gather
from benchmark.report.tables import run_summary
from benchmark.scoring.protocol import Protocol
from benchmark.store.skipped import read_skipped
from benchmark.sweeps.state import StoredRuns
from benchmark.verify import verify

PAPER = Protocol(**PROTOCOLS["paper"])


@pytest.fixture
def images(root):
    """The four drawn images; `labels/` has the label images of none, `all/` of all of them."""
    data = make_job(root).data
    shutil.copytree(data.folder / "images", root / "mine" / "images")
    shutil.copytree(data.folder / "labels", root / "mine" / "all")
    (root / "mine" / "labels").mkdir()
    return root


def annotate(root, *names):
    for name in names:
        shutil.copy(root / "mine" / "all" / f"{name}.tif", root / "mine" / "labels")


def job_on(root, labels="labels", recipe=(), **changes):
    places = {"images": str(root / "mine" / "images")}
    if labels is not None:
        places["labels"] = str(root / "mine" / labels)
    source = {"_target_": "benchmark.data.sources.FolderSource", **places}
    data = {"name": "mine", "split": "test", "source": source, "recipe": list(recipe)}
    return make_job(root, data=data, **changes)


def predictions(root):
    return len(journals(root / "results", "records"))


def reported(root):
    (result,) = gather(root / "results" / "runs", PAPER)[0]
    return result


def scored(job):
    return sorted(job.store.scores(job.score_key))


def test_labels_added_later_score_the_stored_predictions(images):
    unlabelled = job_on(images, None)
    assert do(unlabelled).complete
    assert predictions(images) == 4 and scored(unlabelled) == []
    assert unlabelled.data.labels_digest() is None
    result = reported(images)
    assert (result.status, result.labelled, len(result.scores)) == ("complete", "0 of 4", 0)

    for names in (SAMPLES[:1], SAMPLES[1:3], SAMPLES[3:]):
        annotate(images, *names)
        job = job_on(images)
        outcome = do(job)
        assert outcome.complete and outcome.done == 4
        assert predictions(images) == 4, "a sample was predicted again"
        assert job.store.path == unlabelled.store.path
        done = SAMPLES[: SAMPLES.index(names[-1]) + 1]
        assert scored(job) == done
        result = [r for r in gather(images / "results" / "runs", PAPER)[0] if r.present][-1]
        assert result.status == "complete" and sorted(result.scores.index) == done
        assert result.labelled == ("" if len(done) == 4 else f"{len(done)} of 4")


def test_scores_are_those_of_a_run_that_had_labels_from_the_start(images, tmp_path_factory):
    whole = job_on(images, "all")
    do(whole)
    rows = whole.store.scores(whole.score_key)
    shutil.move(whole.store.path, images / "elsewhere")
    do(job_on(images, None))
    late = job_on(images, "all")
    do(late)
    assert late.store.path == whole.store.path
    assert late.store.scores(late.score_key) == rows


def test_labels_of_some_images_score_these_alone(images, capsys):
    annotate(images, SAMPLES[2])
    job = job_on(images)
    assert run_action.perform(job) == DONE
    assert predictions(images) == 4 and scored(job) == [SAMPLES[2]]
    assert "complete, 1 of 4 labelled" in capsys.readouterr().out
    row = frame_of_runs([reported(images)]).iloc[0]
    assert (row["status"], row["labelled"], row["images"]) == ("complete", "1 of 4", 1)
    assert ",1 of 4," in run_summary.csv(run_summary.summary([reported(images)]))


def test_a_label_image_without_its_image_is_refused(images):
    annotate(images, SAMPLES[0])
    shutil.copy(images / "mine" / "all" / f"{SAMPLES[0]}.tif", images / "mine" / "labels" / "b.tif")
    with pytest.raises(DataError, match=r"b\.tif has no image"):
        _ = job_on(images).data


def test_a_partial_run_counts_what_is_predicted(images):
    annotate(images, SAMPLES[3])
    do(job_on(images, limit=2))
    result = reported(images)
    assert (result.status, result.labelled) == ("partial (2 of 4)", "1 of 4")
    do(job_on(images))
    assert reported(images).status == "complete"


def test_labels_that_are_taken_away_leave_the_scores_that_are_stored(images):
    annotate(images, SAMPLES[0])
    do(job_on(images))
    do(job_on(images, None))
    result = reported(images)
    assert list(result.scores.index) == [SAMPLES[0]] and result.labelled == "1 of 4"
    assert result.present and predictions(images) == 4


def test_another_folder_of_the_same_name_is_no_run_that_is_done(images):
    job = job_on(images, "all")
    do(job)
    other = job_on(images, "all")
    other.settings.data |= {"images": "elsewhere/*.tif"}  # as data=folder has it
    other.settings.data["source"] |= {"images": "elsewhere/*.tif"}
    state = StoredRuns(job.runs, 300).of_job(other)
    assert (state.state, state.samples, state.done) == ("to do", None, 0)


def test_a_status_counts_samples_without_labels(images):
    annotate(images, SAMPLES[1])
    job = job_on(images)
    do(job)
    state = StoredRuns(job.runs, 300).of_job(job_on(images))
    assert state.is_complete and state.done == 4
    more = job_on(images, "all")
    _ = more.data
    assert StoredRuns(job.runs, 300).of_job(more).done == 0, "none is scored by these labels"


def test_evaluate_scores_what_is_labelled_and_says_if_nothing_is(images):
    do(job_on(images, None))
    with pytest.raises(UsageError, match=r"'mine' has no labels .* data\.labels"):
        evaluate.perform(job_on(images, None))
    annotate(images, *SAMPLES[:2])
    job = job_on(images)
    assert evaluate.perform(job) == DONE and scored(job) == SAMPLES[:2]
    assert predictions(images) == 4


@pytest.mark.parametrize("labelled", [0, 3])
def test_an_adapter_that_sees_the_truth_is_skipped_by_name(images, labelled, capsys):
    annotate(images, *SAMPLES[:labelled])
    job = job_on(images, "labels" if labelled else None, target="models.controls.Oracle")
    assert run_action.perform(job) == PARTIAL
    said = capsys.readouterr().err
    assert f"'traced' sees them, and {4 - labelled} of 4 images of data 'mine' have none" in said
    (skipped,) = read_skipped(job.runs)
    assert "labels missing" in skipped.reason and predictions(images) == 0
    with pytest.raises(SkippedError):
        job.check_labels()
    job_on(images, "all", target="models.controls.Oracle").check_labels()


@pytest.mark.parametrize("labelled", [0, 3])
@pytest.mark.parametrize(
    "step",
    [
        {"min_objects": {"count": 2, "counting": "objects"}},
        {"crop_around_labels": {"shape": [32, 32]}},
    ],
)
def test_a_recipe_that_looks_at_labels_is_refused(images, step, labelled):
    annotate(images, *SAMPLES[:labelled])
    pad = {"pad": {"shape": [80, 80]}}
    with pytest.raises(UsageError, match=rf"{next(iter(step))}.*{4 - labelled} of 4 images"):
        _ = job_on(images, "labels" if labelled else None, recipe=[pad, step]).data
    assert not list((images / "datasets" / "mine" / "prepared").glob("[!.]*-*")), "it was begun"
    off = [pad, step | {"when": False}]
    assert len(job_on(images, "labels" if labelled else None, recipe=off).data.entries) == 4
    assert job_on(images, "all", recipe=[pad, step]).data.entries


@pytest.mark.parametrize(
    "recipe",
    [
        [{"tiles": {"rows": 2, "columns": 1}}, {"connected_components": {}}],
        [{"resize": {"shape": [40, 50], "label_resize": "linear"}}, {"ignore_label": {"value": 1}}],
        [{"center_crop": {"shape": [40, 50], "cut_objects": "split"}}, {"scale_channels": {}}],
    ],
)
def test_images_of_a_recipe_do_not_depend_on_which_labels_there_are(images, recipe):
    annotate(images, *SAMPLES[:2])
    jobs = [job_on(images, labels, recipe=recipe) for labels in (None, "labels", "all")]
    assert len({job.data.images_digest() for job in jobs}) == 1
    assert len({job.data.labels_digest() for job in jobs}) == 3
    assert len({json.dumps(job.identity) for job in jobs}) == 1
    assert [len(job.data.unlabelled) for job in jobs] == [
        len(jobs[0].data.entries), len(jobs[0].data.entries) // 2, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("labelled", [0, 1, 3, 4])
@pytest.mark.parametrize("data_here", [True, False])
def test_a_prediction_lacks_a_score_only_where_its_image_has_labels(images, labelled, data_here):
    annotate(images, *SAMPLES[:labelled])
    job = job_on(images, "labels" if labelled else None)
    assert do(job).complete
    if not data_here:
        shutil.move(images / "datasets", images / "elsewhere")
    assert verify(job.store).faults == []
    for row in StoredRuns(job.runs, 300).rows_of(job.store, PAPER):
        assert row.state == "done"
    if not labelled:
        return
    folder = job.store.path / "scores" / job.score_key
    for path in folder.glob("*.jsonl"):
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert "without a score" in str(verify(job.store).faults)
    (row,) = StoredRuns(job.runs, 300).rows_of(job.store, PAPER)
    assert row.state == "partial"


def test_labels_added_later_leave_the_scores_with_fewer_labels_whole(images):
    for name in SAMPLES[:3]:
        annotate(images, name)
        job = job_on(images)
        assert do(job).complete
    assert len(job.store.score_bases()) == 3
    assert verify(job.store, full=True).faults == []
    states = [row.state for row in StoredRuns(job.runs, 300).rows_of(job.store, PAPER)]
    assert states == ["done"] * 3
