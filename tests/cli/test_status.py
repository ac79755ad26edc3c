"""How far a study is, and what remains of it: read from the disk, by arithmetic done by hand."""

import json
import re
import shutil
from pathlib import Path

import pytest
from helpers.command_line import main
from helpers.runs import SAMPLES, do, environment, make_job, run

from benchmark.actions.status import show
from benchmark.store import lease as lease_module
from benchmark.store.record import Record
from benchmark.store.shard import WHOLE
from benchmark.store.shard_lease import Holder
from benchmark.store.store import RunStore
from benchmark.sweeps.rates import remaining_hours
from benchmark.sweeps.state import RunState, StoredRuns

CHECKOUT = Path(__file__).parents[2]
SOMEBODY = Holder(WHOLE, "process 7 on host a (since ...)", "a", 90.0)


@pytest.mark.parametrize(
    ("state", "word", "remaining"),
    [
        (RunState("m", "d"), "to do", 0),  # not prepared yet: nobody knows how many
        (RunState("m", "d", 4), "to do", 4),
        (RunState("m", "d", 4, done=4), "done", 0),
        (RunState("m", "d", 4, done=1), "partial", 3),
        (RunState("m", "d", 4, done=1, failed=2), "failed", 1),
        (RunState("m", "d", 4, done=1, holders=[SOMEBODY]), "running", 3),
        (RunState("m", "d", 4, unavailable="no weights"), "skipped", 0),
        (RunState("m", "d", 4, done=4, unavailable="no weights"), "done", 0),
    ],
)
def test_what_a_state_is_called_and_what_remains_of_it(state, word, remaining):
    assert (state.state, state.remaining) == (word, remaining)


def test_what_remains_in_device_hours_by_the_rates_seen_so_far():
    states = [
        RunState("a", "x", 100, done=40, device="cuda", rate=6.0),  # 60 x 6 s: 0.1 h
        RunState("a (sigma=2)", "y", 100, done=100, device="cuda", rate=18.0),
        RunState("a", "z", 600),  # none of its own: that of equal parameters: 600 x 6 s: 1 h
        RunState("b", "x", 10, done=5, device="cpu", rate=720.0),  # 5 x 720 s: 1 h
        RunState("c", "x", 10),  # never seen
        RunState("a", "w"),  # not prepared
        RunState("c", "y", 10, unavailable="no library"),
    ]
    hours, unknown = remaining_hours(states)
    assert hours == pytest.approx({"cuda": 1.1, "cpu": 1.0})
    assert [(state.model, state.data) for state in unknown] == [("c", "x"), ("a", "w")]


def test_of_two_devices_the_faster_one_is_reckoned_with():
    seen = [
        RunState("a", "x", 1, done=1, device="cpu", rate=100.0),
        RunState("a", "x", 1, done=1, device="cuda", rate=1.0),
    ]
    assert remaining_hours([*seen, RunState("a", "y", 3600)])[0] == pytest.approx({"cuda": 1.0})


def test_the_rate_leaves_out_the_first_prediction_after_loading(root):
    job = make_job(root)
    with job.store.writing(job.describe(), dict) as writer:
        for sample, seconds, warm_up in zip(
            SAMPLES, (90.0, 2.0, 4.0), (True, False, False), strict=False
        ):
            writer.append(Record(sample, "done", 1, "0", seconds, warm_up=warm_up))
    (state,) = (StoredRuns(job.runs, 300).of_run(store) for store in RunStore.all(job.runs))
    assert (state.rate, state.done, state.samples) == (3.0, 3, 4)


def test_a_jobs_state_counts_what_it_asks_for_under_its_protocol(root):
    do(make_job(root, limit=3))

    def state(**changes):
        job = make_job(root, **changes)
        return StoredRuns(job.runs, 300).of_job(job)

    assert (state().state, state().done, state().samples) == ("partial", 3, 4)
    assert state(limit=2).is_complete and state(limit=3, shard="1/2").is_complete
    assert state(seed=1).state == "to do" and state(level=1.1).state == "to do"
    assert state(protocol="clean").done == 0  # predicted, but not scored
    assert state(limit=2).store.path == make_job(root).store.path


