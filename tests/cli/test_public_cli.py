"""Public data sets on the command line: real images, real loaders, and what a person is told."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import main
from helpers.runs import environment

from benchmark.data.formats.images import read_image, read_labels
from benchmark.data.prepared import Manifest

REAL = os.environ.get("BENCHMARK_DATA", "")
needs_images = pytest.mark.skipif(
    not Path(REAL, "u20s").is_dir(), reason="BENCHMARK_DATA names no folder with u20s in it"
)


def benchmark(root, *words, **more):
    """Run the command line below `root`, with nobody's caches, keys or data."""
    given = environment(HOME=str(root / "home"), **more)
    given.pop("BENCHMARK_DATA", None)
    return main(root, *words, **given)


def manifests(root, name):
    return [Manifest.read(p) for p in sorted((root / "datasets" / name).glob("prepared/[!.]*"))]


@needs_images
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "images", "groups"), [("u20s", 50, 41), ("usiigaci", 15, 15), ("dsb", 480, 480)]
)
def test_real_images_are_prepared_and_run_by_the_real_loaders(tmp_path, name, images, groups):
    limit = ["limit=20"] if name == "dsb" else []  # preparing is what this is about
    words = ["model=otsu", f"data={name}", "data.split=all", f"data.root={REAL}", *limit]
    done = benchmark(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    (manifest,) = manifests(tmp_path, name)
    # usiigaci's train split is the study's test split; dsb's validation is its train split.
    assert len(manifest.entries) + len(manifest.left_out) == images
    assert len({entry.group for entry in manifest.entries}) <= groups
    scored = 20 if limit else len(manifest.entries)
    assert re.search(rf"otsu +{name}, all +{scored} ", done.stdout), done.stdout
    # Seen with other eyes: files read and cut by hand.
    entry = next(e for e in manifest.entries if e.shape[0] <= 512)
    (folder,) = (tmp_path / "datasets" / name).glob("prepared/[!.]*")
    pattern = {"u20s": "images/*.tif", "dsb": "*/images/*.tif", "usiigaci": "*/*/*/*/raw.tif"}[name]
    (raw,) = [
        p
        for p in Path(REAL, name).glob(pattern)
        if entry.original in "-".join(p.with_suffix("").parts)
    ]
    truth = str(raw).replace("/images/", "/labels/" if name == "u20s" else "/masks/")
    truth = truth.replace("raw.tif", "instances_ids.png")
    for kind, array in (("images", read_image(raw)), ("labels", read_labels(Path(truth)))):
        top, left = (max(0, (n - 512) // 2) for n in array.shape[:2])
        cut = array[top : top + 512, left : left + 512]
        read = read_image if kind == "images" else read_labels
        assert np.array_equal(read(folder / kind / f"{entry.id}.tif"), cut)


@needs_images
@pytest.mark.slow
def test_prepared_once_the_download_may_be_deleted_and_is_checked_against_the_manifest(tmp_path):
    shutil.copytree(Path(REAL, "u20s"), tmp_path / "root" / "u20s")
    words = ["data=u20s", f"data.root={tmp_path / 'root'}", "model=otsu", "limit=2"]
    first = benchmark(tmp_path, *words)
    assert first.returncode == 0, first.stderr
    shutil.rmtree(tmp_path / "root")
    again = benchmark(tmp_path, *words, "data.download=false")
    assert again.returncode == 0 and "looking for" not in again.stderr, again.stderr
    checked = benchmark(tmp_path, "action=check", *words)
    assert "data 'u20s': 25 samples, 0 faulty" in checked.stdout, checked.stdout + checked.stderr
    (folder,) = (tmp_path / "datasets" / "u20s").glob("prepared/[!.]*")
    changed = sorted((folder / "labels").iterdir())[3]
    whole = changed.read_bytes()
    changed.write_bytes(sorted((folder / "labels").iterdir())[4].read_bytes())
    checked = benchmark(tmp_path, "action=check", *words)
    assert checked.returncode == 1
    assert f"data 'u20s', sample '{changed.stem}': {changed} was changed" in checked.stderr
    changed.write_bytes(whole)
    assert benchmark(tmp_path, "action=check", *words).returncode == 0


@needs_images
@pytest.mark.slow
def test_labels_alone_may_change_and_no_prediction_is_made_again(tmp_path):
    """A protocol that changes the truth, but no image, scores what is stored."""
    words = ["data=u20s", f"data.root={REAL}", "model=otsu"]
    first = benchmark(tmp_path, *words, "protocol.cut_objects=one")
    again = benchmark(tmp_path, *words, "protocol.cut_objects=split", "action=evaluate")
    assert first.returncode == again.returncode == 0, again.stderr
    runs = list((tmp_path / "results" / "runs").iterdir())
    assert len(runs) == 1, "other labels made another run"


@pytest.mark.slow
def test_a_data_set_that_a_person_has_to_fetch_says_what_whence_and_whither(tmp_path):
    root = tmp_path / "root"
    for name, where in (
        ("tissuenet", "datasets.deepcell.org"),
        ("cellpose", "cellpose.org"),
        ("nuinsseg", "kaggle"),
        ("deepseas", "drive.google.com"),
        ("segpc", "ieee-dataport"),
    ):
        done = benchmark(tmp_path, "model=otsu", f"data={name}", f"data.root={root}")
        assert done.returncode == 1, done.stderr
        assert f"skipped: data '{name}' " in done.stderr
        assert where in done.stderr.lower() and str(root / name) in done.stderr
        assert "Traceback" not in done.stderr
    assert not list(root.glob("*/*"))


def damaged(root, how):
    """A copy of a few real images with one fault in it; the file that the message shall name."""
    folder = root / "u20s"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
        for path in sorted(Path(REAL, "u20s", kind).iterdir())[:30]:
            shutil.copy(path, folder / kind)
    image, truth = (sorted((folder / k).iterdir())[27] for k in ("images", "labels"))
    if how == "truncated":
        image.write_bytes(image.read_bytes()[:4000])
        return image
    if how == "no labels":
        truth.unlink()
        return image
    other = Path(REAL, "usiigaci", "Usiigaci", "Mask R-CNN", "val")
    import tifffile

    tifffile.imwrite(truth, read_labels(next(other.glob("*/instances_ids.png"))))
    return truth


@needs_images
@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("truncated", "can't be read"),
        ("no labels", "has no label image"),
        ("other shape", "height and width must agree"),
    ],
)
def test_a_fault_in_a_download_is_named_with_data_set_sample_and_file(tmp_path, how, told):
    path = damaged(tmp_path / "root", how)
    words = ["data=u20s", f"data.root={tmp_path / 'root'}", "model=otsu"]
    done = benchmark(tmp_path, *words)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "data 'u20s'" in line and told in line and str(path) in line
    assert path.stem in line
    assert not list((tmp_path / "datasets").glob("u20s/prepared/[!.]*"))
    if how != "no labels":
        assert f"sample '{path.stem}'" in line
        going_on = benchmark(tmp_path, *words, "errors.max_failures=1")
        assert "partial (4 of 5, 1 failed)" in going_on.stdout, going_on.stdout


@pytest.mark.slow
def test_an_hdf5_file_without_the_key_is_named_with_what_it_has(tmp_path):
    import h5py

    folder = tmp_path / "root" / "covid_if"
    folder.mkdir(parents=True)
    for number in range(12):
        with h5py.File(folder / f"gt_image_{number:03d}.h5", "w") as file:
            file["raw/serum_IgG/s0"] = np.zeros((520, 530), np.uint8)
            if number != 11:
                file["raw/nuclei/s0"] = np.zeros((520, 530), np.uint8)
            file["labels/cells/s0"] = np.arange(520 * 530, dtype=np.uint32).reshape(520, 530)
    done = benchmark(tmp_path, "model=otsu", "data=covid_if", f"data.root={tmp_path / 'root'}")
    assert done.returncode == 1, done.stderr
    path = folder / "gt_image_011.h5"
    assert (
        f"data 'covid_if': one image can't be used: sample 'gt_image_011': {path}: " in done.stderr
    )
    assert "has no 'raw/nuclei/s0'; it has: labels/cells/s0, raw/serum_IgG/s0" in done.stderr


def test_a_loader_never_runs_in_the_process_of_the_model(tmp_path):
    code = (
        "import sys; import benchmark.data.sources.torch_em, benchmark.data.sources.loader; "
        "print(json.dumps([m for m in ('torch', 'torch_em', 'h5py', 'zarr') if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import json; " + code], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
