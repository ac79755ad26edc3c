"""CellSAM without its library: a stand-in for it, which returns what upstream returns."""

import inspect
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.adapters import GREY, ODD, RGB, configured, drawn
from helpers.adapters import one_thread as one_thread
from helpers.adapters import valid_or_refused as valid
from helpers.small_cellsam import chosen

from benchmark.errors import ModelError
from models.cellsam import CellSAM


def test_configuration():
    target, read, first = configured("cellsam")
    assert target == "models.cellsam.CellSAM" and first.startswith("# ")
    assert read.pop("weights") == "cellsam_general"
    assert read.pop("grey_columns") == "${protocol.library_quirks}"
    parameters = inspect.signature(CellSAM).parameters
    assert read == {name: parameters[name].default for name in list(parameters)[2:-1]}


class Net(torch.nn.Module):
    """Loads as cellSAM does; finds what it is told to."""

    def __init__(self):
        super().__init__()
        self.adv_mode, self.found = True, "nothing"
        self.model, self.model_cp, self.cellfinder = (torch.nn.Linear(2, 2) for _ in range(3))
        self.cellfinder.forward_inference = lambda images: []
        for sam in (self.model, self.model_cp):
            sam.mask_decoder = SimpleNamespace(forward=lambda **embedded: None)

    def load_state_dict(self, state, strict):
        super().load_state_dict(state, strict=strict)
        if not any(name.startswith("model_cp.") for name in state):
            self.adv_mode = False
            self.model_cp.load_state_dict(self.model.state_dict())

    def predict(self, images, boxes_per_heatmap=None):
        assert images.any()  # TypeError for an image without contrast, as upstream
        labels = (images[0, 2] > 0.5).long().numpy()
        return (labels, None, images, []) if self.found == "cells" else (None,) * 4

    def generate_embeddings(self, images): ...
    def generate_bounding_boxes(self, images): ...


@pytest.fixture
def calls(monkeypatch):
    """The stand-in; its calls are noted."""
    noted = []

    def normalize_image(image):
        noted.append(image.copy())
        return image / 255

    def segment_cellular_image(image, model, **settings):
        noted.append(settings)
        planes = np.zeros((*image.shape[:2], 3), np.float32)
        planes[..., -1:] = image[..., None] if image.ndim == 2 else image[..., 2:]
        images = torch.from_numpy(planes.transpose(2, 0, 1))[None]
        found = model.predict(images)
        if found is None:
            return np.zeros(images.shape[1:], np.int32), None, None
        assert found[0].ndim == 2  # AttributeError for None, as upstream
        return found[0], None, None

    contents = {
        "cellSAM": {},
        "cellSAM.cellsam_pipeline": {"normalize_image": normalize_image},
        "cellSAM.model": {"segment_cellular_image": segment_cellular_image},
    }
    for name, content in contents.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(CellSAM, "_build", staticmethod(Net))
    return noted


def saved(folder, change=dict):
    state = change(Net().state_dict())
    torch.save(state, folder / "cellsam.pt")
    return chosen(folder / "cellsam.pt")


def only(*parts):
    return lambda state: {k: v for k, v in state.items() if k.startswith(parts)}


def test_call(calls, tmp_path):
    model = CellSAM(saved(tmp_path), bbox_threshold=0.3)
    model._model.found = "cells"
    labels = model.predict(RGB)
    np.testing.assert_array_equal(calls[0], RGB.astype(np.float32))
    assert calls[1] == {"normalize": True, "bbox_threshold": 0.3, "device": "cpu"}
    assert labels.shape == RGB.shape[:2] and labels.dtype == np.int64 and labels.max() == 1


def test_masks_are_kept_for_other_settings_only(calls, tmp_path):
    """Else each box would be copied to the host, and its mask kept until the image is done."""
    model = CellSAM(saved(tmp_path))
    decoder, box = model._model.model_cp.mask_decoder, torch.ones(1, 2, 4)
    kept = []
    find = model._model.predict

    def predict(images, **named):
        decoder.forward(sparse_prompt_embeddings=box)
        kept.append(None if model._made is None else len(model._made))
        return find(images, **named)

    model._model.predict = predict
    model.predict(RGB)
    list(model.predict_each(RGB, [{}, {"bbox_threshold": 0.4}]))
    assert kept == [None, None]
    list(model.predict_each(RGB, [{}, {"bbox_threshold": 0.1}]))
    assert kept[2:] == [1, 1] and model._made is None


@pytest.mark.parametrize("image", [GREY, RGB, ODD["two channels"], ODD["constant RGB"]])
def test_nothing_found(calls, tmp_path, image):
    """Upstream fails on its own result, `(None, None, None, None)`; else it gives 3 x H x W."""
    labels = valid(CellSAM(saved(tmp_path)), image)
    assert labels.max() == 0


def test_what_the_normalisation_is_given(calls, tmp_path):
    model = CellSAM(saved(tmp_path))
    model.predict(GREY)
    np.testing.assert_array_equal(calls[0], GREY)  # H x W: its columns are stretched
    model.predict(GREY[..., None])
    np.testing.assert_array_equal(calls[2], GREY)
    model.predict(RGB[..., :2])
    np.testing.assert_array_equal(calls[4], np.dstack([np.zeros(RGB.shape[:2]), RGB[..., :2]]))
    model.predict(np.dstack([RGB, RGB[..., 0]]))
    np.testing.assert_array_equal(calls[6], RGB)
    CellSAM(saved(tmp_path), grey_columns=False).predict(GREY)
    np.testing.assert_array_equal(calls[8], np.dstack([np.zeros((*GREY.shape, 2)), GREY]))


def test_the_shortest_side_would_pass_for_channels(calls, tmp_path):
    with pytest.raises(ValueError, match=r"image of shape \(3, 100\).*4 pixels"):
        CellSAM(saved(tmp_path)).predict(drawn((3, 100)))


def test_one_copy_of_sam_takes_the_place_of_the_other(calls, tmp_path):
    model = CellSAM(saved(tmp_path, only("model.", "cellfinder.")))._model
    assert not model.adv_mode and torch.equal(model.model_cp.weight, model.model.weight)
    assert CellSAM(saved(tmp_path))._model.adv_mode


def test_nested_checkpoint(calls, tmp_path):
    weights = saved(tmp_path, lambda state: {"state_dict": state, "epoch": 3})
    torch.testing.assert_close(
        CellSAM(weights)._model.state_dict(), torch.load(weights.paths["weights"])["state_dict"]
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (only("model."), "no detector"),
        (only("model", "cellfinder.weight"), "such as 'cellfinder.bias'"),
        (lambda s: s | {"cellfinder.bias": torch.zeros(7)}, "size mismatch for cellfinder.bias"),
    ],
)
def test_other_architectures(calls, tmp_path, change, why):
    with pytest.raises(ModelError, match=why) as caught:
        CellSAM(saved(tmp_path, change))
    assert str(tmp_path / "cellsam.pt") in str(caught.value)


@pytest.mark.parametrize("whole", [True, False])
def test_other_values_loaded_silently(monkeypatch, calls, tmp_path, whole):
    weights = saved(tmp_path, dict if whole else only("model.", "cellfinder."))
    load = Net.load_state_dict

    def partly(net, state, strict):
        load(net, state, strict)
        with torch.no_grad():
            net.model_cp.weight += 1

    monkeypatch.setattr(Net, "load_state_dict", partly)
    with pytest.raises(ModelError, match=r"'model_cp.weight' differs. Nothing was scored"):
        CellSAM(weights)
