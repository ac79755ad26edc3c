"""The way of someone with images of their own: segment, compare, label a few, score, export."""

import csv
import json

import numpy as np
import pytest
import rasterio.features
import tifffile
from helpers.command_line import main
from helpers.runs import journals
from shapely.geometry import shape

from benchmark.data.prepared import MANIFEST, Manifest
from benchmark.data.sources.synthetic import draw
from benchmark.store.store import RunStore

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_pictures")]

FIELDS = [f"Feld {index} (left)" for index in range(6)]
LABELLED = FIELDS[1:4]
SIZE = 96
IMAGES = ("data.images=cells/*.tif", "data.use_channels=[DAPI]")
MODELS = {
    "otsu": ("model=otsu",),
    "otsu (min_size=500)": ("model=otsu", "model.min_size=500", "+model.family=large"),
    "otsu (sigma=3)": ("model=otsu", "model.sigma=3", "+model.family=smooth"),
}


@pytest.fixture
def root(tmp_path):
    """Fiji composites: nuclei in the second channel, noise in the first."""
    (tmp_path / "cells").mkdir()
    (tmp_path / "labels").mkdir()
    for index, name in enumerate(FIELDS):
        nuclei, labels = draw("fluorescent_nuclei", index, seed=0, size=SIZE)
        noise = np.random.default_rng(index).integers(0, 200, nuclei.shape, nuclei.dtype)
        described = {"axes": "CYX", "mode": "composite", "Labels": ["actin", "DAPI"]}
        tifffile.imwrite(
            tmp_path / "cells" / f"{name}.tif", np.stack([noise, nuclei]),
            imagej=True, metadata=described,
        )  # fmt: skip
        if name in LABELLED:
            tifffile.imwrite(tmp_path / "labels" / f"{name}.tif", labels.astype(np.uint16))
    return tmp_path


def do(root, *words):
    done = main(root, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def table(root, name):
    (path,) = root.glob(f"results/reports/*/{name}.csv")
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def stores(root):
    return {store.describe()["model"]: store for store in RunStore.all(root / "results" / "runs")}


def stored(root, model):
    """Image -> the stored prediction."""
    manifests = sorted(root.glob(f"datasets/*/prepared/*/{MANIFEST}"))
    names = {e.id: e.original for path in manifests for e in Manifest.read(path.parent).entries}
    store = stores(root)[model]
    return {names[sample]: store.prediction(record) for sample, record in store.records().items()}


def msa(truth, predicted):
    """The mSA by its definition, pair by pair; at an IoU above 0.5 an object has one partner."""
    true, found = np.unique(truth[truth > 0]), np.unique(predicted[predicted > 0])
    best = [
        max((np.sum((truth == t) & (predicted == p)) / np.sum((truth == t) | (predicted == p))
             for p in found), default=0.0)
        for t in true
    ]  # fmt: skip
    matched = [sum(iou >= k / 20 for iou in best) for k in range(10, 20)]
    return np.mean([tp / (len(true) + len(found) - tp) for tp in matched])


def test_from_a_folder_of_images_to_the_best_model_and_its_outlines(root):
    for model, words in MODELS.items():
        output = root / "masks" / model
        do(root, "action=segment", *words, *IMAGES, f"output={output}")
        expected = stored(root, model)
        assert expected.keys() == set(FIELDS)
        for name in FIELDS:
            np.testing.assert_array_equal(tifffile.imread(output / f"{name}.tif"), expected[name])
    nuclei = draw("fluorescent_nuclei", 0, seed=0, size=SIZE)[1]
    assert np.mean((stored(root, "otsu")[FIELDS[0]] > 0) == (nuclei > 0)) > 0.8, "not the noise"

    # Without labels: agreement, and no score.
    do(root, "action=report")
    matrix = {row["method"]: row for row in table(root, "tables/runs_agreement_cells")}
    assert matrix.keys() == MODELS.keys()
    one, other = stored(root, "otsu"), stored(root, "otsu (sigma=3)")
    agreement = np.mean([msa(one[name], other[name]) for name in FIELDS])
    assert float(matrix["otsu"]["otsu (sigma=3)"]) == pytest.approx(agreement)
    ranking = table(root, "tables/runs_cross_family_cells")
    assert [row["rank"] for row in ranking] == ["1", "2", "3"]
    assert ranking[0]["method"] == "otsu"
    first = [row["image"] for row in table(root, "tables/runs_label_first_cells")]
    assert sorted(first) == FIELDS
    scores = [(row["labelled"], row["msa"]) for row in table(root, "table")]
    assert scores == [("0 of 6", "n/a")] * 3

    # Labels of some images: their scores, and no prediction again.
    before = {model: store.records() for model, store in stores(root).items()}
    lines = journals(root / "results", "records")
    for words in MODELS.values():
        do(root, *words, *IMAGES, "data.labels=labels")
    assert journals(root / "results", "records") == lines
    assert {model: store.records() for model, store in stores(root).items()} == before

    # The report says which is best.
    do(root, "action=report")
    expected = {
        model: np.mean([
            msa(tifffile.imread(root / "labels" / f"{name}.tif"), stored(root, model)[name])
            for name in LABELLED
        ])
        for model in MODELS
    }  # fmt: skip
    (row,) = table(root, "tables/runs_per_data_set")
    found = {model: float(row[model]) for model in MODELS}
    assert found == pytest.approx(expected)
    assert len(set(expected.values())) == 3
    first = [row["image"] for row in table(root, "tables/runs_label_first_cells")]
    assert sorted(first) == sorted(set(FIELDS) - set(LABELLED))

    # Nothing is faulty or partial, though three images have no labels.
    do(root, "action=check", "check=full", *MODELS["otsu"], *IMAGES, "data.labels=labels")
    assert do(root, "action=status").splitlines()[-1] == "3 done"

    # The outlines of the best are its predictions.
    best = max(found, key=found.get)
    words = (*MODELS[best], *IMAGES)
    do(root, "action=export", *words, "format=geojson", "output=outlines")
    for name, labels in stored(root, best).items():
        path = root / "outlines" / f"{name}.geojson"
        features = json.loads(path.read_text())["features"]
        outlines = {f["properties"]["label"]: shape(f["geometry"]) for f in features}
        areas = dict(zip(*np.unique(labels[labels > 0], return_counts=True), strict=True))
        assert {label: outline.area for label, outline in outlines.items()} == areas
        drawn = np.zeros(labels.shape, np.int32)
        for label, outline in outlines.items():
            assert outline.is_valid
            drawn[rasterio.features.rasterize([(outline, 1)], labels.shape) > 0] = label
        np.testing.assert_array_equal(drawn, labels)
