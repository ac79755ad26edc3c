"""Images in HDF5, zarr and TIFF volumes come out as they were, or the file and key are named."""

import gc
import os
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmark.data.containers import Reading, as_labels, read_pair, slices
from benchmark.errors import DataError, UsageError

ZYX = {"image_axes": "ZYX", "label_axes": "ZYX"}
KEYS = {"image": "raw", "labels": "labels"}


def numbers(*shape, dtype="u2", first=0):
    return np.arange(first, first + np.prod(shape)).reshape(shape).astype(dtype)


def h5(path, **content):
    with h5py.File(path, "w") as file:
        for key, array in content.items():
            file[key.replace("__", "/")] = array
    return path


def zarr_group(path, zarr_format, **content):
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    for key, array in content.items():
        array = np.asarray(array)
        chunks = (1, *array.shape[1:])
        stored = group.create_array(
            key.replace("__", "/"), shape=array.shape, dtype=array.dtype, chunks=chunks
        )
        stored[:] = array
    return path


def zarr2(path, **content):
    return zarr_group(path, 2, **content)


def zarr3(path, **content):
    return zarr_group(path, 3, **content)


CONTAINERS = pytest.mark.parametrize(
    ("write", "suffix"),
    [(h5, ".h5"), (h5, ".HDF5"), (zarr2, ".zarr"), (zarr3, ".zarr")],
    ids=["h5", "HDF5", "zarr 2", "zarr 3"],
)
EACH = pytest.mark.parametrize(
    ("write", "suffix"), [(h5, ".h5"), (zarr3, ".zarr")], ids=["h5", "zarr"]
)


def assert_same(found, expected):
    np.testing.assert_array_equal(found, expected, strict=True)


def refusal(path, read, *arguments):
    with pytest.raises(DataError) as error:
        read(*arguments)
    assert str(path) in str(error.value)
    return str(error.value)


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
    with pytest.raises(UsageError, match=f"axes '{axes}' are none of YX, YXC, CYX, ZYX, CZYX"):
        Reading(**{which: axes})


@CONTAINERS
def test_an_array_of_other_axes_is_told_with_its_shape(tmp_path, write, suffix):
    path = write(tmp_path / f"a{suffix}", raw=numbers(3, 4, 5), labels=numbers(4, 5))
    said = refusal(path, read_pair, path, path, Reading(**KEYS), None)
    assert f"{path}, 'raw': its shape is 3 x 4 x 5; axes YX were expected." in said
    reading = Reading(**KEYS, image_axes="ZYX", label_axes="ZYX")
    said = refusal(path, read_pair, path, path, reading, 1)
    assert f"{path}, 'labels', slice 1: its shape is 4 x 5; axes ZYX were expected." in said


@EACH
def test_labels_of_a_volume_are_none_of_an_image(tmp_path, write, suffix):
    path = write(tmp_path / f"a{suffix}", raw=numbers(4, 5), labels=numbers(3, 4, 5))
    reading = Reading(**KEYS, label_axes="ZYX")
    assert not reading.sliced
    said = refusal(path, read_pair, path, path, reading, None)
    assert f"{path}, 'labels': can't be read (" in said


@CONTAINERS
def test_a_slice_that_is_not_there_is_told(tmp_path, write, suffix):
    path = write(tmp_path / f"a{suffix}", raw=numbers(3, 4, 5), labels=numbers(2, 4, 5))
    said = refusal(path, read_pair, path, path, Reading(**KEYS, **ZYX), 2)
    assert f"{path}, 'labels', slice 2: can't be read (" in said


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
    assert f"{path}: its channels differ in shape (" in said


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
    assert "has no 'raw'; it has: nothing." in said


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


# Files


@pytest.mark.parametrize("name", ["a.h5", "a.zarr", "a.tif"])
def test_a_file_that_is_missing_is_named(tmp_path, name):
    path = tmp_path / name
    assert "can't be read (" in refusal(path, slices, path, Reading("raw", **ZYX))


