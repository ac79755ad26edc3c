"""A public data set as a source: what it was prepared from counts, not how that is spelled."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.data_sets import composed, source_of

from benchmark.data.prepare import find, prepare
from benchmark.data.select import Place, select
from benchmark.data.sources import torch_em
from benchmark.data.sources.base import Raw
from benchmark.data.sources.torch_em import TorchEmSource
from benchmark.errors import UsageError

PLAIN = {"test": {"calls": [{}]}}
SEEDED = {"test": {"take": [{"seeded": {"part": "test", "test": 0.5, "val": 0.5}}]}}


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """A loader's four images; the working directory is beside them."""
    folder = tmp_path / "root" / "cells"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
        for number in range(4):
            tifffile.imwrite(folder / kind / f"{number}.tif", np.full((8, 9), number + 1, "u1"))
    paths = [sorted((folder / kind).iterdir()) for kind in ("images", "labels")]
    monkeypatch.setattr(torch_em, "fetch", lambda request: [tuple(paths)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(datasets, root, splits, **more):
    """What `prepare` and `find` are asked, as a configuration would have it."""
    given = {"root": str(root), "splits": splits, "lists": f"{datasets}/cells", **more}
    source = TorchEmSource("cells", "loader", "cells", read={}, **given)
    keys = [key.name for key in fields(source) if key.init]
    parameters = {key: getattr(source, key) for key in keys}
    return (
        ("cells", source, []),
        {"parameters": parameters, "datasets": Path(datasets), "split": "test"},
    )


def prepared(*words, **more):
    what, how = asked(*words, **more)
    return prepare(*what, **how, allowed_failures=lambda images: 0, workers=1)


def found(*words, **more):
    what, how = asked(*words, **more)
    return find(*what, **how)


@pytest.mark.parametrize("splits", [PLAIN, SEEDED], ids=["plain", "seeded"])
def test_what_is_prepared_is_found_however_its_folders_are_spelled(cells, monkeypatch, splits):
    folder = prepared("datasets", "root", splits).folder.resolve()
    monkeypatch.setenv("HOME", str(cells))
    (cells / "linked").symlink_to("root")
    for datasets in ("datasets", "root/../datasets", cells / "datasets"):
        for root in (cells / "root", "root", "root/../root", "~/root", "linked"):
            data = found(datasets, root, splits)
            assert data is not None and data.folder.resolve() == folder, (datasets, root)
    (cells / "other").mkdir()
    assert found("datasets", "other", splits) is None
    (cells / "datasets").rename(cells / "moved")
    assert found(cells / "moved", "root", splits) is not None


def test_a_list_that_was_changed_prepares_anew(cells):
    before = prepared("datasets", "root", SEEDED)
    (path,) = (cells / "datasets" / "cells").glob("split_*.json")
    first = path.read_text()
    split = json.loads(first)
    path.write_text(json.dumps(split | {"test": split["val"], "val": split["test"]}))
    assert found("datasets", "root", SEEDED) is None
    after = prepared("datasets", "root", SEEDED)
    assert {e.id for e in after.entries} == set(split["val"])
    assert {e.id for e in before.entries} == set(split["test"])
    path.write_text(first)
    assert found("datasets", "root", SEEDED).folder == before.folder
    (path.with_name("split_seed9_val0.5_test0.5.json")).write_text("of another configuration")
    assert found("datasets", "root", SEEDED).folder == before.folder


def test_a_list_that_was_removed_is_drawn_anew(cells):
    before = prepared("datasets", "root", SEEDED)
    (path,) = (cells / "datasets" / "cells").glob("split_*.json")
    path.unlink()
    assert found("datasets", "root", SEEDED) is None
    assert prepared("datasets", "root", SEEDED).folder == before.folder and path.is_file()


def test_a_key_of_reading_that_does_not_exist_is_named(cells):
    ((_, source, _), _) = asked("datasets", "root", PLAIN)
    source.read = {"image": "raw", "axes": "ZYX"}
    said = r"data\.read has no 'axes': image, labels, image_axes, label_axes"
    with pytest.raises(UsageError, match=said):
        source.items("test")


# What two of them say of themselves


@pytest.mark.parametrize("rule", ["off_by_one", "exact"])
def test_vicars_validation_images_are_none_of_its_test_images(rule):
    words = ("protocol.val_images=apart", f"protocol.val_limit={rule}")
    splits = composed("vicar", *words)["splits"]
    raws = [Raw(f"{n:03}", f"{n:03}", "", "", lambda: None) for n in range(120)]
    test, val = (
        {raw.name for raw in select(raws, splits[part]["take"], Place(Path(), Path()))}
        for part in ("test", "val")
    )
    assert not test & val and test | val == {raw.name for raw in raws}
    assert len(val) == {"off_by_one": 101, "exact": 100}[rule]


def test_usiigacis_movie_and_the_set_that_is_its_first_frame_are_one_group(tmp_path):
    source = source_of("usiigaci", tmp_path, tmp_path)
    clone = tmp_path / "usiigaci" / "Usiigaci"
    movie, one, ten, val = (
        source._group(clone / path)
        for path in (
            "ExampleData/T98G_sample/20180101ef002xy01t01.tif",
            "Mask R-CNN/train/set1/raw.tif",
            "Mask R-CNN/train/set10/raw.tif",
            "Mask R-CNN/val/set1/raw.tif",
        )
    )
    assert movie == one and len({movie, ten, "set10-raw"}) == 2
    assert val == "set1-raw"


@pytest.mark.parametrize(
    "name", ["../../evil", "{root}/evil", "a/../../evil", "..", ".", "", "a\0b"]
)
def test_no_name_of_a_data_set_has_its_lists_written_elsewhere(name, cells):
    """The command line makes `lists` of the folder of all data sets and the name."""
    name = name.format(root=cells)
    before = sorted(cells.rglob("*"))
    lists = os.path.join(cells / "a" / "datasets", name)  # noqa: PTH118
    source = TorchEmSource(
        name, "loader", "cells", SEEDED, read={}, lists=lists, root=str(cells / "root")
    )
    with pytest.raises(UsageError, match=r"data\.name"):
        source.items("test")
    assert sorted(cells.rglob("*")) == before


def test_a_name_with_a_folder_in_it_keeps_its_lists_there(cells):
    source = TorchEmSource(
        "mine/cells", "loader", "cells", SEEDED, read={}, lists=str(cells / "lists" / "mine/cells"),
        root=str(cells / "root"),
    )  # fmt: skip
    assert len(source.items("test")) == 2
    assert [path.suffix for path in (cells / "lists" / "mine" / "cells").iterdir()] == [".json"]
