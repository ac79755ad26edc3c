"""Each entry of each file of a run, edited in every way; and what reads them all."""

import copy
import json
import os
import time

from helpers.runs import PROTOCOLS

from benchmark.actions import status
from benchmark.report.assemble import assemble
from benchmark.report.results import gather
from benchmark.scoring.protocol import Protocol, known_protocols
from benchmark.store import journal
from benchmark.store.lease import SINCE
from benchmark.store.machine import here
from benchmark.sweeps.state import StoredRuns

PAPER = Protocol(**PROTOCOLS["paper"])
FILES = ["run.json", "scores/*/basis.json", "lease/*.json"] + [
    f"{kind}/*.jsonl" for kind in ("records", "attempts", "scores/*", "objects/*")
]
LOST = object()
VALUES = [
    LOST, None, "", "x", "3", "\ud800", -1, True, 10**400, float("inf"), float("nan"),
    [], [None], ["a"], [[1]], {}, {"a": 1}, {"a": None},
]  # fmt: skip
SKIPPED = {"packages", "quirks", "code"}  # only digested; a hundred entries alike


def places(value, at=()):
    """Where the entries of a JSON value are; of a list the first stands for all."""
    yield at
    if isinstance(value, dict):
        for key in value.keys() - SKIPPED:
            yield from places(value[key], (*at, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*at, 0))


def edited(value, at, new):
    if not at:
        return new
    value = copy.deepcopy(value)
    *above, last = at
    inner = value
    for key in above:
        inner = inner[key]
    if new is LOST:
        del inner[last]
    else:
        inner[last] = new
    return value


def mutations(content):
    """The contents of a file after each edit of its last row, and after a few of its bytes."""
    *before, last = content.splitlines(keepends=True) if content[:2] != b"{\n" else [content]
    row = json.loads(last)
    for at in places(row):
        for new in VALUES if at else VALUES[1:]:
            yield (at, new), b"".join(before) + json.dumps(edited(row, at, new)).encode() + b"\n"
    half = len(content) // 2
    yield "empty", b""
    yield "torn", content[:half]
    yield "binary", b"\xff\xfe\x00" + content
    yield "nested", b"[" * 100_000 + b"\n"
    yield "overwritten", content[:half] + b"\0\0" + content[half + 2 :]


def leave_lease(folder):
    """Write the lease of a process of this machine that ended without releasing it."""
    holder = here() | {"pid": os.getpid(), "start": "earlier", "since": time.strftime(SINCE)}
    (folder / "lease").mkdir(exist_ok=True)
    for path in (folder / "lease").iterdir():
        path.unlink()
    (folder / "lease" / "00000001.json").write_text(json.dumps(holder))


def read_all(runs, odd):
    """Report the runs of a folder and print their states, as `report` and `status` do.

    Returns:
        The names of the runs with a result, and those of the runs left out.
    """
    journal._warn.cache_clear()
    every = known_protocols(PAPER, ["paper", "clean"])
    results, left_out = gather(runs, every)
    if any(result.path.name == odd for result in results):
        assemble(results, (), left_out)
    status.show(status.readable(StoredRuns(runs, 300), every))
    return {result.path.name for result in results}, {*left_out}
