"""Sources list the right pairs, and say which file stands in the way where they can't."""

import os
import re
import unicodedata

import numpy as np
import pytest
import tifffile

from benchmark.data.sources.folder import FolderSource, find_files
from benchmark.errors import DataError, UsageError


def write(path, value=1, shape=(8, 9)):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.full(shape, value, np.uint8))
    return path


@pytest.fixture
def pairs(tmp_path):
    for value, name in enumerate(("m1_t2", "m1_t10", "m2_t1"), start=1):
        write(tmp_path / "images" / f"{name}.tif", value)
        write(tmp_path / "labels" / f"{name}.tif", 10 * value)
    return tmp_path


def folder(root, **options):
    return FolderSource(**{"images": "images", "labels": "labels", "root": str(root), **options})


# Pairing


def test_images_and_labels_are_paired_by_stem(pairs):
    # Out of order, and of another suffix on one side.
    (pairs / "labels" / "m1_t2.tif").rename(pairs / "labels" / "m1_t2.ome.TIFF")
    items = folder(pairs).items("test")
    assert [raw.name for raw in items] == ["m1_t10", "m1_t2", "m2_t1"]
    for raw in items:
        image, labels = raw.read()
        assert labels[0, 0] == 10 * image[0, 0]
        assert raw.group == raw.name and raw.split == "test"
        assert f"images/{raw.name}.tif" in raw.files and f"labels/{raw.name}" in raw.files


def test_one_file_for_an_image_and_its_labels_is_refused(pairs):
    image = pairs / "images" / "m2_t1.tif"
    (pairs / "labels" / "m2_t1.tif").unlink()
    (pairs / "labels" / "m2_t1.tif").symlink_to(image)
    said = f"name one file: {image} is {pairs / 'labels' / 'm2_t1.tif'}. Give the folder"
    with pytest.raises(DataError, match=re.escape(said)):
        folder(pairs).items("test")
    with pytest.raises(DataError, match=r"data\.labels .*m1_t10\.tif"):
        folder(pairs, labels="images").items("test")


def test_a_name_is_the_same_with_its_accents_composed_or_apart(tmp_path):
    write(tmp_path / "images" / (unicodedata.normalize("NFD", "Zélle") + ".tif"))
    write(tmp_path / "labels" / (unicodedata.normalize("NFC", "Zélle") + ".tif"))
    assert [raw.name for raw in folder(tmp_path).items("test")] == ["Z\u00e9lle"]


def test_a_name_of_bytes_that_are_no_text_is_one_that_can_be_written(tmp_path):
    name = os.fsdecode(b"m1_\xff.tif")
    write(tmp_path / "images" / name, 3)
    write(tmp_path / "labels" / name)
    for group in (None, "m1_.*[^a-z.]"):
        (raw,) = folder(tmp_path, group=group).items("test")
        assert raw.name.encode() and raw.group.encode()
        assert raw.read()[0][0, 0] == 3


def test_an_image_without_labels_is_taken_and_labels_without_an_image_are_named(pairs):
    image = write(pairs / "images" / "x.tif")
    raws = {raw.name: raw for raw in folder(pairs).items("test")}
    assert [name for name, raw in raws.items() if not raw.labelled] == ["x"]
    assert raws["x"].files == str(image) and raws["x"].read()[1] is None
    write(pairs / "labels" / "y.tif")
    with pytest.raises(DataError, match="paired by file name without suffix") as error:
        folder(pairs).items("test")
    assert "labels/y.tif has no image" in str(error.value) and "m1_t2" not in str(error.value)


def test_without_labels_every_image_is_unlabelled(pairs):
    raws = folder(pairs, labels=None).items("test")
    assert len(raws) == 3 and not any(raw.labelled for raw in raws)
    before = folder(pairs, labels=None).fingerprint()
    write(pairs / "labels" / "m1_t2.tif", 77)
    assert folder(pairs, labels=None).fingerprint() == before != folder(pairs).fingerprint()


def test_of_many_without_a_partner_some_are_named(pairs):
    for number in range(8):
        write(pairs / "labels" / f"x{number}.tif")
    with pytest.raises(DataError, match=r"x4.tif has no image.* 3 more"):
        folder(pairs).items("test")


def test_two_files_of_one_stem_are_named(pairs):
    write(pairs / "images" / "m2_t1.tiff")
    with pytest.raises(DataError) as error:
        folder(pairs).items("test")
    both = f"{pairs}/images/m2_t1.tif and {pairs}/images/m2_t1.tiff"
    assert "data.images: " in str(error.value) and both in str(error.value)


# Groups


@pytest.mark.parametrize(
    ("group", "found"),
    [
        (None, ["m1_t10", "m1_t2", "m2_t1"]),
        (r"^m\d", ["m1", "m1", "m2"]),
        (r"(m\d)_t(\d+)", ["m1", "m1", "m2"]),
        (r"_t(\d+)\.tif$", ["10", "2", "1"]),
    ],
)
def test_the_group_is_the_first_bracket_or_the_whole_match(pairs, group, found):
    assert [raw.group for raw in folder(pairs, group=group).items("test")] == found


@pytest.mark.parametrize("group", ["^m1", "z*", "()m", "(m1)|m2"])
def test_a_group_that_is_missing_or_empty_is_refused(pairs, group):
    with pytest.raises(UsageError) as error:
        folder(pairs, group=group).items("test")
    assert f"data.group='{group}'" in str(error.value)


def test_a_broken_regular_expression_is_a_slip(pairs):
    with pytest.raises(UsageError, match=r"data.group='\(m' .*unterm"):
        folder(pairs, group="(m").items("test")


