"""Preparing many images by several processes: killed at any moment, short of disk, out of order."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.messages import assert_names

from benchmark.data import prepare as preparation
from benchmark.data.prepare import prepare
from benchmark.data.prepared import Manifest
from benchmark.data.sources.base import Raw
from benchmark.data.sources.folder import FolderSource
from benchmark.errors import DataError, StoreError
from benchmark.store.tiff import tiff_bytes

pytestmark = pytest.mark.alone

IMAGES = 120
KILLS = 10
TILES = [{"tiles": {"rows": 2, "columns": 1}}]

COMMAND = """
import sys
from pathlib import Path
from benchmark.data.prepare import prepare
from benchmark.data.sources.folder import FolderSource

root = Path(sys.argv[1])
if __name__ == "__main__":
    source = FolderSource("images", "labels", str(root))
    recipe = [{"tiles": {"rows": 2, "columns": 1}}]
    data = prepare("cells", source, recipe, parameters={}, datasets=root / "datasets",
                   split="test", allowed_failures=lambda n: 0, workers=2)
    print(data.images_digest(), data.labels_digest())
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of many small images with their labels."""
    root = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    for kind, dtype in (("images", np.uint8), ("labels", np.uint16)):
        (root / kind).mkdir()
        for number in range(IMAGES):
            array = rng.integers(0, 200, (96, 80)).astype(dtype)
            (root / kind / f"{number:03d}.tif").write_bytes(tiff_bytes(array))
    (root / "prepare.py").write_text(COMMAND)
    return root


def make(images, datasets, recipe=TILES, workers=2, **options):
    source = options.pop("source", None) or FolderSource("images", "labels", str(images))
    plain = {"parameters": {}, "split": "test", "allowed_failures": lambda n: 0}
    return prepare("cells", source, recipe, datasets=datasets, workers=workers, **plain | options)


def start(images):
    return subprocess.Popen(
        [sys.executable, images / "prepare.py", images],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def test_several_processes_prepare_what_one_does(images, tmp_path):
    one, two = (make(images, tmp_path / str(n), workers=n) for n in (1, 2))
    assert one.entries == two.entries and len(one.entries) == 2 * IMAGES
    assert [entry.original for entry in two.entries[::2]] == [f"{n:03d}" for n in range(IMAGES)]
    for entry in two.entries[::17]:
        assert np.array_equal(two.read(entry).image, one.read(entry).image)


@pytest.mark.slow
def test_progress_is_told_while_others_work(images, tmp_path):
    told = []
    make(images, tmp_path, on_progress=lambda *counts: told.append(counts))
    assert told[0] == (0, IMAGES) and told[-1] == (IMAGES, IMAGES) and len(told) > 5
    assert told == sorted(told)


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_is_whole_or_absent(images):
    datasets = images / "datasets"
    begin = time.monotonic()
    process = start(images)
    undisturbed = process.communicate()[0]
    seconds = time.monotonic() - begin
    assert process.returncode == 0 and undisturbed
    (whole,) = (datasets / "cells" / "prepared").glob("[!.]*")
    manifest = Manifest.read(whole)
    rng = random.Random(4)
    outcomes = set()
    for kill in range(KILLS):
        shutil.rmtree(datasets)
        # The last ones late, when the folder is about to get its name.
        wait = seconds * (rng.random() if kill < 6 else 0.75 + 0.25 * rng.random())
        process = start(images)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)  # not its workers: they find out
        process.communicate()
        folders = list(datasets.glob("cells/prepared/[!.]*"))
        outcomes.add(len(folders))
        for folder in folders:  # it was quicker than the signal
            assert Manifest.read(folder) == manifest
        again = start(images)
        assert again.communicate()[0] == undisturbed
        left = [p.name for p in datasets.glob("cells/prepared/*") if ".lease" not in p.name]
        assert left == [whole.name]
    assert 0 in outcomes, "no kill came before the end"


@pytest.mark.slow
def test_the_workers_of_a_killed_preparation_end(images):
    shutil.rmtree(images / "datasets", ignore_errors=True)
    process = start(images)
    children = []
    deadline = time.monotonic() + 600
    while len(children) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
        children = [pid for pid in _children(process.pid) if b"spawn_main" in _command(pid)]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(children) == 2
    deadline = time.monotonic() + 600
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < deadline, "they outlived the process that began them"
        time.sleep(0.05)


def _children(pid):
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.slow
def test_a_killed_worker_is_told_and_nothing_is_kept(images, tmp_path):
    source = Deadly("images", "labels", str(images))
    with pytest.raises(StoreError, match="a process that works on images was killed"):
        make(images, tmp_path, source=source)
    assert not [p for p in tmp_path.glob("cells/prepared/*") if ".lease" not in p.name]


class Deadly(FolderSource):
    def items(self, split):
        return [Raw("x", "x", "test", "f", _die), *super().items(split)]


def _die():
    os._exit(9)


def test_a_disk_too_small_for_what_is_to_come_is_told_at_the_beginning(
    images, tmp_path, monkeypatch
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 0, 10**5))
    done = []
    with pytest.raises(StoreError, match=r"will need about 0\.0\d GB, and 0\.00 GB are free"):
        make(images, tmp_path, on_progress=lambda n, total: done.append(n))
    assert max(done) <= preparation.CHUNK
    assert not [p for p in tmp_path.glob("cells/prepared/*") if ".lease" not in p.name]


# A source that says when it is enough: the study's limiter.


class Listed:
    """Images 0 to n - 1; those named have no object."""

    def __init__(self, count, closing, empty=()):
        self.raws = [
            Raw(
                f"{n:03d}",
                "g",
                "val",
                f"file {n}",
                partial(_image, n, n in empty),
                "",
                n == closing,
            )
            for n in range(count)
        ]

    def items(self, split):
        return self.raws

    def fingerprint(self, known=None):
        return 0


def _image(number, empty):
    labels = np.zeros((8, 8), np.uint8)
    labels[2:4] = 0 if empty else 1
    return np.full((8, 8), number, np.uint8), labels


OBJECTS = [{"min_objects": {"count": 1, "counting": "objects"}}]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("empty", "kept"),
    [((), 61), ((5, 7), 59), ((60,), 99), ((60, 99), 98)],
    ids=["all kept", "some left out", "the closing one left out", "that and another"],
)
def test_the_closing_image_ends_it_only_where_it_is_kept(tmp_path, workers, empty, kept):
    data = make(None, tmp_path, OBJECTS, workers, source=Listed(100, 60, empty))
    assert len(data.entries) == kept
    assert {left.original for left in data.manifest.left_out} == {
        f"{n:03d}" for n in empty if n <= 60 or 60 in empty
    }


def test_what_can_not_be_read_is_told_with_sample_and_file(images, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(images, copy, ignore=shutil.ignore_patterns("datasets"))
    path = copy / "images" / "077.tif"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError) as error:
        make(copy, tmp_path / "datasets")
    assert_names(str(error.value), "data 'cells'", "sample '077'", path)
