"""Choosing parameters: grids, a search that resumes, what it writes, and what it refuses."""

import json
from collections import Counter

import numpy as np
import pytest
import tifffile
import yaml
from helpers.command_line import call, main, main_process
from helpers.runs import journals

from benchmark.choices import CONFIGS, choices
from benchmark.data.sources.synthetic import draw
from benchmark.tuning.grid import make_grid
from benchmark.tuning.words import override_value

OWN = '''
import os
import signal
from pathlib import Path

from scipy import ndimage

HERE = Path(__file__).parent


class Mine:
    """Connected bright regions, of a size."""

    def __init__(self, level: float = 30.0, smallest: int = 0):
        self.level, self.smallest = level, smallest

    def predict(self, image):
        with (HERE / "trace").open("a") as file:
            file.write(f"{image.mean():.6f} {self.level} {self.smallest}\\n")
        if len((HERE / "trace").read_text().splitlines()) == KILLED_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        labels = ndimage.label(image > self.level * image.mean())[0]
        for number in range(1, labels.max() + 1):
            if (labels == number).sum() < self.smallest:
                labels[labels == number] = 0
        return labels
'''
DATA = (
    "data=synthetic", "data.source.styles=[fluorescent_nuclei]", "data.source.per_style=2",
    "data.source.val_per_style=6", "data.source.size=64", "data.source.seed=1",
)  # fmt: skip
GRID = "tune.grid={level:[1.0,1.5],smallest:[0,5]}"
TUNE = ("--config-dir", "own", "action=tune", "model=mine", *DATA, GRID)


@pytest.fixture
def mine(tmp_path):
    """A stranger's adapter, and its YAML."""
    (tmp_path / "stranger.py").write_text(OWN.replace("KILLED_AT", "-1"))
    (tmp_path / "own" / "model").mkdir(parents=True)
    yaml_file = tmp_path / "own" / "model" / "mine.yaml"
    yaml_file.write_text("name: mine\n_target_: stranger.Mine\n")
    return tmp_path


def traced(root):
    return [tuple(line.split()) for line in (root / "trace").read_text().splitlines()]


def choice_in(root, name="msa-safe"):
    (folder,) = root.glob(f"results/tuning/mine-synthetic-*/{name}")
    return folder, json.loads((folder / "choice.json").read_text())


def test_a_strangers_adapter_is_tuned_on_val_images_and_its_yaml_runs(mine):
    done = main(mine, *TUNE)
    assert done.returncode == 0, done.stderr
    folder, choice = choice_in(mine)
    assert choice["images"] == 6 and choice["default"] == {"level": 30.0, "smallest": 0}
    rows = journals(mine / "results" / "tuning", "images")
    assert len(rows) == 6 and {len(row["points"]) for row in rows} == {5}
    assert len(traced(mine)) == 30
    # The gain over a level that finds nothing is real; of equally good points the nearest is taken.
    assert choice["lower"] > 0 and choice["safe_lower"] > 0
    assert choice["best"] == {"level": 1.5, "smallest": 5}
    assert choice["chosen"] == {"level": 1.5, "smallest": 0}
    assert "val image" in (folder / "table.md").read_text()
    chosen = choice["chosen"]
    words = next(line for line in done.stdout.splitlines() if line.startswith("chosen: "))
    assert f"+model.level={chosen['level']}" in words.split()
    stored = yaml.safe_load((folder / "model" / "mine_tuned.yaml").read_text())
    assert stored == {"name": "mine_tuned", "_target_": "stranger.Mine", **{
        name: value for name, value in chosen.items() if value != choice["default"][name]
    }}  # fmt: skip
    ran = main(mine, "--config-dir", str(folder), "model=mine_tuned", "data.split=val", *DATA)
    assert ran.returncode == 0, ran.stderr
    (scores,) = mine.glob("results/runs/*/scores/*/")
    found = {row["sample"]: row["metrics"]["msa"] for row in journals(scores.parent, scores.name)}
    number = {(1.0, 0): 1, (1.0, 5): 2, (1.5, 0): 3, (1.5, 5): 4}[
        chosen["level"], chosen["smallest"]
    ]
    assert found == {row["sample"]: row["metrics"]["msa"][row["points"][number]] for row in rows}


def test_another_metric_rule_or_limit_predicts_nothing_again(mine):
    assert main(mine, *TUNE, "tune.limit=4").returncode == 0
    assert choice_in(mine)[1]["chosen"] == choice_in(mine)[1]["default"]  # four groups
    assert len(traced(mine)) == 20
    assert main(mine, *TUNE, "tune.rule=best", "tune.metric=pq").returncode == 0
    assert len(traced(mine)) == 30 and choice_in(mine, "pq-best")[1]["images"] == 6
    assert main(mine, *TUNE, "tune.limit=5").returncode == 0
    assert len(traced(mine)) == 30 and choice_in(mine)[1]["images"] == 5
    assert main(mine, *TUNE, "overwrite=all").returncode == 0
    assert len(traced(mine)) == 60


