"""SAM 2: equal to its library called directly, whatever else happens in the process."""

import importlib
import inspect
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.adapters import (
    GREY,
    ODD,
    ODD_CASES,
    RGB,
    ROOT,
    child,
    configured,
    drawn,
    valid_or_refused,
)
from helpers.small_sam2 import ADAPTERS, OPEN, SMALL, SmallSam2
from helpers.small_sam2 import weights as weights

from benchmark.adapter import missing_libraries
from models.common.images import to_rgb8
from models.common.isolation import Isolation
from models.common.masks import merge
from models.common.torch_adapter import TorchAdapter
from models.sam2 import _ARCHITECTURES, Sam2, packaged

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("sam2") is None, reason="sam2 is not installed"
)


@pytest.fixture(scope="module")
def model(weights):
    return SmallSam2(weights, points_per_side=2, **OPEN)


@pytest.fixture(scope="module")
def quick(weights):
    return SmallSam2(weights, points_per_side=1, **OPEN)


@pytest.fixture(scope="module")
def expected(model):
    labels = model.predict(GREY)
    assert len(np.unique(labels)) > 3, "nothing but background would be equal too easily"
    return labels


def alone(function, *words):
    """What a function of this file prints in a process of its own."""
    words = [str(word) for word in words]
    here = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})"
    return child(f"{here}; import test_sam2; test_sam2.{function}(*{words})")


def upstream(checkpoint, overrides, target):
    """What the library does when it has the process to itself, for `test_equal_to_upstream`."""
    from omegaconf import OmegaConf
    from sam2 import build_sam
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

    torch.set_num_threads(1)
    built = build_sam.build_sam2(
        "configs/sam2.1/sam2.1_hiera_t.yaml", checkpoint, device="cpu",
        hydra_overrides_extra=json.loads(overrides),
    )  # fmt: skip
    generator = SAM2AutomaticMaskGenerator(built, points_per_side=2, **OPEN)
    masks = {}
    for name, image in (("grey", GREY), ("rgb", RGB)):
        found = generator.generate(to_rgb8(image))
        masks[name] = np.array([one["segmentation"] for one in found])
    configs = {}
    for name in _ARCHITECTURES.values():

        def keep(config, name=name, **_):
            configs[name] = OmegaConf.to_container(config)
            return torch.nn.Identity()

        build_sam.instantiate = keep
        build_sam.build_sam2(f"configs/sam2.1/sam2.1_{name}.yaml", device="cpu")
    np.savez(target, configs=json.dumps(configs), **masks)


def upstream_alone(*words):
    alone("upstream", *words)


def upstream_here(*words):
    """In this process, whose state it leaves as it was."""
    with Isolation(), pytest.MonkeyPatch.context() as patches:
        import sam2.build_sam
        from hydra import initialize_config_module
        from hydra.core.global_hydra import GlobalHydra

        GlobalHydra.instance().clear()
        initialize_config_module("sam2", version_base="1.2")  # as importing it first does
        patches.setattr(sam2.build_sam, "instantiate", sam2.build_sam.instantiate)
        upstream(*map(str, words))


def run_upstream(run, checkpoint, overrides, target):
    run(checkpoint, json.dumps(overrides), target)
    return np.load(target)


def assert_equal(model, found):
    for name, image in (("grey", GREY), ("rgb", RGB)):
        labels = model.predict(image)
        wanted = merge(found[name], image.shape[:2], exclusive=False, drop_largest=True)
        assert len(np.unique(wanted)) > 3, "nothing but background would be equal too easily"
        assert np.array_equal(labels, wanted), name


@pytest.mark.parametrize(
    "run", [upstream_here, pytest.param(upstream_alone, marks=pytest.mark.slow)]
)
def test_equal_to_upstream(model, weights, tmp_path, run):
    overrides = [f"model.{key}={json.dumps(value)}" for key, value in SMALL.items()]
    found = run_upstream(run, weights.paths["weights"], overrides, tmp_path / "found.npz")
    assert_equal(model, found)

    from omegaconf import OmegaConf

    composed = json.loads(str(found["configs"]))
    assert {name: OmegaConf.to_container(packaged(name)) for name in composed} == composed


