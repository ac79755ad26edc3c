"""What a run or a sweep would take: counted by hand, and nothing is started for it."""

import json
import re
import shutil
import sys
from subprocess import run as run_process
from unittest import mock

import pytest
import yaml
from helpers.command_line import main
from helpers.runs import do, make_job, run
from rich.console import Console

from benchmark.actions import plan
from benchmark.choices import CHECKOUT, CONFIGS
from benchmark.sweeps.estimate import Planned, kept, planned
from benchmark.sweeps.rates import TABLE, Measured, Rates, read_table
from benchmark.sweeps.state import RunState, StoredRuns

WORDS = ("-m", "action=plan", "model=otsu,oracle", "limit=3")


def as_json(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def study(tmp_path, *words):
    return as_json(main(tmp_path, "action=plan", "format=json", *words))


@pytest.mark.parametrize(
    ("state", "device", "expected"),
    [
        (RunState("a", "x", device="cpu", rate=9.0), "auto", (9.0, "cpu")),  # its own
        (RunState("a", "x", device="cpu", rate=9.0), "cuda", (2.0, "cuda")),  # not where it ran
        (RunState("a", "new"), "auto", (2.0, "cuda")),  # the mean of 1 and 3, not the table's 0.5
        (RunState("a (sigma=2)", "new"), "cpu", (9.0, "cpu")),
        (RunState("a", "new"), "mps", (0.5, "mps")),  # of the table, as none ran there
        (RunState("a (sigma=2)", "new"), "mps", None),  # which is of models as their YAMLs are
        (RunState("a", "new", demo=True), "auto", (0.1, "cpu")),
        (RunState("b", "new"), "auto", (4.0, "cuda")),
        (RunState("b", "new"), "cpu", (40.0, "cpu")),
        (RunState("c", "new"), "auto", None),
        (RunState("d (tile=[64,64])", "new"), "auto", (1.0, "cpu")),
        (RunState("d (tile=[32,32])", "new"), "auto", (50.0, "cpu")),
    ],
)
def test_stored_runs_come_before_the_table_by_device(state, device, expected):
    seen = [
        RunState("a", "x", device="cpu", rate=9.0),
        RunState("a", "y", device="cuda", rate=1.0),
        RunState("a", "z", device="cuda", rate=3.0),
        RunState("a", "w"),
        RunState("d (tile=[1,1])", "x", device="cpu", rate=99.0),
        RunState("d (tile=[64,64])", "x", device="cpu", rate=1.0),
    ]
    table = [
        Measured("a", False, "cuda", 0.5, None, "elsewhere"),
        Measured("a", False, "mps", 0.5, None, "elsewhere"),
        Measured("a", True, "cpu", 0.1, None, "elsewhere"),
        Measured("b", False, "cpu", 40.0, None, "elsewhere"),
        Measured("b", False, "cuda", 4.0, None, "elsewhere"),
        Measured("c", False, "", None, 5e6, ""),
    ]
    found = Rates(seen, table).of(state, device)
    assert (found and found[:2]) == expected


def test_the_tables_lines_have_a_source_where_they_have_a_rate():
    table = read_table(TABLE)
    assert table
    for line in table:
        assert line.seconds is not None or line.kept is not None
        assert line.seconds is None or (line.device in ("cpu", "cuda", "mps") and line.source)


def test_the_hours_of_a_plan_are_images_times_seconds(root):
    jobs = [make_job(root)]
    jobs[0].data  # noqa: B018 - prepared, so that its size is known: 4
    table = [Measured("traced", False, "cpu", 900.0, None, "x")]
    (found,) = planned(jobs, StoredRuns(jobs[0].runs, 300), table)
    assert (found.state.samples, found.hours, found.is_prepared) == (4, 1.0, True)
    (found,) = planned(jobs, StoredRuns(jobs[0].runs, 300), [])
    assert found.hours is None


def test_a_plan_counts_what_is_done_and_starts_nothing(tmp_path):
    assert run(tmp_path, "limit=2", model="otsu").returncode == 0
    before = sorted(tmp_path.rglob("*"))
    found = as_json(run(tmp_path, *WORDS, "format=json"))
    assert sorted(tmp_path.rglob("*")) == before
    assert found["data"] == [
        {"data": "synthetic", "images": 3, "files": "prepared", "runs": 2, "done": 0}
    ]
    otsu, oracle = found["methods"]
    assert (otsu["images"], otsu["runs"], otsu["done"], otsu["device"]) == (1, 1, 0, "cpu")
    assert otsu["hours"] == pytest.approx(otsu["seconds_per_image"] / 3600)
    assert otsu["source"] == "this run"
    assert (oracle["images"], oracle["hours"], oracle["source"]) == (3, None, None)
    assert found["hours"] == {"cpu": otsu["hours"]} and found["runs_not_counted"] == 1
    done = as_json(run(tmp_path, *WORDS[:2], "model=otsu", "limit=2", "format=json"))
    assert done["methods"][0]["done"] == 1 and done["hours"] == {"cpu": 0.0}


def test_each_stored_run_counts_once(root):
    do(make_job(root))
    jobs = [make_job(root), make_job(root, seed=1)]
    _, new = planned(jobs, StoredRuns(jobs[0].runs, 300), [])
    assert new.rate.source == "1 stored run"


def test_what_is_gone_is_not_prepared_though_a_run_is_stored(root):
    do(make_job(root))
    shutil.rmtree(root / "datasets")
    (found,) = planned([make_job(root)], StoredRuns(make_job(root).runs, 300), [])
    assert (found.state.samples, found.is_prepared) == (4, False)


@pytest.mark.parametrize("images", ["*.tif", "none/*.png"])
def test_images_that_are_not_there_are_named(tmp_path, images):
    words = ("action=plan", "model=otsu", "data=folder", f"data.images={tmp_path}/{images}")
    found = as_json(main(tmp_path, *words, "format=json"))
    assert [row["files"] for row in found["data"]] == ["not usable"]
    assert f"data.images='{tmp_path}/{images}' matches no file" in main(tmp_path, *words).stderr


def test_the_studys_images_are_those_that_the_cards_know(tmp_path):
    words = ("model=apg", "data=livecell")
    found = study(tmp_path, *words)
    assert found["data"][0] | {"files": ""} == {
        "data": "livecell", "images": 1512, "files": "", "runs": 1, "done": 0,
    }  # fmt: skip
    assert study(tmp_path, *words, "limit=10")["data"][0]["images"] == 10
    assert study(tmp_path, *words, "shard=1/8")["data"][0]["images"] == 189
    for unknown in ("protocol=clean", "data.split=val", "data=puma"):
        assert study(tmp_path, *words, unknown)["data"][0]["images"] is None
    assert any(line.startswith("weights vit_b_lm: ") for line in found["missing"]["apg"])
    assert list(tmp_path.iterdir()) == []


def test_embeddings_are_counted_once_for_methods_of_the_same_weights(tmp_path):
    words = ("-m", "model=sam,musam_amg,apg", "data=u20s,dsb")
    found = {each["weights"]: each for each in study(tmp_path, *words)["embeddings"]}
    sizes = {(line.model, line.demo): line.kept for line in read_table()}
    assert set(found) == {"sam_vit_b", "vit_b_lm"}
    assert found["vit_b_lm"]["models"] == ["musam_amg", "apg"]
    assert found["vit_b_lm"]["bytes"] == sizes["apg", False] > sizes["musam_amg", False]
    assert (found["vit_b_lm"]["images"], found["vit_b_lm"]["largest"]) == (172 + 50, 172)
    job = make_job(tmp_path)
    assert kept([Planned(job, RunState("traced", "x", 4), False, None)], []) == []


def test_methods_whose_sizes_nobody_measured_have_unknown_embeddings(tmp_path):
    with mock.patch.object(plan, "read_table", list):
        (found,) = study(tmp_path, "model=apg", "data=u20s")["embeddings"]
    assert (found["bytes"], found["images"]) == (None, 172)


@pytest.mark.parametrize("action", ["plan", "status"])
@pytest.mark.parametrize("weights", [(), ("model.weights=cpsam",)])
def test_weights_without_published_digests_are_not_fetched(tmp_path, action, weights):
    assert run(tmp_path, model="empty").returncode == 0  # the images are prepared
    fetched = AssertionError("weights were fetched")
    with (
        mock.patch("benchmark.job.fetch_weights", side_effect=fetched),
        mock.patch("models.weights.registry.unavailable_reason", return_value=None),
    ):
        words = ("-m", f"action={action}", "format=json", *weights)
        found = as_json(run(tmp_path, *words, model="cellpose_sam", BENCHMARK_WEIGHTS="nowhere"))
    row = found[0] if action == "status" else found["methods"][0]
    name = "cellpose_sam (cpsam)" if weights else "cellpose_sam"
    assert (row["model"], row["done"]) == (name, 0)


def test_code_of_others_is_not_imported(tmp_path):
    found = as_json(run(tmp_path, "action=plan", "format=json"))
    assert "helpers.segmenters.Traced" in found["missing"]["traced"][0]
    assert found["embeddings"] == []


def test_neither_torch_nor_a_library_is_imported(tmp_path):
    words = ["-m", "model=apg,sam3,cellpose_sam", "data=livecell", "action=plan"]
    places = [f"results={tmp_path / 'results'}", f"datasets={tmp_path / 'datasets'}"]
    code = (
        "import sys\nfrom benchmark.cli.main import main\n"
        f"sys.argv = ['benchmark', *{[*words, *places]}]\nassert main() == 0\n"
        "heavy = {'torch', 'torch_em', 'micro_sam', 'transformers', 'cellpose', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = run_process([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_of_80_columns_shows_it_all(tmp_path):
    words = (*WORDS[:2], "model=apg,musam_ais,cellpose_sam", "data=u20s,puma")
    with mock.patch.object(plan, "out", Console(width=80, highlight=False)):
        done = main(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for row in ("│ puma ", "│ vit_b_histopathology ", "│ cellpose_sam "):
        assert any(line.startswith(row) for line in lines), done.stdout
    assert ">= 172" in done.stdout and "runs: 6, of which 0 are done" in done.stdout


def test_a_device_that_is_named_has_its_own_rates(tmp_path):
    table = [
        Measured("apg", False, "cpu", 20.0, None, "x"),
        Measured("apg", False, "cuda", 2.0, None, "y"),
    ]
    with mock.patch.object(plan, "read_table", lambda: table):
        for word, device, seconds in (
            ("device=auto", "cuda", 2.0),
            ("device=cpu", "cpu", 20.0),
            ("device=mps", None, None),
        ):
            (row,) = study(tmp_path, "model=apg", "data=u20s", word)["methods"]
            assert (row["device"], row["seconds_per_image"]) == (device, seconds)


def test_a_missing_table_is_no_error(tmp_path):
    assert read_table(tmp_path / "none.csv") == []


def test_the_page_of_the_plan_has_the_cards_numbers():
    cards = [yaml.safe_load(path.read_text()) for path in (CONFIGS / "data").glob("*.yaml")]
    known = [(card.get("known_images") or {}).get("test") for card in cards]
    counts = sorted(count for count in known if isinstance(count, int))
    page = (CHECKOUT / "docs" / "study_plan.md").read_text(encoding="utf-8")
    rows = [line.split("|")[2] for line in page.splitlines() if line.startswith("| ")]
    shown = [int(n) for row in rows for n in re.findall(r"[a-zA-Z] (\d+)(?=,| $)", row)]
    assert sorted(shown) == counts
    assert f"is known for {len(counts)}: {sum(counts):,} images." in page
