"""Files of every kind: read right, or refused with an error that names the file."""

import logging
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from benchmark.data.read import read_image, read_labels
from benchmark.errors import DataError

DTYPES = ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"]


@pytest.fixture(autouse=True)
def nothing_leaks(capfd):
    """Whatever is read: no warning, no line on the terminal, loggers as they were."""
    before = list(logging.getLogger("tifffile").handlers)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "<tifffile.TiffWriter.write>")  # of writing the case
        yield
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("tifffile").handlers == before


def pixels(*shape, dtype="u1"):
    return (np.random.default_rng(0).random(shape) * 100).astype(dtype)


def tiff(path, array, **options):
    tifffile.imwrite(path, array, **options)
    return path


def picture(path, array, mode=None, **options):
    made = Pillow.fromarray(array)
    (made.convert(mode) if mode else made).save(path, **options)
    return path


def assert_is(found, expected):
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype and found.dtype.isnative


def refusal(read, path):
    with pytest.raises(DataError) as error:
        read(path)
    assert str(path) in str(error.value)
    return str(error.value)


# TIFF


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 2), (20, 30, 3), (20, 30, 4)])
def test_a_tiff_keeps_its_type_however_its_channels_are_laid_out(tmp_path, dtype, shape):
    array = pixels(*shape, dtype=dtype)
    assert_is(read_image(tiff(tmp_path / "a.tif", array)), array)  # tifffile's default
    if len(shape) == 3:
        contig = {"planarconfig": "contig", "photometric": "minisblack"}
        assert_is(read_image(tiff(tmp_path / "b.tif", array, **contig)), array)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "lzw"},
        {"compression": "lzw", "predictor": True},
        {"compression": "zlib"},
        {"compression": "packbits"},
        {"compression": "zstd"},
        {"tile": (16, 16)},
        {"tile": (16, 16), "compression": "zlib"},
        {"rowsperstrip": 7},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"imagej": True},
        {"ome": True},
        {"photometric": "palette", "colormap": np.zeros((3, 65536), "u2")},
    ],
    ids=str,
)
def test_every_way_to_store_a_tiff_is_the_same_image(tmp_path, options):
    array = pixels(40, 50, dtype="u2")
    path = tiff(tmp_path / "a.ome.TIFF", array, **options)
    assert_is(read_image(path), array)
    assert_is(read_labels(path), array)


def test_channels_stored_one_after_the_other_become_the_last_axis(tmp_path):
    array = pixels(3, 20, 30)
    path = tiff(tmp_path / "a.tif", array, photometric="rgb", planarconfig="separate")
    assert_is(read_image(path), np.moveaxis(array, 0, -1))


def test_a_jpeg_in_a_tiff_is_an_image_but_no_label_image(tmp_path):
    array = np.full((64, 64), 77, "u1")
    path = tiff(tmp_path / "a.tif", array, compression="jpeg")
    assert_is(read_image(path), array)
    assert "JPEG changes ids" in refusal(read_labels, path)


@pytest.mark.parametrize("shape", [(1, 4096), (4096, 1), (1, 1), (1, 1, 3), (3, 3, 3)])
def test_thin_and_tiny_images_are_images(tmp_path, shape):
    array = pixels(*shape)
    assert_is(read_image(tiff(tmp_path / "a.tif", array)), array)


def test_one_channel_is_none(tmp_path):
    array = pixels(20, 30, 1)
    assert_is(read_image(tiff(tmp_path / "a.tif", array)), array[..., 0])