def test_the_state_of_what_was_never_prepared_prepares_nothing(tmp_path):
    job = make_job(tmp_path)
    expected = RunState("traced", "drawn", protocol="paper")
    assert StoredRuns(job.runs, 300).of_job(job) == expected
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_prepared_data_is_gone_is_found_by_its_names(root):
    do(make_job(root))
    shutil.rmtree(root / "datasets")
    job = make_job(root)
    state = StoredRuns(job.runs, 300).of_job(job)
    assert state.is_complete and state.store.path.name.startswith("traced-drawn-")


def test_who_works_on_a_run_is_told_with_host_and_age(tmp_path):
    assert run(tmp_path, "limit=2").returncode == 0
    (store,) = RunStore.all(tmp_path / "results" / "runs")
    place = store.path / "lease" / "2-of-8"
    place.mkdir()
    holder = lease_module._this_process() | {"host": "node7", "since": "2020-01-01 00:00:00 +0000"}
    (place / "00000001.json").write_text(json.dumps(holder))
    finished = run(tmp_path, "action=status")
    assert finished.returncode == 0
    told = rf"running; process {holder['pid']} on host node7, for [0-9.]+ h, shard 2/8"
    assert re.search(told, finished.stdout), finished.stdout
    assert "1 running" in finished.stdout


def test_the_status_of_a_sweep_is_one_table_over_its_cells_and_starts_nothing(tmp_path):
    trace = tmp_path / "trace"
    run(tmp_path, "limit=3", TRACE=str(trace))
    before = trace.read_text()
    words = ("-m", "model=traced,oracle,homeless", "action=status")
    finished = run(tmp_path, *words, TRACE=str(trace))
    assert finished.returncode == 0, finished.stderr
    for row in (
        r"traced-synthetic-\w{12} +│ traced +│ synthetic │ paper +│ 4 +│ 3 +│ +│ 0 +│ partial",
        r"│ oracle +│ synthetic │ paper +│ 4 +│ 0 +│ +│ 0 +│ to do",
        r"│ homeless +│ synthetic │ paper +│ 4 +│ 0 +│ +│ 0 +│ to do",
    ):
        assert re.search(row, finished.stdout), finished.stdout
    assert "1 partial, 2 to do" in finished.stdout
    assert "remaining: " in finished.stdout and "not counted: 2 runs of homeless, oracle" in (
        finished.stdout
    )
    assert "not imported: helpers.segmenters.Homeless, helpers.segmenters.Traced" in finished.stderr
    assert trace.read_text() == before
    assert not list(tmp_path.glob("results/sweeps/2*"))


def test_what_cant_run_is_shown_with_its_reason(capsys):
    show([RunState("cellsam", "y", 4, unavailable="library missing: x"), RunState("otsu", "y", 4)])
    shown = capsys.readouterr()
    assert "1 skipped, 1 to do" in shown.out
    assert "skipped: 1 of cellsam: library missing: x" in shown.err


@pytest.mark.slow
def test_the_whole_study_is_one_table_with_pathosam_for_histopathology(tmp_path):
    nowhere = environment(BENCHMARK_WEIGHTS=str(tmp_path / "none"))
    finished = main(tmp_path, "+experiment=paper", "action=status", **nowhere)
    assert finished.returncode == 0, finished.stderr
    rows = [re.split(" *│ *", line)[2:4] for line in finished.stdout.splitlines() if "│" in line]
    published = CHECKOUT / "tests" / "study" / "protocols.csv"
    names = {line.partition(",")[0] for line in published.read_text().splitlines()[1:]}
    assert len(rows) == 9 * 36 and {data for _, data in rows} == names


def test_an_experiment_chooses_and_the_command_line_chooses_otherwise(tmp_path):
    words = ("action=status", "+experiment=demo", "model=oracle,otsu")
    finished = main(tmp_path, *words, **environment())
    assert finished.returncode == 0, finished.stderr
    rows = [re.split(" *│ *", line)[2:4] for line in finished.stdout.splitlines() if "│" in line]
    assert rows == [
        [model, data] for model in ("oracle", "otsu") for data in ("nuclei_demo", "synthetic_few")
    ]
