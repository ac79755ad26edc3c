"""Many settings at once give, to the bit, what each gives by itself, and repeat no decode."""

import itertools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.adapters import one_thread as one_thread

from benchmark.adapter import predict_each
from benchmark.data.sources.synthetic import draw
from benchmark.errors import UsageError
from models.apg import APG
from models.common.images import to_rgb8
from models.controls import Empty
from models.musam import AIS, AMG
from models.otsu import OtsuWatershed

GRIDS = {
    APG: {  # the study's, with what it left as it is
        "center_distance_threshold": (0.3, 0.4, 0.5, 0.6, 0.7),
        "boundary_distance_threshold": (0.3, 0.4, 0.5, 0.6, 0.7),
        "min_size": (0, 25, 50, 100, 200),
        "nms_threshold": (0.5, 0.6, 0.7, 0.8, 0.9),
        "intersection_over_min": (False, True),
        "multimasking": (False, False, True),
        "mask_threshold": (None, None, 2.0),
        "refine_with_box_prompts": (False, False, True),
        "prompts": ("connected_components",) * 3 + ("boundary_distance",),
        "min_distance": (5, 9),
    },
    AIS: {
        "center_distance_threshold": (0.3, 0.5, 0.7),
        "boundary_distance_threshold": (0.3, 0.5, 0.7),
        "foreground_threshold": (0.4, 0.5),
        "foreground_smoothing": (0.0, 1.0),
        "distance_smoothing": (1.0, 1.6, 2.2),
        "min_size": (0, 50, 100),
    },
    AMG: {
        "pred_iou_thresh": (0.6, 0.75, 0.88),
        "stability_score_thresh": (0.6, 0.75, 0.95),
        "box_nms_thresh": (0.5, 0.7),
        "with_background": (True, False),
    },
    OtsuWatershed: {
        "sigma": (0.0, 0.5, 1, 2),
        "foreground": ("auto", "bright", "dark"),
        "min_distance": (1, 5, 10),
        "min_size": (0, 20, 100),
    },
}
BUILT_WITH = {AMG: {"points_per_side": 4}}


def drawn(adapter, number, seed):
    """So many random points of an adapter's grid; some name only part of the parameters."""
    rng = np.random.default_rng(seed)
    axes = {name: list(values) for name, values in GRIDS[adapter].items()}
    points = [
        {name: values[rng.integers(len(values))] for name, values in axes.items()}
        for _ in range(number)
    ]
    return [{}, *(dict(list(p.items())[: 3 + n % len(p)]) for n, p in enumerate(points))]


def build(adapter, **setting):
    given = BUILT_WITH.get(adapter, {}) | setting
    if adapter is OtsuWatershed:
        return adapter(**given)
    return adapter(adapter.find_weights("demo").fetch(), **given)