def test_a_search_that_was_killed_goes_on_with_the_image(mine):
    (mine / "stranger.py").write_text(OWN.replace("KILLED_AT", "13"))
    environment = {"PYTHONPATH": str(mine), "OMP_NUM_THREADS": "1"}
    killed = main_process(mine, *TUNE, **environment)
    assert killed.returncode < 0
    assert len(journals(mine / "results" / "tuning", "images")) == 2
    done = main_process(mine, *TUNE, **environment)
    assert done.returncode == 0, done.stderr
    rows = journals(mine / "results" / "tuning", "images")
    assert sorted(Counter(row["sample"] for row in rows).values()) == [1] * 6
    twice = {image for (image, *_), count in Counter(traced(mine)).items() if count > 1}
    assert len(twice) == 1  # the one that was being searched
    (folder,) = mine.glob("results/tuning/*")
    whole = [f"results={mine / 'whole'}", f"datasets={mine / 'datasets'}"]
    assert call([*TUNE, *whole], mine).returncode == 0
    (again,) = mine.glob("whole/tuning/*/msa-safe/choice.json")
    assert json.loads(again.read_text()) == json.loads(
        (folder / "msa-safe" / "choice.json").read_text()
    )


def test_an_edited_adapter_or_grid_is_another_search(mine):
    assert main(mine, *TUNE, "tune.limit=1").returncode == 0
    assert main(mine, *TUNE[:-1], "tune.grid={level:[1.0]}", "tune.limit=1").returncode == 0
    (mine / "stranger.py").write_text(OWN.replace("KILLED_AT", "-2"))
    assert main(mine, *TUNE, "tune.limit=1").returncode == 0
    assert len(list(mine.glob("results/tuning/*"))) == 3


def test_a_grid_of_ones_own_is_a_file_that_names_the_class(mine):
    (mine / "own" / "grid").mkdir()
    (mine / "own" / "grid" / "few.yaml").write_text("stranger.Mine: {level: [1.0, 1.5]}\n")
    done = main(mine, *TUNE[:-1], "tune.grid=few", "tune.limit=1")
    assert done.returncode == 0, done.stderr
    assert [level for _, level, _ in traced(mine)] == ["30.0", "1.0", "1.5"]
    (mine / "own" / "grid" / "few.yaml").write_text("stranger.Mine: {level: 1.0}\n")
    done = main(mine, *TUNE[:-1], "tune.grid=few")
    assert done.returncode == 2 and "it must be a list of values" in done.stderr


def test_images_that_fail_are_counted_and_tried_again(mine):
    failing = OWN.replace("return labels", "return labels / (len(traced()) > 3)").replace(
        "KILLED_AT", "-1"
    )
    (mine / "stranger.py").write_text(failing.replace("traced()", "(HERE / 'trace').read_text()"))
    done = main(mine, *TUNE)
    assert done.returncode == 1 and "not integers" in done.stderr
    assert not list(mine.glob("results/tuning/*/msa-safe"))
    (mine / "stranger.py").write_text(OWN.replace("KILLED_AT", "-1"))
    assert main(mine, *TUNE).returncode == 0


def test_of_ones_own_images_those_that_are_given_choose(mine):
    image, labels = draw("fluorescent_nuclei", 0, seed=0, size=64)[:2]
    for name, array in (("a", image), ("b", labels.astype(np.uint16))):
        (mine / name).mkdir()
        tifffile.imwrite(mine / name / "one.tif", array)
    tifffile.imwrite(mine / "a" / "without_labels.tif", image)
    own = (f"data.images={mine}/a/*.tif", f"data.labels={mine}/b/*.tif")
    done = main(mine, *TUNE[:4], *own, GRID)
    assert done.returncode == 0 and "tuned on 1 image of a" in done.stdout, done.stderr
    assert "1 of 2 images have no labels" in done.stderr and len(traced(mine)) == 5


REFUSED = {
    "tune.grid={size:[1]}": "names 'size'; it can name: level, smallest",
    "tune.grid={level:[]}": "it must be a list of values",
    "tune.grid={level:2}": "it must be a list of values",
    "tune.grid={level:[high]}": "it must be a number",
    "tune.grid={}": "tune.grid is empty",
    "tune.grid=defualt": "there is no grid 'defualt'. Did you mean 'default'?",
    "tune.grid=study": "has no parameters for stranger.Mine",
    "tune.limit=0": "tune.limit is 0",
    "tune.metric=zz": "there is no metric 'zz'",
    "tune.rule=zz": "zz",
    "data.split=test": "images that are tested never choose",
    "data.split=all": "images that are tested never choose",
    "tune.folds=1": "tune.folds is 1",
    "tune.grid={level:[inf]}": "it must be a list of values",
    "shard=1/2": "has no shards",
}


