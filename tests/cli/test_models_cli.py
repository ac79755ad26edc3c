"""The methods of the study on the command line, as a person without weights meets them, and as
a person with weights does: random ones, which no report shows."""

import csv
import importlib
import importlib.util
import json
import re
import shutil

import pytest
from helpers import command_line
from helpers.runs import HELPERS, environment

METHODS = [
    "sam", "sam2", "sam3", "cellpose_sam", "cellpose_dino", "cellpose3",
    "cellsam", "stardist", "instanseg",
    "musam_amg", "musam_ais", "apg", "apg_boundary",
]  # fmt: skip
SMALL = {  # adapter in small -> the module that makes its checkpoint
    "small_sam": "small_musam",
    "small_musam_amg": "small_musam",
    "small_musam_ais": "small_musam",
    "small_apg": "small_musam",
    "small_apg_boundary": "small_musam",
    "small_sam2": "small_sam2",
    "small_sam3": "small_sam3",
    "small_cellpose_sam": "small_cellpose",
    "small_cellpose_dino": "small_cellpose_dino",
}


def benchmark(root, *words, run=command_line.main_process, **more):
    """Run the command line below `root`, with nobody's caches and tokens."""
    own = {"HOME": str(root / "home"), "BENCHMARK_WEIGHTS": str(root / "weights")}
    given = {k: v for k, v in environment(**own, **more).items() if k not in _TOKENS}
    return run(root, *words, without=_TOKENS, **given)


_TOKENS = ("HF_TOKEN", "HF_HOME", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HUGGING_FACE_HUB_TOKEN",
           "HUGGINGFACE_HUB_CACHE", "DEEPCELL_ACCESS_TOKEN", "XDG_CACHE_HOME",
           "MICROSAM_CACHEDIR", "CELLPOSE_LOCAL_MODELS_PATH")  # fmt: skip


@pytest.mark.slow
def test_a_sweep_over_all_methods_without_weights_is_skipped_cells(tmp_path):
    done = benchmark(tmp_path, "-m", f"model={','.join(METHODS)}", "data=nuclei_demo")
    assert done.returncode == 1, done.stderr
    rows = re.findall(r"│ model=(\w+) +│ (\w+) ", done.stdout)
    assert rows == [(name, "skipped") for name in METHODS], done.stdout
    # What several share is said once.
    lines = re.findall(
        r"^model=(\w+)(?: and (\d+) more)?: skipped: (.*)$", done.stderr, re.MULTILINE
    )
    assert sum(1 + int(more or 0) for _, more, _ in lines) == len(METHODS), done.stderr
    assert "Traceback" not in done.stderr
    reasons = {name: reason for name, _, reason in lines}
    for name, reason in reasons.items():
        kind, _, remedy = reason.partition(": ")
        assert kind in ("weights unavailable", "library missing"), reason
        assert re.search(
            r"curl -L -o|hf auth login|export DEEPCELL_ACCESS_TOKEN|pip install", remedy
        )
        assert kind == "library missing" or name not in ("cellpose3",)
    # Nothing was prepared, downloaded or begun for them; that they were skipped is kept.
    left = {path.name for path in (tmp_path / "results" / "runs").iterdir()}
    assert left == {f"{name}-nuclei_demo.skipped.json" for name in METHODS}
    assert not (tmp_path / "datasets").exists() and not (tmp_path / "weights").exists()


def test_the_list_says_what_each_method_needs(tmp_path):
    done = benchmark(tmp_path, "action=list", run=command_line.main)
    assert done.returncode == 0, done.stderr
    for name in METHODS:
        assert re.search(rf"│ {name} +│", done.stdout), name
    for fact in (
        "vit_b_lm", "CC-BY-4.0", "SAM",
        "cuda, mps, cpu", "oracle", "nuclei_demo", "paper",
    ):  # fmt: skip
        assert fact in done.stdout, fact
    assert "apg: weights vit_b_lm: downloaded at the first run (413 MB)" in done.stderr
    if importlib.util.find_spec("huggingface_hub"):  # else the library is named first
        assert re.search(r"sam3: weights sam3: .*hf auth login", done.stderr)
    assert re.search(r"cellpose3: library: .*configs/environment/cellpose3.txt", done.stderr)


