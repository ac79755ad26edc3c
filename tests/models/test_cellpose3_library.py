"""Cellpose 3 where its library is installed: equal to cyto3 called as the study did."""

import inspect
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import torch
from helpers.adapters import GREY, ODD, RGB, child, drawn, process_state
from helpers.adapters import one_thread as one_thread
from helpers.adapters import valid_or_refused as valid
from helpers.small_cellpose3 import SmallCellpose3, chosen, make_checkpoint

from benchmark.adapter import missing_libraries
from benchmark.errors import ModelError
from benchmark.store.digest import array_digest
from models.cellpose3 import Cellpose3

FINDING = {"cellprob_threshold": -6.0, "flow_threshold": 0.0}  # random weights find nothing else
pytestmark = pytest.mark.skipif(
    missing_libraries(Cellpose3) is not None,
    reason=f"see configs/environment/cellpose3.txt: {missing_libraries(Cellpose3)}",
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("cellpose3") / "cyto3")


@pytest.fixture(scope="module")
def model(path):
    return SmallCellpose3(chosen(path), **FINDING)


@pytest.fixture(scope="module")
def expected(model):
    return model.predict(GREY)


@pytest.fixture(scope="module")
def study(path):
    """The study's call, on a machine where the checkpoint was downloaded as `cyto3`."""
    from cellpose import models

    # Never read, since the diameter is given; but the class asks for it.
    size = {"A": np.zeros((1, 256)), "smean": np.zeros(256), "diam_mean": 30.0, "ymean": 0.0}
    np.save(path.parent / "size_cyto3.npy", size)
    with mock.patch.object(models, "MODEL_DIR", path.parent):
        model = models.Cellpose(gpu=torch.cuda.is_available(), model_type="cyto3")

    def call(image, **settings):
        settings = {"diameter": 30, "channels": [0, 0]} | settings
        return model.eval(image.copy(), **settings)[0]

    return call


IMAGES = [GREY, RGB, GREY.astype(np.float32), RGB.astype(np.uint16) * 9, drawn((240, 300))]


@pytest.mark.parametrize("image", IMAGES)
def test_equal_to_upstream(study, model, image):
    labels = model.predict(image)
    np.testing.assert_array_equal(labels, study(image, **FINDING))
    assert len(np.unique(labels)) > 3


def test_equal_to_upstream_whatever_the_file_says(study, path, model, monkeypatch, tmp_path):
    """A built-in model is one of diameter 30, even if its file has another."""
    from cellpose import models

    state = torch.load(path) | {"diam_mean": torch.tensor([17.0])}
    for name in ("cyto3", "size_cyto3.npy"):
        (tmp_path / name).write_bytes((path.parent / name).read_bytes())
    torch.save(state, tmp_path / "cyto3")
    monkeypatch.setattr(models, "MODEL_DIR", tmp_path)
    theirs = models.Cellpose(model_type="cyto3").eval(GREY, diameter=30, channels=[0, 0], **FINDING)
    verified = replace(chosen(tmp_path / "cyto3"), mark="verified")
    labels = SmallCellpose3(verified, **FINDING).predict(GREY)
    np.testing.assert_array_equal(labels, theirs[0])
    users = SmallCellpose3(chosen(tmp_path / "cyto3"), **FINDING).predict(GREY)
    assert not np.array_equal(labels, users)


@pytest.mark.parametrize(
    "other",
    [
        {"diameter": 20.0}, {"min_size": 95}, {"cellprob_threshold": 0.4},
        {"flow_threshold": 1.0}, {"channels": [2, 3]},
    ],
)  # fmt: skip
def test_every_parameter_reaches_cellpose(study, path, model, other):
    labels = SmallCellpose3(chosen(path), **FINDING | other).predict(RGB)
    np.testing.assert_array_equal(labels, study(RGB, **FINDING | other))
    assert not np.array_equal(labels, model.predict(RGB))


def test_settings_share_their_flows_and_equal_the_single_adapter(path):
    model = SmallCellpose3(chosen(path), **FINDING)
    settings = [
        {}, {"min_size": 95}, {"cellprob_threshold": -5.0}, {"channels": [2, 3]},
        {"channels": (0, 0)},
        {"diameter": 20.0}, {"flow_threshold": 1.0, "diameter": 20}, {},
    ]  # fmt: skip
    runs = []
    network = model._model.net.forward
    model._model.net.forward = lambda *given: runs.append(1) or network(*given)
    together = list(model.predict_each(RGB, settings))
    alone = [SmallCellpose3(chosen(path), **FINDING | setting).predict(RGB) for setting in settings]
    assert together[0] is together[4] is together[7]
    for setting, labels, own in zip(settings, together, alone, strict=True):
        assert labels.dtype == own.dtype and np.array_equal(labels, own), setting
    assert len({labels.tobytes() for labels in together}) >= 5
    shared, runs[:] = len(runs), []
    for setting in ({}, {"channels": [2, 3]}, {"diameter": 20.0}):
        list(model.predict_each(RGB, [setting]))
    assert len(runs) == shared, "three runs of the network"


def test_defaults_are_upstreams():
    from cellpose.models import CellposeModel

    theirs = inspect.signature(CellposeModel.eval).parameters
    ours = inspect.signature(Cellpose3).parameters
    for name in ("flow_threshold", "cellprob_threshold", "min_size", "batch_size"):
        assert ours[name].default == theirs[name].default


@pytest.mark.parametrize("kind", ODD)
def test_odd_images(model, kind):
    labels = valid(model, ODD[kind])
    refused = ("NaN", "five channels", "fewer rows than channels", "one row")
    assert (labels is None) == (kind in refused)


def test_no_axis_is_guessed(model):
    """Nine rows of two columns and three channels: the shortest axis is not the channels'."""
    image = drawn((40, 40, 3))[:9, :2]
    grey = image.astype(np.float32).mean(2)
    np.testing.assert_array_equal(model.predict(image), model.predict(grey))
    assert model.predict(image).shape == (9, 2)


@pytest.mark.slow
def test_large_image(model):
    assert valid(model, drawn((3000, 2000))).max() > 100


def test_same_in_another_process_left_as_it_was(path, model, expected):
    np.testing.assert_array_equal(model.predict(GREY), expected)
    before = process_state()
    model.predict(GREY)
    assert process_state() == before
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from helpers.adapters import GREY, process_state\n"
        "from helpers.small_cellpose3 import SmallCellpose3 as Model\n"
        "from benchmark.store.digest import array_digest\n"
        "before = process_state()\n"
        f"model = Model(Model.find_weights({str(path)!r}).fetch(), **{FINDING})\n"
        "assert process_state() == before, process_state()\n"
        "labels = model.predict(GREY)\n"
        "assert process_state() == before, process_state()\n"
        "print(array_digest(labels))"
    )
    assert child(code).split()[-1] == array_digest(expected)


def test_stages(model):
    model.predict(GREY)
    assert set(model.stages) == {"network", "postprocess"} and min(model.stages.values()) > 0


def test_weights_of_cellpose_4(tmp_path):
    torch.save({"W2": torch.zeros(3), "encoder.pos_embed": torch.zeros(3)}, tmp_path / "cpsam")
    with pytest.raises(ModelError, match=r"cpsam can't be loaded.*model=cellpose_sam"):
        SmallCellpose3(chosen(tmp_path / "cpsam"))
