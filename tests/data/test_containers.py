"""Images in HDF5 and zarr come out by the axes and keys told, or what is wrong is named."""

import numpy as np
import pytest
from helpers.containers import EACH, KEYS, ZYX, assert_same, h5, numbers, refusal, zarr2, zarr3
from helpers.messages import assert_names

from benchmark.data.formats.containers import Reading, read_pair, slices
from benchmark.errors import DataError, UsageError

CONTAINERS = pytest.mark.parametrize(
    ("write", "suffix"),
    [(h5, ".h5"), (h5, ".HDF5"), (zarr2, ".zarr"), (zarr3, ".zarr")],
    ids=["h5", "HDF5", "zarr 2", "zarr 3"],
)


# Axes


@CONTAINERS
@pytest.mark.parametrize(
    ("axes", "shape", "index", "expected"),
    [
        ("YX", (4, 5), None, lambda stored: stored),
        ("YXC", (4, 5, 3), None, lambda stored: stored),
        ("CYX", (3, 4, 5), None, lambda stored: stored.transpose(1, 2, 0)),
        ("ZYX", (6, 4, 5), 2, lambda stored: stored[2]),
        ("CZYX", (3, 6, 4, 5), 2, lambda stored: stored[:, 2].transpose(1, 2, 0)),
    ],
)
def test_the_axes_that_are_told_become_rows_columns_channels(
    tmp_path, write, suffix, axes, shape, index, expected
):
    raw = numbers(*shape, dtype="f4")
    labels = numbers(*(() if index is None else (6,)), 4, 5, dtype="i4", first=1)
    path = write(tmp_path / f"a{suffix}", raw__nuclei=raw, labels=labels)
    label_axes = "YX" if index is None else "ZYX"
    reading = Reading("raw/nuclei", "labels", image_axes=axes, label_axes=label_axes)
    image, truth = read_pair(path, path, reading, index)
    assert_same(image, expected(raw))
    assert_same(truth, labels if index is None else labels[index])
    assert reading.sliced == (index is not None)
    if reading.sliced:
        assert slices(path, reading) == 6


@pytest.mark.parametrize("axes", ["", "XY", "ZYXC", "TYX", "yx"])
@pytest.mark.parametrize("which", ["image_axes", "label_axes"])
def test_axes_that_do_not_exist_are_a_slip(which, axes):
    with pytest.raises(UsageError, match=f"'{axes}' .*YX, YXC, CYX, ZYX, CZYX"):
        Reading(**{which: axes})


@CONTAINERS
def test_an_array_of_other_axes_is_told_with_its_shape(tmp_path, write, suffix):
    path = write(tmp_path / f"a{suffix}", raw=numbers(3, 4, 5), labels=numbers(4, 5))
    said = refusal(path, read_pair, path, path, Reading(**KEYS), None)
    assert_names(said, f"{path}, 'raw'", "3 x 4 x 5", "YX")
    reading = Reading(**KEYS, image_axes="ZYX", label_axes="ZYX")
    said = refusal(path, read_pair, path, path, reading, 1)
    assert_names(said, f"{path}, 'labels', slice 1", "4 x 5", "ZYX")


@CONTAINERS
def test_a_slice_that_is_not_there_is_told(tmp_path, write, suffix):
    path = write(tmp_path / f"a{suffix}", raw=numbers(3, 4, 5), labels=numbers(2, 4, 5))
    said = refusal(path, read_pair, path, path, Reading(**KEYS, **ZYX), 2)
    assert_names(said, f"{path}, 'labels', slice 2", "can't be read")


@EACH
@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (numbers(5, 3, 4, 5), "slice 1: 4 x 5 x 5, uint16: more than 4 channels."),
        (numbers(0, 3, 4, 5), "slice 1: an image is H x W or H x W x C; this one is 4 x 5 x 0"),
        (numbers(2, 3, 4, 5, dtype="c8"), "slice 1: pixels of type complex64 are not an image."),
    ],
    ids=["five channels", "none", "complex"],
)
def test_what_is_no_image_in_a_file_is_none_in_a_container(tmp_path, write, suffix, raw, said):
    path = write(tmp_path / f"a{suffix}", raw=raw, labels=numbers(3, 4, 5))
    reading = Reading(**KEYS, image_axes="CZYX", label_axes="ZYX")
    assert f"{path}, 'raw', {said}" in refusal(path, read_pair, path, path, reading, 1)