def test_the_list_finds_files_that_are_here(tmp_path):
    for name in ("vit_b_lm", "vit_b_lm_decoder"):
        (tmp_path / name).touch()
    done = benchmark(tmp_path, "action=list", f"weights_dir={tmp_path}", run=command_line.main)
    assert "vit_b_lm: verified" in done.stdout  # the mark that a run will carry


@pytest.mark.slow
@pytest.mark.parametrize("model", SMALL)
def test_every_installed_method_runs_from_a_path_and_no_report_shows_it(tmp_path, model):
    module = pytest.importorskip(f"helpers.{SMALL[model]}")
    path = tmp_path / "random.pt"
    made = module.make_checkpoint(path)
    words = ["--config-dir", str(HELPERS / "configs"), f"model={model}", "data=nuclei_demo"]
    chosen = f"model.weights={made if made is not None else path}"
    done = benchmark(tmp_path, *words, chosen)
    assert done.returncode == 0, done.stderr[-3000:]
    (run,) = (tmp_path / "results" / "runs").iterdir()
    assert json.loads((run / "run.json").read_text())["weights"]["mark"] == "untrained"
    (journal,) = (run / "records").iterdir()
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [record["status"] for record in records] == ["done"] * 4
    assert [record["warm_up"] for record in records] == [True, False, False, False]
    assert all(record["stages"] and record["details"]["reproducible"] for record in records)
    assert "mSA" not in done.stdout + done.stderr and not (run / "report").exists()
    report = benchmark(tmp_path, "action=report")
    assert report.returncode == 2 and "no run in" in report.stderr


@pytest.mark.slow
def test_beside_a_real_result_random_weights_stay_out_of_every_table(tmp_path):
    module = importlib.import_module("helpers.small_musam")
    pytest.importorskip("micro_sam", reason='needs micro-sam: pip install -e ".[models]"')
    module.make_checkpoint(tmp_path / "random.pt")
    words = ["--config-dir", str(HELPERS / "configs"), "data=nuclei_demo", "limit=1"]
    for more in (["model=otsu"], ["model=small_apg", f"model.weights={tmp_path / 'random.pt'}"]):
        assert benchmark(tmp_path, *words, *more).returncode == 0
    assert benchmark(tmp_path, "action=report").returncode == 0
    table = tmp_path / "results" / "reports" / "paper" / "table.csv"
    assert [row["model"] for row in csv.DictReader(table.open())] == ["otsu"]
    assert benchmark(tmp_path, "action=compare", "a=otsu", "b=small_apg").returncode == 2


class Trap:
    """Loading it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (shutil.copyfile, (__file__, str(self.path)))


@pytest.mark.slow
def test_a_checkpoint_that_would_execute_code_runs_only_when_that_is_asked_for(tmp_path):
    torch = pytest.importorskip("torch", reason='needs torch: pip install -e ".[models]"')
    pytest.importorskip("micro_sam", reason='needs micro-sam: pip install -e ".[models]"')
    path, trap = tmp_path / "hostile.pt", tmp_path / "sprung"
    importlib.import_module("helpers.small_musam").make_checkpoint(path)
    torch.save(torch.load(path) | {"trainer": Trap(trap)}, path)
    words = ["--config-dir", str(HELPERS / "configs"), "data=nuclei_demo", "limit=1"]
    words += ["model=small_musam_ais", f"model.weights={path}"]
    refused = benchmark(tmp_path, *words)
    assert refused.returncode == 1 and not trap.exists()
    (error,) = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    for word in (str(path), "shutil.copyfile", "weights_unsafe=true", "sha256:"):
        assert word in error
    assert "Traceback" not in refused.stderr
    assert not list((tmp_path / "results" / "runs").glob("*/run.json"))  # before the first image
    asked_for = benchmark(tmp_path, *words, "weights_unsafe=true")
    assert asked_for.returncode == 0 and trap.exists(), asked_for.stderr
