"""micro-sam's methods: equal to micro-sam called as the study did, and one backbone for all."""

import gc
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small_musam import (
    ARCHITECTURES,
    CHANNELS,
    SmallAPG,
    SmallDecoder,
    SmallMasks,
    SmallSam,
    blobs,
    build_sam,
    make_checkpoint,
    study_segmenter,
    with_small_models,
)
from micro_sam.instance_segmentation import (
    AutomaticMaskGenerator,
    AutomaticPromptGenerator,
    InstanceSegmentationWithDecoder,
)
from omegaconf import OmegaConf

from benchmark.digest import array_digest
from benchmark.errors import ModelError
from benchmark.types import Weights, check_labels
from models import architecture, backbone
from models.apg import APG
from models.backbone import open_backbone
from models.musam import AutomaticMasks, InstanceDecoder, SamAutomaticMasks

TESTS = Path(__file__).parent
IMAGES = {"grey": blobs(120, 160), "rgb": blobs(150, 110, 3, seed=1)}
GRID = {"points_per_side": 2}
ALL_MASKS = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
MODES = {
    "sam": (SmallSam, GRID | ALL_MASKS),
    "musam_amg": (SmallMasks, GRID | ALL_MASKS),
    "musam_ais": (SmallDecoder, {}),
    "apg": (SmallAPG, {}),
    "apg_boundary": (SmallAPG, {"prompts": "boundary_distance"}),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("small") / "small.pt")


@pytest.fixture(scope="module")
def models(checkpoint):
    """All modes, built once."""
    return {name: build(name, checkpoint) for name in MODES}


def build(name, path):
    adapter, parameters = MODES[name]
    return adapter(adapter.find_weights(str(path)).fetch(), **parameters)


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


UPSTREAM = {
    SamAutomaticMasks: (AutomaticMaskGenerator.__init__, AutomaticMaskGenerator.generate),
    AutomaticMasks: (AutomaticMaskGenerator.__init__, AutomaticMaskGenerator.generate),
    InstanceDecoder: (InstanceSegmentationWithDecoder.generate,),
    APG: (AutomaticPromptGenerator.generate,),
}
OURS = {"prompts", "min_distance", "threshold_abs", "batch_size"}  # of the last, APG alone has one


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
        for function in UPSTREAM[adapter]
        for key, parameter in inspect.signature(function).parameters.items()
    }
    if name == "apg_boundary":
        assert chosen.pop("prompts") == "boundary_distance"
    assert chosen.items() <= defaults.items()
    for key in chosen.keys() - OURS:
        assert chosen[key] == theirs[key], key


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


def test_a_backbone_goes_with_its_last_user(tmp_path):
    before = set(backbone._backbones)
    model = build("apg", make_checkpoint(tmp_path / "fleeting.pt", seed=2))
    assert len(set(backbone._backbones) - before) == 1
    del model
    gc.collect()
    assert set(backbone._backbones) <= before


# Weights


def test_files_of_a_card_give_what_the_single_file_gives(models, checkpoint, tmp_path):
    both = torch.load(checkpoint, weights_only=True)
    # As training saves them: a prefix, and more in the file.
    encoder = {"model_state": {f"sam.{key}": value for key, value in both["model_state"].items()}}
    files = {"encoder": encoder, "decoder": both["decoder_state"]}
    for key, state in files.items():
        torch.save(state, tmp_path / key)
    weights = Weights(
        "card", "verified", {key: f"sha256:{key}" for key in files}, architecture="small",
        paths={key: tmp_path / key for key in files},
    )  # fmt: skip
    image = IMAGES["grey"]
    for name in ("musam_amg", "musam_ais"):
        adapter, parameters = MODES[name]
        model = adapter(weights, **parameters)
        assert model._backbone is not models[name]._backbone
        assert np.array_equal(model.predict(image), models[name].predict(image))


@pytest.mark.parametrize("name", ["musam_ais", "apg", "apg_boundary"])
def test_weights_without_a_decoder_are_refused_where_one_is_needed(name, tmp_path):
    plain = make_checkpoint(tmp_path / "sam.pth", decoder=False)
    with pytest.raises(ModelError, match="have no decoder"):
        build(name, plain)


def broken(change):
    """A checkpoint, changed."""

    def make(path):
        state = torch.load(make_checkpoint(path), weights_only=True)
        change(state)
        torch.save(state, path)

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: make_checkpoint(path, width=48), "its encoder is 48 wide; known are small"),
        (broken(lambda s: s["model_state"].popitem()), "Missing key"),
        (broken(lambda s: s["model_state"].update(more=torch.zeros(1))), "Unexpected key"),
        (broken(lambda s: s["decoder_state"].pop("out_conv.bias")), "out_conv.bias"),
        (broken(lambda s: s["decoder_state"].update({"out_conv.bias": torch.ones(5)})), "mismatch"),
        (broken(lambda s: s.update(model_state=5)), "it has none"),
        (broken(lambda s: s.update(decoder_state=5)), "could not be found"),
        (lambda path: torch.save({"weight": torch.ones(2)}, path), "it has none"),
    ],
)
def test_checkpoints_of_another_architecture_are_refused(make, message, tmp_path):
    make(tmp_path / "odd.pt")
    with pytest.raises(ModelError, match=f"(?s)another architecture.*{message}"):
        build("apg", tmp_path / "odd.pt")


def test_a_folder_of_several_files_is_refused(checkpoint, tmp_path):
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(checkpoint.read_bytes())
    with pytest.raises(ModelError, match=r"are 2 files \(a.pt, b.pt\)"):
        build("apg", tmp_path)