@EACH
def test_one_channel_is_none_and_true_and_false_are_1_and_0(tmp_path, write, suffix):
    raw = numbers(1, 3, 4, 5) % 2 == 0
    path = write(tmp_path / f"a{suffix}", raw=raw, labels=numbers(3, 4, 5))
    reading = Reading(**KEYS, image_axes="CZYX", label_axes="ZYX")
    assert_same(read_pair(path, path, reading, 1)[0], raw[0, 1].astype("u1"))


def test_what_is_no_image_is_told_with_all_its_keys(tmp_path):
    path = h5(tmp_path / "a.h5", a=numbers(4, 5, dtype="c8"), labels=numbers(4, 5))
    said = refusal(path, read_pair, path, path, Reading(["a", "zeros", "a"], "labels"), None)
    assert_names(said, f"{path}, 'a, a'", "complex64")


# Keys


@CONTAINERS
def test_several_keys_become_channels_and_zeros_is_an_empty_one(tmp_path, write, suffix):
    a, b = numbers(4, 5), numbers(4, 5, first=100)
    path = write(tmp_path / f"a{suffix}", a=a, b=b, labels=numbers(4, 5))
    for keys, planes in (
        (["b", "a"], [b, a]),
        (["a", "b", "zeros"], [a, b, 0 * a]),
        (["zeros", "a"], [0 * a, a]),
        (["a"], None),
    ):
        image, _ = read_pair(path, path, Reading(keys, "labels"), None)
        assert_same(image, a if planes is None else np.stack(planes, -1))


def test_channels_of_a_volume_are_slices_of_each_key(tmp_path):
    a, b = numbers(3, 4, 5), numbers(3, 4, 5, first=100)
    path = h5(tmp_path / "a.h5", a=a, b=b, labels=a)
    reading = Reading(["b", "zeros", "a"], "labels", **ZYX)
    assert slices(path, reading) == 3
    image, labels = read_pair(path, path, reading, 1)
    assert_same(image, np.stack([b[1], 0 * a[1], a[1]], -1))
    assert_same(labels, a[1])


def test_channels_of_different_shapes_are_refused(tmp_path):
    path = h5(tmp_path / "a.h5", a=numbers(4, 5), b=numbers(5, 4), labels=numbers(4, 5))
    said = refusal(path, read_pair, path, path, Reading(["a", "b"], "labels"), None)
    assert_names(said, path, "shape")


@CONTAINERS
@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"image": "raw/cells"}, "has no 'raw/cells'; it has: labels/cells, raw/nuclei."),
        ({"labels": "truth"}, "has no 'truth'; it has: labels/cells, raw/nuclei."),
        ({"image": ["raw/nuclei", "dna"]}, "has no 'dna'; it has: labels/cells, raw/nuclei."),
        ({"image": "raw"}, "'raw' is a group; it has: nuclei."),
    ],
    ids=str,
)
def test_a_key_that_is_missing_is_named_and_what_there_is(tmp_path, write, suffix, keys, said):
    content = {"raw__nuclei": numbers(4, 5), "labels__cells": numbers(4, 5)}
    path = write(tmp_path / f"a{suffix}", **content)
    reading = Reading(**{"image": "raw/nuclei", "labels": "labels/cells"} | keys)
    assert f"{path}: {said}" in refusal(path, read_pair, path, path, reading, None)


@EACH
def test_a_container_of_nothing_has_nothing(tmp_path, write, suffix):
    path = write(tmp_path / f"a{suffix}")
    said = refusal(path, slices, path, Reading(**KEYS, **ZYX))
    assert_names(said, "no 'raw'", "nothing")


# What is told wrongly, or is not whole


@pytest.fixture
def volume(tmp_path):
    return h5(tmp_path / "a.h5", raw=numbers(3, 4, 5), labels=numbers(3, 4, 5), row=numbers(4))


def test_a_volume_may_begin_with_an_empty_channel(volume):
    assert slices(volume, Reading(["zeros", "raw"], "labels", **ZYX)) == 3


def test_nothing_but_empty_channels_is_refused(volume):
    with pytest.raises((DataError, UsageError)):
        read_pair(volume, volume, Reading(["zeros"], "labels", **ZYX), 0)


@pytest.mark.parametrize("keys", [{"labels": "labels"}, {"image": "raw"}], ids=str)
def test_a_container_without_a_key_is_refused(volume, keys):
    said = refusal(volume, read_pair, volume, volume, Reading(**keys, **ZYX), 0)
    assert_names(said, volume, "data.read", "labels, raw, row")


def test_slices_of_what_is_no_volume_are_refused(volume):
    refusal(volume, slices, volume, Reading("row", "labels", image_axes="CZYX", label_axes="ZYX"))
