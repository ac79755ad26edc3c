"""One odd run never stops the others: each entry of each file of a run, edited in every way."""

import copy
import json
import shutil

import pytest
from helpers.runs import PROTOCOLS, do, make_job

from benchmark.actions import status
from benchmark.report.assemble import assemble
from benchmark.report.results import gather
from benchmark.scoring.protocol import Protocol, known_protocols
from benchmark.store import journal, shapes
from benchmark.store.store import RunStore
from benchmark.sweeps.state import StoredRuns
from benchmark.verify import verify

PAPER = Protocol(**PROTOCOLS["paper"])
FILES = ["run.json", "scores/*/basis.json"] + [
    f"{kind}/*.jsonl" for kind in ("records", "attempts", "scores/*", "objects/*")
]
LOST = object()
VALUES = [
    LOST, None, "", "x", "3", "\ud800", -1, True, 10**400, float("inf"), float("nan"),
    [], [None], ["a"], [[1]], {}, {"a": 1}, {"a": None},
]  # fmt: skip
OBJECTS = {"id": [3], "area": [9], "best_iou": [0.5], "border": [0]}
SKIPPED = {"packages", "quirks", "code"}  # only digested; a hundred entries alike


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of two runs, of which the first gets odd."""
    root = tmp_path_factory.mktemp("finished")
    jobs = [make_job(root, level=level) for level in (1.0, 1.3)]
    for job in jobs:
        do(job)
    return jobs[0].runs, jobs[0].store.path.name


@pytest.fixture
def runs(finished, tmp_path):
    runs, odd = finished
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs", odd


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


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("pattern", FILES)
def test_an_odd_file_of_a_run_never_stops_the_others(runs, pattern, step, capsys):
    folder, odd = runs
    (file,) = (folder / odd).glob(pattern)
    for what, content in [*mutations(file.read_bytes())][::step]:
        file.write_bytes(content)
        journal._warn.cache_clear()
        results, left_out = gather(folder, known_protocols(PAPER, ["paper", "clean"]))
        assert {r.path.name for r in results} | {*left_out} == {p.name for p in folder.iterdir()}
        if any(result.path.name == odd for result in results):
            assemble(results, (), left_out)
        states = StoredRuns(folder, 300)
        every = known_protocols(PAPER, ["paper", "clean"])
        status.show([row for store in states.stores for row in states.rows_of(store, every)])
        verify(RunStore(folder / odd), full=True)
        told = capsys.readouterr()
        assert odd in told.out + told.err or "traced" in told.out, what


def test_what_is_stored_fits(runs):
    folder, name = runs
    store = RunStore(folder / name)
    assert shapes.misfit(store.describe(), shapes.Description) is None
    (key,) = store.score_bases()
    assert len(store.records()) == len(store.scores(key)) == len(store.objects(key)) == 4


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        (shapes.Count, [0, 3], [-1, True, 1.0, "3", None, 10**400]),
        (float, [0, -1.5, 3], [True, "x", None, 10**400]),
        (str | None, ["", None], [3, []]),
        (list[shapes.Count], [[], [1]], [[-1], {}, "1", None]),
        (dict[str, float | None], [{}, {"a": None}], [{"a": "x"}, [], None]),
        (shapes.Weights | None, [None, {}, {"mark": "user"}], [{"mark": "best"}, {"name": 3}, []]),
        (shapes.Objects, [OBJECTS], [OBJECTS | {"id": []}, OBJECTS | {"area": ["a"]}, {}]),
        (shapes.Names, [{"data": "a", "more": 3}], [{}, {"data": 3}, {"data": "a", "split": None}]),
    ],
)
def test_types(kind, right, wrong):
    assert all(shapes.misfit(value, kind) is None for value in right)
    assert all(shapes.misfit(value, kind) is not None for value in wrong)


def test_the_entry_that_does_not_fit_is_named():
    row = {"data": "a", "data_card": {"known_images": 3}}
    assert shapes.misfit(row, shapes.Names) == "data_card"
    assert shapes.misfit({"with": {"gpu": 3}}, shapes.AttemptRow) == "with.gpu"


UNSEEN = {
    "run.json": {"seal"},
    "records/*.jsonl": {
        "traceback", "error", "details", "cached", "stages", "memory", "seconds", "stage_memory",
        "warm_up",
    },
    "attempts/*.jsonl": {"writer", "with"},
    "scores/*/basis.json": {"written"},
    "scores/*/*.jsonl": {"aji", "split", "merged"},
    "objects/*/*.jsonl": {"area", "best_iou", "border", "id"},
}  # fmt: skip
"""What a check of a run does not cover without pixels; docs/runs.md says so."""


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("pattern", FILES)
def test_a_check_notices_every_edit_of_what_it_covers(runs, pattern, step):
    folder, odd = runs
    store = RunStore(folder / odd)
    (file,) = store.path.glob(pattern)
    whole = file.read_bytes()
    assert verify(store).faults == []
    for what, content in [*mutations(whole)][::step]:
        file.write_bytes(content)
        journal._warn.cache_clear()
        at = set(what[0]) if isinstance(what, tuple) else {what}
        edited_nothing = parsed(content) == parsed(whole)
        covered = not (at & UNSEEN[pattern] or edited_nothing)
        assert verify(store).faults or not covered, what


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