@pytest.mark.parametrize("word", REFUSED)
def test_a_mistake_is_refused_before_anything_is_predicted(mine, word):
    words = TUNE[:-1] if word.startswith("tune.grid") else TUNE
    done = main(mine, *words, word)
    assert done.returncode == 2 and REFUSED[word] in done.stderr
    assert "Traceback" not in done.stderr and not (mine / "trace").exists()
    assert not list(mine.glob("results/tuning/*"))


def test_options_of_tuning_belong_to_it_and_controls_have_nothing_to_tune(tmp_path):
    done = main(tmp_path, "model=otsu", "data=synthetic_few", "tune.limit=3")
    assert done.returncode == 2 and "belong to action=tune" in done.stderr
    done = main(tmp_path, "action=tune", "model=oracle", "data=synthetic_few", "tune.grid={a:[1]}")
    assert done.returncode == 2 and "can't be tuned" in done.stderr


def test_the_default_is_a_point_and_so_is_each_combination_once():
    grid = make_grid({"a": [1, 2, 2.0], "b": [True, False]}, {"a": 1.5, "b": True})
    assert grid.points[0] == {"a": 1.5, "b": True} and len(grid.points) == 5
    assert grid.axes == {"a": [1, 1.5, 2.0], "b": [True, False]}
    assert grid.distances()[0] == 0
    assert grid.edges({"a": 2, "b": True}) == ["a"] and not grid.edges({"a": 1.5, "b": True})
    assert len(make_grid({"a": [1, 2]}, {"a": 1.0}).points) == 2
    assert len(make_grid({"a": [1, True]}, {"a": 1}).points) == 2


def test_fewer_changed_parameters_are_nearer_than_fewer_steps():
    grid = make_grid({"a": [1, 2, 3, 4], "b": [1, 2]}, {"a": 1, "b": 1})
    far = dict(zip([(p["a"], p["b"]) for p in grid.points], grid.distances(), strict=True))
    assert far[1, 1] < far[1, 2] == far[2, 1] < far[4, 1] < far[2, 2]


VALUES = [
    "a", "true", "True", "NULL", "1", "1e3", "a b", "it's", "a\\", "a\\'b", "", "${x}", "a,b",
    "[1]", "{a:1}", "a=b", "x:y", "é", "inf", "nan", " a ", "a#b", '"q"', "$", "~", "0x1f", "1_000",
    "models.points.f", None, True, False, 1, 1.0, 1e-5, -2.5,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_written_as_an_override_reads_it(value):
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    override = OverridesParser.create().parse_override(f"model.x={override_value(value)}")
    config = OmegaConf.create({"x": override.value()})
    found = OmegaConf.to_container(config, resolve=True)["x"]
    assert found == value and type(found) is type(value)


SIZES = {"APG": 750, "AIS": 525, "AMG": 210}


@pytest.mark.parametrize("name", choices("grid"))
def test_grids_name_parameters_of_the_adapters(name):
    """In the default grid each parameter has the value of the YAML; the study's have its sizes."""
    models = [yaml.safe_load(path.read_text()) for path in (CONFIGS / "model").glob("*.yaml")]
    variants = ("apg_boundary",)
    by_target = {
        model["_target_"]: model
        for model in models
        if "_target_" in model and model["name"] not in variants
    }
    grids = yaml.safe_load((CONFIGS / "grid" / f"{name}.yaml").read_text())
    for target, axes in grids.items():
        default = {axis: by_target[target][axis] for axis in axes}
        size = 1
        for axis, values in axes.items():
            size *= len(set(values))
            assert name != "default" or default[axis] in values, (target, axis)
        if name == "study":
            assert size == SIZES[target.rpartition(".")[2]]
            assert len(make_grid(axes, default).points) in (size, size + 1)


def test_an_optional_metric_chooses_and_costs_a_search_of_its_own_once(mine):
    assert main(mine, *TUNE).returncode == 0
    by_msa = len(traced(mine))
    for _ in range(2):  # the second finds what the first stored
        done = main(mine, *TUNE, "tune.rule=best", "tune.metric=msa_tolerant")
        assert done.returncode == 0, done.stderr
        assert len(traced(mine)) == 2 * by_msa
    assert main(mine, *TUNE, "tune.rule=best").returncode == 0
    assert len(traced(mine)) == 2 * by_msa, "the others are in those lines as well"
