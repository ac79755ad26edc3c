"""Files that were read once: whether they are still what they were, and what lies beside them."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest

from benchmark.data.sources.file_changes import content_digests, snapshot, snapshot_again


@pytest.fixture
def files(tmp_path):
    """A folder of images and one of labels: not side by side."""
    found = []
    for name in ("im/all/a.tif", "im/all/b.tif", "la/a.png", "la/b.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        os.utime(path, ns=(0, 10**18))
        found.append(path)
    return found


@pytest.fixture
def volumes(tmp_path):
    """A folder for each volume, side by side."""
    found = []
    for name in ("v1", "v2"):
        (tmp_path / "vols" / name).mkdir(parents=True)
        found.append(tmp_path / "vols" / name / "data.tif")
        found[-1].write_text(name)
    return found


def changed(known):
    now = snapshot_again(known)
    assert now["places"] == known["places"]
    return now != known


def test_what_is_unchanged_stays_equal(files):
    known = snapshot(files)
    assert known["seen"] and not changed(known)
    assert snapshot(reversed(files)) == known
    os.utime(files[0], ns=(5, files[0].stat().st_mtime_ns))  # it was read
    assert not changed(known)


def test_places_are_in_order_whatever_the_order_of_the_files(tmp_path):
    paths = [tmp_path / f"v{number}" / f"a.{number}" for number in range(9)]
    for path in paths:
        path.parent.mkdir()
        path.write_text("")
    folders = [[str(path.parent), path.suffix] for path in paths]
    assert snapshot(paths)["places"] == [*folders, [str(tmp_path), "/"]]
    assert snapshot(reversed(paths)) == snapshot(paths)


@pytest.mark.parametrize("backwards", [True, False])
def test_the_order_in_which_a_disk_lists_its_files_does_not_matter(files, monkeypatch, backwards):
    known = snapshot(files)
    scandir = os.scandir

    @contextlib.contextmanager
    def in_order(folder):
        with scandir(folder) as entries:
            yield sorted(entries, key=lambda entry: entry.name, reverse=backwards)

    monkeypatch.setattr(os, "scandir", in_order)
    assert not changed(known)


def test_what_is_known_can_be_kept_as_json(files, volumes):
    known = snapshot(files + volumes)
    assert json.loads(json.dumps(known)) == known and not changed(json.loads(json.dumps(known)))


@pytest.mark.parametrize("number", range(4))
def test_a_file_that_grew_is_seen_though_its_time_is_the_same(files, number):
    known = snapshot(files)
    files[number].write_text("longer than before")
    os.utime(files[number], ns=(0, 10**18))
    assert changed(known)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("later", [1, -1])
def test_a_file_that_was_written_anew_is_seen_though_its_size_is_the_same(files, number, later):
    known = snapshot(files)
    os.utime(files[number], ns=(0, 10**18 + later))
    assert changed(known)


def test_a_file_that_is_added_is_seen_and_gone_it_is_forgotten(files):
    known = snapshot(files)
    for folder, suffix in ((files[0].parent, ".tif"), (files[2].parent, ".png")):
        new = folder / f"new{suffix}"
        new.write_text("")
        assert changed(known)
        new.unlink()
        assert not changed(known)


@pytest.mark.parametrize("number", range(4))
def test_a_file_that_is_removed_is_seen(files, number):
    known = snapshot(files)
    files[number].unlink()
    assert changed(known)


def test_a_file_of_another_name_is_another(files):
    known = snapshot(files)
    files[0].rename(files[0].with_name("c.tif"))
    assert changed(known)


@pytest.mark.parametrize("name", [".c.tif", "c.txt", "c.png", "c.tif.part", "tif", "sub/c.tif"])
def test_hidden_files_and_those_of_another_kind_do_not_count(files, name):
    known = snapshot(files)
    path = files[0].parent / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    assert not changed(known)


def test_a_name_without_suffix_is_a_kind_of_its_own(tmp_path):
    (tmp_path / "a").write_text("")
    known = snapshot([tmp_path / "a"])
    (tmp_path / "b.tif").write_text("")
    assert not changed(known)
    (tmp_path / "b").write_text("")
    assert changed(known)


def test_a_folder_has_all_the_kinds_of_files_that_were_read_in_it(tmp_path):
    paths = [tmp_path / "a.tif", tmp_path / "a.png"]
    for path in paths:
        path.write_text("")
    known = snapshot(paths)
    for path in paths:
        path.with_stem("b").write_text("")
        assert changed(known)
        path.with_stem("b").unlink()
    (tmp_path.parent / f"{tmp_path.name}_beside").mkdir()  # of two kinds, but one folder
    assert not changed(known)


# Folders side by side


def test_of_folders_side_by_side_another_one_is_seen(volumes):
    known = snapshot(volumes)
    (volumes[0].parents[1] / "v3").mkdir()
    assert changed(known)


@pytest.mark.parametrize("name", [".v3", "readme.txt"])
def test_beside_folders_neither_files_nor_hidden_folders_count(volumes, name):
    known = snapshot(volumes)
    path = volumes[0].parents[1] / name
    path.mkdir() if name.startswith(".") else path.write_text("")
    assert not changed(known)


def test_what_lies_beside_a_folder_that_is_alone_does_not_count(volumes):
    known = snapshot(volumes[:1])
    (volumes[0].parents[1] / "v3").mkdir()
    volumes[1].write_text("changed")
    assert not changed(known)


def test_a_file_in_each_of_the_folders_counts(volumes):
    known = snapshot(volumes)
    volumes[1].write_text("changed")
    assert changed(known)


# Where something is gone


def test_where_a_folder_is_gone_what_was_known_is_kept(files):
    known = snapshot(files)
    shutil.rmtree(files[2].parent)
    files[0].write_text("changed")
    assert snapshot_again(known) is known


def test_a_folder_that_is_back_as_it_was_is_as_it_was(files):
    known = snapshot(files)
    away = files[2].parent.rename(files[2].parent.with_name("away"))
    assert not changed(known)
    away.rename(files[2].parent)
    assert not changed(known)
    files[2].unlink()
    assert changed(known)


def test_no_files_are_known_as_none():
    known = snapshot([])
    assert known["places"] == [] and not changed(known)


def test_what_a_zarr_holds_is_not_looked_at_but_its_name_is(tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    known = snapshot([path])
    (path / "zarr.json").write_text("{}")
    assert not changed(known)
    path.rename(tmp_path / "b.zarr")
    assert changed(known)


def test_a_name_of_bytes_that_are_no_text_is_watched_too(tmp_path):
    path = tmp_path / os.fsdecode(b"m1_\xff.tif")
    path.write_text("")
    known = snapshot([path])
    path.write_text("changed")
    assert changed(known)


def test_a_link_to_nothing_does_not_hide_what_changes_beside_it(files):
    (files[0].parent / "link.tif").symlink_to(Path("/nowhere/at/all.tif"))
    known = snapshot(files)
    files[0].write_text("changed")
    assert changed(known)


@pytest.mark.parametrize("name", ["../secret.json", "/etc/passwd", "..", "a/../../secret.json", 7])
def test_a_list_that_a_manifest_names_elsewhere_is_not_read(name, tmp_path):
    """A prepared folder may come from anybody, and `/dev/zero` would not end."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "lists" / "split.json").write_text("{}")
    assert content_digests(tmp_path / "lists", [name, "split.json"]).keys() == {"split.json"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_has_no_content(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    (tmp_path / "b.tif").touch()
    assert {*content_digests(tmp_path, ["a.tif", "b.tif"])} == {"b.tif"}
