"""Images that can't be used, and prepared files damaged later, are named with the remedy."""

import pytest
import tifffile
from helpers.prepare import TILES, Listed, folders, image, labels, make, strays
from helpers.prepare import data as data
from helpers.prepare import datasets as datasets

from benchmark.errors import DataError, StoreError, UsageError
from benchmark.store.tiff import tiff_bytes

# What can't be used

MIXED = [
    ("good", image(), labels()),
    ("damaged", "damaged.tif: can't be read."),
    ("other", image(), labels(shape=(9, 8))),
]


def test_unreadable_images_that_are_allowed_stay_in_the_manifest_with_the_reason(datasets):
    data = make(Listed(MIXED), datasets, allowed=2)
    errors = {entry.id: entry.error for entry in data.entries}
    assert errors["good"] is None
    assert errors["damaged"] == "damaged.tif: can't be read."
    assert errors["other"] == (
        "file of other: the image is 8 x 9, its labels are 9 x 8: height and width must agree."
    )
    assert sorted(p.name for p in data.folder.rglob("*.tif")) == ["good.tif", "good.tif"]
    with pytest.raises(DataError, match=r"data 'cells', sample 'damaged': damaged.tif: can't be"):
        data.read(data.entries[1])


def test_more_unreadable_images_than_allowed_are_one_error_that_lists_them(datasets):
    with pytest.raises(DataError) as error:
        make(Listed(MIXED), datasets, TILES, allowed=1)
    told = str(error.value)
    assert (
        "data 'cells': 2 of 3 images can't be used: sample 'damaged': damaged.tif: can't be read."
        in told
    )
    assert "file of other: the image is 8 x 9" in told
    assert "Correct or remove the files, or go on without them: errors.max_failures=2." in told
    assert folders(datasets) == strays(datasets) == []


def test_one_unreadable_image_is_said_in_the_singular(datasets):
    with pytest.raises(DataError, match=r"errors.max_failures=1\b"):
        make(Listed(MIXED[:2]), datasets)


def test_an_image_too_small_for_the_recipe_is_one_that_cannot_be_used(datasets):
    thin = ("thin", image(shape=(8, 1)), labels(shape=(8, 1)))
    data = make(Listed([MIXED[0], thin]), datasets, TILES, allowed=1)
    assert data.entries[-1].error == "file of thin: 8 x 1 pixels are too few for 1 x 2 tiles."


def test_a_slip_in_the_recipe_leaves_nothing_behind(datasets):
    with pytest.raises(UsageError, match="step 'tiles'"):
        make(Listed(MIXED), datasets, [{"tiles": {"rows": 0, "columns": 1}}])
    assert folders(datasets) == strays(datasets) == []


def test_a_source_of_nothing_is_refused(datasets):
    with pytest.raises(DataError, match=r"data 'cells': .*no sample"):
        make(Listed([]), datasets)
    assert folders(datasets) == []


@pytest.mark.parametrize("many", [2, 60])  # the latter may be prepared by several processes
def test_a_recipe_that_leaves_nothing_names_its_steps_and_how_many_images_were_found(
    datasets, many
):
    empty = [(f"empty{i}", image(), labels(0)) for i in range(many)]
    first, last = ({"min_objects": {"count": n, "counting": "objects"}} for n in (1, 2))
    recipe = [first, *TILES, last]
    with pytest.raises(DataError) as error:
        make(Listed([*empty, ("full", image(), labels())]), datasets, recipe)
    assert f"found {many + 1} images" in str(error.value)
    assert f"'min_objects' (step 1) left out {many}" in str(error.value)
    assert "'min_objects' (step 3) left out 1" in str(error.value)
    assert folders(datasets) == []


def test_a_disk_that_refuses_is_one_clear_error(datasets):
    datasets.mkdir()
    (datasets / "cells").write_text("in the way")
    with pytest.raises(StoreError, match="can't write"):
        make(Listed([MIXED[0]]), datasets)


# What is done to it later


def assert_told(error, data, path, *words):
    for word in ("data 'cells', sample 'b'", str(path), f"Remove {data.folder} ", *words):
        assert word in str(error.value)


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_prepared_file_that_was_changed_cut_off_or_removed_is_named(data, kind):
    path = data.folder / kind / "b.tif"
    whole = path.read_bytes()
    array = tifffile.imread(path)
    array[-1, -1] += 1
    for content, words in (
        (tiff_bytes(array), "was changed after"),
        (whole[:-40], "can't be read"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError) as error:
            data.read(data.entries[1])
        assert_told(error, data, path, words)
    path.unlink()
    with pytest.raises(DataError) as error:
        data.read(data.entries[1])
    assert_told(error, data, path, "No such file")
    assert data.read(data.entries[0]).id == "a"  # the others are as good as ever


def test_stored_otherwise_the_same_pixels_are_the_same_sample(data):
    path = data.folder / "images" / "b.tif"
    tifffile.imwrite(path, tifffile.imread(path), byteorder=">", compression="lzw")
    assert data.read(data.entries[1]).id == "b"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "".join(text.splitlines(True)[:2]),  # cut off between two lines
        lambda text: "".join(text.splitlines(True)[1:]),
        lambda text: text.replace("group of b", "group of a"),
        lambda text: text + "null\n",
        lambda text: "[]\n",
        lambda text: "\x00" * 100,
        lambda text: "[" * 100_000,
        lambda text: text + "[" * 100_000,
    ],
)
def test_a_damaged_manifest_is_named_with_the_remedy(datasets, data, damage):
    path = data.folder / "manifest.jsonl"
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError) as error:
        make(Listed([]), datasets)
    assert f"{path} can't be read" in str(error.value)
    assert f"Remove {data.folder}" in str(error.value)


def test_a_folder_without_its_manifest_does_not_pass_for_prepared(datasets, data):
    (data.folder / "manifest.jsonl").unlink()
    with pytest.raises(DataError, match=r"manifest.jsonl can't be read"):
        make(Listed([]), datasets)
