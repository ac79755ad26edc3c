"""Folders that belong to others too: a report is replaced whole, and nobody's file is removed."""

import errno
import json
import os

import pytest
from helpers.kills import ends_before
from helpers.runs import tree

from benchmark.errors import StoreError
from benchmark.store import owned
from benchmark.store.files import temporary_name
from benchmark.store.owned import LIST, MARKER, replaced, staging_path, write_marker

pytestmark = pytest.mark.alone

KNOWN = (("site/", "site/mark.css"), ("", "table.csv"))
OLD = {"table.csv": b"old", "figures/a.png": b"old", "figures/b.png": b"old", "gone/x.png": b"old"}
NEW = {"table.csv": b"new", "figures/a.png": b"new", "figures/c.png": b"new", "site/i.html": b"new"}
THEIRS = {"tables/mine.xlsx": b"mine", "figures/final.ai": b"mine", "gone/notes.txt": b"mine"}
NOBODY = 2**22 + 1


def fill(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def write(folder, files):
    with replaced(folder, KNOWN) as place:
        fill(place, files)


def report(folder):
    """Its files, without the list of them."""
    return {name: content for name, content in tree(folder).items() if name != LIST}


@pytest.fixture
def folder(tmp_path):
    """A report, and files that somebody put there."""
    folder = tmp_path / "reports" / "paper"
    write(folder, OLD)
    fill(folder, THEIRS)
    return folder


def test_the_files_of_a_report_are_replaced_and_all_others_stay(folder, capsys):
    write(folder, NEW)
    assert report(folder) == NEW | THEIRS
    write(folder, {})
    assert report(folder) == THEIRS
    assert not (folder / "site").exists(), "folders that are empty now go as well"
    assert [path.name for path in folder.parent.iterdir()] == ["paper"]
    assert capsys.readouterr().err == ""


def test_a_report_that_fails_leaves_the_one_before(folder):
    def fail():
        with replaced(folder, KNOWN) as place:
            fill(place, NEW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert report(folder) == OLD | THEIRS
    assert [path.name for path in folder.parent.iterdir()] == ["paper"]


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [True, False], ids=["with an earlier report", "the first"])
def test_killed_at_any_moment_no_file_is_lost_and_the_next_report_cleans_up(tmp_path, earlier):
    mixed = 0
    for moment in range(1000):
        folder = tmp_path / str(moment) / "paper"
        if earlier:
            write(folder, OLD)
            fill(folder, THEIRS)
        done = not ends_before(moment, write, folder, NEW)
        found = report(folder)
        if earlier:
            theirs = {name: found.pop(name, None) for name in THEIRS}
            assert theirs == THEIRS
            # Until all that is new is in place, nothing is missing that was there.
            whole = all(found.get(name) == content for name, content in NEW.items())
            assert whole or found.keys() >= OLD.keys()
            mixed += found not in (OLD, NEW)
        else:
            assert found in ({}, NEW)
        write(folder, NEW)
        assert report(folder) == (NEW | THEIRS if earlier else NEW)
        assert [path.name for path in folder.parent.iterdir()] == ["paper"]
        if done:
            break
    assert done and moment > 10
    # Only while files are renamed and removed, at the very end.
    assert mixed <= len(OLD) + 2 * len(NEW)


def test_an_interrupt_while_files_are_renamed_waits_for_the_last_of_them(folder, monkeypatch):
    from benchmark.store import owned

    move, calls = owned._write_list, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:  # the first announces what comes
            raise KeyboardInterrupt
        move(*arguments)

    monkeypatch.setattr(owned, "_write_list", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(folder, NEW)
    assert report(folder) == NEW | THEIRS
    assert set(json.loads((folder / LIST).read_text())["files"]) == set(NEW)


@pytest.mark.parametrize("name", ["site/i.html", "figures/c.png"])
def test_a_file_of_somebody_under_a_name_of_the_new_report_stays(folder, name):
    fill(folder, {name: b"mine"})
    with pytest.raises(StoreError, match=f"{name}.* Move them away"):
        write(folder, NEW)
    assert report(folder) == OLD | THEIRS | {name: b"mine"}
    (folder / name).unlink()
    write(folder, NEW)
    assert report(folder) == NEW | THEIRS


def test_a_folder_of_somebody_where_no_report_was_is_written_into_and_loses_nothing(tmp_path):
    fill(tmp_path / "paper", THEIRS)
    write(tmp_path / "paper", NEW)
    assert report(tmp_path / "paper") == NEW | THEIRS
    fill(tmp_path / "own", {"figures/a.png": b"mine"})
    with pytest.raises(StoreError):
        write(tmp_path / "own", NEW)
    assert tree(tmp_path / "own") == {"figures/a.png": b"mine"}


def test_of_a_report_without_a_list_the_same_names_are_replaced_and_others_named_once(
    folder, capsys
):
    (folder / LIST).unlink()
    write(folder, NEW)
    left = {name: content for name, content in OLD.items() if name not in NEW}
    assert report(folder) == left | NEW | THEIRS
    told = capsys.readouterr().err
    assert f"holds {len(left | THEIRS)} files that are not of this report" in " ".join(told.split())
    write(folder, NEW)
    assert capsys.readouterr().err == ""


def test_of_a_report_without_a_list_that_had_no_site_a_page_of_somebody_stays(folder):
    (folder / LIST).unlink()
    fill(folder, {"site/i.html": b"mine"})
    with pytest.raises(StoreError):
        write(folder, NEW)
    assert report(folder) == OLD | THEIRS | {"site/i.html": b"mine"}
    fill(folder, {"site/mark.css": b""})
    write(folder, NEW)
    assert report(folder)["site/i.html"] == b"new"


@pytest.mark.parametrize(
    "names",
    [["../thesis.docx"], ["figures/../../thesis.docx"], ["{outside}"], [7], "table.csv", None],
    ids=str,
)
def test_a_list_that_leads_out_of_the_folder_is_refused(folder, names):
    outside = folder.parent / "thesis.docx"
    outside.write_text("years of work")
    if isinstance(names, list):
        names = [n.format(outside=outside) if isinstance(n, str) else n for n in names]
    (folder / LIST).write_text(json.dumps({"files": names}))
    with pytest.raises(StoreError, match=f"{LIST}.* is damaged"):
        write(folder, NEW)
    (folder / LIST).write_text("[" * 100_000)
    with pytest.raises(StoreError, match=f"{LIST}.* is damaged"):
        write(folder, NEW)
    assert outside.exists() and report(folder) == OLD | THEIRS
    for content in (b"", b"[]", b"\xff", b"{}"):
        (folder / LIST).write_bytes(content)
        with pytest.raises(StoreError):
            write(folder, NEW)


def test_no_link_leads_a_report_out_of_its_folder(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (folder / "figures").rename(elsewhere)
    (folder / "figures").symlink_to(elsewhere)
    before = tree(elsewhere)
    with pytest.raises(StoreError, match=r"figures/a\.png"):
        write(folder, NEW)
    write(folder, {"table.csv": b"new"})  # figures/ is listed, and no more written
    assert tree(elsewhere) == before


def test_a_report_folder_that_is_a_link_is_written_through(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    write(tmp_path / "link", NEW)
    assert (tmp_path / "link").is_symlink() and report(folder) == NEW | THEIRS


def test_folders_beside_are_removed_only_where_name_and_marker_are_ours(tmp_path):
    target = tmp_path / "cells[1]"
    own = temporary_name(target.name)
    of_nobody = own.replace(f"-{os.getpid()}.", f"-{NOBODY}.")
    of_a_living_one = own.replace(f"-{os.getpid()}.", f"-{os.getppid()}.")
    ours = [own, of_nobody]
    theirs = [
        ".cells[1].notes.tmp", ".cells[1].12345.tmp", ".cells[1].my-12.tmp", "cells[1].tmp",
        of_nobody.replace("cells[1]", "cells1"), of_a_living_one,
    ]  # fmt: skip
    for name in (*ours, *theirs):
        fill(tmp_path / name, {"a/b": b""})
        write_marker(tmp_path / name)
    with staging_path(target) as place:
        assert place.name == target.name and not place.exists()
        assert not (tmp_path / of_nobody).exists()
    assert {path.name for path in tmp_path.iterdir()} == set(theirs)
    zombie = os.fork()
    if zombie == 0:
        os._exit(0)
    os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
    of_a_zombie = tmp_path / own.replace(f"-{os.getpid()}.", f"-{zombie}.")
    fill(of_a_zombie, {"a/b": b""})
    write_marker(of_a_zombie)
    with staging_path(target):
        assert not of_a_zombie.exists()
    os.waitpid(zombie, 0)
    fill(tmp_path / of_nobody, {"thesis.docx": b"", MARKER: b"somebody's cache"})
    with staging_path(target):
        pass
    assert (tmp_path / of_nobody / "thesis.docx").exists()


def test_a_disk_without_room_for_the_marker_keeps_no_folder(tmp_path, monkeypatch):
    def half(folder):
        (folder / owned.MARKER).write_bytes(owned._MARKER_TEXT[:9])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(owned, "write_marker", half)
    with pytest.raises(StoreError, match="No space"), owned.staging_path(tmp_path / "report"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_another_file_than_a_marker_is_kept(tmp_path):
    stage = tmp_path / "stage"
    stage.mkdir()
    (stage / owned.MARKER).write_bytes(b"theirs")
    owned._remove_staging(stage)
    assert (stage / owned.MARKER).read_bytes() == b"theirs"
