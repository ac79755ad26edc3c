"""Preparation: one image at a time, as it was, and anew when anything changed."""

import dataclasses
import gc
import json
import os
import shutil
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.prepare import TILES, Listed, folders, image, labels, make, strays
from helpers.prepare import data as data
from helpers.prepare import datasets as datasets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmark.data.formats.images import read_image
from benchmark.data.prepared import Manifest
from benchmark.data.sources.base import Raw
from benchmark.data.sources.folder import FolderSource
from benchmark.errors import DataError, UsageError
from benchmark.store.tiff import tiff_bytes

# What is written


def test_a_sample_comes_back_as_it_was(datasets):
    pixels = np.random.default_rng(0).normal(size=(8, 9, 3)).astype("f4")
    data = make(Listed([("a/b", pixels, labels(70))]), datasets)
    (entry,) = data.entries
    assert entry.original == "a/b" and entry.id.startswith("a_b-")
    assert (entry.shape, entry.dtype, entry.objects) == ((8, 9, 3), "float32", 1)
    sample = data.read(entry)
    np.testing.assert_array_equal(sample.image, pixels)
    np.testing.assert_array_equal(sample.labels, labels(70))
    assert (sample.image.dtype, sample.labels.dtype) == ("f4", "u2")
    assert (sample.id, sample.group) == (entry.id, "group of a/b")
    assert strays(datasets) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    arrays.arrays(
        st.sampled_from(["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f8", ">u2", ">f4"]),
        st.tuples(st.integers(1, 9), st.integers(1, 9))
        | st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(2, 4)),
    )
)
def test_any_array_survives_being_written(tmp_path, array):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(array))
    np.testing.assert_array_equal(read_image(path), array)


def test_tiles_are_samples_of_one_group(datasets):
    long = "n" * 120  # as long as a name may be, before the tile's suffix
    data = make(Listed([("a", image(), labels()), (long, image(), labels())]), datasets, TILES)
    ids = [entry.id for entry in data.entries]
    assert ids[:2] == ["a_r0c0", "a_r0c1"]
    assert all(len(id_) <= 120 for id_ in ids) and len(set(ids)) == 4
    assert [entry.group for entry in data.entries[:2]] == ["group of a"] * 2
    assert data.read(data.entries[1]).image.shape == (8, 5)


def test_ids_that_a_recipe_doubles_are_refused(datasets, monkeypatch):
    def twice(image, labels):
        yield "_x", image, labels
        yield "_X", image, labels

    monkeypatch.setitem(sys.modules["benchmark.data.transforms"].TRANSFORMS, "twice", twice)
    with pytest.raises(DataError, match="data 'cells': its recipe makes two samples of one id"):
        make(Listed([("a", image(), labels())]), datasets, [{"twice": None}])
    assert folders(datasets) == strays(datasets) == []


def test_one_image_is_in_memory_at_a_time(datasets):
    alive, most = weakref.WeakSet(), 0

    class Big(np.ndarray):
        """An array that can be watched."""

    def read():
        nonlocal most
        gc.collect(0)
        pixels = np.zeros((1024, 1024), np.uint8).view(Big)
        alive.add(pixels)
        most = max(most, len(alive))
        return pixels, pixels

    source = Listed([])
    source.items = lambda split: [Raw(f"{n:03d}", "g", "test", "f", read) for n in range(40)]
    Big.__hash__ = object.__hash__
    assert len(make(source, datasets).entries) == 40
    assert most <= 2, "the last, and the one that takes its place"


def test_progress_is_told_from_none_to_all(datasets):
    told = []
    make(
        Listed([(n, image(), labels()) for n in "ab"]),
        datasets,
        on_progress=lambda *counts: told.append(counts),
    )
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_the_manifest_is_lines_of_json(data):
    lines = (data.folder / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["sample"]["id"] for line in lines[1:-1]] == ["a", "b", "c"]
    assert Manifest.read(data.folder).entries == data.entries


@pytest.mark.skipif("BENCHMARK_DATA" not in os.environ, reason="BENCHMARK_DATA is not set")
def test_real_images_are_prepared(datasets):
    root = Path(os.environ["BENCHMARK_DATA"]) / "histology_rgb"
    data = make(FolderSource("images/*", "labels/*", str(root)), datasets, TILES)
    assert len(data.entries) == 2 * 24
    for entry in data.entries[:6]:
        sample = data.read(entry)
        assert sample.image.shape[2] == 3 and sample.labels.shape == sample.image.shape[:2]


