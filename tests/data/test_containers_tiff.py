"""Volumes in TIFF are read page by page, or the file is named."""

import numpy as np
import pytest
import tifffile
from helpers.containers import ZYX, assert_same, numbers, refusal
from helpers.messages import assert_names

from benchmark.data.formats.containers import Reading, read_pair, slices


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
    assert_names(said, f"{path}, slice 4", "can't be read")


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
    assert "no 'raw'" in refusal(path, slices, path, Reading("raw", **ZYX))


def test_a_tiff_that_is_one_image_is_no_volume(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, numbers(10, 11))
    said = refusal(path, read_pair, path, path, Reading(**ZYX), 0)
    assert_names(said, f"{path}, slice 0", "10 x 11", "ZYX")


def test_without_keys_image_files_are_read_and_whole_floats_are_labels(tmp_path):
    image, labels = tmp_path / "i.tif", tmp_path / "l.tif"
    tifffile.imwrite(image, numbers(8, 9, 3, dtype="u1"), photometric="rgb")
    tifffile.imwrite(labels, numbers(8, 9, dtype="f4"))
    found = read_pair(image, labels, Reading(), None)
    assert_same(found[0], numbers(8, 9, 3, dtype="u1"))
    assert_same(found[1], numbers(8, 9, dtype="i8"))
    tifffile.imwrite(labels, numbers(8, 9, dtype="f4") / 2)
    assert "labels are float32" in refusal(labels, read_pair, image, labels, Reading(), None)


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
