"""Sources list the right pairs, and say which file stands in the way where they can't."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

import benchmark
from benchmark.data import sources
from benchmark.data.prepare import prepare
from benchmark.data.sources import FolderSource, PackagedNuclei, SyntheticSource, find_files
from benchmark.data.transforms import apply
from benchmark.errors import DataError, UsageError

CONFIGS = Path(benchmark.__file__).parents[1] / "configs" / "data"


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


@pytest.mark.parametrize(
    ("alone", "said"),
    [("images", "images/x.tif has no label image"), ("labels", "labels/x.tif has no image")],
)
def test_a_file_without_its_partner_is_named(pairs, alone, said):
    write(pairs / alone / "x.tif")
    with pytest.raises(DataError, match="paired by file name without suffix") as error:
        folder(pairs).items("test")
    assert f"{pairs}/{said}." in str(error.value)


def test_of_many_without_a_partner_some_are_named(pairs):
    for number in range(8):
        write(pairs / "images" / f"x{number}.tif")
    with pytest.raises(DataError, match=r"x4.tif has no label image; and 3 more\."):
        folder(pairs).items("test")


def test_two_files_of_one_stem_are_named(pairs):
    write(pairs / "images" / "m2_t1.tiff")
    with pytest.raises(DataError) as error:
        folder(pairs).items("test")
    both = f"{pairs}/images/m2_t1.tif and {pairs}/images/m2_t1.tiff"
    assert f"data.images: two files with one stem: {both}" in str(error.value)


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
    assert f"data.group='{group}' does not match the file name m" in str(error.value)


def test_a_broken_regular_expression_is_a_slip(pairs):
    with pytest.raises(UsageError, match=r"data.group='\(m' is no regular expression: .*unterm"):
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


@pytest.mark.parametrize("pattern", ["no", "no/*.tif", "~nobody-of-that-name", "x" * 300, "images"])
def test_a_pattern_that_names_nothing_says_where_it_looked(tmp_path, pattern):
    (tmp_path / "images").mkdir()
    with pytest.raises(UsageError) as error:
        find_files(pattern, str(tmp_path), "data.images")
    told = f"data.images='{pattern}' names no file (looked from data.root={tmp_path})"
    assert told in str(error.value)
    with pytest.raises(UsageError, match="looked from the working directory, /"):
        find_files("no*such", None, "data.images")


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


# What is packaged and what is drawn


def test_the_packaged_nuclei_are_125_in_a_square_of_512():
    (raw,) = PackagedNuclei().items("test")
    image, labels = raw.read()
    assert image.shape == labels.shape == (512, 512)
    ids = np.unique(labels)
    assert ids[0] == 0 and len(ids) == 126 and ids[-1] > 125  # not consecutive
    # Bright nuclei on dark ground: were the two files not a pair, this would not hold.
    assert image[labels > 0].mean() > 2 * image[labels == 0].mean()


def test_without_stardist_the_demo_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install stardist"):
        PackagedNuclei().items("test")
    monkeypatch.undo()
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: False)  # another stardist
    with pytest.raises(DataError, match="pip install stardist"):
        PackagedNuclei().fingerprint()


def test_the_demo_imports_neither_stardist_nor_torch():
    code = (
        "import sys; from benchmark.data.sources import PackagedNuclei as P; "
        "P().fingerprint(); P().items('test')[0].read(); "
        "print([m for m in ('stardist', 'tensorflow', 'torch', 'csbdeep') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def prepared(name, source, tmp_path, split="test"):
    config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    return prepare(
        name,
        source,
        config["recipe"],
        parameters={},
        datasets=tmp_path,
        split=split,
        allowed_failures=lambda images: 0,
        expect=config.get("expect"),
    )


def test_the_demo_is_the_one_whose_digests_its_yaml_pins(tmp_path):
    data = prepared("nuclei_demo", PackagedNuclei(), tmp_path)
    assert [entry.id for entry in data.entries] == [
        f"dsb2018_nuclei_r{row}c{column}" for row in (0, 1) for column in (0, 1)
    ]
    assert {entry.group for entry in data.entries} == {"dsb2018_nuclei"}
    assert {entry.shape for entry in data.entries} == {(256, 256)}
    # Here once more, so that whoever changes the YAML does it on purpose.
    assert data.images_digest()[:16] == "012d6631cffc45bf"
    assert data.labels_digest()[:16] == "2c28a8d82a61634f"


SYNTHETIC = {
    "test": (
        "cc137255c1009bdede16aef290560d64eaa5a91c288ca5344b8966297f755129",
        "102b8ce409bc98eb1bef9bf7ce0e5dbf28b2dec251d6ceac231cdec14d290788",
    ),
    "val": (
        "1c33542cf50124d9d93f304be762de317dcb9febd2f1345b1074e02e3db1cb0c",
        "ba675d03fc25cadb474ec5e8186229397d816650ff08938c736b98b79eb9a6f8",
    ),
}


def drawn(**changes):
    settings = dict(yaml.safe_load((CONFIGS / "synthetic.yaml").read_text())["source"])
    assert settings.pop("_target_").endswith(".SyntheticSource")
    return SyntheticSource(**settings | changes)


def test_the_synthetic_data_is_pinned_to_the_bit(tmp_path):
    for split, digests in SYNTHETIC.items():
        data = prepared("synthetic", drawn(), tmp_path, split)
        assert len(data.entries) == {"test": 32, "val": 16}[split]
        assert (data.images_digest(), data.labels_digest()) == digests


def test_val_goes_on_counting_where_test_ends():
    items = drawn(styles=["rod_bacteria"], per_style=2, val_per_style=1, size=64).items("all")
    assert [(raw.name, raw.split) for raw in items] == [
        ("rod_bacteria_000", "test"),
        ("rod_bacteria_001", "test"),
        ("rod_bacteria_002", "val"),
    ]
    images = [raw.read()[0] for raw in items]
    assert not any(np.array_equal(images[2], image) for image in images[:2])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"styles": ["yeast"]}, "no style 'yeast'"),
        ({"size": 10}, "size is 10"),
        ({"size": "x"}, ""),
    ],
)
def test_what_cannot_be_drawn_is_a_slip(changes, said):
    with pytest.raises(UsageError, match=f"data.source: {said}"):
        drawn(**changes).items("test")[0].read()


def test_a_new_way_of_drawing_is_another_fingerprint(monkeypatch):
    before = drawn().fingerprint()
    monkeypatch.setattr(sources, "DRAWING_VERSION", 99)
    assert drawn().fingerprint() != before


# Transforms


@pytest.mark.parametrize("shape", [(8, 9), (7, 11), (2, 3), (100, 31)])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (2, 3), (1, 3)])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_tiles_cover_every_pixel_once_and_keep_ids(shape, rows, columns, channels):
    labels = np.arange(np.prod(shape)).reshape(shape) * 1000
    image = np.random.default_rng(0).random((*shape, *channels))
    pieces = list(apply([{"tiles": {"rows": rows, "columns": columns}}], image, labels))
    assert [suffix for suffix, *_ in pieces] == [
        f"_r{r}c{c}" for r in range(rows) for c in range(columns)
    ]
    for place, whole in ((1, image), (2, labels)):
        grid = [
            np.concatenate([piece[place] for piece in pieces[r * columns :][:columns]], axis=1)
            for r in range(rows)
        ]
        np.testing.assert_array_equal(np.concatenate(grid), whole)
    heights, widths = zip(*(labels.shape for *_, labels in pieces), strict=True)
    assert max(heights) - min(heights) <= 1 and max(widths) - min(widths) <= 1


def test_steps_run_one_after_the_other():
    step = {"tiles": {"rows": 1, "columns": 2}}
    image = np.zeros((4, 8))
    assert [s for s, *_ in apply([], image, image)] == [""]
    assert [(s, i.shape) for s, i, _ in apply([step, step], image, image)] == [
        (f"_r0c{a}_r0c{b}", (4, 2)) for a in (0, 1) for b in (0, 1)
    ]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"tile": {}}, r"\{'tile': \{\}\} is no step .* Names: tiles"),
        ({"tiles": {"rows": 1, "columns": 1}, "crop": {}}, ".*is no step of the form"),
        ("tiles", "'tiles' is no step of the form"),
        ({}, r"\{\} is no step of the form"),
        ({"tiles": {"rows": 2}}, "step 'tiles': .* 'columns'"),
        ({"tiles": {"rows": 2, "columns": 2, "depth": 2}}, "step 'tiles': .* 'depth'"),
        ({"tiles": None}, "step 'tiles': .* 'rows' and 'columns'"),
        ({"tiles": 2}, "step 'tiles': .*mapping"),
        ({"tiles": {"rows": "two", "columns": 2}}, "step 'tiles': "),
        ({"tiles": {"rows": 0, "columns": 2}}, "step 'tiles': 0 rows, 2 columns: give 1 or more"),
        ({"tiles": {"rows": 2, "columns": -1}}, "step 'tiles': 2 rows, -1 columns: give 1"),
    ],
    ids=str,
)
def test_a_slip_in_the_recipe_is_named(step, said):
    image = np.zeros((8, 8))
    with pytest.raises(UsageError, match=f"data.recipe: {said}"):
        list(apply([step], image, image))


def test_an_image_smaller_than_its_tiles_is_refused():
    image = np.zeros((3, 8))
    with pytest.raises(DataError, match="3 x 8 pixels are too few for 4 x 2 tiles"):
        list(apply([{"tiles": {"rows": 4, "columns": 2}}], image, image))
