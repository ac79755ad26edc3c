"""`format=`: what each action prints for programs, and what it refuses."""

import json

import pytest
from helpers import command_line
from helpers.command_line import main
from helpers.messages import assert_names
from helpers.runs import make_job

from benchmark import console
from benchmark.actions import list as listing
from benchmark.choices import choices

pytestmark = pytest.mark.usefixtures("blank_pictures")
WORDS = ("data=synthetic_few", "data.source.size=64")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("formats")
    for model in ("oracle", "empty"):
        assert main(root, f"model={model}", *WORDS).returncode == 0
    return root


def read(root, *words):
    done = main(root, *words, "format=json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_list_is_json(tmp_path):
    said = read(tmp_path, "action=list")
    models = {model["model"]: model for model in said["models"]}
    assert models.keys() == choices("model").keys()
    apg = {weights["name"]: weights for weights in models["apg"]["weights"]}
    assert apg["vit_b_lm"]["licence"] == "CC-BY-4.0"
    assert models["oracle"]["missing"] == {} and models["oracle"]["devices"] == ["cpu"]
    assert models["precomputed"]["missing"] == {"parameters": ["model.predictions=..."]}
    assert {each["data"] for each in said["data"]} == choices("data").keys()
    assert {each["protocol"] for each in said["protocols"]} == {"paper", "clean"}


def test_the_list_has_a_line_each_at_80_columns(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(console.out, "_width", 80)
    assert listing.perform(make_job(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rows = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    assert rows == [name for group in ("model", "data", "protocol") for name in choices(group)]


def test_the_status_is_json(runs, tmp_path):
    states = {state["model"]: state for state in read(runs, "action=status")}
    assert states.keys() == {"oracle", "empty"}
    oracle = states["oracle"]
    assert (oracle["samples"], oracle["done"], oracle["scored"]) == (8, 8, 8)
    assert oracle["state"] == "done" and oracle["seconds_per_image"] > 0
    assert (runs / "results" / "runs" / oracle["run"]).is_dir()
    assert read(tmp_path, "action=status") == []


def test_the_state_of_a_sweep_is_json(runs):
    words = ("-m", "action=status", "model=oracle,otsu", *WORDS, "limit=3")
    states = {state["model"]: state for state in read(runs, *words)}
    assert (states["oracle"]["state"], states["otsu"]["state"]) == ("done", "to do")
    assert states["otsu"]["run"] is None and states["otsu"]["samples"] == 3


def test_the_tables_of_a_report_are_json(runs):
    tables = {table["name"]: table for table in read(runs, "action=report")}
    written = {path.stem for path in runs.glob("results/reports/paper/tables/*.csv")}
    assert tables.keys() == {"table", *written}
    summary = tables["table"]
    rows = [dict(zip(summary["columns"], row, strict=True)) for row in summary["rows"]]
    assert [(row["model"], row["msa"], row["images"]) for row in rows] == [
        ("oracle", 1.0, 8), ("empty", 0.0, 8),
    ]  # fmt: skip
    assert len(rows[0]["run_id"]) == 64 and summary["notes"]
    assert not (runs / "results" / "reports" / "paper" / "site").exists()


@pytest.mark.parametrize(
    ("words", "has"),
    [
        (("action=list", "format=html"), ["json"]),
        (("action=status", "format=jso"), ["json", "Did you mean"]),
        (("action=report", "format=csv"), ["html", "json"]),
        (("action=export", "format=json", "output=x"), ["labels", "geojson", "csv"]),
        (("action=compare", "format=json"), ["report", "list", "status"]),
    ],
)
def test_other_formats_are_refused_with_those_that_there_are(tmp_path, words, has):
    done = main(tmp_path, *words)
    assert done.returncode == 2, done.stdout
    assert_names(done.stderr, *has)


def test_the_format_of_an_experiment_is_for_its_report(tmp_path):
    done = command_line.main(tmp_path, "+experiment=demo", "action=status")
    assert done.returncode == 0, done.stderr
