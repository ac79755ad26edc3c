"""Cellpose 3: equal to cyto3 called as the study did; without the library, a stand-in for it."""

import inspect
import os
import sys
from dataclasses import replace
from types import ModuleType
from unittest import mock

import numpy as np
import pytest
import torch
from helpers.adapters import GREY, ODD, RGB, child, configured, drawn, process_state
from helpers.adapters import valid_or_refused as valid
from helpers.small_cellpose3 import SmallCellpose3, make_checkpoint

from benchmark.digest import array_digest
from benchmark.errors import ModelError
from benchmark.readiness import library_obstacle
from models.cellpose3 import Cellpose3

FINDING = {"cellprob_threshold": -6.0, "flow_threshold": 0.0}  # random weights find nothing else
real = pytest.mark.skipif(
    library_obstacle(Cellpose3) is not None,
    reason=f"see configs/environment/cellpose3.txt: {library_obstacle(Cellpose3)}",
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_configuration():
    target, read, first = configured("cellpose3")
    assert target == "models.cellpose3.Cellpose3" and first.startswith("# ")
    assert read.pop("weights") == "cyto3"
    assert read.pop("channels") == [0, 0]
    parameters = inspect.signature(Cellpose3).parameters
    assert read == {n: p.default for n, p in list(parameters.items())[2:] if n != "channels"}


# What follows needs no cellpose 3.


class Net(torch.nn.Module):
    """The one layer that a checkpoint is told by."""

    def __init__(self):
        super().__init__()
        self.output = torch.nn.Sequential(*map(torch.nn.Conv2d, (1, 1, 2), (1, 1, 3), (1, 1, 1)))


class FakeModel:
    """Loads as cellpose 3 does, and returns a mask, squeezed as cellpose's are."""

    def __init__(self, pretrained_model, device):
        self.pretrained_model, self.device, self.diam_mean, self.calls = (
            pretrained_model, device, 17.0, [],
        )  # fmt: skip
        self.net = Net()
        self.net.load_state_dict(torch.load(pretrained_model), strict=False)

    def eval(self, image, **settings):
        self.calls.append((image.copy(), settings))
        if settings["batch_size"] > 2:
            image *= 0  # as normalising in place would spoil it for a second call
            raise torch.OutOfMemoryError("fake")
        masks = (image if image.ndim == 2 else image.mean(2)) > 100
        return masks.astype(np.uint16).squeeze(), None, None

    def _run_net(self): ...
    def _compute_masks(self): ...


@pytest.fixture
def fake(monkeypatch):
    package, models = ModuleType("cellpose"), ModuleType("cellpose.models")
    models.CellposeModel = FakeModel
    package.models = models
    monkeypatch.setitem(sys.modules, "cellpose", package)
    monkeypatch.setitem(sys.modules, "cellpose.models", models)
    return models


@pytest.fixture
def file(tmp_path):
    torch.save(Net().state_dict(), tmp_path / "cyto3")
    return tmp_path / "cyto3"


def chosen(file):
    return SmallCellpose3.find_weights(os.fspath(file)).fetch()


def test_call(fake, file):
    model = Cellpose3(chosen(file), batch_size=1)
    labels = model.predict(RGB)
    (image, settings), *more = model._model.calls
    assert not more and labels.shape == RGB.shape[:2] and labels.max() == 1
    np.testing.assert_array_equal(image, RGB.astype(np.float32))
    assert settings == {
        "diameter": 30.0, "channels": [0, 0], "flow_threshold": 0.4, "cellprob_threshold": 0.0,
        "min_size": 15, "batch_size": 1, "channel_axis": -1,
    }  # fmt: skip
    model.predict(GREY)
    assert model._model.calls[-1][1]["channel_axis"] is None
    model.predict(np.dstack([RGB, GREY[:1, :1].repeat(150, 0).repeat(90, 1)]))
    np.testing.assert_array_equal(model._model.calls[-1][0], image)


def test_squeezed_masks_are_mended(fake, file):
    model = Cellpose3(chosen(file), batch_size=1)
    assert model.predict(drawn((300, 1))).shape == (300, 1)


def test_batch_is_halved_where_memory_is_short(fake, file):
    image = RGB.astype(np.float32)
    model = Cellpose3(chosen(file))
    labels = model.predict(image)
    assert [call[1]["batch_size"] for call in model._model.calls] == [8, 4, 2]
    assert model.details == {"reproducible": True, "batch_size": 2, "batch_size_asked": 8}
    np.testing.assert_array_equal(labels, image.mean(2) > 100)
    np.testing.assert_array_equal(image, RGB)


def test_few_rows_are_refused(fake, file):
    model = Cellpose3(chosen(file))
    with pytest.raises(ValueError, match=r"image of shape \(7, 100\).*8 rows"):
        model.predict(drawn((7, 100)))


def test_built_in_weights_are_of_diameter_30(fake, file):
    assert Cellpose3(chosen(file))._model.diam_mean == 17
    assert Cellpose3(replace(chosen(file), mark="verified"))._model.diam_mean == 30


def test_other_weights_taken_silently(monkeypatch, fake, file, tmp_path):
    """By another path, or by another value in it."""
    torch.save(Net().state_dict(), tmp_path / "other")
    monkeypatch.setattr(fake, "CellposeModel", lambda pretrained_model, device: FakeModel(
        str(tmp_path / "other"), device
    ))  # fmt: skip
    with pytest.raises(ModelError, match=r"cellpose loaded .*other instead of .*cyto3"):
        Cellpose3(chosen(file))

    def same_name(pretrained_model, device):
        model = FakeModel(str(tmp_path / "other"), device)
        model.pretrained_model = pretrained_model
        return model

    monkeypatch.setattr(fake, "CellposeModel", same_name)
    with pytest.raises(ModelError, match=r"cyto3 .*differs. Nothing was scored"):
        Cellpose3(chosen(file))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda s: {"W2": s["output.2.bias"], "out.bias": s["output.2.bias"]},
            "model=cellpose_sam",
        ),
        (lambda s: s | {"epoch": 3}, "more than parameters"),
        (lambda s: s | {"output.1.bias": torch.zeros(7)}, "size mismatch for output.1.bias"),
        (lambda s: {k: s[k] for k in s if k != "output.1.bias"}, "such as 'output.1.bias'"),
    ],
)
def test_other_architectures(fake, tmp_path, change, why):
    torch.save(change(Net().state_dict()), tmp_path / "changed")
    with pytest.raises(ModelError, match=why) as caught:
        Cellpose3(chosen(tmp_path / "changed"))
    assert str(tmp_path / "changed") in str(caught.value)


