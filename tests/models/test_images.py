"""Images on their way into models: equal to what the study did, and no nonsense let through."""

import warnings

import numpy as np
import pytest

from models.common.images import to_float32, to_rgb8

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
