"""Objects that a cut splits: each piece one object, or all as they were."""

import numpy as np
import pytest
from helpers.recipes import SIZES, assert_same, done, quick
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from benchmark.data import transforms


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


def components(mask):
    pieces, count = ndimage.label(mask, np.ones((3, 3)))
    return [pieces == number for number in range(1, count + 1)]


def cut(labels, corner, shape, cut_objects="split"):
    ((_, _, inside),) = transforms.crop(labels, labels, corner, shape, cut_objects)
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


@pytest.mark.parametrize("step", [transforms.center_crop, transforms.crop_around_labels])
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
