"""Cellpose 3 without its library: a stand-in for it, which returns what upstream returns."""

import inspect
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch
from helpers.adapters import GREY, RGB, configured, drawn
from helpers.adapters import one_thread as one_thread
from helpers.small_cellpose3 import chosen

from benchmark.errors import ModelError
from models.cellpose3 import Cellpose3


def test_configuration():
    target, read, first = configured("cellpose3")
    assert target == "models.cellpose3.Cellpose3" and first.startswith("# ")
    assert read.pop("weights") == "cyto3"
    assert read.pop("channels") == [0, 0]
    parameters = inspect.signature(Cellpose3).parameters
    assert read == {n: p.default for n, p in list(parameters.items())[2:] if n != "channels"}


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


def test_a_device_without_room_is_not_taken_for_another_architecture(monkeypatch, fake, file):
    for error in (torch.OutOfMemoryError("CUDA"), RuntimeError("MPS backend out of memory")):

        def full(*_, error=error, **__):
            raise error

        monkeypatch.setattr(fake, "CellposeModel", full)
        with pytest.raises(ModelError, match=r"^out of memory on cpu .*loaded"):
            Cellpose3(chosen(file))


def test_a_batch_below_one_is_refused(fake, file):
    for value in (0, -1):
        with pytest.raises(ValueError, match=f"^batch_size is {value}; .*1 or more"):
            Cellpose3(chosen(file), batch_size=value)
