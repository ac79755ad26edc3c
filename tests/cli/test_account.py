"""`action=account`: where a method with prompts lost each object, and what reports show of it."""

import csv
import json

import pytest
from helpers.command_line import call
from helpers.runs import environment

from benchmark.scoring.stages import FOUND, OUTCOMES, SUPPRESSION
from benchmark.store.store import RunStore

ADAPTER = '''
"""Bright components, prompted by a point in each."""
from types import SimpleNamespace
import numpy as np
from skimage.measure import label, regionprops

class Mine:
    """Suppresses every third component, and merges without the last."""
    version = 1

    def predict(self, image):
        return self.segment_stages(image).labels

    def maps(self, image):
        return {"brightness": image}

    def segment_stages(self, image):
        parts = label(image > image.mean() + image.std())
        found = regionprops(parts)
        masks = [SimpleNamespace(mask=p.image, row=p.bbox[0], column=p.bbox[1]) for p in found]
        points = np.array([p.coords[len(p.coords) // 2][::-1] for p in found]).reshape(-1, 1, 2)
        kept = np.array([n for n in range(len(found)) if n % 3], int)
        labels = np.where(np.isin(parts, kept[:-1] + 1), parts, 0)
        prompts = SimpleNamespace(points=points, point_labels=None, boxes=None)
        proposed = SimpleNamespace(masks=masks)
        return SimpleNamespace(
            prompts=prompts, first=proposed, refined=None, kept=kept, labels=labels
        )
'''


@pytest.fixture
def benchmark(tmp_path):
    (tmp_path / "own" / "model").mkdir(parents=True)
    (tmp_path / "own" / "model" / "mine.yaml").write_text("name: mine\n_target_: staged.Mine\n")
    (tmp_path / "staged.py").write_text(ADAPTER)

    def run(*words, model="mine"):
        given = [
            "--config-dir", "own", f"model={model}", "data=synthetic",
            "data.source.styles=[fluorescent_nuclei]", "data.source.per_style=6",
            "data.source.size=128", f"results={tmp_path / 'results'}",
            f"datasets={tmp_path / 'datasets'}", *words,
        ]  # fmt: skip
        return call(given, tmp_path, environment=environment())

    return run


def stored(tmp_path):
    """The one run, its key, and its rows of stages and of scores."""
    (folder,) = (tmp_path / "results" / "runs").iterdir()
    store = RunStore(folder)
    (key,) = store.score_bases()
    return store, store.stages(key), store.scores(key)


def test_the_account_adds_up_is_drawn_and_reported(tmp_path, benchmark):
    assert benchmark().returncode == 0
    done = benchmark("action=account")
    assert done.returncode == 0, done.stderr
    store, stages, scores = stored(tmp_path)
    assert stages.keys() == scores.keys() and len(stages) == 6
    missed = sum(row["metrics"]["missed"] for row in scores.values())
    objects = sum(row["n_true"] for row in scores.values())

    folder = store.path / "report" / "account"
    (row,) = csv.DictReader((folder / "stages.csv").open())
    counts = {outcome: int(row[outcome]) for outcome in OUTCOMES}
    assert sum(counts.values()) == int(row["objects"]) == objects
    assert objects - counts[FOUND] == missed > 0
    assert counts[SUPPRESSION] > 0 and counts["lost in merging"] > 0
    assert len(list(folder.glob("worst_*.png"))) == 4
    assert {path.name for path in folder.glob("stages.*")} == {
        f"stages.{suffix}" for suffix in ("csv", "md", "png", "svg")
    }

    assert benchmark("action=report").returncode == 0
    report = tmp_path / "results" / "reports" / "paper"
    (reported,) = csv.DictReader((report / "tables" / "runs_stages.csv").open())
    assert {outcome: int(reported[outcome]) for outcome in OUTCOMES} == counts
    assert (report / "figures" / "stages.png").exists()
    assert benchmark("action=check", "check=full").returncode == 0


def test_running_it_again_stores_nothing_anew_and_keeps_the_run(tmp_path, benchmark):
    benchmark()
    benchmark("action=account")
    store, _, _ = stored(tmp_path)
    records, attempts = store.records(), store.attempts()
    lines = {path: path.read_text() for path in store.path.glob("stages/*/*.jsonl")}
    assert benchmark("action=account").returncode == 0
    assert {path: path.read_text() for path in store.path.glob("stages/*/*.jsonl")} == lines
    assert (store.records(), store.attempts()) == (records, attempts)
    assert len(list((store.path / "report" / "account").glob("worst_*.png"))) == 4


def test_a_label_image_that_is_not_the_stored_one_has_no_account(tmp_path, benchmark):
    benchmark()
    changed = ADAPTER.replace("parts, 0)", "parts + 1, 0)")
    (tmp_path / "staged.py").write_text(changed)
    done = benchmark("action=account", "errors.max_failures=6")
    assert done.returncode == 1 and "is not the stored one" in done.stderr
    assert "Traceback" not in done.stderr
    assert stored(tmp_path)[1] == {}


def test_a_damaged_line_is_passed_over(tmp_path, benchmark):
    benchmark()
    benchmark("action=account")
    store, stages, _ = stored(tmp_path)
    (path,) = store.path.glob("stages/*/*.jsonl")
    first, *rest = path.read_text().splitlines()
    row = json.loads(first)
    row["true"]["kept"] = row["true"]["kept"][1:]  # a column that is too short
    path.write_text("\n".join([json.dumps(row), *rest]) + "\n")
    assert benchmark("action=report").returncode == 0
    assert benchmark("action=account").returncode == 0
    assert stored(tmp_path)[1] == stages


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("otsu", "shows no stages: action=account is for methods with prompts"),
        ("mine", "no prediction of model 'mine'"),
    ],
)
def test_what_it_can_not_account_for_is_said_in_a_line(benchmark, model, message):
    done = benchmark("action=account", model=model)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
