"""Pictures of predictions: pixels as they are, outlines in their place, whatever the image."""

import tracemalloc

import numpy as np
import pytest
from helpers.reports import HOSTILE
from PIL import Image

from benchmark.errors import DataError
from benchmark.report import pictures


def squares(size=64):
    labels = np.zeros((size, size), np.uint16)
    labels[size // 8 : size // 2, size // 8 : size // 2] = 1
    labels[size // 2 : -size // 8, size // 2 : -size // 8] = 2
    return labels


def panels(path, height, width):
    """The plain and the outlined panel, cut out of a picture laid out side by side."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    top = pixels.shape[0] - height - 2 * 12 - 18
    left = pixels[top : top + height, 12 : 12 + width]
    return left, pixels[top : top + height, 24 + width : 24 + 2 * width]


def count(panel, colour):
    return int((panel == pictures.OUTLINES[colour]).all(axis=-1).sum())


def test_overlay_shows_pixels_as_they_are(tmp_path):
    size = 480
    image = np.tile(np.arange(size), (size, 1)).astype(np.uint16) * 100
    true, predicted = squares(size), np.zeros((size, size), np.uint16)
    plain, outlined = panels(
        pictures.overlay(image, true, predicted, "t", tmp_path / "a.png"), size, size
    )
    assert np.all(plain == plain[:1]), "columns are constant: nothing was interpolated"
    assert plain[0, 0].tolist() == [0, 0, 0]
    assert plain[0, -1].tolist() == [255, 255, 255]
    assert np.all(np.diff(plain[0, :, 0].astype(int)) >= 0)
    boundary = 2 * (4 * 179 + 0)  # two squares of 180 x 180, one pixel wide
    assert count(outlined, "true") == boundary
    assert count(outlined, "predicted") == count(outlined, "both") == 0
    assert not count(plain, "true")


def test_overlay_tells_truth_from_prediction_and_agreement(tmp_path):
    labels = squares(400)
    missed, found = np.where(labels == 1, 0, labels), np.where(labels == 2, 0, labels)
    image = np.zeros(labels.shape)
    _, outlined = panels(pictures.overlay(image, labels, missed, "t", tmp_path / "a.png"), 400, 400)
    assert count(outlined, "predicted") == 0
    assert count(outlined, "true") == count(outlined, "both") == 4 * 149
    _, outlined = panels(pictures.overlay(image, found, missed, "t", tmp_path / "b.png"), 400, 400)
    assert (count(outlined, "true"), count(outlined, "predicted")) == (4 * 149, 4 * 149)


def test_small_images_are_enlarged_with_outlines_two_pixels_wide(tmp_path):
    labels = squares(64)
    image = np.random.default_rng(0).integers(0, 255, labels.shape, np.uint8)
    path = pictures.overlay(image, labels, labels * 0, "t", tmp_path / "a.png")
    plain, outlined = panels(path, 448, 448)  # seven times
    assert np.array_equal(plain, plain[::7, ::7].repeat(7, axis=0).repeat(7, axis=1))
    side = 24 * 7
    assert count(outlined, "true") == 2 * (side**2 - (side - 4) ** 2)


def test_large_images_are_reduced(tmp_path):
    labels = squares(2401)
    path = pictures.overlay(labels, labels, labels, "t", tmp_path / "a.png")
    _, outlined = panels(path, 1200, 1200)  # half
    assert count(outlined, "both") == 2 * 4 * 449


@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint64", "float16", "float32", "f8"])
def test_any_image_can_be_drawn(tmp_path, channels, dtype):
    shape = (64, 64) if channels is None else (64, 64, channels)
    image = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    path = pictures.overlay(image, squares(), squares(), "t", tmp_path / "a.png")
    plain, _ = panels(path, 448, 448)
    assert plain.std() > 20


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64)),
        np.full((64, 64, 3), 255, np.uint8),
        np.full((64, 64), np.nan),
        np.full((64, 64), np.inf),
        np.where(squares() == 1, np.nan, squares()).astype(np.float32),
        np.where(squares() == 1, 1e308, -1e308),
        np.where(squares() == 1, np.inf, squares()),
    ],
    ids=["zero", "constant", "nan", "inf", "some nan", "huge", "some inf"],
)
def test_odd_images_do_not_stop_a_report(tmp_path, request, image):
    path = pictures.overlay(image, squares(), squares(), "t", tmp_path / "a.png")
    plain, outlined = panels(path, 448, 448)
    assert count(outlined, "both") > 0
    assert plain.any() == ("some" in request.node.callspec.id)


def test_a_few_bright_spots_are_seen():
    image = np.zeros((64, 64))
    image[3, 3], image[5, 5] = 5, 2.5
    assert pictures.rgb(image)[3, 3].tolist() == [255, 255, 255]
    assert pictures.rgb(image)[5, 5].tolist() == [128, 128, 128]


def test_alpha_changes_nothing_and_two_channels_are_magenta_and_green():
    rgb = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    rgba = np.dstack([rgb, np.full((32, 32), 255, np.uint8)])
    assert np.array_equal(pictures.rgb(rgba), pictures.rgb(rgb))
    two = np.zeros((2, 2, 2))
    two[0, 0, 0] = two[1, 1, 1] = 1
    assert pictures.rgb(two)[0, 0].tolist() == [255, 0, 255]
    assert pictures.rgb(two)[1, 1].tolist() == [0, 255, 0]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_large_picture_is_the_same_on_its_side(channels):
    """It is made part by part, from above."""
    image = np.random.default_rng(0).normal(size=(700, 40, channels))
    on_side = pictures.rgb(image.transpose(1, 0, 2)).transpose(1, 0, 2)
    assert np.array_equal(pictures.rgb(image), on_side)
    for side in (60, 300):
        small, *factors = pictures._scaled(on_side, side)
        turned, *others = pictures._scaled(on_side.transpose(1, 0, 2), side)
        assert np.array_equal(small, turned.transpose(1, 0, 2)) and factors == others


def test_a_large_picture_takes_little_more_than_its_values():
    image = np.random.default_rng(0).integers(0, 255, (3000, 1000), np.uint8)
    tracemalloc.start()
    try:
        pictures._scaled(pictures.rgb(image), 300)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 28 * image.size  # bytes; two copies in float64 are 16


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (5000, 2), (30, 900)])
def test_odd_shapes(tmp_path, shape):
    labels = np.ones(shape, np.uint16)
    path = pictures.overlay(labels, labels, labels, "t", tmp_path / "a.png")
    with Image.open(path) as image:
        assert max(image.size) <= 2 * 2000 + 100


@pytest.mark.parametrize("title", [*HOSTILE, "word " * 200, "x" * 500])
def test_hostile_titles(tmp_path, title):
    size = 64
    path = pictures.overlay(squares(size), squares(size), squares(size), title, tmp_path / "a.png")
    with Image.open(path) as image:
        assert image.size[0] == 2 * 448 + 3 * 12


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(DataError, match="shape"):
        pictures.overlay(np.zeros((4, 5)), squares(), squares(), "t", tmp_path / "a.png")
    with pytest.raises(DataError, match="channels"):
        pictures.overlay(np.zeros((64, 64, 5)), squares(), squares(), "t", tmp_path / "a.png")