@pytest.mark.parametrize("keep", [0, 4, 0.5, -10])
def test_an_hdf5_file_that_was_cut_off_is_named(tmp_path, keep):
    path = h5(tmp_path / "a.h5", raw=numbers(30, 40, 50), labels=numbers(30, 40, 50))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep == 0.5 else keep])
    said = refusal(path, slices, path, Reading(**KEYS, **ZYX))
    assert said.endswith("The file may be damaged or incomplete.")


def test_a_damaged_chunk_is_told_with_its_slice_and_the_others_are_read(tmp_path):
    path = zarr3(tmp_path / "a.zarr", raw=numbers(3, 40, 50), labels=numbers(3, 40, 50))
    (path / "raw" / "c" / "1" / "0" / "0").write_bytes(b"no chunk")
    reading = Reading(**KEYS, **ZYX)
    assert slices(path, reading) == 3
    assert_same(read_pair(path, path, reading, 2)[0], numbers(3, 40, 50)[2])
    said = refusal(path, read_pair, path, path, reading, 1)
    assert f"{path}, 'raw', slice 1: can't be read (" in said


def test_a_damaged_chunk_of_an_hdf5_file_is_told_with_its_slice(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["labels"] = numbers(3, 40, 50)
        raw = file.create_dataset(
            "raw", data=numbers(3, 40, 50), chunks=(1, 40, 50), compression="gzip"
        )
        place = raw.id.get_chunk_info(1)
    with path.open("r+b") as file:
        file.seek(place.byte_offset)
        file.write(b"\0" * place.size)
    reading = Reading(**KEYS, **ZYX)
    assert_same(read_pair(path, path, reading, 2)[0], numbers(3, 40, 50)[2])
    assert f"{path}, 'raw', slice 1: can't be" in refusal(path, read_pair, path, path, reading, 1)


@pytest.mark.parametrize("name", ["a.npy", "a.png", "a"])
def test_a_file_of_another_kind_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_text("pixels")
    said = refusal(path, slices, path, Reading("raw", **ZYX))
    assert f"can't read '{path.suffix}' as a volume" in said


@pytest.mark.parametrize(("name", "library"), [("a.h5", "h5py"), ("a.zarr", "zarr")])
def test_without_its_library_a_file_says_what_to_install(tmp_path, monkeypatch, name, library):
    path = tmp_path / name
    path.mkdir()
    monkeypatch.setitem(sys.modules, library, None)
    said = refusal(path, slices, path, Reading("raw", **ZYX))
    assert f"{path}: reading it needs {library}: pip install" in said


# One file, many slices


@pytest.mark.parametrize(("write", "suffix"), [(h5, ".h5"), (zarr2, ".zarr"), (zarr3, ".zarr")])
def test_how_many_slices_there_are_is_read_from_the_header(tmp_path, write, suffix):
    path = write(tmp_path / f"a{suffix}")
    shape = (7, 10**6, 10**6)  # no memory would hold it
    if write is h5:
        with h5py.File(path, "a") as file:
            file.create_dataset("raw", shape=shape, dtype="u2", chunks=(1, 100, 100))
    else:
        group = zarr.open_group(str(path), mode="a")
        group.create_array("raw", shape=shape, dtype="u2", chunks=(1, 100, 100))
    assert slices(path, Reading("raw", **ZYX)) == 7
    assert slices(path, Reading(["raw", "zeros"], **ZYX)) == 7


def test_a_damaged_page_of_a_tiff_is_told_and_the_others_are_counted_and_read(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, numbers(6, 40, 50), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        places = [offset for page in tiff.pages for offset in page.dataoffsets]
    with path.open("r+b") as file:
        for place in places[1:]:
            file.seek(place)
            file.write(b"\xff" * 10)
    assert slices(path, Reading(**ZYX)) == 6
    assert_same(read_pair(path, path, Reading(**ZYX), 0)[0], numbers(40, 50))
    said = refusal(path, read_pair, path, path, Reading(**ZYX), 4)
    assert f"{path}, slice 4: can't be read (" in said


def test_a_file_is_opened_once_for_all_its_slices(tmp_path, monkeypatch):
    path = h5(tmp_path / "a.h5", raw=numbers(9, 4, 5), labels=numbers(9, 4, 5))
    opened, real = [], h5py.File

    def count(*arguments, **options):
        opened.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(h5py, "File", count)
    for index in range(slices(path, Reading(**KEYS, **ZYX))):
        read_pair(path, path, Reading(**KEYS, **ZYX), index)
    assert len(opened) == 1


def tiff(path, raw, labels):
    tifffile.imwrite(path, raw)
    return path


@pytest.mark.parametrize(
    ("write", "suffix"),
    [(h5, ".h5"), (zarr2, ".zarr"), (zarr3, ".zarr"), (tiff, ".tif")],
    ids=["h5", "zarr 2", "zarr 3", "tiff"],
)
def test_a_file_that_was_replaced_is_read_anew(tmp_path, write, suffix):
    path = tmp_path / f"a{suffix}"
    reading = Reading(**ZYX) if write is tiff else Reading(**KEYS, **ZYX)
    for time, count in enumerate((6, 5, 7)):
        content = numbers(count, 4, 5, first=time)
        new = write(tmp_path / f"new{suffix}", raw=content, labels=content)
        os.utime(new, ns=(0, 10**18 - time))  # an older one, too
        if path.is_dir():
            shutil.rmtree(path)
        new.replace(path)
        assert slices(path, reading) == count
        image, labels = read_pair(path, path, reading, count - 1)
        assert_same(image, content[-1])
        assert_same(labels, content[-1])


# TIFF


@pytest.mark.parametrize("options", [{}, {"imagej": True}, {"ome": True}, {"metadata": None}])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("name", ["a.tif", "a.ome.TIFF"])
def test_a_tiff_volume_is_read_page_by_page(tmp_path, options, compression, dtype, name):
    volume = numbers(6, 10, 11, dtype=dtype)
    tifffile.imwrite(
        tmp_path / name, volume, compression=compression, photometric="minisblack", **options
    )
    tifffile.imwrite(tmp_path / "l.tif", numbers(6, 10, 11), photometric="minisblack")
    reading = Reading(**ZYX)
    assert slices(tmp_path / name, reading) == 6
    for index in (5, 0, 3):
        image, labels = read_pair(tmp_path / name, tmp_path / "l.tif", reading, index)
        assert_same(image, volume[index])
        assert_same(labels, numbers(6, 10, 11)[index])


@pytest.mark.filterwarnings("ignore:<tifffile.TiffWriter.write>")  # of writing the case
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize(
    ("count", "photometric"),
    [*((n, p) for n in (1, 2, 3, 4) for p in (None, "minisblack")), (3, "rgb"), (4, "rgb")],
)
def test_a_volume_of_few_slices_is_one_though_they_pass_for_colours(
    tmp_path, count, dtype, photometric
):
    path, volume = tmp_path / "a.tif", numbers(count, 10, 11, dtype=dtype)
    planar = {"planarconfig": "separate"} if photometric == "rgb" else {}
    tifffile.imwrite(path, volume, photometric=photometric, **planar)
    assert slices(path, Reading(**ZYX)) == count
    for index in range(count):
        assert_same(read_pair(path, path, Reading(**ZYX), index)[0], volume[index])


def test_a_tiff_of_channels_and_slices_is_read_as_told(tmp_path):
    volume = numbers(2, 6, 10, 11)
    tifffile.imwrite(tmp_path / "a.tif", volume, photometric="minisblack")
    tifffile.imwrite(tmp_path / "l.tif", volume[0], photometric="minisblack")
    reading = Reading(image_axes="CZYX", label_axes="ZYX")
    assert slices(tmp_path / "a.tif", reading) == 6
    image, _ = read_pair(tmp_path / "a.tif", tmp_path / "l.tif", reading, 4)
    assert_same(image, np.stack([volume[0, 4], volume[1, 4]], -1))


def test_a_tiff_has_no_keys(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, numbers(6, 10, 11))
    assert "has no 'raw'; it has:" in refusal(path, slices, path, Reading("raw", **ZYX))


def test_a_tiff_that_is_one_image_is_no_volume(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, numbers(10, 11))
    said = refusal(path, read_pair, path, path, Reading(**ZYX), 0)
    assert f"{path}, slice 0: its shape is 10 x 11; axes ZYX were expected." in said


def test_without_keys_image_files_are_read_and_whole_floats_are_labels(tmp_path):
    image, labels = tmp_path / "i.tif", tmp_path / "l.tif"
    tifffile.imwrite(image, numbers(8, 9, 3, dtype="u1"), photometric="rgb")
    tifffile.imwrite(labels, numbers(8, 9, dtype="f4"))
    found = read_pair(image, labels, Reading(), None)
    assert_same(found[0], numbers(8, 9, 3, dtype="u1"))
    assert_same(found[1], numbers(8, 9, dtype="i8"))
    tifffile.imwrite(labels, numbers(8, 9, dtype="f4") / 2)
    assert "labels are float32" in refusal(labels, read_pair, image, labels, Reading(), None)


# Labels


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
    assert f"{path}, 'labels', slice 1: labels are float32, and not whole numbers." in said


@pytest.mark.parametrize("dtype", ["?", "c8", "S3"])
def test_what_is_no_number_is_no_label(dtype):
    with pytest.raises(DataError, match=r"here: labels are .*, not integers\."):
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


def open_files(folder):
    links = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [link for link in links if str(link.readlink()).startswith(str(folder))]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc")
@pytest.mark.parametrize(("write", "suffix"), [(h5, ".h5"), (tiff, ".tif")])
def test_no_more_than_two_files_stay_open(tmp_path, write, suffix):
    reading = Reading(**ZYX) if write is tiff else Reading(**KEYS, **ZYX)
    gc.disable()
    try:
        for number in range(5):
            content = numbers(6, 4, 5)
            path = write(tmp_path / f"{number}{suffix}", raw=content, labels=content)
            read_pair(path, path, reading, 3)
        assert 0 < len(open_files(tmp_path)) <= 2
    finally:
        gc.enable()


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
    assert f"{volume}: data.read names no key; it has: labels, raw, row." in said


def test_slices_of_labels_are_those_of_their_own_array(tmp_path):
    raw, labels = numbers(2, 6, 4, 5), numbers(5, 4, 5)
    path = h5(tmp_path / "a.h5", raw=raw, labels=labels, flat=labels[0])
    reading = Reading(**KEYS, image_axes="CZYX", label_axes="ZYX")
    assert (slices(path, reading), slices(path, reading, of="labels")) == (6, 5)
    said = refusal(path, slices, path, Reading("raw", "flat", **ZYX), "labels")
    assert f"{path}, 'flat': its shape is 4 x 5; axes ZYX were expected." in said


def test_slices_of_what_is_no_volume_are_refused(volume):
    refusal(volume, slices, volume, Reading("row", "labels", image_axes="CZYX", label_axes="ZYX"))


def test_a_tiff_volume_that_was_cut_off_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, numbers(6, 40, 50), compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as file:
        end = file.pages[3].offset
    path.write_bytes(path.read_bytes()[:end])  # after three pages
    refusal(path, slices, path, Reading(**ZYX))


def test_a_tiff_volume_whose_last_pixels_are_missing_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, numbers(6, 40, 50), compression="zlib")
    path.write_bytes(path.read_bytes()[:-5])
    assert "its end is missing" in refusal(path, slices, path, Reading(**ZYX))
