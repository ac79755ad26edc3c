"""Cellpose with DINOv3's encoder: equal to cellpose 4, and no weights taken for the others'."""

import inspect

import numpy as np
import pytest
from helpers.adapters import GREY, RGB, drawn
from helpers.adapters import one_thread as one_thread

from benchmark.adapter import AdapterInfo, missing_libraries
from benchmark.errors import ModelError
from models.cellpose_sam import CellposeDino, CellposeSam
from models.weights.card import cards

if missing_libraries(CellposeSam):
    pytest.skip(f"not here: {missing_libraries(CellposeSam)}", allow_module_level=True)

import torch
from helpers import small_cellpose
from helpers.small_cellpose_dino import REAL, SmallCellposeDino, make_checkpoint, small_dino

FINDING = {"cellprob_threshold": -6.0, "flow_threshold": 0.0}  # random weights find nothing else


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("cellpose") / "small")


@pytest.fixture(scope="module")
def weights(path):
    return SmallCellposeDino.find_weights(str(path)).fetch()


def upstream(path, image, bfloat16, **settings):
    from cellpose import models

    with small_dino():
        net = models.CellposeModel(pretrained_model=str(path), use_bfloat16=bfloat16)
    assert type(net.net).__name__ == "CPDINO"
    return net.eval(image.copy(), **settings)[0]


@pytest.mark.parametrize("image", [GREY, RGB, RGB.astype(np.uint16) * 9, drawn((400, 420))])
@pytest.mark.parametrize("bfloat16", [True, False])
def test_equal_to_upstream(path, weights, image, bfloat16):
    labels = SmallCellposeDino(weights, bfloat16=bfloat16, **FINDING).predict(image)
    np.testing.assert_array_equal(labels, upstream(path, image, bfloat16, **FINDING))
    assert len(np.unique(labels)) > 3


def test_tiles_are_of_384_pixels(weights):
    model, shapes = SmallCellposeDino(weights, bfloat16=False), []
    forward = model._model.net.forward
    model._model.net.forward = lambda tiles: shapes.append(tuple(tiles.shape)) or forward(tiles)
    model.predict(drawn((400, 500), dtype=np.float32))
    assert shapes == [(4, 1, 384, 384)] and model.details["batch_size"] == 8


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="dinov3 is not installed")
@pytest.mark.parametrize("size", ["vitb", "vitl"])
def test_the_whole_architecture_equals_upstream(tmp_path, size):
    from cellpose import models, vit

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = vit.CPDINO(model_name=size, dtype=torch.float32)
        net.encoder.init_weights()
        net.save_model(tmp_path / "whole")
    weights = SmallCellposeDino.find_weights(str(tmp_path / "whole")).fetch()
    model = CellposeDino(weights, bfloat16=False, **FINDING)
    theirs = models.CellposeModel(pretrained_model=str(tmp_path / "whole"), use_bfloat16=False)
    labels = model.predict(RGB)
    np.testing.assert_array_equal(labels, theirs.eval(RGB.copy(), **FINDING)[0])
    assert len(np.unique(labels)) > 3


def test_the_encoders_are_not_mixed_up(tmp_path, path):
    of_sam = small_cellpose.make_checkpoint(tmp_path / "sam")
    for adapter, file, right in (
        (SmallCellposeDino, of_sam, "model=cellpose_sam"),
        (small_cellpose.SmallCellposeSam, path, "model=cellpose_dino"),
    ):
        with pytest.raises(ModelError, match=f"another architecture: it is one for {right}"):
            adapter(adapter.find_weights(str(file)).fetch())


def test_dinov3_is_asked_for_and_is_part_of_the_identity():
    info = AdapterInfo.of(CellposeDino)
    assert "dinov3" in info.requires and "dinov3" in info.libraries
    if not REAL:
        missing = missing_libraries(CellposeDino)
        assert "dinov3 is not installed" in missing
        assert missing.endswith("configs/environment/cellpose_dino.txt")


def test_parameters_are_those_of_cellpose_sam():
    assert inspect.signature(CellposeDino) == inspect.signature(CellposeSam)
    assert set(cards("cellpose_dino")) == {"cpdino", "cpdino-vitb"}


def test_every_model_of_cellpose_has_a_card():
    from cellpose.models import MODEL_NAMES

    assert set(MODEL_NAMES) == {*cards("cellpose_sam"), *cards("cellpose_dino")}
