"""Cuts, pads and resizes are those of the study."""

import numpy as np
import pytest
from helpers.recipes import SIZES, assert_same, done, quick
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmark.data import transforms
from benchmark.data.transforms import TRANSFORMS, apply
from benchmark.errors import UsageError


def numbered(*shape):
    """An image no two pixels of which are equal."""
    return np.arange(np.prod(shape), dtype=np.float64).reshape(shape)


@st.composite
def scenes(draw):
    """An image and its labels, mostly background."""
    shape = draw(SIZES)
    channels = draw(st.sampled_from([(), (2,), (3,)]))
    ids = st.sampled_from([0, 1, 2, 300])
    labels = draw(arrays.arrays(np.uint16, shape, elements=ids, fill=st.just(0)))
    return numbered(*shape, *channels), labels


# As the study did it (micro-sam, scripts/apg_experiments/util.py)


def study_crop(image, shape, truth=None):
    size = np.minimum(image.shape[:2], shape)
    first = (np.array(image.shape[:2]) - size) // 2
    if truth is not None and truth.any():
        places = np.argwhere(truth)
        middle = (places.min(0) + places.max(0)) // 2
        first = np.clip(middle - size // 2, 0, image.shape[:2] - size)
    (top, left), (height, width) = first, size
    return image[top : top + height, left : left + width]


def study_pad(array, shape):
    bigger = np.zeros((*np.maximum(array.shape[:2], shape), *array.shape[2:]), array.dtype)
    bigger[: array.shape[0], : array.shape[1]] = array
    return bigger


@quick
@given(scenes(), SIZES)
def test_the_middle_is_the_studys(scene, shape):
    image, labels = scene
    found = done(transforms.center_crop, image, labels, shape=shape)
    assert_same(found[0], study_crop(image, shape))
    assert_same(found[1], study_crop(labels, shape))


@quick
@given(scenes(), SIZES)
def test_the_cut_around_the_labels_is_the_studys(scene, shape):
    image, labels = scene
    found = done(transforms.crop_around_labels, image, labels, shape=shape)
    assert_same(found[0], study_crop(image, shape, labels))
    assert_same(found[1], study_crop(labels, shape, labels))


def test_an_odd_rest_is_cut_off_on_the_right():
    image = numbered(7, 8)
    found, _ = done(transforms.center_crop, image, image, shape=(4, 5))
    assert_same(found, image[1:5, 1:6])


@pytest.mark.parametrize(
    ("places", "rows", "columns"),
    [
        ([(10, 10)], (8, 12), (8, 12)),
        ([(10, 10), (13, 15)], (9, 13), (10, 14)),  # middle 11, 12
        ([(1, 19)], (0, 4), (16, 20)),  # moved into the image
        ([], (8, 12), (8, 12)),
    ],
)
def test_the_cut_lies_around_the_objects_bounding_box(places, rows, columns):
    labels = np.zeros((20, 20), np.uint8)
    for place in places:
        labels[place] = 9
    image = numbered(20, 20, 3)
    found, truth = done(transforms.crop_around_labels, image, labels, shape=(4, 4))
    assert_same(found, image[slice(*rows), slice(*columns)])
    assert_same(truth, labels[slice(*rows), slice(*columns)])


@quick
@given(scenes(), SIZES)
def test_padding_is_the_studys(scene, shape):
    image, labels = scene
    found = done(transforms.pad, image, labels, shape=shape)
    assert_same(found[0], study_pad(image, shape))
    assert_same(found[1], study_pad(labels, shape))


def test_padding_fills_up_below_and_on_the_right():
    image = np.ones((2, 3), np.uint8)
    found, _ = done(transforms.pad, image, image, shape=(3, 5))
    assert found.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]]