@pytest.mark.slow
def test_equal_to_upstream_in_the_real_architecture(tmp_path):
    with TorchAdapter("cpu").loading():
        from hydra.utils import instantiate

        torch.manual_seed(1)
        torch.save({"model": instantiate(packaged("hiera_t")).state_dict()}, tmp_path / "t.pt")
    found = run_upstream(upstream_alone, tmp_path / "t.pt", [], tmp_path / "found.npz")
    loaded = Sam2(Sam2.find_weights(str(tmp_path / "t.pt")).fetch(), points_per_side=2, **OPEN)
    assert_equal(loaded, found)


def application(when, checkpoint, target):
    """A Hydra application that runs the model, for `test_inside_a_hydra_application`."""
    import hydra

    torch.set_num_threads(1)

    def predict():
        found = SmallSam2.find_weights(checkpoint).fetch()
        return SmallSam2(found, points_per_side=2, **OPEN).predict(GREY)

    earlier = predict() if when == "before" else None
    assert ("sam2" in sys.modules) == (when == "before")
    folder = Path(target).parent
    (folder / "main.yaml").write_text(
        f"a: 1\nhydra: {{output_subdir: null, run: {{dir: '{folder}'}}}}\n"
    )
    sys.argv = sys.argv[:1]

    @hydra.main(version_base=None, config_path=str(folder), config_name="main")
    def task(config):
        from hydra.core.global_hydra import GlobalHydra
        from hydra.core.hydra_config import HydraConfig

        state = GlobalHydra.instance().hydra
        labels = predict()
        assert GlobalHydra.instance().hydra is state is not None
        with TorchAdapter("cpu").loading():
            GlobalHydra.instance().clear()  # as a library might
        assert GlobalHydra.instance().hydra is state
        assert earlier is None or np.array_equal(earlier, labels)
        assert HydraConfig.get().job.config_name == "main"
        assert hydra.compose("main", ["a=2"]).a == 2
        np.save(target, labels)

    task()
    with hydra.initialize_config_dir(str(folder), version_base=None):
        assert hydra.compose("main", ["a=3"]).a == 3


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "inside"])
def test_inside_a_hydra_application(when, weights, expected, tmp_path):
    alone("application", when, weights.paths["weights"], tmp_path / "labels.npy")
    assert np.array_equal(np.load(tmp_path / "labels.npy"), expected)


def neighbours(order, checkpoint, folder):
    """Build every small adapter in one process, then run SAM 2, for the test below."""
    from hydra.core.global_hydra import GlobalHydra

    torch.set_num_threads(1)
    others = {}
    for path in sorted((ROOT / "tests/helpers").glob("small_*.py")):
        others |= getattr(importlib.import_module(f"helpers.{path.stem}"), "ADAPTERS", {})
    others = {name: one for name, one in others.items() if missing_libraries(one[0]) is None}
    del others["small_sam2"]
    built = {}
    for name, (adapter, make) in (
        ADAPTERS | others if order == "first" else others | ADAPTERS
    ).items():
        ours = name == "small_sam2"
        with Isolation():  # making some imports micro-sam, which imports sam2
            path = checkpoint if ours else make(Path(folder, name)) or Path(folder, name)
        changed = {"points_per_side": 2, **OPEN} if ours else {}
        built[name] = adapter(adapter.find_weights(str(path)).fetch(), **changed)
        assert not GlobalHydra.instance().is_initialized(), f"after {name}"
    print(*built)
    np.save(Path(folder, "labels.npy"), built["small_sam2"].predict(GREY))


@pytest.mark.slow
@pytest.mark.parametrize("order", ["last", "first"])
def test_beside_every_other_adapter_in_one_process(order, weights, expected, tmp_path):
    built = alone("neighbours", order, weights.paths["weights"], tmp_path).split()
    wanted = {"small_sam", "small_musam_amg", "small_musam_ais", "small_apg", "small_sam3"}
    assert wanted | {"small_cellpose_sam"} <= set(built)
    assert built.index("small_sam2") == (0 if order == "first" else len(built) - 1)
    assert np.array_equal(np.load(tmp_path / "labels.npy"), expected)