# When it is prepared


def test_what_is_prepared_is_not_prepared_again(datasets, data, monkeypatch):
    again = Listed([("never", "read")])
    assert make(again, datasets).folder == data.folder


@pytest.mark.parametrize(
    "change",
    [
        {"source": {"mark": 1}},
        {"recipe": TILES},
        {"parameters": {"size": 3}},
    ],
    ids=str,
)
def test_a_changed_source_recipe_or_parameter_is_prepared_anew(datasets, data, change):
    before = {path: path.read_bytes() for path in data.folder.rglob("*") if path.is_file()}
    source = Listed([("a", image(), labels())], **change.pop("source", {}))
    new = make(source, datasets, **change)
    assert new.folder != data.folder and new.entries != data.entries
    assert {p: p.read_bytes() for p in data.folder.rglob("*") if p.is_file()} == before


def test_a_changed_file_is_prepared_anew(tmp_path, datasets):
    for kind in ("i", "l"):
        (tmp_path / kind).mkdir()
        tifffile.imwrite(tmp_path / kind / "a.tif", image(1))
    source = FolderSource("i", "l", str(tmp_path))
    before = make(source, datasets)
    tifffile.imwrite(tmp_path / "l" / "a.tif", image(2))
    os.utime(tmp_path / "l" / "a.tif", ns=(0, 1))
    after = make(source, datasets)
    assert after.images_digest() == before.images_digest()
    assert after.labels_digest() != before.labels_digest()


def test_digests_depend_on_what_they_are_of_alone(datasets):
    def digests(mark, **changes):
        row = {"name": "a", "image": image(), "labels": labels(), **changes}
        data = make(Listed([tuple(row.values())], mark), datasets)
        return data.images_digest(), data.labels_digest()

    first = digests(1)
    assert digests(2, labels=labels(2))[0] == first[0] != digests(3, image=image(2))[0]
    assert digests(4, image=image(2))[1] == first[1] != digests(5, labels=labels(2))[1]
    assert digests(6, image=image().astype(">u2"))[0] == digests(7, image=image().astype("<u2"))[0]
    assert all(a != b for a, b in zip(digests(8, name="b"), first, strict=True))


def test_folders_of_others_beside_the_prepared_ones_are_kept(datasets, data):
    changed = dataclasses.replace(LISTED, mark=1)
    place = make(changed, datasets).folder
    shutil.rmtree(place)
    theirs = [place.with_name(f".{place.name}.{word}.tmp") for word in ("backup", "2024.old")]
    for folder in theirs:
        folder.mkdir()
        (folder / "thesis.docx").write_text("years of work")
    assert make(changed, datasets).folder == place
    assert all((folder / "thesis.docx").exists() for folder in theirs)


LISTED = Listed([("a", image(), labels())])


def test_pinned_digests_are_compared(datasets, data):
    right = {"images": data.images_digest(), "labels": data.labels_digest()}
    source = Listed([])
    make(source, datasets, expect=right)
    for kind in right:
        with pytest.raises(DataError) as error:
            make(source, datasets, expect={**right, kind: "0123"})
        told = f"data 'cells': its {kind} are not those that were published: digest {right[kind]}"
        assert told in str(error.value)
        assert "expected 0123" in str(error.value) and "data.expect=null" in str(error.value)


def test_how_files_come_here_does_not_prepare_them_anew(datasets):
    source = Listed([("a", image(), labels())])
    source.circumstances = ("download",)
    one, two, three = (
        make(source, datasets, parameters=given).folder
        for given in ({"download": True}, {"download": False}, {"size": 3})
    )
    assert one == two != three


# Splits


def test_a_split_is_its_samples_alone(datasets):
    source = Listed([(n, image(), labels()) for n in "abc"], val=("b",))
    for split, ids in (("test", "ac"), ("val", "b"), ("all", "abc")):
        assert [entry.id for entry in make(source, datasets, split=split).entries] == list(ids)


def test_an_unknown_and_an_empty_split_are_slips(datasets, data):
    with pytest.raises(
        UsageError, match=r"data.split is 'train'; it must be one of: test, val, all"
    ):
        make(Listed([("a", image(), labels())]), datasets, split="train")
    with pytest.raises(UsageError, match="this data set has no split 'val'; it has: test"):
        make(Listed([("a", image(), labels())]), datasets, split="val")
