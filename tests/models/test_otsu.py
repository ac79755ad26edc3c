"""The classical baseline: right on easy images, and never falling over on odd ones."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from models.otsu import OtsuWatershed

EDGES = np.arange(0.5, 1, 0.05)


def discs(centres, radius=10, size=96):
    """Label image of discs; where two overlap, the pixel is the nearer centre's."""
    y, x = np.mgrid[:size, :size]
    away = np.stack([np.hypot(y - cy, x - cx) for cy, cx in centres])
    return np.where(away.min(axis=0) <= radius, away.argmin(axis=0) + 1, 0)


def mean_accuracy(predicted, truth):
    """Mean segmentation accuracy by its definition; fine for a handful of objects."""
    masks = [[array == i for i in np.unique(array)[1:]] for array in (predicted, truth)]
    overlaps = np.array([[(p & t).sum() / (p | t).sum() for t in masks[1]] for p in masks[0]])
    hits = np.array([(overlaps >= edge).sum() for edge in EDGES])
    return (hits / (len(masks[0]) + len(masks[1]) - hits)).mean()


@pytest.fixture
def truth():
    return discs([(20, 20), (20, 70), (60, 40), (60, 58), (88, 5)])  # two touch, one is cut


@pytest.fixture
def image(truth):
    noise = np.random.default_rng(0).normal(0, 6, truth.shape)
    return np.clip(np.where(truth > 0, 180, 40) + noise, 0, 255).astype(np.uint8)


def test_finds_and_splits_discs(image, truth):
    labels = OtsuWatershed().predict(image)
    assert labels.dtype == np.int32
    assert labels.shape == image.shape
    assert np.array_equal(np.unique(labels), np.arange(6))
    assert mean_accuracy(labels, truth) > 0.9


def test_inverted_image_gives_the_same_labels(image):
    for model in (OtsuWatershed(), OtsuWatershed(sigma=2)):
        assert np.array_equal(model.predict(255 - image), model.predict(image))
    bright, dark = OtsuWatershed(foreground="bright"), OtsuWatershed(foreground="dark")
    assert np.array_equal(dark.predict(255 - image), bright.predict(image))
    assert not np.array_equal(dark.predict(image), bright.predict(image))


@pytest.mark.parametrize("inverted", [False, True])
def test_auto_takes_the_smaller_side_for_objects(image, truth, inverted):
    shown = 255 - image if inverted else image
    assert mean_accuracy(OtsuWatershed(foreground="auto").predict(shown), truth) > 0.9


def test_auto_is_not_misled_by_dark_corners():
    truth = discs([(48, 48), (30, 60)], radius=12)
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    shaded = np.where(truth > 0, 40.0, 200) - 110 * np.maximum(abs(y), abs(x)) ** 12
    labels = OtsuWatershed().predict(shaded)
    assert (labels[truth > 0] > 0).mean() > 0.95, "the discs are dark, whatever the frame is"


def test_channels_are_reduced_to_one(image, truth):
    model = OtsuWatershed()
    expected = model.predict(image)
    for channels in (1, 2, 3, 4):
        stacked = np.repeat(image[..., np.newaxis], channels, axis=2)
        assert np.array_equal(model.predict(stacked), expected), channels

    other = np.random.default_rng(1).integers(0, 255, image.shape, dtype=np.uint8)
    rgba = np.dstack([image, image, image, other])
    assert np.array_equal(model.predict(rgba), expected), "alpha counts for nothing"
    assert np.array_equal(model.predict(np.dstack([image, np.zeros_like(image)])), expected)


def test_rgb_weighs_as_luminance(truth):
    # Blue objects as bright as the green ground is dark: the mean sees nothing, the eye does.
    blue, green = np.where(truth > 0, 200, 0), np.where(truth > 0, 0, 200)
    rgb = np.dstack([np.zeros_like(blue), green, blue]).astype(np.uint8)
    assert mean_accuracy(OtsuWatershed().predict(rgb), truth) > 0.9


