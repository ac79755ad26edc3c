"""Which objects count, and which images with them: as the study counted, and as objects do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from benchmark.data import transforms
from benchmark.data.transforms import apply
from benchmark.errors import UsageError

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
quick = settings(deadline=None)


def label_images(ids, dtype=np.uint16):
    return arrays.arrays(dtype, SHAPES, elements=st.sampled_from(ids))


def kept(step, image, labels, **arguments):
    """Whether a step keeps an image; as it is, if so."""
    outcome = list(step(image, labels, **arguments))
    for suffix, new_image, new_labels in outcome:
        assert suffix == "" and new_image is image and new_labels is labels
    assert len(outcome) < 2
    return bool(outcome)


def same_partition(a, b):
    pairs = set(zip(a.ravel().tolist(), b.ravel().tolist(), strict=True))
    return len(pairs) == len(np.unique(a)) == len(np.unique(b))


# Ids


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_one_id_becomes_background(dtype):
    labels = np.array([[0, 1, 2], [1, 12, 1]], dtype)
    ((suffix, image, found),) = transforms.ignore_label(labels, labels, value=1)
    assert found.tolist() == [[0, 0, 2], [0, 12, 0]] and found.dtype == dtype
    assert suffix == "" and image is labels


@pytest.mark.parametrize("value", [3, 300, -1])
def test_an_id_that_is_not_there_changes_nothing(value):
    labels = np.array([[0, 1, 2]], np.uint8)
    ((_, _, found),) = transforms.ignore_label(labels, labels, value=value)
    np.testing.assert_array_equal(found, labels, strict=True)


@quick
@given(label_images([0, 1, 255], np.uint8).map(lambda labels: (labels > 0) * labels.max()))
def test_components_of_a_mask_are_scipys(mask):
    ((_, _, found),) = transforms.connected_components(mask, mask)
    expected, count = ndimage.label(mask, np.ones((3, 3)))
    assert found.dtype == np.int32 and found.max() == count
    assert np.array_equal(found > 0, mask > 0) and same_partition(found, expected)


@quick
@given(label_images([0, 1, 4, 300]))
def test_components_of_labels_are_those_of_each_id(labels):
    ((_, _, found),) = transforms.connected_components(labels, labels)
    expected = np.zeros(labels.shape, np.int64)
    for number in np.unique(labels[labels > 0]):
        pieces, _ = ndimage.label(labels == number, np.ones((3, 3)))
        expected += np.where(pieces, pieces + expected.max(), 0)
    assert np.array_equal(found > 0, labels > 0) and same_partition(found, expected)


def test_components_are_numbered_from_one():
    labels = np.array([[7, 0, 7, 2], [0, 7, 0, 2], [0, 0, 0, 0], [9, 0, 7, 7]], np.uint8)
    ((_, image, found),) = transforms.connected_components(labels, labels)
    assert found.tolist() == [[1, 0, 1, 2], [0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 4, 4]]
    assert image is labels


# How many objects there are


def study_keeps(labels, least):
    """The loop of `_process_images`: what is stored, and what is passed over."""
    count = len(np.unique(labels))
    return not (count == 1 or count < least)


@quick
@given(label_images([0, 1, 2, 3, 300]), st.integers(0, 6))
def test_values_are_counted_as_the_study_did(labels, least):
    found = kept(transforms.min_objects, labels, labels, count=least, counting="values")
    assert found == study_keeps(labels, least)


@quick
@given(label_images([0, 0, 1, 2, 3, 300]), st.integers(1, 6))
def test_objects_are_all_values_but_the_background(labels, least):
    labels[0, 0] = 0
    found = kept(transforms.min_objects, labels, labels, count=least, counting="objects")
    assert found == (len(set(labels.ravel().tolist()) - {0}) >= least)


@pytest.mark.parametrize(
    ("labels", "values", "objects_"),
    [
        ([[0, 4, 9]], 3, 2),  # the background counts among the values ...
        ([[1, 4, 9]], 3, 3),  # ... where there is any
    ],
)
def test_the_least_number_stays_and_one_less_does_not(labels, values, objects_):
    labels = np.array(labels)
    for counting, most in (("values", values), ("objects", objects_)):
        for count in (most, most + 1):
            found = kept(transforms.min_objects, labels, labels, count=count, counting=counting)
            assert found == (count == most)


@pytest.mark.parametrize("counting", ["values", "objects"])
@pytest.mark.parametrize("count", [0, 1])
def test_an_image_without_any_object_is_left_out(counting, count):
    labels = np.zeros((3, 3), np.uint8)
    assert not kept(transforms.min_objects, labels, labels, count=count, counting=counting)


def test_an_object_that_fills_the_image_is_one():
    labels = np.full((3, 3), 7)
    assert kept(transforms.min_objects, labels, labels, count=1, counting="objects")


def test_another_way_of_counting_is_a_slip():
    labels = np.ones((3, 3), int)
    said = "step 'min_objects': counting is 'cells'; it must be values or objects"
    with pytest.raises(UsageError, match=said):
        list(apply([{"min_objects": {"count": 1, "counting": "cells"}}], labels, labels))


# Channels


@pytest.mark.parametrize(
    ("shape", "stays"), [((5, 5, 3), True), ((5, 5, 4), False), ((5, 3), False), ((3, 5, 2), False)]
)
def test_images_of_other_numbers_of_channels_are_left_out(shape, stays):
    image = np.zeros(shape)
    labels = np.zeros(shape[:2], int)
    assert kept(transforms.only_channels, image, labels, count=3) == stays


def study_scale(image):
    """`_norm_image`, a channel at a time."""
    channels = []
    for c in range(image.shape[2]):
        plane = image[:, :, c].astype("float32")
        plane = plane - plane.min()
        plane = plane / (plane.max() + np.float32(1e-7))
        channels.append((plane * 255).astype("uint8"))
    return np.stack(channels, axis=-1)


@quick
@given(
    st.sampled_from([np.uint8, np.uint16, np.int16, np.float32, np.float64]),
    SHAPES,
    st.integers(0, 2**32 - 1),
)
def test_channels_are_scaled_as_the_study_did_to_the_bit(dtype, shape, seed):
    rng = np.random.default_rng(seed)
    image = (rng.normal(size=(*shape, 3)) * (1e-3, 1, 3e2) + (0, 50, 500)).clip(0).astype(dtype)
    labels = np.ones(shape, int)
    ((suffix, found, same),) = transforms.scale_channels(image, labels)
    np.testing.assert_array_equal(found, study_scale(image), strict=True)
    assert suffix == "" and same is labels


def test_each_channel_goes_from_0_to_255_and_a_flat_one_is_black():
    image = np.stack([[[10, 20]], [[5, 5]], [[-1000, 1000]]], axis=-1)
    ((_, found, _),) = transforms.scale_channels(image, np.zeros((1, 2), int))
    assert found.tolist() == [[[0, 0, 0], [255, 0, 255]]] and found.dtype == np.uint8


def test_a_grey_image_is_one_channel():
    image = np.array([[10, 20], [15, 10]], np.uint16)
    ((_, found, _),) = transforms.scale_channels(image, image)
    assert found.tolist() == [[0, 255], [127, 0]]
