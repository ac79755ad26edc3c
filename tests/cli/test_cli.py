"""The command line as a person meets it, from any folder."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.command_line import main, main_process
from helpers.messages import assert_names

from benchmark.settings import Action

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def benchmark(tmp_path: Path) -> Run:
    """Runs the command line in a folder that is not the checkout; results stay there too."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return main(tmp_path, *_with_model(words))

    return run


@pytest.fixture
def process(tmp_path: Path) -> Run:
    """The same by `python -m benchmark`, in a process of its own."""

    def run(*words: str, cwd: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        return main_process(tmp_path, *_with_model(words), cwd=cwd)

    return run


def _with_model(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words, with a model: the default loads torch."""
    named = any(word.startswith("model=") or word in ("--help", "-h") for word in words)
    return words if named else ("model=otsu", *words)


def test_otsu_scores_the_real_image_and_names_its_run(benchmark: Run, tmp_path: Path) -> None:
    done = benchmark()
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "results" / "runs").iterdir()
    table = (run / "report" / "table.csv").read_text().splitlines()
    row = dict(zip(table[0].split(","), table[1].split(","), strict=True))
    assert row["run_id"] == json.loads((run / "run.json").read_text())["run_id"]
    assert (row["images"], row["groups"], row["msa_low"]) == ("4", "1", "n/a")
    # Otsu is a modest baseline; far from this, somebody has broken or "improved" something.
    assert float(row["msa"]) == pytest.approx(0.344, abs=0.01)
    assert "0.344" in done.stdout and row["run_id"][:12] in done.stdout
    assert len(list((run / "report" / "overlays").glob("*.png"))) == 4


def test_the_controls_score_one_and_zero(benchmark: Run, tmp_path: Path) -> None:
    for model in ("oracle", "empty"):
        assert benchmark(f"model={model}", "data=nuclei_demo").returncode == 0
    done = benchmark("-m", "model=oracle,empty", "data=nuclei_demo")  # no process: all is done
    assert done.returncode == 0, done.stderr
    tables = (tmp_path / "results" / "runs").glob("*/report/table.csv")
    rows = [row for table in tables for row in csv.DictReader(table.open())]
    found = {row["model"]: row["msa"] for row in rows}
    assert found == {"oracle": "1.0", "empty": "0.0"}
    assert re.search(r"model=oracle .*done.*nuclei_demo.*complete", done.stdout)


def test_said_again_the_same_command_predicts_nothing(benchmark: Run, tmp_path: Path) -> None:
    benchmark("limit=2")
    (records,) = (tmp_path / "results" / "runs").glob("*/records/*.jsonl")
    before = records.read_bytes()
    again = benchmark("limit=2")
    assert again.returncode == 0 and "partial (2 of 4)" in re.sub(r"\s+", " ", again.stdout)
    (same,) = (tmp_path / "results" / "runs").glob("*/records/*.jsonl")
    assert (same, same.read_bytes()) == (records, before)


def test_help_lists_every_choice_with_a_line(benchmark: Run) -> None:
    told = benchmark("--help").stdout
    for name in ("otsu", "oracle", "nuclei_demo", "synthetic", "paper", "clean", "evaluate"):
        assert re.search(rf"^  {name} +\S.+$", told, re.MULTILINE), name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=otsuu"], ("model 'otsuu'", "'otsu'")),
        (["data=nuclei_dem"], ("data 'nuclei_dem'", "'nuclei_demo'")),
        (["protocol=papr"], ("protocol 'papr'", "'paper'")),
        (["modle=otsu"], ("key 'modle'", "'model'")),
        (["model.sigmaa=2"], ("key 'model.sigmaa'", "'model.sigma'")),
        (["errors.max_failure=1"], ("'errors.max_failures'",)),
        (["action=runn"], ("'run'",)),
        (["limit=abc"], ("limit: ", "'abc'")),
        (["limit=0"], ("limit is 0", "1 or more")),
        (["threads=0"], ("threads is 0", "1 or more")),
        (["model.sigma=abc"], ("model.sigma is 'abc'", "a number")),
        (["model.min_distance=2.5"], ("model.min_distance is 2.5",)),
        (["model.sigma=-1"], ("model 'otsu'", "sigma is -1")),
        (["+model.depth=3"], ("model 'otsu'", "'depth'")),
        (["+modle=oracle"], ("key 'modle'", "'model'")),
        (["++foo=1"], ("key 'foo'", "model, data,")),
        (["+data.foo=1"], ("key 'data.foo'", "channels,")),
        (["++protocol.foo=1"], ("key 'protocol.foo'",)),
        (["model=otsu,oracle"], ("model=otsu,oracle",)),
        (["experiment=demo"], ("+experiment=demo",)),
        (["+experiment=nope"], ("  demo ",)),
        (["report=true"], ("report=true", "-m")),
        (["format=html"], ("format=html", "action=report", "report=true")),
        (["=3"], ("'=3'",)),
        (["model=null"], ("model 'null'",)),
        (["-m", "model=otsu,3"], ("model '3'",)),
        (["errors.max_failures=nan"], ("errors.max_failures is nan",)),
        (["errors.max_failures=inf"], ("errors.max_failures is inf",)),
        (["model.sigma=nan"], ("model.sigma is nan", "finite")),
        (["model._target_=models.otsu.Nope"], ("models.otsu.Nope",)),
        (["device=cuda"], ("model 'otsu'", "cpu", "cuda")),
        (["data.split=vall"], ("data.split is 'vall'", "test, val, all")),
        (["data.split=val"], ("split 'val'", "test")),
        (["data=folder"], ("data.images=",)),
        (["model=precomputed"], ("model.predictions=",)),
        (["data=folder", "data.images=no/*.tif", "data.labels=no"], ("data.images='no/*.tif'",)),
        (["protocol.both_empty=one"], ("zero, exclude",)),
        (["errors.max_failures=-1"], ("errors.max_failures is -1.0",)),
        (["foo"], ("'foo'",)),
        (["model={a"], ("'model={a'",)),
        (["action=compare"], ("action=compare", "a=<run>")),
        (["action=report"], ("is scored", "action=evaluate")),
        (
            ["action=report", "protocol=clean"],
            ("protocol 'clean'", "action=evaluate protocol=clean"),
        ),
        (["action=evaluate"], ("model 'otsu'", "data 'nuclei_demo'")),
        (["-m", "model=otsu,foo"], ("model 'foo'",)),
        (["-m", "model=otsu,empty", "seed=x"], ("seed: ", "'x'")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_slip_gets_one_clear_message(
    benchmark: Run, words: list[str], said: tuple[str, ...]
) -> None:
    done = benchmark(*words)
    assert done.returncode == 2, done.stderr
    assert_names(done.stderr, *said)
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr and "HYDRA_FULL_ERROR" not in done.stderr


def test_a_slip_ends_the_process_with_status_2_and_one_message(process: Run) -> None:
    done = process("model=otsuu")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and "Did you mean 'otsu'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_slip_leaves_no_run_behind(benchmark: Run, tmp_path: Path) -> None:
    benchmark("model.sigma=-1")
    assert "no runs" in benchmark("action=status").stderr


def test_patterns_and_regular_expressions_are_taken_as_they_are(
    benchmark: Run, tmp_path: Path
) -> None:
    import numpy as np
    import tifffile

    folder = tmp_path / "it's (1), {2}=x"
    for kind in ("a", "b"):
        (folder / kind).mkdir(parents=True)
        for name in ("m1_t001", "m1_t002", "m2_t001"):
            tifffile.imwrite(folder / kind / f"{name}.tif", np.eye(8, dtype=np.uint8))
    done = benchmark(
        "model=empty",
        "data=folder",
        f"data.images={folder}/a/*.tif",
        f"data.labels={folder}/b/*.tif",
        r"data.group=^(m\d{1,2})_(?:t)",
    )
    assert done.returncode == 0, done.stderr
    assert "n/a (2 groups)" in re.sub(r"\s+", " ", done.stdout)


def test_the_same_images_under_another_name_are_the_same_run(
    benchmark: Run, tmp_path: Path
) -> None:
    import numpy as np
    import tifffile

    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        tifffile.imwrite(tmp_path / kind / "x.tif", np.eye(8, dtype=np.uint8))
    words = ("model=empty", "data=folder", "data.images=a", "data.labels=b")
    assert benchmark(*words).returncode == 0
    records = [path.read_bytes() for path in tmp_path.glob("results/runs/*/records/*")]
    again = benchmark(*words, "data.name=mine")
    assert again.returncode == 0 and "mine" in again.stdout and "folder" not in again.stdout
    assert [path.read_bytes() for path in tmp_path.glob("results/runs/*/records/*")] == records


@pytest.mark.slow
def test_every_action_works_on_what_a_run_left(benchmark: Run, tmp_path: Path) -> None:
    pytest.importorskip("elf", reason="python-elf is not installed")
    benchmark("-m", "model=otsu,empty")
    runs = sorted(path.name for path in (tmp_path / "results" / "runs").iterdir())
    told = {
        action: benchmark(f"action={action}", *words)
        for action, words in {
            "report": [],
            "status": [],
            "list": [],
            "check": [],
            "evaluate": ["reference=elf"],
            "compare": [f"a={runs[1]}", f"b={runs[0]}"],
        }.items()
    }
    assert {action: done.returncode for action, done in told.items()} == dict.fromkeys(told, 0)
    assert "4 samples scored with elf" in told["evaluate"].stdout
    assert "equal to the last bit" in told["evaluate"].stdout
    assert "mean difference +0.344 over 4 samples" in told["compare"].stdout
    assert "2 done" in told["status"].stdout
    assert "4 of 4 samples predicted, 4 scores, 0 faulty" in told["check"].stdout
    report = tmp_path / "results" / "reports" / "paper"
    for name in ("table.csv", "table.md", "table.tex", "figures/msa_per_data_set.png"):
        assert (report / name).stat().st_size > 100, name


def test_another_protocol_scores_stored_predictions_without_the_model(
    benchmark: Run, tmp_path: Path
) -> None:
    benchmark("limit=2")
    records = list((tmp_path / "results" / "runs").glob("*/records/*.jsonl"))
    done = benchmark("action=evaluate", "limit=2", "protocol=clean")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "results" / "runs").glob("*/scores/*/basis.json"))) == 2
    assert list((tmp_path / "results" / "runs").glob("*/records/*.jsonl")) == records


@pytest.mark.slow
def test_a_model_outside_the_repository_needs_a_file_and_a_yaml(
    process: Run, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "class Mine:\n"
        "    def __init__(self, level: int = 1): self.level = level\n"
        "    def predict(self, image): return (image > self.level).astype(np.int64)\n"
    )
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "mine.yaml").write_text(
        "# A model of mine\nname: mine\n_target_: mine.Mine\nlevel: 3\n"
    )
    assert "A model of mine" in process("--config-dir", "own", "--help").stdout
    done = process("--config-dir", "own", "model=mine", "model.level=40", "limit=1")
    assert done.returncode == 0, done.stderr
    assert "mine (level=40)" in done.stdout
    sweep = process("--config-dir", "own", "-m", "model=mine,empty", "limit=1")
    assert sweep.returncode == 0, sweep.stderr


def test_output_to_a_pipe_has_no_control_characters(process: Run) -> None:
    done = process("-m", "model=empty", "limit=1")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", done.stdout + done.stderr)


def test_a_checkout_beside_the_installed_one_is_refused(process: Run, tmp_path: Path) -> None:
    """Its worker processes would import the installed one, and mix two versions."""
    checkout = Path(__file__).parents[2]
    other = tmp_path / "other"
    for name in ("benchmark", "models", "configs"):
        shutil.copytree(checkout / name, other / name, ignore=shutil.ignore_patterns("packaged"))
    done = process("action=list", cwd=other)
    assert done.returncode == 2 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert str(checkout) in line and line.endswith(f"pip install -e {other}")
    assert process("action=list", cwd=checkout).returncode == 0


@pytest.mark.parametrize("action", [action.name for action in Action])
def test_an_unknown_metric_is_refused_by_every_action(benchmark: Run, action: str) -> None:
    for flags in ([], ["-m"]):
        done = benchmark(*flags, f"action={action}", "metric=zz", "data=synthetic_few")
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: there is no metric 'zz'")