# Patterns


@pytest.mark.parametrize(
    "pattern", ["images", "images/", "images/*.tif", "i*/m*", "**/images/*", "./images/m?_t*"]
)
def test_a_folder_or_a_pattern_names_files_below_the_root(pairs, pattern):
    names = [path.name for path in find_files(pattern, str(pairs), "data.images")]
    assert names == ["m1_t10.tif", "m1_t2.tif", "m2_t1.tif"]


def test_patterns_may_be_absolute_relative_or_start_at_home(pairs, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(pairs))
    monkeypatch.chdir(pairs / "labels")
    absolute = find_files(f"{pairs}/images/*.tif", "/nowhere", "w")
    assert len(absolute) == 3
    assert find_files("~/images", "/nowhere", "w") == absolute
    assert find_files("images", "~", "w") == absolute
    relative = find_files("../images/*", None, "w")
    assert [path.resolve() for path in relative] == absolute


def test_two_stars_look_into_all_folders_below(tmp_path):
    for place in ("a.tif", "x/b.tif", "x/y/c.tif"):
        write(tmp_path / place)
    found = find_files("**/*.tif", str(tmp_path), "w")
    assert sorted(path.name for path in found) == ["a.tif", "b.tif", "c.tif"]


@pytest.mark.parametrize("pattern", ["[red]", "[red]/a[1].tif", "[red]/*", "[red]/a*.tif"])
def test_what_exists_as_it_is_written_is_no_pattern(tmp_path, pattern):
    root = tmp_path / "r[oot]*"
    path = write(root / "[red]" / "a[1].tif")
    write(root / "r" / "a1.tif")  # what brackets would find
    assert find_files(pattern, str(root), "w") == [path]


def test_brackets_are_a_pattern_where_nothing_is_called_so(tmp_path):
    paths = [write(tmp_path / name) for name in ("a1.tif", "a2.tif", "a3.tif")]
    assert find_files("a[12].tif", str(tmp_path), "w") == paths[:2]


def test_folders_are_no_files(tmp_path):
    path = write(tmp_path / "a.tif")
    (tmp_path / "b.tif").mkdir()
    assert find_files("*.tif", str(tmp_path), "w") == [path]


@pytest.mark.parametrize("pattern", ["", " "])
def test_an_empty_pattern_is_no_folder(pairs, pattern):
    with pytest.raises(UsageError, match=r"data\.images is empty"):
        find_files(pattern, str(pairs / "images"), "data.images")


@pytest.mark.parametrize("pattern", ["no", "no/*.tif", "~nobody-of-that-name", "x" * 300, "images"])
def test_a_pattern_that_names_nothing_says_where_it_looked(tmp_path, pattern):
    (tmp_path / "images").mkdir()
    with pytest.raises(UsageError) as error:
        find_files(pattern, str(tmp_path), "data.images")
    told = f"data.images='{pattern}' matches no file (relative to data.root={tmp_path})"
    assert told in str(error.value)
    with pytest.raises(UsageError, match="working directory"):
        find_files("no*such", None, "data.images")


@pytest.mark.parametrize(
    "pattern, hint",
    [
        ("cells/no", "There is no 'no' in {}/cells."),
        ("sells/*.png", "There is no 'sells' in {}. Nearly: cells."),
        ("~/no", "There is no 'no' in {}."),
        ("cells/*.TIFF", "Nearly: a [x].tif"),
        ("cells/* [x].tif", "write '?' in place of each bracket"),
        ("cells/{{a,b}}*", "Braces have no meaning in patterns."),
        ("deep", "try 'deep/*/*'."),
        ("deep/*.tif", "try 'deep/*/*.tif'."),
        ("{}/deep/*.tif", "try '{}/deep/*/*.tif'."),
        ("./deep/../deep/*", "try 'deep/../deep/*/*'."),
        ("deep/*.png", None),
        ("cells/b*.png", None),
        ("cells/[b].png", None),
    ],
)
def test_a_pattern_that_matches_nothing_has_a_hint_that_works(tmp_path, monkeypatch, pattern, hint):
    for folder in ("cells", "deep/below", "empty"):
        (tmp_path / folder).mkdir(parents=True)
    write(tmp_path / "cells" / "a [x].tif")
    write(tmp_path / "deep" / "below" / "a.tif")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError) as error:
        find_files(pattern.format(tmp_path), str(tmp_path), "data.images")
    said = str(error.value).partition(f"data.root={tmp_path}).")[2].strip()
    assert hint.format(tmp_path) in said if hint else said == ""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        find_files(pattern.format(tmp_path), None, "data.images")
    assert str(error.value).endswith(said), "also from the working directory"
    if "try '" in said:
        tried = said.partition("try '")[2].partition("'")[0]
        assert [path.name for path in find_files(tried, str(tmp_path), "w")] == ["a.tif"]


# Fingerprints


def test_the_fingerprint_changes_when_a_file_changes_comes_or_goes(pairs):
    path = pairs / "images" / "m2_t1.tif"
    seen = [folder(pairs).fingerprint()]

    def look():
        now = folder(pairs).fingerprint()
        assert now not in seen
        seen.append(now)

    os.utime(path, ns=(0, 1))  # touched: of the same size
    look()
    path.write_bytes(path.read_bytes() + b"x")
    os.utime(path, ns=(0, 1))  # another size, of the same time
    look()
    write(pairs / "labels" / "new.tif")
    look()
    path.unlink()
    look()


def test_the_fingerprint_stays_where_nothing_changes(pairs, monkeypatch):
    monkeypatch.chdir(pairs)
    assert folder(pairs).fingerprint() == folder(".").fingerprint()
