"""Cuts, pads and resizes are those of the study, and what a cut splits is told apart on demand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from benchmark.data import geometry
from benchmark.data.transforms import TRANSFORMS, apply
from benchmark.errors import UsageError

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))
quick = settings(deadline=None)


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


@st.composite
def frames(draw):
    """Labels drawn as the outlines of rectangles, which windows cut into pieces."""
    height, width = draw(st.tuples(st.integers(4, 14), st.integers(4, 14)))
    labels = np.zeros((height, width), np.uint16)
    for number in draw(st.lists(st.sampled_from([3, 7, 8, 20]), min_size=1, max_size=4)):
        top, left = draw(st.integers(0, height - 3)), draw(st.integers(0, width - 3))
        below, right = draw(st.integers(top + 2, height)), draw(st.integers(left + 2, width))
        labels[top:below, left:right] = number
        labels[top + 1 : below - 1, left + 1 : right - 1] = 0
    return labels


def done(step, image, labels, **arguments):
    ((suffix, new_image, new_labels),) = step(image, labels, **arguments)
    assert suffix == ""
    return new_image, new_labels


def assert_same(found, expected):
    np.testing.assert_array_equal(found, expected, strict=True)


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
    found = done(geometry.center_crop, image, labels, shape=shape)
    assert_same(found[0], study_crop(image, shape))
    assert_same(found[1], study_crop(labels, shape))


@quick
@given(scenes(), SIZES)
def test_the_cut_around_the_labels_is_the_studys(scene, shape):
    image, labels = scene
    found = done(geometry.crop_around_labels, image, labels, shape=shape)
    assert_same(found[0], study_crop(image, shape, labels))
    assert_same(found[1], study_crop(labels, shape, labels))


def test_an_odd_rest_is_cut_off_on_the_right():
    image = numbered(7, 8)
    found, _ = done(geometry.center_crop, image, image, shape=(4, 5))
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
    found, truth = done(geometry.crop_around_labels, image, labels, shape=(4, 4))
    assert_same(found, image[slice(*rows), slice(*columns)])
    assert_same(truth, labels[slice(*rows), slice(*columns)])


@quick
@given(scenes(), SIZES)
def test_padding_is_the_studys(scene, shape):
    image, labels = scene
    found = done(geometry.pad, image, labels, shape=shape)
    assert_same(found[0], study_pad(image, shape))
    assert_same(found[1], study_pad(labels, shape))


def test_padding_fills_up_below_and_on_the_right():
    image = np.ones((2, 3), np.uint8)
    found, _ = done(geometry.pad, image, image, shape=(3, 5))
    assert found.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]]


@pytest.mark.parametrize("shape", [(6, 7), (31, 9), (20, 20), (12, 50)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_resizing_is_the_studys(shape, dtype, channels):
    from skimage.transform import resize

    rng = np.random.default_rng(0)
    image = (rng.random((20, 20, *channels)) * 250).astype(dtype)
    labels = rng.integers(0, 2000, (20, 20)).astype(np.int32)
    found = done(geometry.resize, image, labels, shape=shape, label_resize="linear")
    expected = resize(image, output_shape=shape, anti_aliasing=True, preserve_range=True)
    truth = resize(labels, output_shape=shape, anti_aliasing=False, preserve_range=True)
    assert_same(found[0], expected.astype(dtype))
    assert_same(found[1], truth.astype(np.int32))


@quick
@given(scenes(), SIZES)
def test_resizing_to_the_nearest_makes_no_new_id(scene, shape):
    image, labels = scene
    found, truth = done(geometry.resize, image, labels, shape=shape, label_resize="nearest")
    assert set(np.unique(truth)) <= set(np.unique(labels))
    assert truth.shape == found.shape[:2] == shape
    assert (found.dtype, truth.dtype) == (image.dtype, labels.dtype)


def test_each_pixel_grows_where_the_size_is_doubled():
    labels = np.array([[0, 2**53 - 1], [7, 9]], np.int64)
    _, truth = done(geometry.resize, labels, labels, shape=(4, 6), label_resize="nearest")
    assert_same(truth, labels.repeat(2, 0).repeat(3, 1))


def test_linear_labels_have_ids_between_two_neighbours():
    labels = np.array([[10, 10, 10, 20, 20, 20]] * 6, np.uint16)
    _, truth = done(geometry.resize, labels, labels, shape=(6, 12), label_resize="linear")
    assert truth.tolist() == [[10, 10, 10, 10, 10, 12, 17, 20, 20, 20, 20, 20]] * 6


def test_an_image_is_smoothed_before_it_is_made_smaller():
    image = np.zeros((16, 16))
    image[::4, ::4] = 160  # between the pixels that are sampled
    found, _ = done(geometry.resize, image, image, shape=(4, 4), label_resize="nearest")
    assert found.min() > 1


# Objects that a cut splits


def components(mask):
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    return [pieces == number for number in range(1, count + 1)]


def cut(labels, corner, shape, cut_objects="split"):
    ((_, _, inside),) = geometry.crop(labels, labels, corner, shape, cut_objects)
    return inside


@settings(deadline=None, max_examples=300)
@given(frames(), st.tuples(st.integers(0, 9), st.integers(0, 9)), SIZES)
def test_each_piece_of_an_object_that_was_in_one_piece_becomes_one(labels, corner, shape):
    plain, split = cut(labels, corner, shape, "one"), cut(labels, corner, shape)
    assert (split.shape, split.dtype) == (plain.shape, labels.dtype)
    new = []
    for number in np.unique(plain[plain > 0]):
        pieces = components(plain == number)
        found = [np.unique(split[piece]).tolist() for piece in pieces]
        if len(components(labels == number)) > 1:
            assert found == [[number]] * len(pieces)
            continue
        assert all(len(ids) == 1 for ids in found)
        flat = [ids[0] for ids in found]
        areas = [int(piece.sum()) for piece in pieces]
        assert areas[flat.index(number)] == max(areas)  # the largest keeps the id
        new += [i for i in flat if i != number]
        assert len(set(flat)) == len(flat)
    assert sorted(new) == list(range(labels.max() + 1, labels.max() + 1 + len(new)))
    assert_same(split == 0, plain == 0)


@quick
@given(frames(), st.tuples(st.integers(0, 9), st.integers(0, 9)), SIZES)
def test_one_leaves_all_ids_as_they_are(labels, corner, shape):
    plain = cut(labels, corner, shape, "one")
    top, left = (max(0, min(corner[i], labels.shape[i] - shape[i])) for i in (0, 1))
    assert_same(plain, labels[top : top + shape[0], left : left + shape[1]])


U_SHAPE = [[5, 5, 5, 0], [5, 0, 5, 0], [5, 0, 5, 5], [0, 0, 0, 9]]


def test_the_larger_piece_keeps_the_id_and_the_other_gets_one_above_all_there_are():
    labels = np.array(U_SHAPE, np.uint16)
    # 9 lies outside the window, and is taken all the same.
    found = cut(labels, (1, 0), (2, 4))
    assert found.tolist() == [[10, 0, 5, 0], [10, 0, 5, 5]]


def test_of_equally_large_pieces_the_first_keeps_the_id():
    found = cut(np.array(U_SHAPE, np.uint16), (1, 0), (2, 3))
    assert found.tolist() == [[5, 0, 10], [5, 0, 10]]


def test_pieces_that_touch_at_a_corner_are_one():
    labels = np.array([[5, 5, 5], [5, 0, 5], [0, 5, 5]], np.uint16)
    assert cut(labels, (1, 0), (2, 2)).tolist() == [[5, 0], [0, 5]]


def test_what_was_in_pieces_before_stays_one_object():
    labels = np.array(U_SHAPE, np.uint16)
    labels[3, 0] = 0
    labels[3, 3] = 5
    labels[2, 3] = 0
    labels[2, 2] = 0  # now 5 is a hook and a pixel apart
    assert cut(labels, (1, 0), (3, 4), "split").tolist() == labels[1:].tolist()


def test_an_image_that_is_not_cut_keeps_its_ids():
    labels = np.array([[5, 0, 5]], np.uint16)
    assert cut(labels, (0, 0), (8, 8)).tolist() == [[5, 0, 5]]


@pytest.mark.parametrize("step", [geometry.center_crop, geometry.crop_around_labels])
def test_both_cuts_split_objects_if_they_are_told_to(step):
    labels = np.zeros((7, 5), np.uint16)
    labels[:, ::4] = 5  # the legs ...
    labels[0] = labels[-1] = 5  # ... and what joins them
    assert np.unique(done(step, labels, labels, shape=(4, 5))[1]).tolist() == [0, 5]
    split = done(step, labels, labels, shape=(4, 5), cut_objects="split")[1]
    assert np.unique(split).tolist() == [0, 5, 6]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.uint64])
def test_the_dtype_stays_where_new_ids_fit(dtype):
    labels = np.array(U_SHAPE, dtype)
    labels[3, 3] = np.iinfo(dtype).max - 1
    found = cut(labels, (1, 0), (2, 4))
    assert found.dtype == dtype and found.max() == np.iinfo(dtype).max


def test_an_image_of_8_bit_with_255_ids_is_widened():
    labels = np.array(U_SHAPE, np.uint8)
    labels[3, 3] = 255
    found = cut(labels, (1, 0), (2, 4))
    assert found.tolist() == [[256, 0, 5, 0], [256, 0, 5, 5]]


def test_the_dtype_stays_where_no_id_is_new():
    labels = np.array([[255, 0, 255], [255, 0, 255], [0, 0, 0]], np.uint8)
    found = cut(labels, (0, 0), (2, 3))
    assert found.tolist() == [[255, 0, 255], [255, 0, 255]] and found.dtype == np.uint8


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
        ({"pad": {"shape": 512}}, ".*len"),
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
    labels = np.array(U_SHAPE[::-1], np.int32)  # which a crop cuts in two
    before = image.copy(), labels.copy()
    assert list(apply([{name: ARGUMENTS.get(name)}], image, labels))
    assert_same(image, before[0])
    assert_same(labels, before[1])