DTYPES = [np.uint8, np.uint16, np.uint32, np.int32, np.int64, np.float16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_numbers_and_any_byte_order(image, dtype):
    model = OtsuWatershed()
    expected = model.predict(image)
    assert np.array_equal(model.predict(image.astype(dtype)), expected)
    swapped = image.astype(np.dtype(dtype).newbyteorder())
    assert np.array_equal(model.predict(swapped), expected)


@pytest.mark.parametrize("factor", [1e-300, 1e6, 1e299])
@pytest.mark.parametrize("offset", [-128, 0, 1e8])
def test_scale_and_offset_change_nothing(image, truth, factor, offset):
    values = (image.astype(np.float64) + offset) * factor
    assert mean_accuracy(OtsuWatershed().predict(values), truth) > 0.9


def test_the_whole_range_of_floats(truth):
    widest = np.where(truth > 0, 1.0, -1.0) * np.finfo(np.float64).max
    for values in (widest, np.dstack([widest] * 2), np.dstack([widest] * 3)):
        assert mean_accuracy(OtsuWatershed().predict(values), truth) > 0.9


@pytest.mark.parametrize("value", [0, 1, 255, -7, 0.1, 1e300])
@pytest.mark.parametrize("shape", [(40, 40), (40, 40, 3), (1, 1)])
def test_constant_images_hold_nothing(value, shape):
    labels = OtsuWatershed(sigma=3).predict(np.full(shape, value))
    assert labels.shape == shape[:2]
    assert labels.dtype == np.int32
    assert not labels.any()


def test_the_smallest_step_on_a_high_level(truth):
    step = 1e15 + (truth > 0)
    assert mean_accuracy(OtsuWatershed().predict(step), truth) > 0.9


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 3), (1, 4096), (4096, 1), (2, 2, 3)])
@pytest.mark.parametrize("foreground", ["auto", "bright", "dark"])
def test_tiny_and_thin_images(shape, foreground):
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    labels = OtsuWatershed(foreground=foreground, min_size=0).predict(image)
    assert labels.shape == shape[:2]


def test_a_thin_image_still_has_objects():
    image = np.zeros((1, 4096), np.uint8)
    image[0, 100:140] = image[0, 0:30] = 200
    assert OtsuWatershed().predict(image).max() == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 3])
def test_numbers_that_are_none_are_refused(bad, channels):
    image = np.random.default_rng(0).random((16, 16, channels)).astype(np.float32)
    image[3, 4, -1] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        OtsuWatershed().predict(image)


@pytest.mark.parametrize("shape", [(16,), (8, 8, 5), (8, 8, 0), (4, 8, 8, 3), (0, 8)])
def test_shapes_that_are_no_image_are_refused(shape):
    with pytest.raises(ValueError, match="H x W, or H x W x C with C 1 to 4"):
        OtsuWatershed().predict(np.zeros(shape))


def test_the_image_is_left_alone(image):
    values = image.astype(np.float64)
    OtsuWatershed().predict(values)
    assert np.array_equal(values, image)


def test_min_size_is_the_smallest_kept():
    image = np.zeros((40, 40), np.uint8)
    image[5:10, 5:10] = image[20:30, 20:30] = 255
    counts = [OtsuWatershed(sigma=0, min_size=size).predict(image).max() for size in (0, 25, 26)]
    assert counts == [2, 2, 1]


def test_min_distance_keeps_seeds_apart(image):
    counts = [OtsuWatershed(min_distance=d).predict(image).max() for d in (10, 40)]
    assert counts == [5, 4], "the touching pair is one object when seeds must be far apart"


def test_a_small_object_beside_a_large_one_keeps_its_seed():
    image = np.zeros((40, 40), np.uint8)
    image[5:30, 5:20] = image[12:20, 22:28] = 255
    assert OtsuWatershed(sigma=0, min_distance=20).predict(image).max() == 2


def test_holes_are_filled():
    image = np.where(discs([(48, 48)], radius=15), 200, 20)
    image[46:50, 46:50] = 20
    assert (OtsuWatershed().predict(image)[46:50, 46:50] == 1).all()


def test_sigma_smooths_before_the_threshold(truth):
    noisy = np.where(truth > 0, 140, 100) + np.random.default_rng(0).normal(0, 40, truth.shape)
    scores = [mean_accuracy(OtsuWatershed(sigma=s).predict(noisy), truth) for s in (0, 2)]
    assert scores[1] > scores[0] + 0.2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sigma": -1}, "sigma is -1: give a finite number of pixels, 0 or more"),
        ({"sigma": float("nan")}, "sigma is nan"),
        ({"sigma": float("inf")}, "sigma is inf"),
        ({"foreground": "white"}, "foreground is 'white': give auto, bright or dark"),
        ({"min_distance": 0}, "min_distance is 0: give a whole number, 1 or more"),
        ({"min_distance": 2.5}, "min_distance is 2.5"),
        ({"min_size": -1}, "min_size is -1: give a whole number, 0 or more"),
        ({"min_size": 1.5}, "min_size is 1.5"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        OtsuWatershed(**parameters)


def test_the_config_says_what_the_class_says():
    text = (Path(__file__).parents[2] / "configs/model/otsu.yaml").read_text()
    assert text.startswith("# ")
    config = yaml.safe_load(text)
    assert config.pop("name") == "otsu"
    assert config.pop("_target_") == "models.otsu.OtsuWatershed"
    assert config == vars(OtsuWatershed())
