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
from benchmark.store.store import NAMES
from benchmark.sweeps.state import StoredRuns

PAPER = Protocol(**PROTOCOLS["paper"])
FILES = [
    "run.json",
    "adapter.json",
    "scores/*/basis.json",
    "scores/*/names.json",
    "lease/*.json",
] + [f"{kind}/*.jsonl" for kind in ("records", "attempts", "scores/*", "objects/*")]
LOST = object()
VALUES = [
    LOST, None, "", "x", "3", "\ud800", -1, True, 10**400, float("inf"), float("nan"),
    [], [None], ["a"], [[1]], {}, {"a": 1}, {"a": None},
]  # fmt: skip
UNSEEN = {
    "run.json": {"seal"},
    "records/*.jsonl": {
        "traceback", "error", "details", "cached", "stages", "memory", "seconds", "stage_memory",
        "warm_up",
    },
    "attempts/*.jsonl": {"writer", "with"},
    "scores/*/basis.json": {"written"},
    "scores/*/*.jsonl": {"aji", "split", "merged", "msa_tolerant"},
    "objects/*/*.jsonl": {"area", "best_iou", "border", "id"},
}  # fmt: skip
"""What a check of a run does not cover without pixels; docs/runs.md says so."""
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


def is_covered(pattern, what, content, whole):
    """Whether a check of the run has to notice an edit.

    Args:
        pattern: of the file, one of UNSEEN.
        what: was edited, as of `mutations`.
        content, whole: of the file after it and before.
    """
    at = set(what[0]) if isinstance(what, tuple) else {what}
    return not (at & UNSEEN[pattern] or parsed(content) == parsed(whole))


def parsed(content):
    """A JSON file, or the lines of a journal; the content itself where it is damaged."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in content.splitlines()]
    except (ValueError, RecursionError):
        return content


def damaged(content):
    """The contents of a file of bytes, after edits of it."""
    half = len(content) // 2
    yield "empty", b""
    yield "torn", content[:half]
    yield "without its beginning", content[half:]
    yield "text", b"[" * 1000
    for place in range(0, len(content), max(1, len(content) // 40)):
        for new in (b"\0", b"\xff", b"\x80\0\0\0"):
            yield (place, new), content[:place] + new + content[place + len(new) :]


def leave_files(folder):
    """Write into a finished run what it holds in rarer cases: names, an edited adapter, a lease."""
    described = json.loads((folder / "run.json").read_text())
    names = {key: described[key] for key in NAMES if key in described}
    for basis in folder.glob("scores/*/basis.json"):
        basis.with_name("names.json").write_text(json.dumps(names))
    (folder / "adapter.json").write_text(json.dumps({"files": {"a.py": "0" * 64}}))
    leave_lease(folder)


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
