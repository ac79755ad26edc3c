"""A run that is not as it was written is not called whole."""

import json
import math
import os
import shutil

import pytest
from helpers.command_line import main
from helpers.runs import PROTOCOLS, SAMPLES, do, make_job, run
from helpers.segmenters import Traced

from benchmark.report.frame import frame_of_runs
from benchmark.report.results import gather, summary_of
from benchmark.report.tables import run_summary
from benchmark.report.tables.over_data_sets import tables_of
from benchmark.scoring.protocol import Protocol
from benchmark.store import journal
from benchmark.store.lease import Lease
from benchmark.store.store import RunStore
from benchmark.verify import verify


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that is scored under two protocols."""
    root = tmp_path_factory.mktemp("finished")
    for protocol in ("paper", "clean"):
        do(make_job(root, protocol=protocol))
    return root


@pytest.fixture
def store(finished, tmp_path):
    journal._warn.cache_clear()
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    (store,) = RunStore.all(tmp_path / "results" / "runs")
    path = store.path / "run.json"
    path.write_text(path.read_text().replace(str(finished), str(tmp_path)))
    reseal(path)
    return store


def reseal(path, **changes):
    """Write a run.json as an earlier version did, without a seal."""
    content = json.loads(path.read_text()) | changes
    content.pop("seal", None)
    path.write_text(json.dumps(content))


def faults(store, **how):
    return verify(store, **how).faults


def edit_row(pattern, at, value, line=-1):
    """A damage: an entry of a line of a journal is set."""

    def damage(store):
        path = sorted(store.path.glob(pattern))[0]
        lines = path.read_text().splitlines()
        row = inner = json.loads(lines[line])
        for key in at[:-1]:
            inner = inner[key]
        inner[at[-1]] = value
        lines[line] = json.dumps(row)
        path.write_text("".join(f"{each}\n" for each in lines))

    return damage


def edit_json(pattern, **changes):
    """A damage: entries of a JSON file are set, beside a seal if there is one."""

    def damage(store):
        path = sorted(store.path.glob(pattern))[0]
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def cut_line(pattern, line=1):
    """A damage: a line loses its second half."""

    def damage(store):
        path = sorted(store.path.glob(pattern))[0]
        lines = path.read_bytes().splitlines(keepends=True)
        end = b"\n" if line != -1 else b""
        lines[line] = lines[line][: len(lines[line]) // 2] + end
        path.write_bytes(b"".join(lines))

    return damage


def drop_line(pattern):
    def damage(store):
        path = sorted(store.path.glob(pattern))[0]
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1:]))

    return damage


def remove(pattern):
    def damage(store):
        for path in [*store.path.glob(pattern)]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    return damage


def swap_predictions(store):
    first, second = sorted((store.path / "predictions").iterdir())[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def all_matched(store):
    """As many matches as objects, true and predicted: their ratio divides by zero."""
    row = json.loads(sorted(store.path.glob(SCORES))[0].read_text().splitlines()[-1])
    all_objects = [row["n_true"] + row["n_predicted"]] * 10
    edit_row(SCORES, ("true_positives",), all_objects)(store)


def rename(store):
    folder = store.path.with_name(f"{store.path.name}-copy")
    store.path.rename(folder)
    store.path = folder


def other_identity(store):
    path = store.path / "run.json"
    identity = json.loads(path.read_text())["identity"]
    reseal(path, identity=identity | {"seed": 7})


SCORES, OBJECTS = "scores/*/*.jsonl", "objects/*/*.jsonl"
DAMAGE = {
    "a score edited": edit_row(SCORES, ("metrics", "msa"), 0.999),
    "a first score edited": edit_row(SCORES, ("metrics", "msa"), 0.999, line=0),
    "an accuracy edited": edit_row(SCORES, ("metrics", "sa75"), 0.999),
    "a panoptic quality edited": edit_row(SCORES, ("metrics", "pq"), 0.999),
    "a quality of matches edited": edit_row(SCORES, ("metrics", "sq"), 0.999),
    "a quality of matches where there are some": edit_row(SCORES, ("metrics", "sq"), 0.999, line=0),
    "a recall edited": edit_row(SCORES, ("metrics", "recall"), 0.999),
    "an mSA of null": edit_row(SCORES, ("metrics", "msa"), None),
    "an mSA of NaN": edit_row(SCORES, ("metrics", "msa"), math.nan),
    "a metric removed": edit_row(SCORES, ("metrics",), {"msa": 0.5}),
    "a count of objects edited": edit_row(SCORES, ("n_predicted",), 1),
    "a count of true objects edited": edit_row(SCORES, ("n_true",), 1),
    "a count of misses edited": edit_row(SCORES, ("metrics", "missed"), 50),
    "true positives edited": edit_row(SCORES, ("true_positives",), [9] * 10),
    "true positives of all objects": all_matched,
    "more matches than objects": edit_row(SCORES, ("metrics", "matched"), -3),
    "a group edited": edit_row(SCORES, ("group",), "another"),
    "a score of another prediction": edit_row(SCORES, ("prediction",), "0" * 64),
    "a score of another sample": edit_row(SCORES, ("sample",), "another"),
    "a line of records torn": cut_line("records/*.jsonl"),
    "a line of scores torn": cut_line(SCORES),
    "a line of objects torn": cut_line(OBJECTS),
    "a line of attempts torn": cut_line("attempts/*.jsonl", 0),
    "records that end in a torn line": cut_line("records/*.jsonl", -1),
    "scores that end in a torn line": cut_line(SCORES, -1),
    "a line of records removed": drop_line("records/*.jsonl"),
    "a line of scores removed": drop_line(SCORES),
    "a line of objects removed": drop_line(OBJECTS),
    "samples edited": edit_json("run.json", samples=2),
    "the run id edited": edit_json("run.json", run_id="0" * 64),
    "the identity edited": other_identity,
    "run.json removed": remove("run.json"),
    "records removed": remove("records"),
    "records emptied": remove("records/*"),
    "attempts removed": remove("attempts"),
    "scores removed": remove("scores"),
    "scores of one protocol emptied": lambda store: remove(
        f"scores/{sorted(store.score_bases())[0]}/*.jsonl"
    )(store),
    "scores of one protocol removed": lambda store: remove(
        f"scores/{sorted(store.score_bases())[0]}"
    )(store),
    "objects removed": remove("objects"),
    "objects of one protocol removed": lambda store: remove(
        f"objects/{sorted(store.score_bases())[0]}"
    )(store),
    "bases removed": remove("scores/*/basis.json"),
    "a basis emptied": edit_json("scores/*/basis.json", protocol=3),
    "the labels of a basis edited": edit_json("scores/*/basis.json", labels="0" * 64),
    "the protocol of a basis edited": edit_json("scores/*/basis.json", protocol={}),
    "predictions removed": remove("predictions"),
    "a prediction removed": remove(f"predictions/{SAMPLES[0]}.tif"),
    "predictions swapped": swap_predictions,
    "a record of another prediction": edit_row("records/*.jsonl", ("prediction",), "0" * 64),
    "a record of another sample": edit_row("records/*.jsonl", ("sample",), "another"),
    "names damaged": lambda store: (
        next(store.path.glob("scores/*")).joinpath("names.json").write_text("{")
    ),
    "a digest of code damaged": lambda store: (store.path / "adapter.json").write_text("{"),
    "the folder copied": rename,
}


def test_a_run_as_it_was_written_is_whole(store):
    found = verify(store, full=True)
    assert (found.faults, found.unchecked) == ([], [])
    assert (found.samples, found.predictions, found.scores, found.rescored) == (4, 4, 8, 8)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_is_not_whole_is_named(store, damage):
    damage(store)
    found = faults(store)
    assert found and all(fault.endswith((".", ")")) for fault in found), found


SEALED = {
    "model": "another",
    "control": True,
    "data": "livecell",
    "weights": {"name": "a", "label": "a", "mark": "verified"},
    "samples": 3,
    "data_card": {"modality": "organoids"},
}


@pytest.mark.parametrize("key", SEALED)
def test_an_edit_of_run_json_breaks_its_seal(root, key):
    do(make_job(root))
    (store,) = RunStore.all(root / "results" / "runs")
    assert faults(store) == []
    edit_json("run.json", **{key: SEALED[key]})(store)
    assert any("run.json was edited" in fault for fault in faults(store))
    do(make_job(root))  # the command that the message names
    assert faults(store) == []


def test_an_edited_name_of_the_model_is_seen_without_a_seal(store):
    reseal(store.path / "run.json", model="another")
    assert any("was edited" in fault for fault in faults(store))
    reseal(store.path / "run.json", model="traced (level=2)")
    assert faults(store) == []


def test_an_evaluation_does_not_seal_what_was_edited(root):
    from benchmark.actions import evaluate

    do(make_job(root))
    (store,) = RunStore.all(root / "results" / "runs")
    edit_json("run.json", model="another")(store)
    evaluate.perform(make_job(root, protocol="clean"))
    assert store.describe()["model"] == "traced" and faults(store) == []


AJI = edit_row(SCORES, ("metrics", "aji"), 0.999)


def consistent(store):
    """Every number of a score edited alike: as of a perfect prediction."""
    path = sorted(store.path.glob(SCORES))[0]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    row = lines[0]
    n = row["n_true"] = row["n_predicted"]
    ones = dict.fromkeys(row["metrics"], 1.0)
    counts = {"matched": n, "missed": 0, "spurious": 0, "split": 0, "merged": 0}
    row |= {"true_positives": [n] * 10, "metrics": ones | counts}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


FULL_DAMAGE = {
    "AJI": AJI,
    "split": edit_row(SCORES, ("metrics", "split"), 30),
    "an area": edit_row(OBJECTS, ("true", "area", 0), 100_000),
    "the IoU of an object": edit_row(OBJECTS, ("predicted", "best_iou", 0), 0.1234),
}


@pytest.mark.parametrize("damage", FULL_DAMAGE.values(), ids=FULL_DAMAGE.keys())
def test_a_full_check_scores_again_and_stores_nothing(store, damage):
    damage(store)
    assert faults(store) == [], "only pixels tell"
    before = {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()}
    (fault,) = faults(store, full=True)
    assert "scored again" in fault and "action=evaluate" in fault
    assert before == {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()}


def test_a_full_check_says_what_is_stored_and_what_it_should_be(store):
    aji = {}
    for key in store.score_bases():
        aji |= {s: row["metrics"]["aji"] for s, row in store.scores(key).items()}
    AJI(store)
    (fault,) = faults(store, full=True)
    assert f"metrics.aji is {aji[SAMPLES[-1]]!r}, stored is 0.999" in fault


def test_a_consistent_forgery_of_a_score_is_seen_by_the_manifest_or_by_scoring(store):
    consistent(store)
    assert faults(store, full=True)


def test_data_that_are_not_here_are_said_and_no_fault(store, finished):
    datasets = store.path.parents[2] / "datasets"
    datasets.rename(datasets.with_name("elsewhere"))
    found = verify(store, full=True)
    assert found.faults == [] and found.rescored == 0
    assert len(found.unchecked) == 3, "the samples, and the scores under two protocols"
    job = make_job(finished)
    again = verify(store, [job.data], full=True)
    assert (again.faults, again.unchecked, again.rescored) == ([], [], 8)


def test_scores_of_predictions_that_were_replaced_are_no_fault(root, monkeypatch):
    for protocol in ("paper", "clean"):
        do(make_job(root, protocol=protocol))
    job = make_job(root, overwrite="all")
    predict = Traced.predict
    monkeypatch.setattr(Traced, "predict", lambda self, image: predict(self, image)[::-1])
    do(job)
    assert faults(job.store) == []


def test_a_run_in_progress_is_no_fault_once_it_is_done_so_far(root):
    do(make_job(root, limit=2))
    store = make_job(root).store
    found = verify(store, full=True)
    assert found.faults == [] and (found.predictions, found.samples) == (2, 4)


def test_the_action_counts_faults_and_names_the_run(tmp_path):
    assert run(tmp_path).returncode == 0
    done = run(tmp_path, "action=check", "check=full")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 samples predicted, 4 scores, 4 scored again, 0 faulty" in done.stdout
    (store,) = RunStore.all(tmp_path / "results" / "runs")
    AJI(store)
    assert run(tmp_path, "action=check").returncode == 0
    done = run(tmp_path, "action=check", "check=full")
    assert done.returncode == 1 and f"error: run {store.path.name}: " in done.stderr
    shutil.rmtree(store.path / "objects")
    done = run(tmp_path, "action=check")
    assert (
        done.returncode == 1
        and "4 scores (e.g. of sample" in done.stderr
        and "without objects" in done.stderr
    )


def test_a_full_check_without_the_data_of_a_run_is_not_called_whole(tmp_path):
    assert run(tmp_path).returncode == 0
    (store,) = RunStore.all(tmp_path / "results" / "runs")
    reseal(store.path / "run.json", prepared=str(tmp_path / "gone"))
    other = "data.source.seed=1"
    done = run(tmp_path, "action=check", other)
    assert done.returncode == 0 and "not compared with prepared data" in done.stderr
    assert run(tmp_path, "action=check", "check=full", other).returncode == 1


def test_a_run_that_a_process_works_on_is_not_called_whole(tmp_path):
    assert run(tmp_path).returncode == 0
    (store,) = RunStore.all(tmp_path / "results" / "runs")
    with Lease(store.path / "lease", 300).held():
        done = run(tmp_path, "action=check")
    assert done.returncode == 1 and f"not checked, as process {os.getpid()}" in done.stderr


@pytest.mark.parametrize("action", ["run", "evaluate", "report", "compare", "list", "status"])
def test_a_full_check_belongs_to_its_action_alone(tmp_path, action):
    for flags in ([], ["-m"]):
        done = main(tmp_path, *flags, f"action={action}", "check=full", "model=empty")
        assert done.returncode == 2
        assert done.stderr.strip() == "error: check=full belongs to action=check."
    assert list(tmp_path.iterdir()) == []


def test_another_kind_of_check_is_refused(tmp_path):
    done = main(tmp_path, "action=check", "check=half")
    assert done.returncode == 2 and "check: Invalid value 'half'" in done.stderr


@pytest.mark.parametrize("missing", [1, 4])
def test_a_report_says_when_the_predictions_behind_its_scores_are_gone(store, missing):
    for path in sorted((store.path / "predictions").iterdir())[:missing]:
        path.unlink()
    results, left_out = gather(store.path.parent, Protocol(**PROTOCOLS["paper"]))
    assert left_out == {} and [result.gone for result in results] == [missing]
    summary = run_summary.summary(results)
    shown = run_summary.markdown(summary)
    assert "complete, predictions gone" in shown and "overwrite=errors" in shown
    assert "gone" in run_summary.csv(summary).partition("\n")[0]
    (per_data_set,) = tables_of(frame_of_runs(results), "runs", {})[:1]
    assert any("gone" in cell.marks for row in per_data_set.rows for cell in row)
    assert summary_of(results[0])["status"] == "complete, predictions gone"


def test_a_report_says_nothing_where_no_prediction_is_gone(store):
    results, _ = gather(store.path.parent, Protocol(**PROTOCOLS["paper"]))
    summary = run_summary.summary(results)
    assert "gone" not in run_summary.markdown(summary) + run_summary.csv(summary)


def without_tolerant(store):
    """Scores as they were stored before the optional metric was there."""
    for path in store.path.glob("scores/*/*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            del row["metrics"]["msa_tolerant"]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def test_scores_without_an_optional_metric_are_whole_and_shown_without_it(store):
    without_tolerant(store)
    assert verify(store).faults == verify(store, full=True).faults == []
    (result,), left_out = gather(store.path.parent, Protocol(**PROTOCOLS["paper"]))
    assert not left_out and len(result.scores) == len(SAMPLES)
    assert result.scores["msa_tolerant"].isna().all() and result.scores["msa"].notna().all()


def test_an_edited_optional_metric_is_a_fault_of_a_full_check(store):
    edit_row("scores/*/*.jsonl", ["metrics", "msa_tolerant"], 0.123)(store)
    assert verify(store).faults == [], "it does not follow from the counts"
    assert any("msa_tolerant" in fault for fault in verify(store, full=True).faults)