def test_one_bit_is_an_image_of_0_and_1_but_no_label_image(tmp_path):
    mask = pixels(20, 30) > 50
    for path in (tiff(tmp_path / "a.tif", mask), picture(tmp_path / "a.png", mask)):
        assert_is(read_image(path), mask.astype("u1"))
        assert "a mask, in which touching cells are one. Label its" in refusal(read_labels, path)


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "minisblack"},
        {"imagej": True},
        {"imagej": True, "metadata": {"axes": "CYX"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("pages", [2, 3, 10])
def test_a_stack_is_refused_with_its_size(tmp_path, options, pages):
    told = refusal(
        read_image, tiff(tmp_path / "a.tif", pixels(pages, 20, 30, dtype="u2"), **options)
    )
    assert f"a stack of {pages} pages ({pages} x 20 x 30" in told
    assert "save the slices as files of their own" in told


def test_a_hyperstack_is_refused(tmp_path):
    path = tiff(tmp_path / "a.tif", pixels(2, 3, 2, 20, 30, dtype="u2"), imagej=True)
    assert "axes TZCYX" in refusal(read_image, path)


def test_several_images_in_one_file_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(pixels(20, 30))
        writer.write(pixels(10, 30))
    assert "holds 2 images. Save each in a file of its own" in refusal(read_image, path)


def test_a_stack_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tiff(tmp_path / "a.tif", pixels(5, 20, 30), photometric="minisblack")
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", lambda self: pytest.fail("was read"))
    assert "a stack of 5 pages" in refusal(read_image, path)


def test_more_than_four_channels_are_refused(tmp_path):
    path = tiff(
        tmp_path / "a.tif", pixels(20, 30, 5), planarconfig="contig", photometric="minisblack"
    )
    assert "20 x 30 x 5, uint8: more than 4 channels" in refusal(read_image, path)


def test_complex_numbers_are_no_image(tmp_path):
    path = tiff(tmp_path / "a.tif", pixels(20, 30).astype("c8"))
    assert "complex64 are not an image" in refusal(read_image, path)


# PNG and JPEG


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 2), (20, 30, 3), (20, 30, 4)])
def test_a_png_of_8_bit_keeps_its_channels(tmp_path, shape):
    array = pixels(*shape)
    assert_is(read_image(picture(tmp_path / "a.png", array)), array)


def test_a_png_of_16_bit_keeps_every_bit(tmp_path):
    array = np.arange(600, dtype="u2").reshape(20, 30) * 109
    path = picture(tmp_path / "a.PNG", array)
    assert_is(read_image(path), array)
    assert_is(read_labels(path), array)


def test_a_colour_png_of_16_bit_is_refused(tmp_path):
    path = tmp_path / "a.png"
    content = bytearray(picture(path, pixels(20, 30, 3)).read_bytes())
    content[24] = 16
    path.write_bytes(content)
    assert "16 bit would lose half of it. Use TIFF" in refusal(read_image, path)


def test_a_palette_is_shown_as_colours_but_is_no_label_image(tmp_path):
    colours = np.zeros((20, 30, 3), "u1")
    colours[:10], colours[10:] = (255, 0, 0), (0, 0, 255)
    path = picture(tmp_path / "a.png", colours, "P")
    assert_is(read_image(path), colours)
    assert "20 x 30 x 3, uint8 (colour?)" in refusal(read_labels, path)
    path = picture(tmp_path / "b.png", colours, "P", transparency=0)
    assert read_image(path).shape == (20, 30, 4)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_is_an_image_but_no_label_image_whatever_its_name(tmp_path, mode):
    path = picture(tmp_path / "a.jpg", np.full((20, 30), 77, "u1"), mode)
    assert read_image(path).shape == ((20, 30) if mode == "L" else (20, 30, 3))
    assert (read_image(path) == 77).all()
    assert "JPEG changes ids when it saves them. Use TIFF or PNG" in refusal(read_labels, path)
    assert "JPEG changes ids" in refusal(read_labels, path.rename(tmp_path / "a.png"))


def test_a_large_picture_is_no_attack(tmp_path, monkeypatch):
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 100)
    assert read_image(picture(tmp_path / "a.png", pixels(20, 30))).shape == (20, 30)


# Labels


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"])
def test_labels_keep_the_largest_ids(tmp_path, dtype):
    labels = np.zeros((20, 30), dtype)
    labels[3:6], labels[8:9] = np.iinfo(dtype).max, np.iinfo(dtype).max - 1
    assert_is(read_labels(tiff(tmp_path / "a.tif", labels)), labels)


def test_negative_ids_are_refused(tmp_path):
    path = tiff(tmp_path / "a.tif", np.full((20, 30), -1, "i4"))
    assert "negative ids" in refusal(read_labels, path)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_float_labels_are_refused_with_the_remedy(tmp_path, dtype):
    path = tiff(tmp_path / "a.tif", pixels(20, 30, dtype=dtype))
    told = refusal(read_labels, path)
    assert f"labels are {np.dtype(dtype)}, not integers. Save them as 16- or 32-bit" in told


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_coloured_labels_are_refused_with_the_remedy(tmp_path, channels):
    for save, name in ((tiff, "a.tif"), (picture, "a.png")):
        told = refusal(read_labels, save(tmp_path / name, pixels(20, 30, channels)))
        assert f"20 x 30 x {channels}, uint8 (colour?). Export the label image itself" in told