@pytest.mark.parametrize("shape", [(6, 7), (31, 9), (20, 20), (12, 50)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_resizing_is_the_studys(shape, dtype, channels):
    from skimage.transform import resize

    rng = np.random.default_rng(0)
    image = (rng.random((20, 20, *channels)) * 250).astype(dtype)
    labels = rng.integers(0, 2000, (20, 20)).astype(np.int32)
    found = done(transforms.resize, image, labels, shape=shape, label_resize="linear")
    expected = resize(image, output_shape=shape, anti_aliasing=True, preserve_range=True)
    truth = resize(labels, output_shape=shape, anti_aliasing=False, preserve_range=True)
    assert_same(found[0], expected.astype(dtype))
    assert_same(found[1], truth.astype(np.int32))


@quick
@given(scenes(), SIZES)
def test_resizing_to_the_nearest_makes_no_new_id(scene, shape):
    image, labels = scene
    found, truth = done(transforms.resize, image, labels, shape=shape, label_resize="nearest")
    assert set(np.unique(truth)) <= set(np.unique(labels))
    assert truth.shape == found.shape[:2] == shape
    assert (found.dtype, truth.dtype) == (image.dtype, labels.dtype)


def test_each_pixel_grows_where_the_size_is_doubled():
    labels = np.array([[0, 2**53 - 1], [7, 9]], np.int64)
    _, truth = done(transforms.resize, labels, labels, shape=(4, 6), label_resize="nearest")
    assert_same(truth, labels.repeat(2, 0).repeat(3, 1))


def test_linear_labels_have_ids_between_two_neighbours():
    labels = np.array([[10, 10, 10, 20, 20, 20]] * 6, np.uint16)
    _, truth = done(transforms.resize, labels, labels, shape=(6, 12), label_resize="linear")
    assert truth.tolist() == [[10, 10, 10, 10, 10, 12, 17, 20, 20, 20, 20, 20]] * 6


def test_an_image_is_smoothed_before_it_is_made_smaller():
    image = np.zeros((16, 16))
    image[::4, ::4] = 160  # between the pixels that are sampled
    found, _ = done(transforms.resize, image, image, shape=(4, 4), label_resize="nearest")
    assert found.min() > 1


# In a recipe


def test_the_recipe_knows_every_step():
    assert set(TRANSFORMS) == {
        "tiles", "center_crop", "crop_around_labels", "pad", "resize", "ignore_label",
        "connected_components", "min_objects", "only_channels", "scale_channels",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"center_crop": {"shape": [4]}}, r"shape is \[4\]; it must be \[height, width\]"),
        ({"center_crop": {"shape": [4, 0]}}, r"shape is \[4, 0\]"),
        ({"crop_around_labels": {"shape": [4, -1]}}, r"shape is \[4, -1\]"),
        ({"pad": {"shape": [4, 4, 3]}}, r"shape is \[4, 4, 3\]"),
        ({"pad": {"shape": 512}}, r"shape is 512; it must be \[height, width\]"),
        ({"pad": {"shape": ["a", 4]}}, r"shape is \['a', 4\]; it must be"),
        (
            {"resize": {"shape": [2, 2], "label_resize": "cubic"}},
            "label_resize is 'cubic'; it must be linear or nearest",
        ),
        (
            {"center_crop": {"shape": [2, 2], "cut_objects": "two"}},
            "cut_objects is 'two'; it must be one or split",
        ),
    ],
    ids=str,
)
def test_a_wrong_argument_is_told_with_the_steps_name(step, said):
    image = np.ones((8, 8), np.uint8)
    (name,) = step
    with pytest.raises(UsageError, match=rf"data\.recipe: step '{name}': {said}"):
        list(apply([step], image, image))


@pytest.mark.parametrize(("when", "size"), [(True, 2), (False, 8)])
def test_a_step_that_is_switched_off_is_left_out(when, size):
    image = np.ones((8, 8), np.uint8)
    steps = [{"center_crop": {"shape": [2, 2]}, "when": when}, {"pad": {"shape": [1, 9]}}]
    ((_, found, _),) = apply(steps, image, image)
    assert found.shape == (size, 9)


ARGUMENTS = {
    "tiles": {"rows": 2, "columns": 2},
    "center_crop": {"shape": [3, 4], "cut_objects": "split"},
    "crop_around_labels": {"shape": [3, 4], "cut_objects": "split"},
    "pad": {"shape": [9, 9]},
    "resize": {"shape": [3, 4], "label_resize": "nearest"},
    "ignore_label": {"value": 5},
    "min_objects": {"count": 1, "counting": "objects"},
    "only_channels": {"count": 3},
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_no_step_writes_into_what_it_is_given(name):
    image = np.random.default_rng(0).random((4, 4, 3)).astype(np.float32)
    labels = np.array(
        [[0, 0, 0, 9], [5, 0, 5, 5], [5, 0, 5, 0], [5, 5, 5, 0]], np.int32
    )  # which a crop cuts in two
    before = image.copy(), labels.copy()
    assert list(apply([{name: ARGUMENTS.get(name)}], image, labels))
    assert_same(image, before[0])
    assert_same(labels, before[1])
