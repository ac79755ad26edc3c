"""Files of every kind: read right, or refused with an error that names the file."""

import numpy as np
import pytest
import tifffile
from helpers.files import nothing_leaks as nothing_leaks
from helpers.files import picture, pixels, refusal, tiff
from helpers.messages import assert_names
from PIL import Image as Pillow

from benchmark.data.formats.images import read_image, read_labels

DTYPES = ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"]


def assert_is(found, expected):
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype and found.dtype.isnative


# TIFF


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 2), (20, 30, 3), (20, 30, 4)])
def test_a_tiff_keeps_its_type_however_its_channels_are_laid_out(tmp_path, dtype, shape):
    array = pixels(*shape, dtype=dtype)
    if shape[2:] != (4,):  # by default tifffile calls the fourth opacity
        assert_is(read_image(tiff(tmp_path / "a.tif", array)), array)
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
    ],
    ids=str,
)
def test_every_way_to_store_a_tiff_is_the_same_image(tmp_path, options):
    array = pixels(40, 50, dtype="u2")
    path = tiff(tmp_path / "a.ome.TIFF", array, **options)
    assert_is(read_image(path), array)
    assert_is(read_labels(path), array)


PALETTE = {"photometric": "palette", "colormap": np.zeros((3, 65536), "u2")}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (PALETTE, "its pixels are numbers of colours (a palette, or a LUT). Save it as grey"),
        ({"photometric": "miniswhite"}, "its pixels are darkness, 0 is white (MINISWHITE"),
    ],
    ids=["palette", "miniswhite"],
)
def test_numbers_that_are_no_brightness_are_labels_but_no_image(tmp_path, options, said):
    array = pixels(40, 50, dtype="u2")
    path = tiff(tmp_path / "a.tif", array, **options)
    assert said in refusal(read_image, path)
    assert_is(read_labels(path), array)
    assert_is(read_image(path, as_stored=True), array)


@pytest.mark.parametrize("leading", [1, 2, 3])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (1, 30), (1, 30, 3)])
def test_a_stack_of_one_page_is_an_image(tmp_path, leading, shape):
    array = pixels(*shape)
    options = {"photometric": "rgb" if len(shape) == 3 else "minisblack"}
    path = tiff(tmp_path / "a.tif", array.reshape((1,) * leading + shape), **options)
    assert_is(read_image(path), array)
    if len(shape) == 2:
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
        assert "a mask" in refusal(read_labels, path)


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "minisblack"},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "ZYX"}},
    ],
    ids=str,
)
@pytest.mark.parametrize("pages", [2, 3, 10])
def test_a_stack_is_refused_with_its_size_and_the_options(tmp_path, options, pages):
    message = refusal(
        read_image, tiff(tmp_path / "a.tif", pixels(pages, 20, 30, dtype="u2"), **options)
    )
    assert f"a stack of {pages} pages ({pages} x 20 x 30" in message
    assert_names(message, "slices", "data.z=")


def test_a_hyperstack_is_refused_with_the_option_of_each_axis(tmp_path):
    path = tiff(tmp_path / "a.tif", pixels(2, 3, 2, 20, 30, dtype="u2"), imagej=True)
    assert_names(refusal(read_image, path), "axes TZCYX", "data.z=", "data.t=")


def test_several_images_in_one_file_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(pixels(20, 30))
        writer.write(pixels(10, 30))
    assert "2 images" in refusal(read_image, path)


def test_a_stack_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tiff(tmp_path / "a.tif", pixels(5, 20, 30), photometric="minisblack")
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", lambda self: pytest.fail("was read"))
    assert "5 pages" in refusal(read_image, path)


def test_more_than_four_channels_are_refused(tmp_path):
    path = tiff(
        tmp_path / "a.tif", pixels(20, 30, 5), planarconfig="contig", photometric="minisblack"
    )
    assert_names(refusal(read_image, path), "20 x 30 x 5", "data.use_channels=")


def test_complex_numbers_are_no_image(tmp_path):
    path = tiff(tmp_path / "a.tif", pixels(20, 30).astype("c8"))
    assert "complex64" in refusal(read_image, path)


# PNG and JPEG


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 2), (20, 30, 3), (20, 30, 4)])
def test_a_png_of_8_bit_keeps_its_channels_as_stored(tmp_path, shape):
    array = pixels(*shape)
    assert_is(read_image(picture(tmp_path / "a.png", array), as_stored=True), array)


def test_a_png_of_16_bit_keeps_every_bit(tmp_path):
    array = np.arange(600, dtype="u2").reshape(20, 30) * 109
    path = picture(tmp_path / "a.PNG", array)
    assert_is(read_image(path), array)
    assert_is(read_labels(path), array)


def test_a_palette_is_shown_as_colours_but_is_no_label_image(tmp_path):
    colours = np.zeros((20, 30, 3), "u1")
    colours[:10], colours[10:] = (255, 0, 0), (0, 0, 255)
    path = picture(tmp_path / "a.png", colours, "P")
    assert_is(read_image(path), colours)
    assert "20 x 30 x 3, uint8 (colour?)" in refusal(read_labels, path)
    path = picture(tmp_path / "b.png", colours, "P", transparency=0)
    assert_is(read_image(path), colours)
    assert read_image(path, as_stored=True).shape == (20, 30, 4)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_is_an_image_but_no_label_image_whatever_its_name(tmp_path, mode):
    path = picture(tmp_path / "a.jpg", np.full((20, 30), 77, "u1"), mode)
    assert read_image(path).shape == ((20, 30) if mode == "L" else (20, 30, 3))
    assert (read_image(path) == 77).all()
    assert "TIFF or PNG" in refusal(read_labels, path)
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
    assert_names(told, np.dtype(dtype), "integers")


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_coloured_labels_are_refused_with_the_remedy(tmp_path, channels):
    for save, name in ((tiff, "a.tif"), (picture, "a.png")):
        told = refusal(read_labels, save(tmp_path / name, pixels(20, 30, channels)))
        assert f"20 x 30 x {channels}, uint8 (colour?)" in told