# Damage


CASES = {
    "plain.tif": lambda p: tiff(p, pixels(40, 50, dtype="u2")),
    "tiled.tif": lambda p: tiff(p, pixels(40, 50, dtype="u2"), tile=(16, 16)),
    "zlib.tif": lambda p: tiff(p, pixels(40, 50), compression="zlib", rowsperstrip=8),
    "lzw.tif": lambda p: tiff(p, pixels(40, 50), compression="lzw", tile=(16, 16)),
    "jpeg.tif": lambda p: tiff(p, pixels(40, 50), compression="jpeg"),
    "jpegs.tif": lambda p: tiff(p, pixels(40, 50), compression="jpeg", rowsperstrip=8),
    "imagej.tif": lambda p: tiff(p, pixels(40, 50), imagej=True),
    "stack.tif": lambda p: tiff(p, pixels(3, 40, 50), imagej=True),
    "pillow.tif": lambda p: picture(p, pixels(40, 50, 3), compression="tiff_lzw"),
    "grey.png": lambda p: picture(p, pixels(40, 50)),
    "colour.png": lambda p: picture(p, pixels(40, 50, 3)),
    "grey.jpg": lambda p: picture(p, pixels(40, 50)),
    "colour.jpg": lambda p: picture(p, pixels(40, 50, 3)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_was_cut_off_never_passes_for_another_image(tmp_path, name):
    path = CASES[name](tmp_path / name)
    content = path.read_bytes()
    whole = None if name == "stack.tif" else read_image(path)
    ends = {
        *range(len(content) - 25, len(content)),
        *range(0, len(content), 1 + len(content) // 40),
    }
    refused = 0
    for end in ends:
        path.write_bytes(content[:end])
        try:
            found = read_image(path)
        except DataError as error:
            refused += 1
            assert str(path) in str(error)
            assert re.search("may be damaged or incomplete|a stack of 3", str(error))
        else:
            assert whole is not None, f"half a stack passes for an image at {end}"
            np.testing.assert_array_equal(found, whole)  # nothing that counts was cut
    assert refused > 30


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
@pytest.mark.parametrize(
    "content", [b"", b"hello there, I am no image\n" * 20], ids=["empty", "text"]
)
def test_a_file_of_something_else_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    assert "The file may be damaged or incomplete" in refusal(read_image, path)


@pytest.mark.parametrize("name", ["x.tif", "x.png"])
def test_a_folder_a_missing_file_and_a_closed_one_say_what_they_are(tmp_path, name):
    path = tmp_path / name
    assert refusal(read_image, path) == f"{path}: can't be read: No such file or directory."
    path.mkdir()
    assert refusal(read_image, path) == f"{path}: can't be read: Is a directory."


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission_says_so(tmp_path):
    path = tiff(tmp_path / "a.tif", pixels(20, 30))
    path.chmod(0)
    assert "Permission denied" in refusal(read_image, path)


def test_an_unknown_suffix_is_refused_with_those_that_are_known(tmp_path):
    told = refusal(read_image, tmp_path / "a.czi")
    assert "can't read '.czi'. Readable are .tif, .tiff, .png, .jpg, .jpeg" in told


@pytest.mark.skipif("BENCHMARK_DATA" not in os.environ, reason="BENCHMARK_DATA is not set")
@pytest.mark.parametrize(
    ("folder", "labels", "dtype", "ndim"),
    [
        ("u20s/images", "u20s/labels", "u2", 2),
        ("dsb/test/images", "dsb/test/masks", "u1", 2),
        ("histology_rgb/images", "histology_rgb/labels", "u1", 3),
    ],
)
def test_real_images_are_read(folder, labels, dtype, ndim):
    root = Path(os.environ["BENCHMARK_DATA"])
    for path in sorted((root / folder).iterdir())[:10]:
        image, truth = read_image(path), read_labels(root / labels / path.name)
        assert image.dtype == dtype and image.ndim == ndim
        assert truth.shape == image.shape[:2] and truth.dtype == "u2" and truth.any()
