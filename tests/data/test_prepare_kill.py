"""Preparation by two processes at once, or by one that is killed: complete or absent."""

import itertools
import os
import signal
import subprocess
import sys

import pytest
from helpers.kills import ends_before
from helpers.prepare import datasets as datasets
from helpers.prepare import folders, strays
from helpers.runs import make_job

from benchmark.data.prepared import PreparedData

pytestmark = pytest.mark.alone

CHILD = """
import sys
from pathlib import Path
import numpy as np
from benchmark.data.prepare import prepare
from benchmark.data.sources.base import Raw

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


@pytest.mark.slow
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_killed_before_any_change_of_the_disk_it_leaves_nothing_after_the_next(tmp_path):
    def begin(root):
        make_job(root).data  # noqa: B018 - it prepares

    begin(tmp_path / "warm")
    left = {}
    for moment in itertools.count():
        root = tmp_path / str(moment)
        if not ends_before(moment, begin, root):
            break
        begin(root)
        left[moment] = [path.name for path in root.rglob("*.tmp")]
    assert moment > 10 and not any(left.values()), left


def test_two_at_once_prepare_it_once(datasets):
    both = [child(datasets) for _ in range(2)]
    told = [process.communicate(timeout=600)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told[0][-1] == told[1][-1] and told[0][-1].startswith("samples 40 ")
    assert sorted(map(len, told)) == [1, 42], "one prepares, the other waits for it"
    assert len(folders(datasets)) == 1 and strays(datasets) == []
