"""The drawn images: reproducible to the bit, and their labels true label images."""

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from benchmark.data.sources.synthetic import STYLES, _tidy, draw

DTYPES = {"fluorescent_nuclei": np.uint16}  # the others: uint8

# A changed digest means that every stored number on the synthetic data is about other images.
DIGESTS = {
    "fluorescent_nuclei": (
        "ee4ed95b891fc66aece9dd4b82cafaad771770fabdc7b8e05dc2d159401a035c",
        "bd590469d9f1cbc27ceb5d33f4f6b76f366c6b04293625dbeeebf010a24ef016",
    ),
    "phase_contrast_cells": (
        "664cd5505ee9ef8026156353969101b7452d3328a1eb9fd4dd255a95e858af59",
        "b17f04beb6a01028e0a23987b8c4707e9251ba21bbe8f58d8020dcb1099b724e",
    ),
    "rod_bacteria": (
        "385974dfe29bda774cbfe48d695bd70f79fda152c2e6499226d7f2f6c867da4b",
        "0dd1ae24c1e346a02cbbf8a6755f8042f800730bc090e0c8a8950f5b0dc47610",
    ),
    "bright_field_organoids": (
        "58384e118cd1f64945505bede75e121604a579846fd258b0444e1382e750ffb8",
        "b3b179c10e8faead3f6b93fd0416a208e1092688b8bc6ae449dcaea7302e3ec9",
    ),
}


def digest(array):
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
    return hashlib.sha256(little.tobytes()).hexdigest()


def neighbours(labels):
    """How many pairs of adjacent pixels belong to two different objects."""
    across = [(labels[:, 1:], labels[:, :-1]), (labels[1:], labels[:-1])]
    return sum(int(((a > 0) & (b > 0) & (a != b)).sum()) for a, b in across)


@pytest.mark.parametrize("style", STYLES)
def test_pinned_to_the_bit(style):
    image, labels = draw(style, index=0, seed=0)
    assert (digest(image), digest(labels)) == DIGESTS[style]


@pytest.mark.parametrize("style", STYLES)
def test_an_image_does_not_depend_on_what_was_drawn_before_it(style):
    alone = draw(style, index=2, seed=5, size=128)
    after = [draw(style, index=index, seed=5, size=128) for index in range(3)][2]
    assert all(np.array_equal(a, b) for a, b in zip(alone, after, strict=True))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("other", [{"index": 1, "seed": 0}, {"index": 0, "seed": 1}])
def test_another_index_or_seed_is_another_image(style, other):
    first = draw(style, index=0, seed=0, size=128)
    second = draw(style, **other, size=128)
    assert not any(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_index_and_seed_are_not_interchangeable():
    swapped = draw("rod_bacteria", 1, 2, 128), draw("rod_bacteria", 2, 1, 128)
    assert not np.array_equal(swapped[0][1], swapped[1][1])


def test_styles_have_streams_of_their_own(monkeypatch):
    # The same style under another name: all that can differ is the stream.
    monkeypatch.setitem(STYLES, "twin", STYLES["rod_bacteria"])
    assert not np.array_equal(draw("twin", 0, 0, 128)[1], draw("rod_bacteria", 0, 0, 128)[1])


def test_a_new_style_leaves_the_others_as_they_are(monkeypatch):
    before = draw("rod_bacteria", 0, 0, 128)
    others = dict(STYLES)
    for name in others:
        monkeypatch.delitem(STYLES, name)
    for name, style in [("aaa", others["rod_bacteria"]), *others.items()]:
        monkeypatch.setitem(STYLES, name, style)
    assert np.array_equal(draw("rod_bacteria", 0, 0, 128)[0], before[0])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [64, 200, 256])
def test_labels_keep_the_contract(style, size):
    for index in range(3):
        image, labels = draw(style, index, seed=3, size=size)
        assert image.shape == labels.shape == (size, size)
        assert image.dtype == DTYPES.get(style, np.uint8)
        assert labels.dtype == np.uint16
        assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
        for label in range(1, labels.max() + 1):
            assert ndimage.label(labels == label)[1] == 1


@pytest.mark.parametrize("style", STYLES)
def test_the_scene_is_a_hard_one(style):
    """Enough objects, some touching, some cut by the border, of differing sizes."""
    few, many = (4, 15) if style == "bright_field_organoids" else (15, 65)
    drawn = [draw(style, index, seed=0)[1] for index in range(6)]
    assert all(few <= labels.max() <= many for labels in drawn)
    assert sum(neighbours(labels) > 10 for labels in drawn) >= 5
    for labels in drawn:
        assert np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]).any()
        areas = np.bincount(labels.ravel())[1:]
        assert areas.min() >= 20
        assert areas.max() > 2 * areas.min()


@pytest.mark.parametrize(
    ("style", "bright"),
    [
        ("fluorescent_nuclei", True),
        ("phase_contrast_cells", False),
        ("rod_bacteria", False),
        ("bright_field_organoids", False),
    ],
)
def test_objects_stand_out_from_the_background(style, bright):
    image, labels = draw(style, index=0, seed=0)
    inside, outside = image[labels > 0].mean(), image[labels == 0].mean()
    assert inside > 2 * outside if bright else inside < 0.92 * outside
    white = 4095 if image.dtype == np.uint16 else 255
    assert (image >= white).mean() < 0.001, "over-exposed"


def test_cells_have_a_halo_and_organoids_a_lumen():
    image, labels = draw("phase_contrast_cells", index=0, seed=0)
    away = ndimage.distance_transform_edt(labels == 0)
    assert image[(away > 0) & (away < 4)].mean() > 1.05 * image[away > 12].mean()
    image, labels = draw("bright_field_organoids", index=0, seed=0)
    depth = ndimage.distance_transform_edt(labels > 0)
    assert image[depth > 14].mean() > 1.2 * image[(depth > 1) & (depth < 5)].mean()


def test_slivers_and_torn_off_pieces_are_dropped():
    labels = np.zeros((20, 20), np.uint16)
    labels[0:10, 0:5] = labels[0:3, 8:12] = 2  # the second piece is torn off
    labels[19, 0:19] = 3  # 19 pixels
    labels[12:16, 0:5] = 5  # 20 pixels
    expected = np.zeros_like(labels)
    expected[0:10, 0:5], expected[12:16, 0:5] = 1, 2
    assert np.array_equal(_tidy(labels), expected)


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match=r"no style 'yeast'.*bright_field_organoids, fluorescent"):
        draw("yeast", 0, 0)
    with pytest.raises(ValueError, match="index -1, seed 0"):
        draw("rod_bacteria", -1, 0)
    with pytest.raises(ValueError, match="index 0, seed -1"):
        draw("rod_bacteria", 0, -1)
    for size in (63, 4097):
        with pytest.raises(ValueError, match=f"size is {size}: give 64 to 4096"):
            draw("rod_bacteria", 0, 0, size)
