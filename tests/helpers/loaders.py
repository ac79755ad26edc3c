"""A stand-in for torch_em, its loaders and a server, for tests of fetching."""

from __future__ import annotations

import http.server
import io
import threading
import zipfile

import numpy as np
import pytest

from benchmark.data.sources.fetch import Request
from benchmark.store.tiff import tiff_bytes

IMAGE = tiff_bytes(np.arange(64, dtype=np.uint8).reshape(8, 8))


# A loader as torch_em's are: it unpacks and converts where it stands, and takes a folder that
# exists for a complete data set.
LOADER = """
import os, time, urllib.request
from glob import glob
from torch_em.data.datasets import util

URL = os.environ.get("FAKE_URL", "http://127.0.0.1:9/cells.zip")

def get_paths(path, split="test", download=False, checksum=None):
    folder = os.path.join(path, split)
    if not os.path.exists(folder):
        os.makedirs(folder)
        archive = os.path.join(path, f"{split}.zip")
        util.download_source(archive, URL, download, checksum)
        util.unzip(archive, folder)
        time.sleep(float(os.environ.get("FAKE_SLEEP", "0")))
    return tuple(sorted(glob(os.path.join(folder, k, "*"))) for k in ("images", "labels"))

def get_eager(path, split="test", download=False):
    os.makedirs(path, exist_ok=True)
    listed = os.path.join(path, f"{split}.json")
    if not os.path.exists(listed):  # whether it may or not, as the one of LIVECell
        with urllib.request.urlopen(URL, timeout=5) as answer, open(listed, "wb") as file:
            file.write(answer.read())
    return get_paths(path, split, download)

def get_tar(path, download=False):
    if not os.path.exists(os.path.join(path, "images")):
        util.unzip_tarfile(os.path.join(path, "cells.tar.gz"), path)
    return tuple(sorted(glob(os.path.join(path, k, "*"))) for k in ("images", "labels"))

def get_other(path, download=False):
    raise RuntimeError("nothing but trouble")
"""


# Stands in for torch_em's own `util`, whose import takes ten seconds; the slow tests use that.
UTIL = """
import os, shutil, tarfile, urllib.request, zipfile

def download_source(path, url, download, checksum=None, verify=True):
    if os.path.exists(path):
        return
    if not download:
        raise RuntimeError(f"Cannot find the data at {path}, but download was set to False")
    with urllib.request.urlopen(url, timeout=5) as answer, open(path, "wb") as file:
        shutil.copyfileobj(answer, file)

def unzip(zip_path, dst, remove=True):
    with zipfile.ZipFile(zip_path, "r") as f:
        f.extractall(dst)
    if remove:
        os.remove(zip_path)

def unzip_tarfile(tar_path, dst, remove=True):
    with tarfile.open(tar_path) as tar:
        tar.extractall(dst)
"""


@pytest.fixture
def loaders(tmp_path, monkeypatch):
    """A folder of modules that the loader's process finds before any other."""
    place = tmp_path / "modules"
    package = place / "torch_em" / "data" / "datasets"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").write_text("")
    (package / "util.py").write_text(UTIL)
    (place / "fake_loader.py").write_text(LOADER)
    monkeypatch.setenv("PYTHONPATH", str(place))
    return place


def archive(members=("images/a.tif", "labels/a.tif")):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for member in members:
            file.writestr(member, IMAGE)
    return buffer.getvalue()


def request(tmp_path, **changes):
    plain = {
        "name": "cells",
        "loader": "fake_loader.get_paths",
        "calls": [{"split": "test"}],
        "root": tmp_path / "root",
        "folder": "cells",
        "access": "download",
        "by_hand": None,
        "download": True,
        "natural_order": False,
    }
    return Request(**plain | changes)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A web server of one archive."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "cells.zip").write_bytes(archive())

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    monkeypatch.setenv("FAKE_URL", f"http://127.0.0.1:{web.server_port}/cells.zip")
    yield folder
    web.shutdown()
