"""A run asked for again: what is repeated, what is extended, and what makes another run."""

import json
import shutil

import pytest
import tifffile
from helpers.runs import SAMPLES, do, journals, make_job, tree
from helpers.traced import root as root
from helpers.traced import started

BAD = SAMPLES[1]


def test_a_finished_run_asked_for_again_changes_no_byte_and_loads_no_model(root):
    do(make_job(root))
    stored = tree(root / "results")
    (root / "trace").write_text("")
    assert do(make_job(root)).complete
    again = tree(root / "results")
    assert (root / "trace").read_text() == ""
    assert {n: c for n, c in again.items() if "/lease/" not in n} == {
        n: c for n, c in stored.items() if "/lease/" not in n
    }


def test_a_run_is_extended_without_repeating_its_beginning(root):
    assert do(make_job(root, limit=1)).complete
    first = tree(make_job(root).store.path / "records")
    assert do(make_job(root)).complete
    assert started(root) == SAMPLES
    (name, content), *_ = first.items()
    assert tree(make_job(root).store.path / "records")[name].startswith(content)
    assert len(journals(root, "records")) == 4


@pytest.mark.parametrize("metric", ["msa", "pq"])
def test_a_score_that_lacks_a_metric_is_made_again(root, metric):
    do(make_job(root))
    job = make_job(root)
    wanted = job.store.scores(job.score_key)
    (path,) = (job.store.path / "scores" / job.score_key).glob("*.jsonl")
    *before, last = path.read_text().splitlines()
    row = json.loads(last)
    del row["metrics"][metric]
    path.write_text("\n".join([*before, json.dumps(row)]) + "\n")
    (root / "trace").write_text("")
    assert do(make_job(root)).complete
    assert job.store.scores(job.score_key) == wanted
    assert (root / "trace").read_text() == "", "nothing is predicted"


def test_another_protocol_scores_again_and_predicts_nothing(root):
    do(make_job(root))
    (root / "trace").write_text("")
    job = make_job(root, protocol="clean")
    assert do(job).complete
    assert (root / "trace").read_text() == ""
    assert len(job.store.score_bases()) == 2 and len(job.store.scores(job.score_key)) == 4


def folder_data(root):
    pattern = {"images": str(root / "mine" / "i"), "labels": str(root / "mine" / "l")}
    source = {"_target_": "benchmark.data.sources.FolderSource", **pattern}
    return {"name": "mine", "split": "test", "source": source, "recipe": []}


@pytest.fixture
def mine(root):
    """The drawn samples as a person's own files."""
    data = make_job(root).data
    for kind, short in (("images", "i"), ("labels", "l")):
        shutil.copytree(data.folder / kind, root / "mine" / short)
    return root


def edit(path):
    pixels = tifffile.imread(path)
    pixels[pixels == pixels.max()] = 0  # in labels: one object less
    tifffile.imwrite(path, pixels)


def test_changed_labels_score_again_and_predict_nothing(mine):
    before = make_job(mine, data=folder_data(mine))
    do(before)
    (mine / "trace").write_text("")
    edit(mine / "mine" / "l" / f"{BAD}.tif")
    after = make_job(mine, data=folder_data(mine))
    assert do(after).complete
    assert (mine / "trace").read_text() == ""
    assert after.store.path == before.store.path and after.score_key != before.score_key
    old, new = (job.store.scores(job.score_key) for job in (before, after))
    assert {s: old[s]["n_true"] - new[s]["n_true"] for s in SAMPLES} == {
        s: int(s == BAD) for s in SAMPLES
    }


def test_a_sample_that_could_not_be_prepared_fails_without_loading_the_model(mine):
    (mine / "mine" / "i" / f"{SAMPLES[0]}.tif").write_bytes(b"no image")
    job = make_job(mine, data=folder_data(mine), max_failures=1, limit=1)
    outcome = do(job)
    assert "can't be read" in outcome.failed[SAMPLES[0]] and not outcome.complete
    assert (mine / "trace").read_text() == ""


def test_a_changed_image_is_another_run(mine):
    before = make_job(mine, data=folder_data(mine))
    do(before)
    started(mine)
    edit(mine / "mine" / "i" / f"{BAD}.tif")
    after = make_job(mine, data=folder_data(mine))
    assert after.store.path != before.store.path
    do(after)
    assert started(mine) == SAMPLES


def test_seed_parameter_and_version_make_another_run(root, monkeypatch):
    from helpers.segmenters import Traced

    def place(**changes):
        return make_job(root, **changes).store.path.name

    places = [place(), place(seed=1), place(level=2.0), place(draw=True)]
    monkeypatch.setattr(Traced, "version", 2)
    places.append(place())
    assert len(set(places)) == len(places)


def test_places_limits_threads_and_protocol_make_no_other_run(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    jobs = [make_job(root), make_job(other)]
    for changes in ({"limit": 1}, {"threads": 2}, {"protocol": "clean"}, {"overwrite": "all"}):
        jobs.append(make_job(root, **changes))
    assert len({job.store.path.name for job in jobs}) == 1
