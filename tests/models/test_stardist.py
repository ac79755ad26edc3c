"""StarDist without TensorFlow: a stand-in for the library, which returns what it is given."""

import inspect
import json
import os
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from helpers.adapters import GREY, RGB, configured, drawn

from benchmark.errors import ModelError
from models.stardist import StarDist
from models.weights import find_weights

FILES = {"config.json": {"n_channel_in": 1}, "thresholds.json": {"prob": 0.5}}


def test_configuration():
    target, read, first = configured("stardist")
    assert target == "models.stardist.StarDist" and first.startswith("# ")
    weights = read.pop("weights")
    assert weights == {"default": "2D_versatile_fluo", "histopathology": "2D_versatile_he"}
    parameters = inspect.signature(StarDist).parameters
    assert read == {name: parameters[name].default for name in list(parameters)[1:]}


class FakeModel:
    """Loads what stardist loads, and returns the image that it is given as labels."""

    def __init__(self, config, name, basedir):
        print("Loading network weights.")
        folder = Path(basedir, name)
        assert config is None and {path.name for path in folder.iterdir()} == {
            *FILES, "weights_best.h5",
        }  # fmt: skip
        self.config = SimpleNamespace(**json.loads((folder / "config.json").read_text()))
        if not hasattr(self.config, "n_channel_in"):
            raise ValueError("Invalid attributes in loaded config")

    def predict_instances(self, image, **thresholds):
        print("predicting: 100%")
        self.thresholds, self.image = thresholds, image
        return (image > 0.5).astype(np.int32).reshape(*image.shape[:2], -1)[..., 0], {}


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    models, tensorflow, utils = (ModuleType(name) for name in ("models", "tensorflow", "utils"))
    models.StarDist2D = FakeModel
    hidden = []
    tensorflow.config = SimpleNamespace(set_visible_devices=lambda *given: hidden.append(given))
    utils.normalize = lambda image, pmin, pmax: (image - np.percentile(image, pmin)) / np.ptp(image)
    monkeypatch.setitem(sys.modules, "stardist.models", models)
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    monkeypatch.setitem(sys.modules, "csbdeep.utils", utils)
    return hidden


def a_zip(path, files, folder="it/"):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(folder + name, content)
    return path


def contents(channels=1, **changed):
    said = {name: json.dumps(content) for name, content in FILES.items()}
    said["config.json"] = json.dumps({"n_channel_in": channels})
    return {**said, "weights_best.h5": "weights", **changed}


def model(path, **parameters):
    found = find_weights(os.fspath(path), family="stardist", untrained=True)
    return StarDist(found.fetch(), **parameters)


def test_zip_and_folder_are_the_same(tmp_path, capsys, fake):
    (tmp_path / "folder").mkdir()
    for name, content in contents().items():
        (tmp_path / "folder" / name).write_text(content)
    (tmp_path / "folder" / "notes.txt").write_text("of the user's own")
    packed = a_zip(tmp_path / "packed.zip", {**contents(), "../../notes.txt": "elsewhere"})
    for path in (tmp_path / "folder", packed):
        labels = model(path).predict(GREY)
        assert labels.shape == GREY.shape and labels.any()
    assert capsys.readouterr().out == ""
    assert fake == [([], "GPU")] * 2


@pytest.mark.parametrize(
    ("channels", "image", "shape"),
    [
        (1, GREY, GREY.shape),
        (1, RGB, RGB.shape[:2]),
        (3, GREY, (*GREY.shape, 3)),
        (3, RGB, RGB.shape),
        (3, drawn((60, 80, 2)), (60, 80, 3)),
        (3, drawn((60, 80, 4)), (60, 80, 3)),
        (1, drawn((60, 80, 1)), (60, 80)),
    ],
)
def test_the_network_gets_the_channels_that_it_has(tmp_path, channels, image, shape):
    built = model(a_zip(tmp_path / "packed.zip", contents(channels)))
    before = image.copy()
    assert built.predict(image).shape == image.shape[:2]
    given = built._model.image
    assert given.shape == shape and given.dtype == np.float32
    np.testing.assert_array_equal(image, before)
    if channels == 3 and image.ndim == 2:
        assert (given == given[..., :1]).all()
    if channels == 1 and image.ndim == 3:
        mean = image[..., :3].astype(np.float32).mean(axis=2)
        np.testing.assert_array_equal(given, built._normalise(mean, 3.0, 99.8))


def test_thresholds_reach_the_library(tmp_path):
    packed = a_zip(tmp_path / "packed.zip", contents())
    for given in ({}, {"prob_thresh": 0.3, "nms_thresh": 0.2}):
        built = model(packed, **given)
        built.predict(GREY)
        assert built._model.thresholds == {"prob_thresh": None, "nms_thresh": None} | given


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"config.json": "{}"}, "it has no thresholds.json, weights_best.h5"),
        (contents(**{"config.json": "{}"}), "Invalid attributes"),
        (contents(channels=2), "it has 2 input channels; 1 or 3 are supported"),
    ],
)
def test_other_architectures(tmp_path, files, why):
    with pytest.raises(ModelError, match=f"another architecture: {why}"):
        model(a_zip(tmp_path / "packed.zip", files))


def test_a_file_that_is_no_zip(tmp_path):
    (tmp_path / "net.h5").write_text("weights alone")
    with pytest.raises(ModelError, match=r"net\.h5 is no zip with config\.json"):
        model(tmp_path / "net.h5")


@pytest.mark.parametrize("pair", [(3.0, 3.0), (-1.0, 99.0), (3.0, 101.0)])
def test_percentiles_out_of_range(tmp_path, pair):
    with pytest.raises(ValueError, match="give percentiles"):
        model(a_zip(tmp_path / "packed.zip", contents()), pmin=pair[0], pmax=pair[1])


def test_images_that_the_library_takes_wrongly(tmp_path):
    built = model(a_zip(tmp_path / "packed.zip", contents()))
    for shape in ((1, 50), (50, 1), (1, 50, 3)):
        with pytest.raises(ValueError, match="2 pixels or more a side"):
            built.predict(drawn(shape))
