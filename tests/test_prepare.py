"""Preparation: one image at a time, complete or absent, and verified ever after."""

import dataclasses
import gc
import json
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmark.data.prepare import prepare
from benchmark.data.prepared import Manifest, PreparedData
from benchmark.data.read import read_image
from benchmark.data.source import Raw
from benchmark.data.sources import FolderSource
from benchmark.errors import DataError, StoreError, UsageError
from benchmark.tiff import tiff_bytes

TILES = [{"tiles": {"rows": 1, "columns": 2}}]


@dataclasses.dataclass
class Listed:
    """A source of arrays: (name, image, labels), or (name, error) where it can't be read."""

    rows: list
    mark: int = 0
    val: tuple = ()

    def items(self, split):
        everything = [
            Raw(
                row[0],
                f"group of {row[0]}",
                "val" if row[0] in self.val else "test",
                f"file of {row[0]}",
                lambda row=row: self._read(*row[1:]),
            )
            for row in self.rows
        ]
        kept = [raw for raw in everything if split in (raw.split, "all")]
        if not kept and split == "val":
            raise UsageError("this data set has no split 'val'; it has: test.")
        return kept

    def fingerprint(self, known=None):
        return self.mark

    def _read(self, image, labels=None):
        if labels is None:
            raise DataError(image)
        return image, labels


def image(value=1, shape=(8, 9)):
    return np.full(shape, value, np.uint8)


def labels(value=1, shape=(8, 9)):
    array = np.zeros(shape, np.uint16)
    array[2:5, 2:5] = value
    return array


def make(source, datasets, recipe=(), split="test", allowed=0, **options):
    options = {"parameters": {}, "workers": 1} | options
    return prepare(
        "cells",
        source,
        list(recipe),
        datasets=datasets,
        split=split,
        allowed_failures=lambda images: allowed,
        **options,
    )


def folders(datasets):
    """The data sets that pass for prepared."""
    return [path for path in (datasets / "cells" / "prepared").glob("[!.]*") if path.is_dir()]


def strays(datasets):
    return list((datasets / "cells" / "prepared").rglob(".*tmp*"))


@pytest.fixture
def datasets(tmp_path):
    return tmp_path / "datasets"


@pytest.fixture
def data(datasets):
    return make(Listed([(n, image(i), labels(i)) for i, n in enumerate("abc", 1)]), datasets)


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
    source.items = lambda split: [Raw(f"{n:03d}", "g", "test", "f", read) for n in range(200)]
    Big.__hash__ = object.__hash__
    assert len(make(source, datasets).entries) == 200
    assert most <= 2, "the last, and the one that takes its place"


def test_progress_is_told_from_none_to_all(datasets):
    told = []
    make(
        Listed([(n, image(), labels()) for n in "ab"]),
        datasets,
        on_progress=lambda *counts: told.append(counts),
    )
    assert told == [(0, 2), (1, 2), (2, 2)]


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
    assert "Mend or remove the files, or go on without them: errors.max_failures=2." in told
    assert folders(datasets) == strays(datasets) == []


def test_one_unreadable_image_is_said_in_the_singular(datasets):
    with pytest.raises(DataError, match=r"one image can't be used: .* errors.max_failures=1\."):
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
    with pytest.raises(DataError, match="data 'cells': its source and recipe leave no sample"):
        make(Listed([]), datasets)
    assert folders(datasets) == []


def test_a_disk_that_refuses_is_one_clear_error(datasets):
    datasets.mkdir()
    (datasets / "cells").write_text("in the way")
    with pytest.raises(StoreError, match="can't write"):
        make(Listed([MIXED[0]]), datasets)


# What is done to it later


def assert_told(error, data, path, *words):
    for word in ("data 'cells', sample 'b'", str(path), f"Remove {data.folder} to have it", *words):
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
    ],
)
def test_a_damaged_manifest_is_named_with_the_remedy(datasets, data, damage):
    path = data.folder / "manifest.jsonl"
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError) as error:
        make(Listed([]), datasets)
    assert f"{path} can't be read" in str(error.value)
    assert f"Remove {data.folder} to have it prepared anew." in str(error.value)


def test_how_files_come_here_does_not_prepare_them_anew(datasets):
    source = Listed([("a", image(), labels())])
    source.circumstances = ("download",)
    one, two, three = (
        make(source, datasets, parameters=given).folder
        for given in ({"download": True}, {"download": False}, {"size": 3})
    )
    assert one == two != three


def test_a_folder_without_its_manifest_does_not_pass_for_prepared(datasets, data):
    (data.folder / "manifest.jsonl").unlink()
    with pytest.raises(DataError, match=r"manifest.jsonl can't be read"):
        make(Listed([]), datasets)


def test_the_manifest_is_lines_of_json(data):
    lines = (data.folder / "manifest.jsonl").read_text().splitlines()
    assert [json.loads(line)["sample"]["id"] for line in lines[1:-1]] == ["a", "b", "c"]
    assert Manifest.read(data.folder).entries == data.entries


# Killed, and two at once


CHILD = """
import sys
from pathlib import Path
import numpy as np
from benchmark.data.prepare import prepare
from benchmark.data.source import Raw

class Source:
    def items(self, split):
        image = np.arange(4096, dtype="u2").reshape(64, 64)
        return [Raw(f"{n:02d}", "g", "test", "f", lambda: (image, image)) for n in range(40)]
    def fingerprint(self, known=None):
        return 0

def say(done, total):
    print(done, flush=True)

data = prepare("cells", Source(), [], parameters={}, datasets=Path(sys.argv[1]), split="test",
               allowed_failures=lambda n: 0, on_progress=say, workers=1)
for entry in data.entries:
    data.read(entry)
print("samples", len(data.entries), data.folder)
"""


def child(datasets):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(datasets)], stdout=subprocess.PIPE, text=True
    )


def test_killed_at_any_moment_it_leaves_nothing_that_passes_for_prepared(datasets):
    # 40 is after the last image: of the manifest and the renaming.
    for moment in (0, 1, 7, 23, 39, 40):
        process = child(datasets)
        for line in process.stdout:
            if int(line) == moment:
                break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for folder in folders(datasets):  # it may have been quicker than the signal
            assert moment == 40 and len(PreparedData(folder, "cells", "test").entries) == 40
    done, _ = child(datasets).communicate()
    assert "samples 40" in done
    assert len(folders(datasets)) == 1 and strays(datasets) == []


def test_two_at_once_prepare_it_once(datasets):
    both = [child(datasets) for _ in range(2)]
    told = [process.communicate(timeout=60)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told[0][-1] == told[1][-1] and told[0][-1].startswith("samples 40 ")
    assert sorted(map(len, told)) == [1, 42], "one prepares, the other waits for it"
    assert len(folders(datasets)) == 1 and strays(datasets) == []


@pytest.mark.skipif("BENCHMARK_DATA" not in os.environ, reason="BENCHMARK_DATA is not set")
def test_real_images_are_prepared(datasets):
    root = Path(os.environ["BENCHMARK_DATA"]) / "histology_rgb"
    data = make(FolderSource("images/*", "labels/*", str(root)), datasets, TILES)
    assert len(data.entries) == 2 * 24
    for entry in data.entries[:6]:
        sample = data.read(entry)
        assert sample.image.shape[2] == 3 and sample.labels.shape == sample.image.shape[:2]