def nuclei(size, seed):
    image = draw("fluorescent_nuclei", seed, seed=0, size=size)[0]
    return (image // max(int(image.max()) // 255, 1)).astype(np.uint8)


def check_equal(adapter, image, settings):
    together = list(build(adapter).predict_each(image, settings))
    assert len(together) == len(settings)
    for setting, labels in zip(settings, together, strict=True):
        alone = build(adapter, **setting).predict(image)
        assert labels.dtype == alone.dtype and np.array_equal(labels, alone), setting
    return together


@pytest.mark.parametrize("adapter", GRIDS)
def test_random_settings_equal_the_single_adapter_to_the_bit(adapter):
    number = 2 if adapter is AMG else 7
    together = check_equal(adapter, nuclei(112, seed=1), drawn(adapter, number, seed=1))
    assert len({labels.tobytes() for labels in together}) >= 2


REAL = {
    "dsb": "dsb/test/images/*.tif",
    "u20s": "u20s/images/*.tif",
    "usiigaci": "usiigaci/**/raw.tif",
}
real = pytest.mark.skipif("BENCHMARK_DATA" not in os.environ, reason="BENCHMARK_DATA is not set")


def read(name, side):
    path = min(Path(os.environ["BENCHMARK_DATA"]).glob(REAL[name]))
    return tifffile.imread(path)[:side, : side + 20]


@real
@pytest.mark.slow
@pytest.mark.parametrize("adapter", [APG, AIS])
@pytest.mark.parametrize("name", REAL)
def test_forty_settings_on_real_images_equal_the_single_adapter(adapter, name):
    together = check_equal(adapter, read(name, 200), drawn(adapter, 40, seed=2))
    assert len({labels.tobytes() for labels in together}) >= 5


@pytest.mark.parametrize("adapter", [APG, AIS, OtsuWatershed])
def test_neither_order_nor_company_of_settings_changes_anything(adapter):
    image, settings = nuclei(96, seed=3), drawn(adapter, 5, seed=3)
    model = build(adapter)
    expected = [labels.copy() for labels in model.predict_each(image, settings)]
    rng = np.random.default_rng(4)
    for _ in range(2):
        order = rng.permutation(len(settings))[: rng.integers(2, len(settings) + 1)]
        found = model.predict_each(image, [settings[number] for number in order])
        for number, labels in zip(order, found, strict=True):
            assert np.array_equal(labels, expected[number])
    assert np.array_equal(model.predict(image), expected[0])


def test_equal_label_images_are_one():
    """So that who scores them does so once."""
    found = list(build(APG).predict_each(nuclei(96, 3), [{}, {"nms_threshold": 0.9}, {}]))
    assert found[0] is found[1] is found[2]


# Counts


@pytest.fixture
def decoded(monkeypatch):
    """How many prompts SAM's decoder was given, padding included, call by call."""
    from segment_anything import SamPredictor

    sizes = []
    predict = SamPredictor.predict_torch

    def counted(self, *args, **kwargs):
        found = predict(self, *args, **kwargs)
        sizes.append(len(found[1]))
        return found

    monkeypatch.setattr(SamPredictor, "predict_torch", counted)
    return sizes


def test_each_distinct_prompt_is_decoded_once(decoded):
    image = nuclei(128, seed=0)
    grid = {
        name: GRIDS[APG][name]
        for name in ("center_distance_threshold", "boundary_distance_threshold", "min_size")
    } | {"nms_threshold": (0.5, 0.9), "intersection_over_min": (False, True)}
    settings = [
        dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
    ]
    model = build(APG, batch_size=4)
    maps = model._backbone.decode(*_decoded(model, image))
    prompts = [replace(model.setting, **setting).derive(maps) for setting in settings]
    distinct = {prompt for one in prompts for prompt in one}
    decoded.clear()
    list(model.predict_each(image, settings))
    naive = sum(map(len, prompts))
    assert model.details["decodes"] == len(distinct) and model.details["prompts"] == naive
    assert naive >= 100 * len(distinct) > 0
    assert decoded == [4] * -(-len(distinct) // 4), "full batches, and no more than needed"


def _decoded(model, image):
    rgb = to_rgb8(image)
    with model.predicting():
        return rgb, model, model._backbone.encode(rgb, model)


def test_thresholds_of_masks_share_their_decodes(decoded):
    settings = [{"mask_threshold": value} for value in (None, -1, 0.0, 1.0, 2.0)]
    model = build(APG, batch_size=4)
    list(model.predict_each(nuclei(96, 1), settings))
    assert model.details["prompts"] == 5 * model.details["decodes"] > 0
    assert sum(decoded) < model.details["decodes"] + 4


def test_boxes_that_refine_are_decoded_once_as_well(decoded):
    settings = [{"refine_with_box_prompts": True, "nms_threshold": value} for value in (0.5, 0.9)]
    model = build(APG, batch_size=2)
    list(model.predict_each(nuclei(96, 1), [*settings, {}]))
    points = model.details["prompts"] // 5
    assert points < model.details["decodes"] <= 2 * points


def test_maps_are_made_once_and_watersheds_for_distinct_parameters(monkeypatch):
    from micro_sam.instance_segmentation import InstanceSegmentationWithDecoder

    runs = []
    generate = InstanceSegmentationWithDecoder.generate
    monkeypatch.setattr(
        InstanceSegmentationWithDecoder,
        "generate",
        lambda self, **choices: runs.append(choices) or generate(self, **choices),
    )
    settings = [{}, {"min_size": 0}, {"distance_smoothing": 2.0}, {}, {"distance_smoothing": 2}]
    model = build(AIS)
    encoded = []
    encode = model._backbone._encode
    monkeypatch.setattr(
        model._backbone, "_encode", lambda image: encoded.append(image) or encode(image)
    )
    list(model.predict_each(nuclei(90, 7), settings))
    assert len(runs) == 2 and len(encoded) == 1


def test_a_grid_of_points_is_decoded_once(decoded):
    settings = [{"pred_iou_thresh": value} for value in (0.5, 0.7, 0.9)]
    list(build(AMG).predict_each(nuclei(64, 1), [*settings, {"points_per_side": 2}]))
    assert sum(decoded) == 4 * 4 + 2 * 2


def test_grids_of_points_have_no_say_in_each_other_s_masks():
    sides = [{"points_per_side": 3}, {}, {"points_per_side": 3, "pred_iou_thresh": 0.6}]
    check_equal(AMG, nuclei(64, 1), sides)


# The engine's side


class Threshold:
    """A stranger's adapter: nothing but predict."""

    built = 0

    def __init__(self, level: float = 0.5, device: str = "cpu") -> None:
        type(self).built += 1
        self.level = level

    def predict(self, image):
        return (image > self.level).astype(int)


def test_without_predict_each_a_segmenter_is_built_for_each_distinct_setting():
    image = np.arange(12).reshape(3, 4) / 12
    model = Threshold(0.7)
    Threshold.built = 0
    settings = [{"level": 0.2}, {}, {"level": 0.2}, {"level": 0.9}]
    found = list(predict_each(model, image, settings, lambda setting: Threshold(**setting)))
    for setting, labels in zip(settings, found, strict=True):
        expected = Threshold(**({"level": 0.7} | setting)).predict(image)
        assert np.array_equal(labels, expected)
    assert Threshold.built == 2 + len(settings)


def test_one_that_shares_is_asked_once():
    def build_none(setting):
        raise AssertionError("nothing is built")

    image = nuclei(64, 0)
    settings = [{"sigma": 2.0}, {}]
    found = list(predict_each(OtsuWatershed(), image, settings, build_none))
    assert np.array_equal(found[0], OtsuWatershed(sigma=2.0).predict(image))


@pytest.mark.parametrize(
    ("model", "name", "can"),
    [
        (Threshold(), "device", "it can name: level"),
        (Threshold(), "levels", "it can name: level"),
        (OtsuWatershed(), "weights", "sigma, foreground, min_distance, min_size"),
        (Empty(), "sigma", "nothing, as there are no parameters"),
    ],
)
def test_a_setting_that_names_another_parameter_is_refused(model, name, can):
    with pytest.raises(UsageError, match=f"names '{name}'.*{can}"):
        list(predict_each(model, nuclei(64, 0), [{}, {name: 1}], lambda _: model))
