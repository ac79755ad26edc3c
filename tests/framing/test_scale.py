"""Images scaled, label images scaled back, and the diameter of objects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import disk

from benchmark.framing.scale import median_diameter, scale_image, scale_labels

KINDS = (np.uint8, np.uint16, np.int16, np.uint32, np.float32, np.float64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize("shape", [(10, 14), (40, 56), (20, 28)])
def test_images_keep_dtype_channels_and_range(kind, channels, shape):
    random = np.random.default_rng(0)
    image = random.integers(0, 250, (20, 28, *channels)).astype(kind)
    before = image.copy()
    found = scale_image(image, shape)
    assert found.shape == (*shape, *channels) and found.dtype == kind
    assert found.min() >= image.min() and found.max() <= image.max()
    assert abs(float(found.mean()) - float(image.mean())) < 4
    assert np.array_equal(image, before)


@pytest.mark.parametrize("kind", KINDS[:4])
def test_the_largest_integers_do_not_overflow(kind):
    image = np.full((9, 9), np.iinfo(kind).max, kind)
    assert (scale_image(image, (4, 13)) == np.iinfo(kind).max).all()


def test_a_smaller_image_is_smoothed_before():
    """Every other row is bright: without smoothing rows would be picked, one of both."""
    image = np.tile(np.array([[0], [200]], np.uint8), (40, 80))
    found = scale_image(image, (16, 16))
    assert abs(found[2:-2, 2:-2].astype(int) - 100).max() < 25


def test_equal_sizes_are_the_same_array():
    image = np.zeros((5, 7, 2), np.uint8)
    assert scale_image(image, (5, 7)) is image
    assert scale_labels(image[..., 0], (5, 7)).base is image


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    other=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    seed=st.integers(0, 999),
)
def test_labels_are_those_of_the_nearest_pixel_and_no_others(shape, other, seed):
    labels = np.random.default_rng(seed).integers(0, 2**40, shape)
    found = scale_labels(labels, other)
    assert found.shape == other and found.dtype == labels.dtype
    assert set(found.ravel()) <= set(labels.ravel())
    if all(new >= old for new, old in zip(other, shape, strict=True)):
        assert np.array_equal(scale_labels(found, shape), labels)  # enlarged and back


def test_labels_stay_in_place():
    labels = np.zeros((100, 100), int)
    labels[20:60, 40:80] = 7
    back = scale_labels(scale_labels(labels, (50, 50)), (100, 100))
    assert np.array_equal(back, labels)


def test_the_median_diameter_is_that_of_the_disk_of_equal_area():
    one, other = np.zeros((200, 200), np.uint16), np.zeros((50, 60), np.int32)
    one[disk((60, 60), 40)], one[disk((150, 150), 10)], other[disk((20, 20), 15)] = 9, 4, 4
    assert median_diameter([one, other]) == pytest.approx(30, rel=0.02)
    assert median_diameter([]) is None is median_diameter([np.zeros((5, 5), int)])