def test_settings_share_their_masks_and_equal_the_single_adapter(weights, monkeypatch):
    image = drawn((70, 90), seed=4)
    model = SmallSam2(weights, points_per_side=2, **OPEN)
    everything = model._masks(image[..., None].repeat(3, 2), {(2, 0): [model._choices]}, 64)[2, 0]
    middle = {name: float(torch.tensor(each).median()) for name, each in everything._scores.items()}
    middle["box_nms_thresh"] = 0.99
    settings = [{}, *({name: value} for name, value in middle.items()), middle]
    settings += [{"points_per_side": 1}, {"pred_iou_thresh": 0.0}, {"pred_iou_thresh": -1}]
    predictor, decoded = model._predictor, []
    run = predictor._predict
    monkeypatch.setattr(
        predictor,
        "_predict",
        lambda points, *a, **k: decoded.append(len(points)) or run(points, *a, **k),
    )
    together = list(model.predict_each(image, settings))
    assert decoded == [4, 1] and model.details["decodes"] == 5 and model.details["prompts"] == 29
    assert together[0] is together[6] is together[7]
    for setting, labels in zip(settings, together, strict=True):
        given = {"points_per_side": 2} | OPEN | setting
        assert np.array_equal(labels, SmallSam2(weights, **given).predict(image)), setting
    assert len({labels.tobytes() for labels in together}) >= 4


@pytest.mark.slow
def test_the_same_in_a_second_run(model, expected):
    model.predict(RGB)
    assert np.array_equal(model.predict(GREY), expected)
    expected_details = {"reproducible": True, "batch_size": 64, "prompts": 4, "decodes": 4}
    assert model.details == expected_details
    assert model.stages.keys() == {"encode", "decode", "postprocess"}
    assert all(seconds > 0 for seconds in model.stages.values())


@pytest.mark.parametrize("what", ODD_CASES)
def test_any_image_gives_labels_or_is_refused(what, quick):
    labels = valid_or_refused(quick, ODD[what])
    assert (labels is None) == (what in ("NaN", "five channels"))


@pytest.mark.slow
def test_a_large_image(model):
    assert valid_or_refused(model, drawn((2000, 3000, 3))).any()


def test_nothing_found_is_background(weights):
    labels = SmallSam2(weights, points_per_side=1, pred_iou_thresh=1).predict(GREY)
    assert labels.shape == GREY.shape
    assert not labels.any()


def test_out_of_memory_halves_the_batch(weights, expected, monkeypatch):
    small = SmallSam2(weights, points_per_side=2, batch_size=4, **OPEN)
    predictor = small._predictor
    run, sizes = predictor._predict, []

    def predict(points, *args, **kwargs):
        sizes.append(len(points))
        if len(points) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return run(points, *args, **kwargs)

    monkeypatch.setattr(predictor, "_predict", predict)
    assert np.array_equal(small.predict(GREY), expected)
    assert sizes == [4, 2, 2]
    assert small.details["batch_size"] == 2
    assert small.details["batch_size_asked"] == 4


def test_small_regions_are_not_left_to_chance(weights):
    with pytest.raises(ValueError, match=r"min_mask_region_area is 9.*CUDA"):
        SmallSam2(weights, min_mask_region_area=9)


@pytest.mark.parametrize("name", ["points_per_side", "batch_size"])
def test_points_below_one_are_refused_by_name(weights, name):
    for value in (0, -1):
        with pytest.raises(ValueError, match=f"^{name} is {value}; .*1 or more"):
            SmallSam2(weights, **{name: value})


def test_the_config_says_what_the_class_says():
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

    target, config, first = configured("sam2")
    assert target == "models.sam2.Sam2"
    assert first.startswith("# SAM 2")
    assert config.pop("weights") == "sam2.1_hiera_large"
    ours, theirs = (inspect.signature(one).parameters for one in (Sam2, SAM2AutomaticMaskGenerator))
    assert config == {name: ours[name].default for name in list(ours)[2:]}
    batch = config.pop("batch_size")
    assert config.pop("normalise") == "min_max"  # as SAM 2's callers do it
    assert config.pop("precision") == "default"
    assert config == {name: theirs[name].default for name in config}
    assert batch == theirs["points_per_batch"].default
