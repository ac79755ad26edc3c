"""Fetching a public data set: found, unpacked, downloaded, or told what a person has to do."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from helpers.loaders import IMAGE, archive, request
from helpers.loaders import loaders as loaders
from helpers.loaders import server as server
from helpers.messages import assert_names

from benchmark.data.sources import fetch as fetching
from benchmark.data.sources import loader
from benchmark.data.sources.fetch import fetch
from benchmark.errors import DataError, SkippedError, StoreError

pytestmark = pytest.mark.alone

for library in ("requests", "natsort"):  # of torch_em, whose loaders are stood in for
    pytest.importorskip(library, reason=f"{library} comes with the data sets")


def test_what_is_there_is_found_and_nothing_is_written(loaders, tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / "root" / "cells" / "test" / kind).mkdir(parents=True)
        (tmp_path / "root" / "cells" / "test" / kind / "a.tif").write_bytes(IMAGE)
    before = sorted((tmp_path / "root").rglob("*"))
    for place in before:
        place.chmod(0o555 if place.is_dir() else 0o444)  # as a folder shared by a group
    ((images, labels),) = fetch(request(tmp_path))
    assert images == [tmp_path / "root" / "cells" / "test" / "images" / "a.tif"]
    assert labels == [tmp_path / "root" / "cells" / "test" / "labels" / "a.tif"]
    assert sorted((tmp_path / "root").rglob("*")) == before


def test_what_is_missing_is_downloaded_and_the_next_time_found(loaders, tmp_path, server, capfd):
    ((images, labels),) = fetch(request(tmp_path))
    assert images == [tmp_path / "root" / "cells" / "test" / "images" / "a.tif"]
    assert images[0].read_bytes() == labels[0].read_bytes() == IMAGE
    assert "0.00 GB; unpacked and converted about 3 times that" in capfd.readouterr().err
    (server / "cells.zip").unlink()
    assert fetch(request(tmp_path))[0][0] == images
    assert [p.name for p in (tmp_path / "root").iterdir() if p.name.startswith(".cells")] == []


def test_another_split_is_added_to_what_is_there(loaders, tmp_path, server):
    fetch(request(tmp_path))
    fetch(request(tmp_path, calls=[{"split": "val"}]))
    assert sorted(p.name for p in (tmp_path / "root" / "cells").iterdir()) == ["test", "val"]


def test_an_archive_that_a_person_put_there_is_unpacked_and_kept(loaders, tmp_path):
    target = tmp_path / "root" / "cells"
    target.mkdir(parents=True)
    (target / "test.zip").write_bytes(archive())
    ((images, _),) = fetch(request(tmp_path, access="account", by_hand="Ask."))
    assert images == [target / "test" / "images" / "a.tif"] and images[0].is_file()
    assert (target / "test.zip").is_file()


@pytest.mark.parametrize(
    ("access", "by_hand", "told"),
    [
        ("account", "Log in at x, and put it into {folder}.", "needs an account: Log in at x"),
        ("form", "Fill in y.", "is given out by a form: Fill in y."),
        ("kaggle", "Do z.", "is fetched from Kaggle with a key of your own: Do z."),
        ("manual", "Go there.", "has to be fetched by hand: Go there."),
    ],
)
def test_a_person_is_told_what_to_fetch_and_into_which_folder(
    loaders, tmp_path, access, by_hand, told
):
    with pytest.raises(SkippedError) as error:
        fetch(request(tmp_path, access=access, by_hand=by_hand))
    assert told in str(error.value)
    assert "{folder}" not in str(error.value)
    if "{folder}" in by_hand:
        assert str(tmp_path / "root" / "cells") in str(error.value)
    assert not list(tmp_path.glob("root/*/*"))


def test_told_not_to_download_it_does_not(loaders, tmp_path, server):
    with pytest.raises(SkippedError, match=r"and data\.download=false"):
        fetch(request(tmp_path, download=False))
    assert not (tmp_path / "root" / "cells").exists()


def test_told_not_to_download_a_loader_that_would_all_the_same_can_not(loaders, tmp_path, server):
    eager = {"loader": "fake_loader.get_eager"}
    fetch(request(tmp_path, **eager))
    before = sorted((tmp_path / "root" / "cells").rglob("*"))
    with pytest.raises(SkippedError, match=r"download=false\. \(.* would download from 127\.0"):
        fetch(request(tmp_path, calls=[{"split": "val"}], download=False, **eager))
    assert sorted((tmp_path / "root" / "cells").rglob("*")) == before
    fetch(request(tmp_path, calls=[{"split": "val"}], **eager))
    assert (tmp_path / "root" / "cells" / "val.json").is_file()


def test_without_network_it_says_where_the_files_belong(loaders, tmp_path):
    with pytest.raises(SkippedError) as error:
        fetch(request(tmp_path))
    assert f"can't be downloaded into {tmp_path / 'root' / 'cells'}" in str(error.value)
    assert "URLError" in str(error.value)
    assert not (tmp_path / "root" / "cells").exists()


def test_folders_that_a_loader_left_empty_do_not_pass_for_the_data(loaders, tmp_path, server):
    (tmp_path / "root" / "cells" / "other").mkdir(parents=True)
    with pytest.raises(SkippedError):  # the loader makes `test` before it misses the archive
        fetch(request(tmp_path, download=False))
    assert [p.name for p in (tmp_path / "root" / "cells").iterdir()] == ["other"]
    ((images, _),) = fetch(request(tmp_path))
    assert images[0].is_file()


@pytest.mark.parametrize("member", ["../x", "images/../../x", "/tmp/x", "..\\x", "C:x", "c:\\x"])
def test_an_archive_whose_member_would_escape_is_refused(loaders, tmp_path, server, member):
    (server / "cells.zip").write_bytes(archive(["images/a.tif", member]))
    with pytest.raises(DataError) as error:
        fetch(request(tmp_path))
    assert "data 'cells': the archive " in str(error.value) and "test.zip" in str(error.value)
    assert_names(str(error.value), "test.zip", member)
    assert not (tmp_path / "root" / "cells").exists()


def test_a_tar_archive_whose_member_would_escape_is_refused(loaders, tmp_path):
    target = tmp_path / "root" / "cells"
    target.mkdir(parents=True)
    with tarfile.open(target / "cells.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../x"), io.BytesIO())
    with pytest.raises(DataError, match=r"cells\.tar\.gz.*'\.\./x'"):
        fetch(request(tmp_path, loader="fake_loader.get_tar", calls=[{}]))
    assert not (tmp_path / "root" / "x").exists()


@pytest.mark.parametrize("unpack", ["extract", "extractall"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symbolic", "hard"])
@pytest.mark.parametrize("target", ["../private", "/etc/passwd"])
def test_a_link_in_a_tar_archive_does_not_lead_out(unpack, kind, target, tmp_path):
    """In a process of its own, as the guard stays for good."""
    (tmp_path / "private").write_text("secret")
    (tmp_path / "cells").mkdir()
    link = tarfile.TarInfo("link")
    link.type, link.linkname = kind, target
    with tarfile.open(tmp_path / "cells.tar", "w") as tar:
        tar.addfile(link)
    way = "tar.extract('link', 'cells')" if unpack == "extract" else "tar.extractall('cells')"
    code = (
        "import tarfile\nfrom benchmark.data.sources import loader\nloader.guard_archives()\n"
        f"with tarfile.open('cells.tar') as tar: {way}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode and "link" in done.stderr.splitlines()[-1]
    assert list((tmp_path / "cells").iterdir()) == []


def test_a_disk_too_small_is_told_before_the_download(loaders, tmp_path, monkeypatch):
    class Head:
        ok, headers = True, {"Content-Length": str(10**18)}

    requests = pytest.importorskip("requests")
    monkeypatch.setattr(requests, "head", lambda *args, **kwargs: Head())
    with pytest.raises(StoreError, match=r"http://x/y.zip, unpacked .* about 3000000000.00 GB"):
        loader._require_space_for_download(tmp_path / "y.zip", "http://x/y.zip")
    Head.headers = {"Content-Length": "1000"}
    loader._require_space_for_download(tmp_path / "y.zip", "http://x/y.zip")


def test_what_a_loader_stumbles_over_is_told(loaders, tmp_path):
    with pytest.raises(SkippedError, match="RuntimeError: nothing but trouble"):
        fetch(request(tmp_path, loader="fake_loader.get_other", calls=[{}]))


def test_without_torch_em_it_says_what_to_install(tmp_path, monkeypatch):
    with pytest.raises(SkippedError, match=r"pip install -e '\.\[datasets\]'"):
        fetch(request(tmp_path, loader="no_such_module.get_paths"))


def test_a_loader_that_dies_is_told(loaders, tmp_path):
    (loaders / "dying.py").write_text("import os\nos._exit(9)\n")
    with pytest.raises(DataError, match=r"dying\.get.* status 9"):
        fetch(request(tmp_path, loader="dying.get"))


CHILD = """
import sys
from pathlib import Path
from benchmark.data.sources.fetch import Request, fetch
fetch(Request("cells", "fake_loader.get_paths", [{"split": sys.argv[2]}], Path(sys.argv[1]),
              "cells", "download", None, True, False))