# What follows is run where cellpose 3 is installed.


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


@real
@pytest.mark.parametrize("image", IMAGES)
def test_equal_to_upstream(study, model, image):
    labels = model.predict(image)
    np.testing.assert_array_equal(labels, study(image, **FINDING))
    assert len(np.unique(labels)) > 3


@real
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


@real
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


@real
def test_defaults_are_upstreams():
    from cellpose.models import CellposeModel

    theirs = inspect.signature(CellposeModel.eval).parameters
    ours = inspect.signature(Cellpose3).parameters
    for name in ("flow_threshold", "cellprob_threshold", "min_size", "batch_size"):
        assert ours[name].default == theirs[name].default


@real
@pytest.mark.parametrize("kind", ODD)
def test_odd_images(model, kind):
    labels = valid(model, ODD[kind])
    refused = ("NaN", "five channels", "fewer rows than channels", "one row")
    assert (labels is None) == (kind in refused)


@real
def test_no_axis_is_guessed(model):
    """Nine rows of two columns and three channels: the shortest axis is not the channels'."""
    image = drawn((40, 40, 3))[:9, :2]
    grey = image.astype(np.float32).mean(2)
    np.testing.assert_array_equal(model.predict(image), model.predict(grey))
    assert model.predict(image).shape == (9, 2)


@real
@pytest.mark.slow
def test_large_image(model):
    assert valid(model, drawn((3000, 2000))).max() > 100


@real
def test_same_in_another_process_left_as_it_was(path, model, expected):
    np.testing.assert_array_equal(model.predict(GREY), expected)
    before = process_state()
    model.predict(GREY)
    assert process_state() == before
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from helpers.adapters import GREY, process_state\n"
        "from helpers.small_cellpose3 import SmallCellpose3 as Model\n"
        "from benchmark.digest import array_digest\n"
        "before = process_state()\n"
        f"model = Model(Model.find_weights({str(path)!r}).fetch(), **{FINDING})\n"
        "assert process_state() == before, process_state()\n"
        "labels = model.predict(GREY)\n"
        "assert process_state() == before, process_state()\n"
        "print(array_digest(labels))"
    )
    assert child(code).split()[-1] == array_digest(expected)


@real
def test_stages(model):
    model.predict(GREY)
    assert set(model.stages) == {"network", "postprocess"} and min(model.stages.values()) > 0


@real
def test_weights_of_cellpose_4(tmp_path):
    torch.save({"W2": torch.zeros(3), "encoder.pos_embed": torch.zeros(3)}, tmp_path / "cpsam")
    with pytest.raises(ModelError, match=r"cpsam can't be loaded.*model=cellpose_sam"):
        SmallCellpose3(chosen(tmp_path / "cpsam"))
