"""One odd run never stops the others: each entry of each file of a run, edited in every way."""

import os
import shutil

import pytest
from helpers.mutations import FILES, UNSEEN, is_covered, leave_files, mutations, read_all
from helpers.runs import do, make_job

from benchmark.store import journal, shapes
from benchmark.store.store import RunStore
from benchmark.verify import verify

OBJECTS = {"id": [3], "area": [9], "best_iou": [0.5], "border": [0]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of two runs, of which the first gets odd."""
    root = tmp_path_factory.mktemp("finished")
    jobs = [make_job(root, level=level) for level in (1.0, 1.3)]
    for job in jobs:
        do(job)
    leave_files(jobs[0].store.path)
    return jobs[0].runs, jobs[0].store.path.name


@pytest.fixture
def runs(finished, tmp_path):
    runs, odd = finished
    shutil.copytree(runs, tmp_path / "runs")
    return tmp_path / "runs", odd


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("pattern", FILES)
def test_an_odd_file_of_a_run_never_stops_the_others(runs, pattern, step, capsys):
    folder, odd = runs
    (file,) = (folder / odd).glob(pattern)
    for what, content in [*mutations(file.read_bytes())][::step]:
        file.write_bytes(content)
        shown, left_out = read_all(folder, odd)
        assert shown | left_out == {path.name for path in folder.iterdir()}
        verify(RunStore(folder / odd), full=True)
        printed = capsys.readouterr()
        assert odd in printed.out + printed.err or "traced" in printed.out, what


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("pattern", [*FILES, "predictions/*.tif"])
def test_a_pipe_in_place_of_a_file_of_a_run_stops_nothing(runs, pattern):
    folder, odd = runs
    for file in (folder / odd).glob(pattern):
        file.unlink()
        os.mkfifo(file)
    shown, left_out = read_all(folder, odd)
    assert shown | left_out == {path.name for path in folder.iterdir()}
    store = RunStore(folder / odd)
    if pattern.startswith("predictions"):
        assert not any(store.holds(record) for record in store.records().values())


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


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("pattern", UNSEEN)
def test_a_check_notices_every_edit_of_what_it_covers(runs, pattern, step):
    folder, odd = runs
    store = RunStore(folder / odd)
    (file,) = store.path.glob(pattern)
    whole = file.read_bytes()
    assert verify(store).faults == []
    for what, content in [*mutations(whole)][::step]:
        file.write_bytes(content)
        journal._warn.cache_clear()
        assert verify(store).faults or not is_covered(pattern, what, content, whole), what
