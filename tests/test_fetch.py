"""Fetching a public data set: found, unpacked, downloaded, or told what a person has to do."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from helpers.loaders import IMAGE, archive, request
from helpers.loaders import loaders as loaders
from helpers.loaders import server as server

from benchmark.data import loader
from benchmark.data.fetch import fetch
from benchmark.errors import DataError, SkippedError


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
    assert [p.name for p in (tmp_path / "root").iterdir() if p.name.startswith(".f")] == []


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


@pytest.mark.parametrize("member", ["../x", "images/../../x", "/tmp/x", "..\\x"])
def test_an_archive_whose_member_would_escape_is_refused(loaders, tmp_path, server, member):
    (server / "cells.zip").write_bytes(archive(["images/a.tif", member]))
    with pytest.raises(DataError) as error:
        fetch(request(tmp_path))
    assert "data 'cells': the archive " in str(error.value) and "test.zip" in str(error.value)
    assert "that would leave its folder: nothing was unpacked" in str(error.value)
    assert not (tmp_path / "root" / "cells").exists()


def test_a_tar_archive_whose_member_would_escape_is_refused(loaders, tmp_path):
    target = tmp_path / "root" / "cells"
    target.mkdir(parents=True)
    with tarfile.open(target / "cells.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../x"), io.BytesIO())
    with pytest.raises(DataError, match=r"cells\.tar\.gz has a member '\.\./x'"):
        fetch(request(tmp_path, loader="fake_loader.get_tar", calls=[{}]))
    assert not (tmp_path / "root" / "x").exists()


def test_a_disk_too_small_is_told_before_the_download(loaders, tmp_path, monkeypatch):
    class Head:
        ok, headers = True, {"Content-Length": str(10**18)}

    requests = pytest.importorskip("requests")
    monkeypatch.setattr(requests, "head", lambda *args, **kwargs: Head())
    with pytest.raises(OSError, match=r"and http://x/y.zip takes 1000000000.00 GB, unpacked"):
        loader._refuse_small_disk(tmp_path / "y.zip", "http://x/y.zip")
    Head.headers = {"Content-Length": "1000"}
    loader._refuse_small_disk(tmp_path / "y.zip", "http://x/y.zip")


def test_what_a_loader_stumbles_over_is_told(loaders, tmp_path):
    with pytest.raises(SkippedError, match="RuntimeError: nothing but trouble"):
        fetch(request(tmp_path, loader="fake_loader.get_other", calls=[{}]))


def test_without_torch_em_it_says_what_to_install(tmp_path, monkeypatch):
    with pytest.raises(SkippedError, match=r"pip install -e '\.\[datasets\]'"):
        fetch(request(tmp_path, loader="no_such_module.get_paths"))


def test_a_loader_that_dies_is_told(loaders, tmp_path):
    (loaders / "dying.py").write_text("import os\nos._exit(9)\n")
    with pytest.raises(DataError, match=r"its loader, dying\.get, ended with status 9"):
        fetch(request(tmp_path, loader="dying.get"))


CHILD = """
import sys
from pathlib import Path
from benchmark.data.fetch import Request, fetch
fetch(Request("cells", "fake_loader.get_paths", [{"split": "test"}], Path(sys.argv[1]), "cells",
              "download", None, True, False))
"""


def test_killed_while_it_unpacks_it_starts_clean(loaders, tmp_path, server, monkeypatch):
    monkeypatch.setenv("FAKE_SLEEP", "30")
    root = tmp_path / "root"
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(root)], start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(root.glob(".fetching-cells-*/test/images/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(root.glob(".fetching-cells-*/test/images/*")) and not (root / "cells").exists()
    monkeypatch.setenv("FAKE_SLEEP", "0")
    ((images, _),) = fetch(request(tmp_path))
    assert images[0].is_file() and not list(root.glob(".fetching-*"))


@pytest.mark.slow
def test_two_at_once_download_it_once(loaders, tmp_path, server, monkeypatch):
    monkeypatch.setenv("FAKE_SLEEP", "1")
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "root")]) for _ in range(2)
    ]
    assert [child.wait(timeout=60) for child in children] == [0, 0]
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
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(root)])
    deadline = time.monotonic() + 60
    while not list(root.glob(".fetching-cells-*/test/images/*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    while Path("/proc", child).exists():
        assert time.monotonic() < deadline, "it outlived the process that began it"
        time.sleep(0.05)
