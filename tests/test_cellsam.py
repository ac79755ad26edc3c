"""CellSAM: equal to its pipeline called as the study did, and mended where that fails.

Without the library, a stand-in for it, which returns what upstream returns.
"""

import inspect
import os
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from helpers.adapters import GREY, ODD, RGB, child, configured, drawn, process_state
from helpers.adapters import valid_or_refused as valid
from helpers.small_cellsam import QUERIES, SmallCellSAM, few_queries, make_checkpoint, small_parts

from benchmark.digest import array_digest
from benchmark.errors import ModelError
from benchmark.readiness import library_obstacle
from models.cellsam import CellSAM

real = pytest.mark.skipif(
    library_obstacle(CellSAM) is not None,
    reason=f"see configs/environment/cellsam.txt: {library_obstacle(CellSAM)}",
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def chosen(file):
    return SmallCellSAM.find_weights(os.fspath(file)).fetch()


def test_configuration():
    target, read, first = configured("cellsam")
    assert target == "models.cellsam.CellSAM" and first.startswith("# ")
    assert read.pop("weights") == "cellsam_general"
    assert read.pop("grey_columns") == "${protocol.library_quirks}"
    parameters = inspect.signature(CellSAM).parameters
    assert read == {name: parameters[name].default for name in list(parameters)[2:-1]}


# What follows needs no cellSAM.


class Net(torch.nn.Module):
    """Loads as cellSAM does; finds what it is told to."""

    def __init__(self):
        super().__init__()
        self.adv_mode, self.found = True, "nothing"
        self.model, self.model_cp, self.cellfinder = (torch.nn.Linear(2, 2) for _ in range(3))

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


# What follows is run where cellSAM is installed.


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("cellsam") / "small.pt")


@pytest.fixture(scope="module")
def model(path):
    return SmallCellSAM(chosen(path))


@pytest.fixture(scope="module")
def expected(model):
    return model.predict(GREY)


def study(path, image):
    """The study's call, with a checkpoint in the place of the one it downloads."""
    from cellSAM import cellsam_pipeline

    with small_parts():
        labels = cellsam_pipeline(image.copy(), use_wsi=False, model_path=os.fspath(path))
    return labels[0] if labels.ndim == 3 else labels


@real
@pytest.mark.parametrize("image", [GREY, RGB, GREY.astype(np.uint16) + 500])
def test_equal_to_upstream(path, model, image):
    labels = model.predict(image)
    np.testing.assert_array_equal(labels, study(path, image))
    assert len(np.unique(labels)) > 3


@real
def test_equal_to_upstream_without_a_copy_of_sam(tmp_path):
    path = make_checkpoint(tmp_path / "single.pt", seed=1, copy=False)
    labels = SmallCellSAM(chosen(path)).predict(RGB)
    np.testing.assert_array_equal(labels, study(path, RGB))
    assert len(np.unique(labels)) > 3


@real
def test_what_the_columns_do(path, model):
    """Why `grey_columns` is there: upstream differs on one image in two shapes."""
    image = GREY.astype(np.uint16) + 500
    planes = np.dstack([np.zeros((*GREY.shape, 2), np.uint16), image])
    mended = SmallCellSAM(chosen(path), grey_columns=False).predict(image)
    np.testing.assert_array_equal(mended, study(path, planes))
    assert not np.array_equal(mended, model.predict(image))


@real
@pytest.mark.parametrize("fate", [{"iou": -1.0}, {"confidence": -9.0}])
def test_nothing_found_by_the_library(tmp_path, fate):
    path = make_checkpoint(tmp_path / "blind.pt", **fate)
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'ndim'"):
        study(path, GREY)
    labels = valid(SmallCellSAM(chosen(path)), GREY)
    assert labels.max() == 0


@real
def test_threshold_reaches_the_detector(path, expected):
    strict = SmallCellSAM(chosen(path), bbox_threshold=0.99).predict(GREY)
    assert strict.max() < expected.max() <= QUERIES


def quick(kind):
    """Each takes seconds, since CellSAM makes every image 1024 x 1024."""
    few = ("one channel", "two channels", "constant", "one row", "fewer rows than channels")
    return kind if kind in few else pytest.param(kind, marks=pytest.mark.slow)


@real
@pytest.mark.parametrize("kind", map(quick, ODD))
def test_odd_images(model, kind):
    labels = valid(model, ODD[kind])
    refused = ("NaN", "five channels", "fewer rows than channels", "one row", "one column")
    assert (labels is None) == (kind in refused)


@real
@pytest.mark.slow
def test_large_image(model):
    assert valid(model, drawn((3000, 2000))).max() > 3


@real
def test_same_in_another_process_left_as_it_was(path, model, expected):
    before = process_state()
    np.testing.assert_array_equal(model.predict(GREY), expected)
    assert process_state() == before
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from helpers.adapters import GREY, process_state\n"
        "from helpers.small_cellsam import SmallCellSAM as Model\n"
        "from benchmark.digest import array_digest\n"
        "before = process_state()\n"
        f"model = Model(Model.find_weights({str(path)!r}).fetch())\n"
        "assert process_state() == before, process_state()\n"
        "labels = model.predict(GREY)\n"
        "assert process_state() == before, process_state()\n"
        "print(array_digest(labels))"
    )
    assert child(code).split()[-1] == array_digest(expected)


@real
def test_stages(model):
    model.predict(GREY)
    assert set(model.stages) == {"encode", "detect"} and min(model.stages.values()) > 0


@real
def test_no_contrast_fails_upstream(path, model):
    """One bright pixel is clipped by the library, which fails on what is left."""
    image = np.full((60, 80), 7, np.uint8)
    image[30, 40] = 9
    with pytest.raises(TypeError):
        study(path, image)
    assert model.predict(image).max() == 0


class FullCellSAM(CellSAM):
    @staticmethod
    def _build():
        with few_queries():
            return CellSAM._build()


@real
@pytest.mark.slow
def test_equal_to_upstream_at_full_size(tmp_path):
    """All its 290 million parameters, at random: 6 GB of memory. Of 3500 queries all would pass."""
    from cellSAM import cellsam_pipeline

    path = make_checkpoint(tmp_path / "full.pt", sizes=few_queries)
    labels = FullCellSAM(chosen(path)).predict(RGB)
    with few_queries():
        theirs = cellsam_pipeline(RGB.copy(), use_wsi=False, model_path=os.fspath(path))
    np.testing.assert_array_equal(labels, theirs)
    assert len(np.unique(labels)) > 3
