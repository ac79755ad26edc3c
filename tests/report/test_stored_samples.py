"""Stored samples are opened as they were prepared and predicted, or not at all."""

import dataclasses
import json
import shutil

import pytest
import tifffile
from helpers.runs import do, make_job

from benchmark.data.prepared import Manifest, PreparedData
from benchmark.errors import BenchmarkError, DataError, StoreError
from benchmark.report.pictures import StoredSamples, prepared_of
from benchmark.report.results import load_results
from benchmark.report.write import write_report
from benchmark.store.digest import array_digest
from benchmark.store.store import RunStore


@pytest.fixture
def result(root):
    job = make_job(root)
    do(job)
    [found] = load_results(job.runs, job.protocol)
    return found


@pytest.fixture
def other(root, result):
    """A second run on the same images."""
    job = make_job(root, level=1.3)
    do(job)
    [found] = [r for r in load_results(job.runs, job.protocol) if r.run_id != result.run_id]
    return found


def test_a_sample_is_read_with_the_prediction_of_each_run(result, other):
    stored = StoredSamples([result, other])
    data = prepared_of(result)
    for entry in data.entries:
        expected, found = data.read(entry), stored.read(entry.id)
        assert array_digest(found.image) == array_digest(expected.image)
        assert array_digest(found.labels) == array_digest(expected.labels)
        assert stored.entry(entry.id) == entry
        for run in (result, other):
            store = RunStore(run.path)
            recorded = store.records()[entry.id].prediction
            assert array_digest(stored.prediction(entry.id, run)) == recorded


def test_what_is_missing_is_named(result, other):
    stored = StoredSamples([result, other])
    first, second, third, _ = (entry.id for entry in prepared_of(result).entries)
    (result.path / "predictions" / f"{first}.tif").unlink()
    with pytest.raises(StoreError, match=first):
        stored.prediction(first, result)
    stored.prediction(first, other)
    with pytest.raises(DataError, match="nosuch"):
        stored.read("nosuch")
    with pytest.raises(StoreError, match="nosuch"):
        stored.prediction("nosuch", result)
    (prepared_of(result).folder / "images" / f"{second}.tif").unlink()
    with pytest.raises(DataError, match=second):
        stored.read(second)
    stored.read(third)


def test_a_failed_sample_has_no_prediction(root):
    job = make_job(root, target="helpers.segmenters.Traced", level=1.0)
    do(job)
    [result] = load_results(job.runs, job.protocol)
    name = str(result.scores.index[0])
    journal = next((result.path / "records").glob("*.jsonl"))
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    failed = next(row for row in rows if row["sample"] == name)
    failed |= {"status": "error", "attempt": failed["attempt"] + 1, "error": "it broke"}
    with journal.open("a") as file:
        file.write(json.dumps(failed) + "\n")
    with pytest.raises(StoreError, match=name):
        StoredSamples([result]).prediction(name, result)


def test_images_are_found_by_any_of_the_runs(result, other, tmp_path):
    path = result.path / "run.json"
    described = json.loads(path.read_text())
    path.write_text(json.dumps(described | {"prepared": str(tmp_path / "nowhere")}))
    name = str(result.scores.index[0])
    stored = StoredSamples([result, other])
    assert stored.read(name).id == name
    assert stored.prediction(name, result).shape == stored.read(name).labels.shape
    with pytest.raises(DataError, match="nowhere"):
        StoredSamples([result])


def point_elsewhere(result, folder):
    """Let run.json name a whole prepared folder of the same ids with another image in it."""
    path = result.path / "run.json"
    described = json.loads(path.read_text())
    shutil.copytree(described["prepared"], folder)
    data = PreparedData(folder, result.data, result.split)
    first, *others = data.entries
    image = tifffile.imread(folder / "images" / f"{first.id}.tif") // 2
    tifffile.imwrite(folder / "images" / f"{first.id}.tif", image)
    changed = [dataclasses.replace(first, image_digest=array_digest(image)), *others]
    Manifest(changed, data.manifest.left_out, data.manifest.fingerprint).write(folder)
    path.write_text(json.dumps(described | {"prepared": str(folder)}))


def test_the_images_of_the_run_are_found(result):
    assert {entry.id for entry in prepared_of(result).entries} >= set(result.scores.index)


def test_other_images_of_the_same_ids_are_refused(result, tmp_path):
    point_elsewhere(result, tmp_path / "elsewhere")
    with pytest.raises(BenchmarkError, match="elsewhere"):
        prepared_of(result)


def test_a_report_has_no_picture_of_them_and_says_so(result, tmp_path, capsys):
    assert list((write_report([result], tmp_path / "first") / "overlays").glob("*.png"))
    point_elsewhere(result, tmp_path / "elsewhere")
    folder = write_report([result], tmp_path / "second")
    assert not list(folder.glob("overlays/*.png"))
    assert "no overlays" in capsys.readouterr().err
