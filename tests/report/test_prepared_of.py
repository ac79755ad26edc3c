"""Pictures show the images that a run was predicted on, or none."""

import dataclasses
import json
import shutil

import pytest
import tifffile
from helpers.runs import do, make_job

from benchmark.data.prepared import Manifest, PreparedData
from benchmark.errors import BenchmarkError
from benchmark.report.pictures import prepared_of
from benchmark.report.results import load_results
from benchmark.report.write import write_report
from benchmark.store.digest import array_digest


@pytest.fixture
def result(root):
    job = make_job(root)
    do(job)
    [found] = load_results(job.runs, job.protocol)
    return found


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
