"""micro-sam's methods: equal to micro-sam called as the study did, and one backbone for all."""

import gc
import inspect
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.adapters import one_thread as one_thread
from helpers.small_musam import (
    ALL_MASKS,
    GRID,
    IMAGES,
    MODES,
    ODD,
    SmallDecoder,
    SmallMasks,
    build,
    make_checkpoint,
    study_segmenter,
    with_small_models,
)
from helpers.small_musam import checkpoint as checkpoint
from helpers.small_musam import models as models
from omegaconf import OmegaConf

from models import backbone
from models.apg import APG
from models.musam import AIS, AMG, SamAMG

TESTS = Path(__file__).parents[1]


# Equal to the study's way of calling micro-sam


@pytest.mark.parametrize("image", IMAGES)
def test_amg_equals_micro_sam(models, checkpoint, image, monkeypatch):
    with_small_models(monkeypatch)
    expected = study_segmenter(checkpoint, "amg", IMAGES[image], GRID, ALL_MASKS)
    assert len(np.unique(expected)) > 5
    assert np.array_equal(models["musam_amg"].predict(IMAGES[image]), expected)


def test_amg_thresholds_and_background_reach_micro_sam(checkpoint, monkeypatch):
    with_small_models(monkeypatch)
    own = {
        "pred_iou_thresh": 1.3, "stability_score_thresh": 0.1, "box_nms_thresh": 0.97,
        "with_background": False,
    }  # fmt: skip
    expected = study_segmenter(checkpoint, "amg", IMAGES["grey"], GRID, own)
    assert len(np.unique(expected)) > 5
    model = SmallMasks(SmallMasks.find_weights(str(checkpoint)).fetch(), **GRID, **own)
    assert np.array_equal(model.predict(IMAGES["grey"]), expected)


@pytest.mark.parametrize("image", IMAGES)
def test_sam_equals_micro_sam_on_sam_s_own_weights(image, tmp_path, monkeypatch):
    with_small_models(monkeypatch)
    plain = make_checkpoint(tmp_path / "sam.pth", decoder=False)
    expected = study_segmenter(plain, "amg", IMAGES[image], GRID, ALL_MASKS)
    assert len(np.unique(expected)) > 5
    assert np.array_equal(build("sam", plain).predict(IMAGES[image]), expected)


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("changed", [{}, {"foreground_threshold": 0.7, "min_size": 40}])
def test_ais_equals_micro_sam(checkpoint, image, changed, monkeypatch):
    with_small_models(monkeypatch)
    expected = study_segmenter(checkpoint, "ais", IMAGES[image], generate=changed)
    assert len(np.unique(expected)) > 5
    model = SmallDecoder(SmallDecoder.find_weights(str(checkpoint)).fetch(), **changed)
    assert np.array_equal(model.predict(IMAGES[image]), expected)


def upstream():
    """The functions of micro-sam that have an adapter's parameters."""
    from micro_sam import instance_segmentation as library

    amg = library.AutomaticMaskGenerator
    return {
        SamAMG: (amg.__init__, amg.generate),
        AMG: (amg.__init__, amg.generate),
        AIS: (library.InstanceSegmentationWithDecoder.generate,),
        APG: (library.AutomaticPromptGenerator.generate,),
    }


OURS = {
    "prompts",
    "min_distance",
    "threshold_abs",
    "batch_size",
    "normalise",
    "precision",
}  # of the last, APG alone has one


@pytest.mark.parametrize("name", MODES)
def test_what_can_be_chosen_has_the_library_s_defaults(name):
    chosen = OmegaConf.to_container(OmegaConf.load(TESTS.parent / "configs/model" / f"{name}.yaml"))
    assert chosen.pop("name") == name
    module, _, class_name = chosen.pop("_target_").rpartition(".")
    adapter = getattr(sys.modules[module], class_name)
    chosen.pop("weights")
    defaults = {key: p.default for key, p in inspect.signature(adapter).parameters.items()}
    theirs = {
        key: parameter.default
        for function in upstream()[adapter]
        for key, parameter in inspect.signature(function).parameters.items()
    }
    if name == "apg_boundary":
        assert chosen.pop("prompts") == "boundary_distance"
    assert chosen.items() <= defaults.items()
    for key in chosen.keys() - OURS:
        assert chosen[key] == theirs[key], key


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize("name", ["points_per_side", "batch_size"])
def test_points_below_one_are_refused_by_name(checkpoint, name, value):
    weights = SmallMasks.find_weights(str(checkpoint)).fetch()
    with pytest.raises(ValueError, match=f"^{name} is {value}; .*1 or more"):
        SmallMasks(weights, **{name: value})


def test_no_batch_size_is_the_library_s(checkpoint):
    weights = SmallMasks.find_weights(str(checkpoint)).fetch()
    assert SmallMasks(weights, batch_size=None)._batch_size == 64


# One backbone


def test_one_encoding_and_one_decoding_serve_every_mode(checkpoint):
    names = ("musam_amg", "musam_ais", "apg", "apg_boundary")
    adapters = {name: build(name, checkpoint) for name in names}
    shared = {id(model._backbone): model._backbone for model in adapters.values()}
    assert len(shared) == 1
    (one,) = shared.values()
    calls = {"encode": 0, "decode": 0}

    def counted(stage):
        def hook(*_):
            calls[stage] += 1

        return hook

    hooks = [
        one.predictor.model.image_encoder.register_forward_hook(counted("encode")),
        one.decoder.register_forward_hook(counted("decode")),
    ]
    one._last.clear()
    try:
        for number, image in enumerate([IMAGES["grey"], ODD["rgb"], IMAGES["grey"]], start=1):
            first = {}
            for name, model in adapters.items():
                labels = model.predict(image)
                assert calls["encode"] == number
                cached = model.cached
                assert ("encode" in cached) == (name != "musam_amg")
                assert ("decode" in cached) == (name in ("apg", "apg_boundary"))
                for stage in {"encode", "decode"} & model.stages.keys():
                    first.setdefault(stage, model.stages[stage])
                    assert model.stages[stage] == first[stage] > 0, "the seconds that it took"
                assert labels.shape == image.shape[:2]
            assert calls["decode"] == number
    finally:
        for hook in hooks:
            hook.remove()


def test_other_weights_and_other_images_are_never_mixed_up(checkpoint, tmp_path):
    other = build("apg", make_checkpoint(tmp_path / "other.pt", seed=1))
    apg, amg = build("apg", checkpoint), build("musam_amg", checkpoint)
    assert other._backbone is not apg._backbone
    alone = {name: apg.predict(image) for name, image in IMAGES.items()}
    assert not np.array_equal(other.predict(IMAGES["grey"]), alone["grey"])
    for image in ("grey", "rgb", "grey"):
        amg.predict(IMAGES["rgb" if image == "grey" else "grey"])
        assert np.array_equal(apg.predict(IMAGES[image]), alone[image])


def test_a_backbone_without_users_is_kept_until_another_is_opened(tmp_path):
    """The next job of a process may have the same weights; a device may have no room for more."""
    fleeting = make_checkpoint(tmp_path / "fleeting.pt", seed=2)
    first = build("apg", fleeting)._backbone
    gc.collect()
    assert build("apg", fleeting)._backbone is first
    [key] = [key for key, one in backbone._backbones.items() if one is first]
    del first
    build("apg", make_checkpoint(tmp_path / "another.pt", seed=3))
    gc.collect()
    assert key not in backbone._backbones