def test_widths_are_those_that_segment_anything_builds():
    with torch.device("meta"):
        for name, built in architecture.ARCHITECTURES.items():
            assert built.build().state_dict()[built.sign].shape[0] == built.width, name
    assert build_sam().mask_decoder.transformer_dim == CHANNELS


def test_a_card_s_architecture_counts_more_than_the_file(checkpoint):
    weights = SmallAPG.find_weights(str(checkpoint)).fetch()
    wrong = {"other": ARCHITECTURES["small"]._replace(build=lambda: build_sam(48))}
    named = Weights(
        weights.name, "verified", {"weights": "sha256:x"}, architecture="other", paths=weights.paths
    )
    with pytest.raises(ModelError, match="another architecture"):
        open_backbone(named, "cpu", wrong | ARCHITECTURES)


# Whatever images come


def ramp(shape, dtype):
    image = blobs(*shape[:2], *shape[2:], seed=3).astype(np.float64) / 255
    scale = 1 if dtype == "float32" else np.iinfo(dtype).max
    return (image * scale).astype(dtype)


ODD = {
    "grey": ramp((90, 70), "uint8"),
    "one channel": ramp((90, 70, 1), "uint8"),
    "two channels": ramp((70, 90, 2), "uint16"),
    "rgb": ramp((64, 64, 3), "uint16"),
    "rgba": ramp((50, 80, 4), "uint8"),
    "float": ramp((80, 60), "float32"),
    "small": ramp((32, 32), "uint8"),
    "a pixel": ramp((1, 1), "uint8"),
    "a line": ramp((1, 300), "uint8"),
    "constant": np.full((60, 60), 9, np.uint16),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_images_give_valid_labels(models, odd):
    image = ODD[odd]
    before = image.copy()
    for name in ("musam_amg", "musam_ais", "apg", "apg_boundary"):  # `sam` is `musam_amg` here
        check_labels(models[name].predict(image), image, model=name, sample=odd)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", MODES)
def test_the_same_again(models, name):
    model, image = models[name], IMAGES["rgb"]
    expected = model.predict(image)
    model.predict(IMAGES["grey"])
    again = model.predict(image)
    assert model.cached == {}
    assert np.array_equal(again, expected)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (ramp((1, 4096), "uint8"), "nothing is left of the shorter one"),
        (np.full((8, 8), np.nan), "NaN"),
        (np.zeros((8, 8, 5)), "C 1 to 4"),
        (np.zeros((0, 8)), "C 1 to 4"),
    ],
)
def test_impossible_images_are_refused_and_harm_no_later_one(models, image, message):
    for model in models.values():
        with pytest.raises(ValueError, match=message):
            model.predict(image)
    assert models["musam_ais"].predict(IMAGES["grey"]).max() >= 5


def test_an_encoder_that_fails_harms_no_remembered_image(models):
    model, image = models["apg"], IMAGES["grey"]
    expected = model.predict(image)

    def fail(*_):
        raise RuntimeError("no kernel image is available")

    hook = model._backbone.predictor.model.image_encoder.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="no kernel"):
        model.predict(IMAGES["rgb"])
    again = model.predict(image)
    hook.remove()
    assert "encode" in model.cached
    assert np.array_equal(again, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODES)
def test_large_image(models, name):
    image = blobs(3000, 2000, seed=4)
    labels = check_labels(models[name].predict(image), image, model=name, sample="large")
    assert labels.max() >= 5


# Memory, processes


def short_of_memory(model, monkeypatch, most):
    """Let a prediction with more than so many prompts run out of memory."""
    predictor = model._backbone.predictor
    run = predictor.predict_torch

    def predict_torch(*, point_coords, **rest):
        if len(point_coords) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(point_coords=point_coords, **rest)

    monkeypatch.setattr(predictor, "predict_torch", predict_torch)


@pytest.mark.parametrize(("name", "asked"), [("musam_amg", 64), ("apg", 32)])
def test_out_of_memory_halves_the_batch(models, name, asked, monkeypatch):
    model, image = models[name], IMAGES["rgb"]
    expected = model.predict(image)
    assert model.details["batch_size"] == asked and "batch_size_asked" not in model.details
    short_of_memory(model, monkeypatch, 3)
    assert np.array_equal(model.predict(image), expected)
    assert (model.details["batch_size"], model.details["batch_size_asked"]) == (2, asked)
    short_of_memory(model, monkeypatch, 0)
    with pytest.raises(ModelError, match="even with a batch of one"):
        model.predict(image)


PROCESS = """
import sys
import models.apg, models.musam
assert not {"torch", "micro_sam", "skimage"} & set(sys.modules), "imported at the top"
import torch
torch.set_num_threads(1)
from benchmark.digest import array_digest
from test_musam import IMAGES, MODES, build
for name in MODES:
    print(name, array_digest(build(name, sys.argv[1]).predict(IMAGES["grey"])))
loaded = [name for name in sys.modules if name.lower().startswith(("pyqt", "pyside", "qtpy"))]
assert not loaded, loaded
"""


@pytest.mark.slow
def test_another_process_gives_the_same_and_never_loads_qt(models, checkpoint):
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, str(checkpoint)],
        env={"PYTHONPATH": f"{TESTS.parent}:{TESTS}", "OMP_NUM_THREADS": "1", "PATH": ""},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    expected = [
        f"{name} {array_digest(model.predict(IMAGES['grey']))}" for name, model in models.items()
    ]
    assert done.stdout.splitlines()[-len(MODES) :] == expected
