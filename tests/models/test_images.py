"""Images on their way into models: equal to what the study did, and no nonsense let through."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from models.common.images import STRETCHES, few_grey_levels, stretch_of, to_float32, to_rgb8

DTYPES = ["uint8", "uint16", "int16", "int32", "uint64", "float16", "float32", "float64", "bool"]
SHAPES = [(9, 7), (9, 7, 1), (9, 7, 2), (9, 7, 3), (9, 7, 4), (1, 5), (6, 1, 3)]


def drawn(shape, dtype):
    values = np.random.default_rng(len(shape) + len(dtype)).normal(0, 1, shape)
    if dtype.startswith("float"):
        return values.astype(dtype)
    if dtype == "bool":
        return values > 0
    top = min(np.iinfo(dtype).max, 2**40)
    return np.clip(values * top / 4 + top / 2, 0, top).astype(dtype)


def upstream(image):
    from micro_sam.util import _to_image

    return _to_image(image)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_rgb8_is_what_micro_sam_makes_of_an_image(shape, dtype):
    image = drawn(shape, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of the fourth channel
        expected = upstream(image.copy())
    before = image.copy()
    found = to_rgb8(image)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)
    assert np.array_equal(image, before), "the image itself is left as it was"


@pytest.mark.parametrize("value", [0, 7, 255, 65535])
def test_constant_image_is_black(value):
    image = np.full((4, 5), value, np.uint16)
    assert np.array_equal(to_rgb8(image), upstream(image))
    assert not to_rgb8(image).any()


def test_channels_are_stretched_one_by_one():
    image = np.zeros((2, 2, 3), np.uint16)
    image[0, 0] = 1, 1000, 0
    assert to_rgb8(image)[0, 0].tolist() == [254, 255, 0]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((3, 4, 5)), np.zeros((3, 4, 0)), np.zeros((0, 4)), np.zeros(4),
        np.zeros((2, 3, 4, 3)), np.full((3, 3), np.nan), np.array([[0, np.inf]]),
        np.array([[0, 1e300]]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("convert", [to_rgb8, to_float32])
def test_what_is_no_image_is_refused(convert, image):
    with pytest.raises(ValueError, match="image"):
        convert(image)


def test_float32_is_a_copy_that_keeps_values_and_shape():
    image = drawn((5, 6, 2), "float32")
    found = to_float32(image)
    assert np.array_equal(found, image) and found.dtype == np.float32
    found[:] = 0
    assert image.any()


# Other ways to stretch


def hot(dtype="uint16", shape=(120, 130)):
    """A dim image of 200 values with four hot pixels."""
    image = np.random.default_rng(0).integers(100, 300, shape).astype(dtype)
    for place in ((3, 5), (60, 60), (61, 60), (119, 129)):
        image[place] = 60_000
    return image


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
def test_hot_pixels_cost_grey_levels_under_min_max_alone(dtype):
    image = hot(dtype)
    assert few_grey_levels(image, to_rgb8(image)) == 1
    for given in ("percentiles", "percentiles_joint", [0.5, 99.5], (1, 99)):
        rgb = to_rgb8(image, stretch_of(given))
        assert len(np.unique(rgb)) > 100 and rgb.max() == 255 and rgb.min() == 0
        assert few_grey_levels(image, rgb) is None


def test_percentiles_are_those_of_each_channel_or_of_all():
    image = np.stack([hot(), hot() * 2 + 7, np.full((120, 130), 9, np.uint16)], axis=2)
    found = to_rgb8(image, stretch_of([1, 99]))
    for channel in (0, 1):
        low, high = np.percentile(image[..., channel].astype(np.float32), [1, 99])
        expected = np.clip((image[..., channel] - low) / (high - low), 0, 1) * 255
        assert abs(found[..., channel] - expected).max() <= 1
    assert not found[..., 2].any()
    joint = to_rgb8(image, STRETCHES["percentiles_joint"])
    low, high = np.percentile(image.astype(np.float32), [1, 99])
    expected = np.clip((image - low) / (high - low), 0, 1) * 255
    assert abs(joint - expected).max() <= 1


def test_one_range_of_all_channels_keeps_colours_apart():
    image = np.zeros((2, 2, 2), np.uint16)
    image[0, 0] = 500, 1000
    assert to_rgb8(image, STRETCHES["min_max_joint"])[0, 0].tolist() == [127, 255, 0]
    assert to_rgb8(image)[0, 0].tolist() == [255, 255, 0]


@pytest.mark.parametrize("shape", SHAPES)
def test_grey_is_repeated_and_missing_channels_are_empty_however_it_is_stretched(shape):
    image = drawn(shape, "uint16")
    for name, stretch in STRETCHES.items():
        found = to_rgb8(image, stretch)
        assert found.shape == (*shape[:2], 3) and found.dtype == np.uint8
        channels = shape[2] if len(shape) == 3 else 1
        assert channels > 1 or (found == found[..., :1]).all(), name
        assert channels != 2 or not found[..., 2].any(), name


def test_where_percentiles_are_equal_the_range_counts():
    image = np.zeros((50, 50), np.uint16)
    image[:2, :2] = [[10, 20], [30, 40]]
    assert np.array_equal(to_rgb8(image, STRETCHES["percentiles"]), to_rgb8(image))
    assert not to_rgb8(np.full((5, 5), 7.0), STRETCHES["percentiles"]).any()


@pytest.mark.parametrize(
    "given",
    ["minmax", "", None, 3, True, [], [1], [1, 2, 3], [99, 1], [1, 1], [-1, 99], [0, 101],
     ["1", "99"], [True, 99], [np.nan, 99], {"low": 1}],
)  # fmt: skip
def test_a_bad_normalise_is_refused_with_what_is_possible(given):
    with pytest.raises(ValueError, match=r"^normalise is .*min_max, .*percentiles.*\[0.5,99.5\]"):
        stretch_of(given)


SPARSE = np.zeros((200, 200), np.uint16)
SPARSE[:8, :8] = np.arange(100, 164).reshape(8, 8) * 300


@pytest.mark.parametrize(
    "image",
    [
        drawn((90, 80), "uint16"), drawn((90, 80, 3), "uint8"), SPARSE, np.zeros((40, 40)),
        np.where(hot() > 1000, 255, 3).astype(np.uint8), np.zeros((1, 1)),
    ],
    ids=["grey", "rgb", "a small cell", "constant", "few values", "a pixel"],
)  # fmt: skip
def test_other_images_are_not_said_to_have_few_grey_levels(image):
    assert few_grey_levels(image, to_rgb8(image)) is None


def test_one_channel_with_a_hot_pixel_is_enough_and_large_images_are_looked_at_in_part():
    image = np.stack([drawn((120, 130), "uint16"), hot()], axis=2)
    assert few_grey_levels(image, to_rgb8(image)) == 1
    assert few_grey_levels(hot(shape=(2500, 130)), to_rgb8(hot(shape=(2500, 130)))) == 1


def test_no_adapter_goes_around_its_own_normalise():
    """`TorchAdapter.to_rgb8` alone knows it."""
    models = Path(__file__).parents[2] / "models"
    users = {
        str(path.relative_to(models))
        for path in models.rglob("*.py")
        if re.search(r"(?<!self\.)(?<!def )\bto_rgb8\(", path.read_text())
    }
    assert users == {"common/torch_adapter.py"}