"""


def begin(root, split="test", **options):
    return subprocess.Popen([sys.executable, "-c", CHILD, str(root), split], **options)


def killed_while_it_unpacks(root, split, monkeypatch):
    monkeypatch.setenv("FAKE_SLEEP", "30")
    process = begin(root, split, start_new_session=True)
    deadline = time.monotonic() + 600
    while not list(root.glob(f".cells.*/cells/{split}/images/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(root.glob(f".cells.*/cells/{split}/images/*"))
    assert not (root / "cells" / split).exists()
    monkeypatch.setenv("FAKE_SLEEP", "0")


def test_killed_while_it_unpacks_it_starts_clean(loaders, tmp_path, server, monkeypatch):
    root = tmp_path / "root"
    killed_while_it_unpacks(root, "test", monkeypatch)
    assert not (root / "cells").exists()
    ((images, _),) = fetch(request(tmp_path))
    assert images[0].is_file() and not list(root.glob(".cells.*"))


def test_a_second_split_is_not_unpacked_in_place(loaders, tmp_path, server, monkeypatch):
    fetch(request(tmp_path))
    put = tmp_path / "root" / "cells" / "val.zip"
    put.write_bytes(archive())
    (server / "cells.zip").unlink()
    killed_while_it_unpacks(tmp_path / "root", "val", monkeypatch)
    ((images, labels),) = fetch(request(tmp_path, calls=[{"split": "val"}]))
    assert images[0].read_bytes() == labels[0].read_bytes() == IMAGE
    assert put.is_file()


def test_where_nothing_may_be_unpacked_no_member_is(monkeypatch):
    for archives in (zipfile.ZipFile, tarfile.TarFile):
        for method in ("extract", "extractall"):
            monkeypatch.setattr(archives, method, getattr(archives, method))
    loader.forbid_unpacking()
    with (
        zipfile.ZipFile(io.BytesIO(), "w") as zipped,
        tarfile.open(fileobj=io.BytesIO(), mode="w") as tar,
    ):
        for method in (zipped.extract, zipped.extractall, tar.extract, tar.extractall):
            with pytest.raises(RuntimeError, match="is not unpacked yet"):
                method("a")


def test_a_file_that_was_cut_off_is_replaced_and_others_stay(tmp_path):
    for place, content in (("stage", b"whole"), ("target", b"who")):
        (tmp_path / place / "a").mkdir(parents=True)
        (tmp_path / place / "a" / "cut").write_bytes(content)
        (tmp_path / place / "a" / "kept").write_text(place[:5])
    fetching._move(tmp_path / "stage", tmp_path / "target", tmp_path / "aside")
    assert (tmp_path / "target" / "a" / "cut").read_bytes() == b"whole"
    assert (tmp_path / "target" / "a" / "kept").read_text() == "targe"


def test_what_a_person_has_in_the_folders_of_downloads_is_kept(loaders, tmp_path, server, capsys):
    root = tmp_path / "root"
    (root / "cells" / "test").mkdir(parents=True)
    theirs = [
        root / ".fetching-cells-notes" / "thesis.docx",
        root / ".cells.backup.tmp" / "thesis.docx",
        root / "cells" / "notes.txt",
    ]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    shared = root / "cells" / "test" / "labels"
    for turn in (1, 2):  # of another size than the published one: cut off, or a person's own
        shared.mkdir(exist_ok=True)
        (shared / "a.tif").write_text(f"corrected by hand {turn}")
        for image in (shared.parent / "images").glob("*"):
            image.unlink()
        fetch(request(tmp_path))
        assert (shared / "a.tif").read_bytes() == IMAGE
        aside = root / f".replaced-cells-{turn}"
        assert (aside / "test/labels/a.tif").read_text() == f"corrected by hand {turn}"
        assert f"kept in {aside}" in told(capsys)
    assert [path.read_text() for path in theirs] == ["mine"] * 3


def told(capsys):
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_two_at_once_download_it_once(loaders, tmp_path, server, monkeypatch):
    monkeypatch.setenv("FAKE_SLEEP", "1")
    children = [begin(tmp_path / "root") for _ in range(2)]
    assert [child.wait(timeout=600) for child in children] == [0, 0]
    assert (tmp_path / "root" / "cells" / "test" / "images" / "a.tif").is_file()


def test_a_loader_that_returns_folders_means_their_files(loaders, tmp_path, monkeypatch):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("10.tif", "9.tif", "1.tif"):
        (folder / name).write_bytes(IMAGE)
    files = [Path(file) for file in loader._files(str(folder), tmp_path)]
    assert [file.name for file in files] == ["1.tif", "9.tif", "10.tif"]
    assert loader._files([folder / "a"], tmp_path) == [str(folder / "a")]


@pytest.mark.slow
def test_the_loader_of_a_killed_process_ends(loaders, tmp_path, server, monkeypatch):
    monkeypatch.setenv("FAKE_SLEEP", "30")
    root = tmp_path / "root"
    process = begin(root)
    deadline = time.monotonic() + 600
    while not list(root.glob(".cells.*/cells/test/images/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    while Path("/proc", child).exists():
        assert time.monotonic() < deadline, "it outlived the process that began it"
        time.sleep(0.05)
