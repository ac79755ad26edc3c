"""CellSAM where its library is installed: equal to its pipeline called as the study did."""

import os

import numpy as np
import pytest
from helpers.adapters import GREY, ODD, RGB, child, drawn, process_state
from helpers.adapters import one_thread as one_thread
from helpers.adapters import valid_or_refused as valid
from helpers.small_cellsam import (
    QUERIES,
    SmallCellSAM,
    chosen,
    few_queries,
    make_checkpoint,
    small_parts,
)

from benchmark.adapter import missing_libraries
from benchmark.store.digest import array_digest
from models.cellsam import CellSAM
from models.prompting import decoder
from models.prompting.decoder import SharedDecoder

pytestmark = pytest.mark.skipif(
    missing_libraries(CellSAM) is not None,
    reason=f"see configs/environment/cellsam.txt: {missing_libraries(CellSAM)}",
)


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


@pytest.mark.parametrize("image", [GREY, RGB, GREY.astype(np.uint16) + 500])
def test_equal_to_upstream(path, model, image):
    labels = model.predict(image)
    np.testing.assert_array_equal(labels, study(path, image))
    assert len(np.unique(labels)) > 3


def test_equal_to_upstream_without_a_copy_of_sam(tmp_path):
    path = make_checkpoint(tmp_path / "single.pt", seed=1, copy=False)
    labels = SmallCellSAM(chosen(path)).predict(RGB)
    np.testing.assert_array_equal(labels, study(path, RGB))
    assert len(np.unique(labels)) > 3


def test_settings_share_their_masks_and_equal_the_single_adapter(path, monkeypatch):
    image = GREY.astype(np.uint16) + 500
    model = SmallCellSAM(chosen(path))
    scores = model._model.cellfinder.forward_inference
    found = []
    monkeypatch.setattr(
        model._model.cellfinder, "forward_inference", lambda x: found.append(scores(x)) or found[-1]
    )
    model.predict(image)
    middle = float(found[0][0]["scores"].median())
    # Upstream adds a third of the scores' own level to two thirds of the threshold.
    settings = [{}, {"bbox_threshold": (middle - 0.33 * middle) / 0.66}, {"grey_columns": False}]
    settings += [settings[1] | settings[2], {}, {"bbox_threshold": 5.0}]
    decoded, kept = [], []
    decode, keep = SharedDecoder.__call__, decoder._sharing

    def counted(*args, **named):
        decoded.append(1)
        return decode(*args, **named)

    monkeypatch.setattr(SharedDecoder, "__call__", counted)
    monkeypatch.setattr(decoder, "_sharing", lambda network: kept.append(1) or keep(network))
    model = SmallCellSAM(chosen(path))
    together = list(model.predict_each(image, settings))
    assert together[0] is together[4] and QUERIES < len(decoded) <= 2 * QUERIES
    assert len(kept) == 2  # once for each of `grey_columns`
    for setting, labels in zip(settings, together, strict=True):
        alone = SmallCellSAM(chosen(path), **setting).predict(image)
        assert labels.dtype == alone.dtype and np.array_equal(labels, alone), setting
    assert len({labels.tobytes() for labels in together}) >= 4
    assert not together[5].any()


def test_what_the_columns_do(path, model):
    """Why `grey_columns` is there: upstream differs on one image in two shapes."""
    image = GREY.astype(np.uint16) + 500
    planes = np.dstack([np.zeros((*GREY.shape, 2), np.uint16), image])
    mended = SmallCellSAM(chosen(path), grey_columns=False).predict(image)
    np.testing.assert_array_equal(mended, study(path, planes))
    assert not np.array_equal(mended, model.predict(image))


@pytest.mark.parametrize("fate", [{"iou": -1.0}, {"confidence": -9.0}])
def test_nothing_found_by_the_library(tmp_path, fate):
    path = make_checkpoint(tmp_path / "blind.pt", **fate)
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'ndim'"):
        study(path, GREY)
    labels = valid(SmallCellSAM(chosen(path)), GREY)
    assert labels.max() == 0


def test_threshold_reaches_the_detector(path, expected):
    strict = SmallCellSAM(chosen(path), bbox_threshold=0.99).predict(GREY)
    assert strict.max() < expected.max() <= QUERIES


def quick(kind):
    """Each takes seconds, since CellSAM makes every image 1024 x 1024."""
    few = ("one channel", "two channels", "constant", "one row", "fewer rows than channels")
    return kind if kind in few else pytest.param(kind, marks=pytest.mark.slow)


@pytest.mark.parametrize("kind", [quick(kind) for kind in ODD])
def test_odd_images(model, kind):
    labels = valid(model, ODD[kind])
    refused = ("NaN", "five channels", "fewer rows than channels", "one row", "one column")
    assert (labels is None) == (kind in refused)


@pytest.mark.slow
def test_large_image(model):
    assert valid(model, drawn((3000, 2000))).max() > 3


def test_same_in_another_process_left_as_it_was(path, model, expected):
    before = process_state()
    np.testing.assert_array_equal(model.predict(GREY), expected)
    assert process_state() == before
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from helpers.adapters import GREY, process_state\n"
        "from helpers.small_cellsam import SmallCellSAM as Model\n"
        "from benchmark.store.digest import array_digest\n"
        "before = process_state()\n"
        f"model = Model(Model.find_weights({str(path)!r}).fetch())\n"
        "assert process_state() == before, process_state()\n"
        "labels = model.predict(GREY)\n"
        "assert process_state() == before, process_state()\n"
        "print(array_digest(labels))"
    )
    assert child(code).split()[-1] == array_digest(expected)


def test_stages(model):
    model.predict(GREY)
    assert set(model.stages) == {"encode", "detect"} and min(model.stages.values()) > 0


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
