"""Labels of containers: of arrays or files of their own, whole floats too, negative ids apart."""

import numpy as np
import pytest
import tifffile
from helpers.containers import EACH, KEYS, ZYX, assert_same, h5, numbers, refusal, zarr3
from helpers.messages import assert_names
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmark.data.formats.containers import Reading, as_labels, read_pair, slices
from benchmark.errors import DataError


@EACH
def test_labels_of_a_volume_are_none_of_an_image(tmp_path, write, suffix):
    path = write(tmp_path / f"a{suffix}", raw=numbers(4, 5), labels=numbers(3, 4, 5))
    reading = Reading(**KEYS, label_axes="ZYX")
    assert not reading.sliced
    said = refusal(path, read_pair, path, path, reading, None)
    assert_names(said, f"{path}, 'labels'", "can't be read")


def test_labels_may_be_in_a_file_of_their_own(tmp_path):
    image = h5(tmp_path / "image.h5", raw=numbers(3, 4, 5))
    truth = zarr3(tmp_path / "truth.zarr", labels=numbers(3, 4, 5, first=7))
    reading = Reading(**KEYS, **ZYX)
    found = [read_pair(image, truth, reading, index) for index in range(3)]
    assert_same(np.stack([pixels for pixels, _ in found]), numbers(3, 4, 5))
    assert_same(np.stack([labels for _, labels in found]), numbers(3, 4, 5, first=7))
    assert "truth.zarr: has no 'no'" in refusal(
        truth, read_pair, image, truth, Reading("raw", "no", **ZYX), 0
    )


def test_labels_may_be_a_tiff_of_their_own(tmp_path):
    image = h5(tmp_path / "image.h5", raw=numbers(4, 5))
    tifffile.imwrite(tmp_path / "truth.tif", numbers(4, 5, first=7))
    found = read_pair(image, tmp_path / "truth.tif", Reading("raw"), None)
    assert_same(found[0], numbers(4, 5))
    assert_same(found[1], numbers(4, 5, first=7))


@pytest.mark.parametrize("dtype", ["u1", "u2", "u8", "i1", "i4", "i8", ">u2"])
def test_integers_stay_as_they_are(dtype):
    assert_same(as_labels(numbers(3, 4, dtype=dtype), "here"), numbers(3, 4, dtype=dtype))


@EACH
def test_labels_in_a_container_may_be_whole_floats(tmp_path, write, suffix):
    labels = numbers(4, 5, dtype="f8") * 1000
    path = write(tmp_path / f"a{suffix}", raw=numbers(4, 5), labels=labels)
    assert_same(read_pair(path, path, Reading(**KEYS), None)[1], numbers(4, 5, dtype="i8") * 1000)


@pytest.mark.parametrize("value", [0.5, 2.0001, np.nan, np.inf, -np.inf])
def test_fractions_are_no_labels_and_the_place_is_told(tmp_path, value):
    labels = numbers(3, 4, 5, dtype="f4")
    labels[1, 2, 3] = value
    path = h5(tmp_path / "a.h5", raw=numbers(3, 4, 5), labels=labels)
    reading = Reading(**KEYS, **ZYX)
    assert_same(read_pair(path, path, reading, 0)[1], numbers(4, 5, dtype="i8"))
    said = refusal(path, read_pair, path, path, reading, 1)
    assert_names(said, f"{path}, 'labels', slice 1", "float32")


@pytest.mark.parametrize("dtype", ["?", "c8", "S3"])
def test_what_is_no_number_is_no_label(dtype):
    with pytest.raises(DataError, match=r"here: .*integers"):
        as_labels(np.zeros((2, 2), dtype), "here")


@settings(deadline=None)
@given(
    arrays.arrays(
        st.sampled_from(["i1", "i2", "i8", "f4", "f8"]),
        st.tuples(st.integers(1, 5), st.integers(1, 5)),
        elements=st.sampled_from([-128, -100, -2, -1, 0, 0, 1, 2, 127]),
    )
)
def test_negative_ids_become_ids_of_their_own_above_all_others(labels):
    before = labels.copy()
    found = as_labels(labels, "here")
    assert_same(labels, before)
    negative = labels < 0
    assert found.dtype.kind == "i" and (found[~negative] == labels[~negative]).all()
    pairs = set(zip(labels[negative].tolist(), found[negative].tolist(), strict=True))
    new = sorted(number for _, number in pairs)
    top = max(int(labels.max()), 0)
    assert new == list(range(top + 1, top + 1 + len(np.unique(labels[negative]))))


def test_negative_ids_of_a_container_are_read_slice_by_slice(tmp_path):
    labels = np.array([[[-1, 0, 5]], [[-1, -3, 0]]], "i2")
    path = h5(tmp_path / "a.h5", raw=labels, labels=labels)
    found = [read_pair(path, path, Reading(**KEYS, **ZYX), index)[1] for index in (0, 1)]
    assert [truth.tolist() for truth in found] == [[[6, 0, 5]], [[2, 1, 0]]]


def test_slices_of_labels_are_those_of_their_own_array(tmp_path):
    raw, labels = numbers(2, 6, 4, 5), numbers(5, 4, 5)
    path = h5(tmp_path / "a.h5", raw=raw, labels=labels, flat=labels[0])
    reading = Reading(**KEYS, image_axes="CZYX", label_axes="ZYX")
    assert (slices(path, reading), slices(path, reading, of="labels")) == (6, 5)
    said = refusal(path, slices, path, Reading("raw", "flat", **ZYX), "labels")
    assert_names(said, f"{path}, 'flat'", "4 x 5", "ZYX")
