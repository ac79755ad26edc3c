"""What is JSON and yet not what a run wrote: passed over where it is a line, named where a file."""

import json

import pytest
from helpers.runs import PROTOCOLS, SAMPLES, do, make_job

from benchmark.errors import StoreError
from benchmark.report.results import gather
from benchmark.scoring.protocol import Protocol
from benchmark.store.record import Record
from benchmark.store.store import RunStore
from benchmark.sweeps.state import StoredRuns

PAPER = Protocol(**PROTOCOLS["paper"])


@pytest.fixture
def done(root):
    job = make_job(root)
    do(job)
    return job


@pytest.mark.parametrize("kind", ["records", "attempts", "scores", "objects"])
@pytest.mark.parametrize("line", ['{"foo":1}', '{"sample":"x"}', "{}"])
def test_a_line_that_lacks_what_it_should_tell_is_passed_over(done, kind, line, capsys):
    path = next(done.store.path.glob(f"{kind}/**/*.jsonl"))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], f"{line}\n", *lines[1:]]))
    store = RunStore(done.store.path)
    assert set(store.records()) == set(store.scores(done.score_key)) == set(SAMPLES)
    assert set(store.objects(done.score_key)) == set(SAMPLES)
    assert len(store.attempts()) == 1 and not store.is_mixed()
    ((result,), left_out) = gather(done.runs, PAPER)
    assert result.status == "complete" and left_out == {}
    said = " ".join(capsys.readouterr().err.split())
    assert f"{path.name}, line 2, is damaged" in said


def test_what_a_newer_version_tells_of_a_sample_is_passed_over(done):
    (path,) = done.store.path.glob("records/*.jsonl")
    before = done.store.records()
    rows = [json.loads(line) | {"joules": 3} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert done.store.records() == before
    assert Record.of_row({"sample": "s", "status": "done", "attempt": 1, "joules": 3}) == Record(
        "s", "done", 1
    )


@pytest.mark.parametrize("place", ["run.json", "scores/*/basis.json"])
@pytest.mark.parametrize("content", ['{"a": 1}', "[1]", '{"run_id": "0", "identity": 1}'])
def test_a_file_that_lacks_what_it_should_tell_is_one_clear_message(done, place, content):
    (path,) = done.store.path.glob(place)
    path.write_text(content)
    with pytest.raises(
        StoreError, match=rf"{path.name} can't be read .*missing.* Repeat the command"
    ):
        done.store.describe()
        done.store.score_bases()


def test_a_run_json_that_does_not_say_on_what_images_is_damaged(done):
    described = done.store.describe()
    del described["identity"]["images"]
    (done.store.path / "run.json").write_text(json.dumps(described))
    with pytest.raises(StoreError, match=r"missing.*identity\.images"):
        done.store.describe()


@pytest.mark.parametrize("place", ["run.json", "scores/*/basis.json"])
@pytest.mark.parametrize("content", ['{"a": 1}', "{"])
def test_a_report_goes_on_with_the_other_runs_and_names_the_damaged_one(
    done, place, content, capsys
):
    other = make_job(done.runs.parents[1], level=1.3)
    do(other)
    (path,) = done.store.path.glob(place)
    path.write_text(content)
    (result,), left_out = gather(done.runs, PAPER)
    assert result.path == other.store.path
    assert left_out == {done.store.path.name: "a file of it is damaged"}
    assert f"warning: {path} can't be read" in " ".join(capsys.readouterr().err.split())


def test_runs_are_listed_without_the_damaged_one_which_is_named(done, capsys):
    other = make_job(done.runs.parents[1], level=1.3)
    do(other)
    path = done.store.path / "run.json"
    path.write_text('{"a": 1}')
    ((store, described),) = RunStore.readable(done.runs)
    assert store.path == other.store.path and described == other.store.describe()
    assert f"warning: {path} can't be read" in " ".join(capsys.readouterr().err.split())


def test_status_names_a_damaged_run_and_goes_on_with_the_others(root, capsys):
    do(make_job(root))
    broken = make_job(root, level=2.0)
    do(broken)
    (broken.store.path / "run.json").write_text('{"a": 1}')
    study = StoredRuns(root / "results" / "runs", 300)
    assert [store.path for store in study.stores] == [make_job(root).store.path]
    assert str(broken.store.path / "run.json") in capsys.readouterr().err
