"""Exported files never replace a file of somebody, or one that somebody changed."""

import hashlib
import json
import os

import pytest
from helpers.kills import ends_before
from helpers.runs import tree

from benchmark.errors import StoreError, UsageError
from benchmark.export.folder import LIST, ExportFolder

OLD = {"a.tif": b"old a", "b.tif": b"old b"}
NEW = {"a.tif": b"new a", "b.tif": b"new b", "c.tif": b"new c"}
MINE = {"notes.txt": b"mine", "c.tif": b"mine"}


def write(folder, files, run="run"):
    return ExportFolder(folder).write(files.items(), run)


def fill(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def exported(folder):
    return {name: content for name, content in tree(folder).items() if name != LIST}


def test_own_files_are_replaced_and_others_stay(tmp_path):
    folder = tmp_path / "new" / "masks"
    write(folder, OLD)
    fill(folder, {"notes.txt": b"mine"})
    write(folder, NEW)
    assert exported(folder) == NEW | {"notes.txt": b"mine"}
    write(folder, {"objects.csv": b""})
    assert exported(folder) == NEW | {"notes.txt": b"mine", "objects.csv": b""}, "none is removed"
    write(folder, OLD)
    assert exported(folder)["a.tif"] == b"old a", "also what another format was exported after"


@pytest.mark.parametrize("what", ["file", "folder", "link", "dead link"])
def test_what_somebody_has_under_one_of_the_names_is_never_replaced(tmp_path, what):
    folder, elsewhere = tmp_path / "masks", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.write_bytes(b"mine")
    place = folder / "c.tif"
    {
        "file": lambda: place.write_bytes(b"mine"),
        "folder": place.mkdir,
        "link": lambda: place.symlink_to(elsewhere),
        "dead link": lambda: place.symlink_to(tmp_path / "nowhere"),
    }[what]()
    for attempt in (lambda: ExportFolder(folder).check([*NEW]), lambda: write(folder, NEW)):
        with pytest.raises(StoreError, match=r"were not exported.*: c\.tif\. Move them away"):
            attempt()
    assert [path.name for path in folder.iterdir()] == ["c.tif"], "nothing was written"
    assert elsewhere.read_bytes() == b"mine"


@pytest.mark.parametrize("how", ["edited", "replaced by a link", "as long as before"])
def test_an_exported_file_that_was_changed_since_is_never_replaced(tmp_path, how):
    write(tmp_path, OLD)
    path = tmp_path / "b.tif"
    if how == "replaced by a link":
        path.rename(tmp_path / "corrected.tif")
        path.symlink_to(tmp_path / "corrected.tif")
    else:
        path.write_bytes(b"by hand" if how == "edited" else OLD["b.tif"].upper())
    before = tree(tmp_path)
    with pytest.raises(StoreError, match=r"b\.tif"):
        write(tmp_path, NEW)
    assert tree(tmp_path) == before


def test_names_that_are_one_file_on_some_systems_are_refused_before_anything_is_written(tmp_path):
    folder = ExportFolder(tmp_path / "masks")
    with pytest.raises(UsageError, match=r"Cell\.tif and cell\.tif"):
        folder.check(["Cell.tif", "b.tif", "cell.tif"])
    with pytest.raises(UsageError):
        folder.write([("Cell.tif", b""), ("cell.tif", b"")], "run")
    assert not (tmp_path / "masks").exists()


def test_the_folder_may_not_be_a_file(tmp_path):
    (tmp_path / "masks").write_bytes(b"mine")
    with pytest.raises(UsageError, match="is a file"):
        ExportFolder(tmp_path / "masks").check(["a.tif"])


def test_an_export_that_fails_leaves_what_was_there(tmp_path):
    write(tmp_path / "masks", OLD)
    before = tree(tmp_path)

    def failing():
        yield "a.tif", b"new a"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        ExportFolder(tmp_path / "masks").write(failing(), "run")
    with pytest.raises(RuntimeError):
        ExportFolder(tmp_path / "other").write(failing(), "run")
    assert tree(tmp_path) == before and not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{}", b"\xff", b'{"files": {"a.tif": 7}}', b'{"files": ["a.tif"]}',
        pytest.param(b"[" * 100_000, id="nested"),
    ],
)  # fmt: skip
def test_a_damaged_list_is_refused_and_nothing_is_replaced(tmp_path, content):
    write(tmp_path, OLD)
    (tmp_path / LIST).write_bytes(content)
    before = tree(tmp_path)
    with pytest.raises(StoreError, match=f"{LIST}.* is damaged"):
        write(tmp_path, NEW)
    assert tree(tmp_path) == before


def test_a_list_of_a_stranger_leads_to_no_file_elsewhere(tmp_path):
    outside, folder = tmp_path / "thesis.docx", tmp_path / "masks"
    outside.write_bytes(b"years of work")
    write(folder, OLD)
    content = json.loads((folder / LIST).read_text())
    digest = hashlib.sha256(b"years of work").hexdigest()
    content["files"]["../thesis.docx"] = {"run": "x", "sha256": [digest]}
    (folder / LIST).write_text(json.dumps(content))
    write(folder, NEW)
    assert outside.read_bytes() == b"years of work"


def test_files_of_other_runs_are_known(tmp_path):
    write(tmp_path, NEW, "first")
    write(tmp_path, OLD, "second")
    assert ExportFolder(tmp_path).of_other_runs("second") == ["c.tif"]
    (tmp_path / "c.tif").unlink()
    assert ExportFolder(tmp_path).of_other_runs("second") == []


def test_a_folder_that_is_a_link_is_written_through(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    write(tmp_path / "link", OLD)
    assert (tmp_path / "link").is_symlink() and exported(tmp_path / "disk") == OLD


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_killed_at_any_moment_the_same_command_completes(tmp_path):
    for moment in range(200):
        folder = tmp_path / str(moment)
        write(folder, OLD)
        fill(folder, {"notes.txt": b"mine"})
        done = not ends_before(moment, write, folder, NEW)
        found = {name: content for name, content in exported(folder).items() if "/" not in name}
        for name, content in OLD.items():
            assert found[name] in (content, NEW[name])
        write(folder, NEW)
        assert exported(folder) == NEW | {"notes.txt": b"mine"}
        if done:
            break
    assert done and moment > 5
