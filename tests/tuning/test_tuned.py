"""Testing with chosen parameters: the run, what it keeps, its rows, and who may not choose."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from helpers.command_line import main, main_process
from helpers.runs import journals

from benchmark.data.sources.synthetic import draw
from benchmark.report.frame import frame_of_runs
from benchmark.report.results import gather
from benchmark.scoring.protocol import Protocol
from benchmark.store.identity import written

PAPER = Protocol.of_settings(written("protocol", "paper"))
MINE = '''
import os
import signal
from pathlib import Path

from scipy import ndimage

HERE = Path(__file__).parent


class Mine:
    """Connected bright regions."""

    def __init__(self, level: float = 30.0, smallest: int = 0):
        self.level, self.smallest = level, smallest

    def predict(self, image):
        with (HERE / "trace").open("a") as file:
            file.write(f"{self.level}\\n")
        if os.environ.get("KILLED_AT") == str(len((HERE / "trace").read_text().splitlines())):
            os.kill(os.getpid(), signal.SIGKILL)
        return ndimage.label(image > self.level * image.mean())[0]
'''
DATA = (
    "data=synthetic", "data.source.styles=[fluorescent_nuclei]", "data.source.per_style=2",
    "data.source.val_per_style=6", "data.source.size=64", "data.source.seed=1",
)  # fmt: skip
RUN = ("--config-dir", "own", "model=mine", *DATA)
TUNED = (*RUN, "tuned=true", "tune.grid={level:[1.0,1.5]}")


@pytest.fixture
def mine(tmp_path):
    """A stranger's adapter, and its YAML."""
    (tmp_path / "stranger.py").write_text(MINE)
    (tmp_path / "own" / "model").mkdir(parents=True)
    yaml_file = tmp_path / "own" / "model" / "mine.yaml"
    yaml_file.write_text("name: mine\n_target_: stranger.Mine\n")
    return tmp_path


def predictions_of(root):
    return len((root / "trace").read_text().splitlines())


def rows_of(root, protocol=PAPER):
    return gather(root / "results" / "runs", protocol)[0]


def names_of(root):
    return sorted(result.method for result in rows_of(root))


def test_a_run_is_tuned_by_two_words_and_is_the_run_of_its_parameters(mine):
    done = main(mine, *TUNED)
    assert done.returncode == 0, done.stderr
    assert predictions_of(mine) == 6 * 3 + 2
    (result,) = rows_of(mine)
    assert result.method.startswith("mine, tuned on 6 val images (grid=own ")
    chosen = result.selection["chosen"]["level"]
    assert chosen in (1.0, 1.5) and result.selection["lower"] > 0
    assert not result.seen and result.selection["left_out_images"] == 0
    by_hand = main(mine, *RUN, f"+model.level={chosen}")
    assert by_hand.returncode == 0 and predictions_of(mine) == 6 * 3 + 2, "nothing is predicted"
    assert [r.run_id for r in rows_of(mine)] == [result.run_id] * 2
    assert names_of(mine)[0] == f"mine (level={chosen})"
    again = main(mine, *TUNED)
    assert again.returncode == 0 and predictions_of(mine) == 6 * 3 + 2
    assert len(rows_of(mine)) == 2


def test_a_run_that_was_typed_first_keeps_its_row(mine):
    assert main(mine, *RUN, "+model.level=1.0").returncode == 0
    assert names_of(mine) == ["mine (level=1.0)"]
    assert main(mine, *TUNED[:-1], "tune.grid={level:[1.0]}", "tune.rule=best").returncode == 0
    first, second = names_of(mine)
    assert first == "mine (level=1.0)" and second.startswith("mine, tuned on 6 val images")


def test_where_the_default_is_kept_its_run_has_both_rows(mine):
    done = main(mine, *TUNED[:-1], "tune.grid={smallest:[1,2]}")
    assert done.returncode == 0 and "the default is kept" in done.stdout, done.stderr
    first, second = rows_of(mine)
    assert (first.method, first.selection) == ("mine", None)
    assert second.run_id == first.run_id and "tuned" in second.method
    frame = frame_of_runs([first, second])
    assert frame["run_id"].nunique() == 1 and frame["result"].nunique() == 2
    reported = main(mine, "action=report", "format=json")
    (table,) = [t for t in json.loads(reported.stdout) if t["name"] == "runs_tuning"]
    delivered = dict(zip(table["columns"], table["rows"][0], strict=True))
    assert delivered["delivered"] == 0 and delivered["chosen"] == "the default"


def test_promised_and_delivered_stand_in_the_report_and_the_site(mine):
    words = (*TUNED[:-1], "tune.grid={level:[1.0]}", "tune.rule=best")
    assert main(mine, *words).returncode == 0
    reported = main(mine, "action=report", "format=json")
    (table,) = [t for t in json.loads(reported.stdout) if t["name"] == "runs_tuning"]
    row = dict(zip(table["columns"], table["rows"][0], strict=True))
    assert row["delivered"] is None and "tuned=false makes it" in " ".join(table["notes"])
    assert main(mine, *RUN).returncode == 0
    done = main(mine, "action=report", "format=html")
    assert done.returncode == 0 and "Promised and delivered" in done.stdout, done.stderr
    (folder,) = mine.glob("results/reports/*")
    table = pd.read_csv(folder / "tables" / "runs_tuning.csv")
    default, tuned = sorted(rows_of(mine), key=lambda r: r.selection is not None)
    expected = tuned.values.mean() - default.values.mean()
    assert table["delivered"].tolist() == pytest.approx([expected])
    assert (folder / "figures" / "promised_and_delivered.png").exists()
    pages = [page.read_text() for page in (folder / "site" / "runs").glob("*.html")]
    assert sorted("What chose its parameters" in page for page in pages) == [False, True]
    compared = main(mine, "action=compare", f"a={tuned.method}", "b=mine")
    assert compared.returncode == 0, compared.stderr
    assert f"a = {tuned.method}" in " ".join(compared.stdout.split())
    compared = main(mine, "action=compare", f"a={tuned.path.name}", f"b={default.run_id[:8]}")
    assert compared.returncode == 0, compared.stderr


def test_in_a_sweep_tuned_and_not_stand_beside_each_other(mine):
    grid = "tune.grid={smallest:[1,2],level:[1.0,30.0]}"
    sweep = ("--config-dir", "own", "-m", "model=mine", *DATA, "tuned=true,false", grid)
    state = main(mine, *sweep, "action=status", "format=json")
    rows = json.loads(state.stdout)
    assert [(row["model"], row["state"]) for row in rows] == [
        ("mine, tuned", "to do"), ("mine", "to do"),
    ]  # fmt: skip
    done = main(mine, *sweep, PYTHONPATH=str(mine))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rows_of(mine)) == 2
    state = main(mine, *sweep, "action=status", "format=json")
    rows = json.loads(state.stdout)
    assert [(row["model"], row["state"]) for row in rows] == [
        ("mine, tuned", "done"), ("mine", "done"),
    ]  # fmt: skip
    stored = json.loads(main(mine, "action=status", "format=json").stdout)
    assert sorted(row["model"] for row in stored) == sorted(names_of(mine))
    other = main(mine, *sweep, "tune.metric=pq", "action=status", "format=json")
    assert json.loads(other.stdout)[0]["state"] == "to do", "of another choice"


def test_a_deleted_or_edited_choice_changes_no_stored_row(mine):
    assert main(mine, *TUNED).returncode == 0
    (before,) = rows_of(mine)
    (choice,) = mine.glob("results/tuning/*/*/choice.json")
    choice.write_text(choice.read_text().replace('"images": 6', '"images": 600'))
    (after,) = rows_of(mine)
    assert (after.key, after.method) == (before.key, before.method)
    shutil.rmtree(mine / "results" / "tuning")
    (after,) = rows_of(mine)
    assert (after.key, after.method) == (before.key, before.method)
    reported = main(mine, "action=report")
    assert "tuned on 6 val images" in reported.stdout


def test_an_edited_selection_is_seen(mine):
    assert main(mine, *TUNED).returncode == 0
    (path,) = mine.glob("results/runs/*/selections/*.json")
    path.write_text(path.read_text().replace('"images": 6', '"images": 600'))
    done = main(mine, "action=check")
    assert done.returncode == 1 and "was edited" in done.stdout + done.stderr
    assert gather(mine / "results" / "runs", PAPER)[0] == []


def test_another_number_of_images_is_another_row_and_one_method(mine):
    few = tuple("data.source.seed=2" if word.endswith("seed=1") else word for word in TUNED)
    assert main(mine, *TUNED, "tune.rule=best", "tune.limit=4").returncode == 0
    assert main(mine, *few, "data.name=other", "tune.rule=best").returncode == 0
    names = {result.method.partition(" (")[0] for result in rows_of(mine)}
    assert names == {"mine, tuned on 4 to 6 val images"}


def test_a_tuned_run_that_was_killed_in_the_search_resumes(mine):
    environment = {"PYTHONPATH": str(mine), "OMP_NUM_THREADS": "1"}
    killed = main_process(mine, *TUNED, KILLED_AT="8", **environment)
    assert killed.returncode < 0 and not list(mine.glob("results/runs/*"))
    assert len(journals(mine / "results" / "tuning", "images")) == 2
    done = main_process(mine, *TUNED, **environment)
    assert done.returncode == 0, done.stderr
    assert predictions_of(mine) == 8 + 4 * 3 + 2
    assert rows_of(mine)[-1].selection["images"] == 6


SOURCE = '''
from dataclasses import dataclass
from functools import partial

from benchmark.data.sources.base import Raw
from benchmark.data.sources.synthetic import draw


def read(number):
    image, labels, *_ = draw("fluorescent_nuclei", number, seed=0, size=64)
    return image, labels


@dataclass
class Movies:
    """Validation images 0 to 9, test images from 8 on; a movie is of two images."""

    first: int = 8
    movies: bool = True

    def items(self, split):
        numbers = {"val": range(10), "test": range(self.first, self.first + 4)}
        wanted = ["test", "val"] if split == "all" else [split]
        return [
            Raw(f"image_{n}", f"movie_{n // 2}" if self.movies else f"image_{n}", one, str(n),
                partial(read, n))
            for one in wanted for n in numbers[one]
        ]

    def fingerprint(self, known=None):
        return 1
'''
OTSU = (
    "--config-dir",
    "own",
    "model=otsu",
    "data=movies",
    "tuned=true",
    "tune.grid={sigma:[0.5,3]}",
)


@pytest.fixture
def movies(tmp_path):
    """A data set whose splits share images (8, 9) or, with first=9, a movie (9 of movie 4)."""
    (tmp_path / "films.py").write_text(SOURCE)
    (tmp_path / "own" / "data").mkdir(parents=True)
    (tmp_path / "own" / "data" / "movies.yaml").write_text(
        "name: movies\nsplit: test\nmodality: synthetic\n"
        "source: {_target_: films.Movies, first: 8, movies: true}\nrecipe: []\n"
    )
    return tmp_path


def selection_of(root):
    (result,) = [r for r in rows_of_all(root) if r.selection is not None]
    return result


def rows_of_all(root):
    found = []
    for name in ("paper", "clean"):
        protocol = Protocol.of_settings(written("protocol", name))
        found += gather(root / "results" / "runs", protocol)[0]
    return found


@pytest.mark.parametrize(
    "first, apart, images, left_out", [(8, "true", 8, 2), (9, "true", 8, 2), (9, "false", 9, 1)]
)
def test_tested_images_and_groups_never_choose_under_clean(movies, first, apart, images, left_out):
    words = (f"data.source.first={first}", f"data.source.movies={apart}")
    done = main(movies, *OTSU, *words, "protocol=clean")
    assert done.returncode == 0, done.stderr
    result = selection_of(movies)
    assert result.selection["images"] == images
    assert result.selection["left_out_images"] == left_out
    assert (result.selection["tested_images"], result.seen) == (0, False)
    searched = {row["sample"] for row in journals(movies / "results" / "tuning", "images")}
    assert len(searched) == images and "image_9" not in searched
    assert f"as they are tested: {left_out} image" in done.stderr
    (folder,) = movies.glob("results/tuning/*/msa-safe")
    assert "as they are tested" in (folder / "table.md").read_text()
    choice = json.loads((folder / "choice.json").read_text())
    assert choice["left_out"] == {"images": left_out, "groups": 1}


def test_paper_lets_them_choose_and_the_row_is_marked(movies):
    done = main(movies, *OTSU, "protocol=paper")
    assert done.returncode == 0, done.stderr
    result = selection_of(movies)
    assert result.selection["images"] == 10 and result.selection["left_out_images"] == 0
    assert result.selection["tested_images"] == 2 and result.selection["tested_groups"] == 1
    assert result.seen and "chosen on seen images" in done.stdout
    reported = main(movies, "action=report", "format=json")
    (table,) = [t for t in json.loads(reported.stdout) if t["name"] == "runs_tuning"]
    assert "2 of the 10 images that chose (1 group) are tested" in " ".join(table["notes"])


def test_where_no_image_is_left_the_choice_is_refused(movies):
    words = ("data.split=val", "protocol=clean")
    done = main(movies, *OTSU, *words)
    assert done.returncode == 2 and "no image is left to choose" in done.stderr
    assert not list(movies.glob("results/tuning/*/images/*"))
    assert main(movies, *OTSU, "data.split=val", "protocol=paper").returncode == 0
    assert selection_of(movies).selection["tested_images"] == 10


def test_action_tune_leaves_out_what_the_test_split_holds(movies):
    tune = ("action=tune", *(word for word in OTSU if word != "tuned=true"))
    done = main(movies, *tune, "protocol=clean")
    assert done.returncode == 0 and "as they are tested: 2 images of 1 group" in done.stdout


def own_images(root, name, numbers):
    for number in numbers:
        image, labels = draw("fluorescent_nuclei", number, seed=0, size=64)[:2]
        for part, array in (("images", image), ("labels", labels.astype(np.uint16))):
            (root / name / part).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / name / part / f"movie{number // 2}_{number}.tif", array)
    return (
        f"data.images={root / name / 'images'}/*.tif",
        f"data.labels={root / name / 'labels'}/*.tif",
        "data.group=movie[0-9]+",
    )


def test_of_ones_own_images_others_choose(tmp_path):
    train, test = own_images(tmp_path, "a", range(14)), own_images(tmp_path, "b", range(14, 18))
    grid = "tune.grid={sigma:[0.5,3]}"
    done = main(tmp_path, "model=otsu", *train, "tuned=true", grid)
    assert done.returncode == 2 and "no image is left to choose" in done.stderr
    assert "tune.folds=5" in done.stderr
    done = main(
        tmp_path, "action=tune", "model=otsu", *train, grid, "tune.folds=5", "tune.rule=best"
    )
    assert done.returncode == 0, done.stderr
    assert "5 folds: " in done.stdout
    (yaml_file,) = tmp_path.glob("results/tuning/*/msa-best/model/otsu_tuned.yaml")
    choice = json.loads((yaml_file.parents[1] / "choice.json").read_text())
    assert len(choice["delivered"]["chosen"]) == 5
    assert (yaml_file.parents[1] / "promised_and_delivered.png").exists()
    done = main(tmp_path, "model=otsu", *test, f"tuned={yaml_file}")
    assert done.returncode == 0, done.stderr
    grid_words = f"grid=own {choice['grid'][4:]}, rule=best"
    assert names_of(tmp_path)[-1] == f"otsu, tuned on 14 images of a ({grid_words})"
    same = main(tmp_path, "model=otsu", *train, f"tuned={yaml_file}")
    assert same.returncode == 2 and "chose the parameters" in same.stderr
    shared = own_images(tmp_path, "c", [13, 20])  # 13 is of a movie that chose
    (tmp_path / "c" / "images" / "movie6_13.tif").rename(tmp_path / "c" / "images" / "movie6_x.tif")
    (tmp_path / "c" / "labels" / "movie6_13.tif").rename(tmp_path / "c" / "labels" / "movie6_x.tif")
    other = main(tmp_path, "model=otsu", *shared, f"tuned={yaml_file}")
    assert other.returncode == 2 and "1 image of data" in other.stderr


def test_a_yaml_that_was_edited_or_is_no_choice_is_refused(movies):
    tune = ("action=tune", *(w for w in OTSU if w != "tuned=true"), "tune.rule=best")
    assert main(movies, *tune, "protocol=clean").returncode == 0
    (yaml_file,) = movies.glob("results/tuning/*/msa-best/model/otsu_tuned.yaml")
    words = ("--config-dir", "own", "model=otsu", "data=movies", "protocol=clean")
    assert main(movies, *words, f"tuned={yaml_file}").returncode == 0
    done = main(movies, *words, f"tuned={yaml_file}", "model.min_size=3")
    assert done.returncode == 2 and "min_size differ" in done.stderr
    yaml_file.write_text(yaml_file.read_text().replace("sigma: 3", "sigma: 4"))
    if "sigma: 4" in yaml_file.read_text():
        done = main(movies, *words, f"tuned={yaml_file}")
        assert done.returncode == 2 and "sigma differ" in done.stderr
    (movies / "alone.yaml").write_text("name: otsu\n")
    for name in ("alone.yaml", "absent.yaml"):
        done = main(movies, *words, f"tuned={movies / name}")
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    "words, said",
    [
        (("tuned=maybe",), "true, false, or a YAML"),
        (("action=export", "output=x", "tuned=true"), "belongs to action=run"),
        (("tuned=true", "tune.grid={level:[1]}", "tune.folds=1"), "tune.folds is 1"),
        (("tuned=true", "tune.grid={level:[1]}", "tune.limit=0"), "tune.limit is 0"),
        (("tuned=true", "tune.grid={size:[1]}"), "it can name: level, smallest"),
        (("tune.folds=5",), "belong to action=tune and to tuned=true"),
    ],
)
def test_mistakes_are_explained(mine, words, said):
    done = main(mine, *RUN, *words)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_weights_that_may_know_the_images_never_choose_in_an_honest_row(tmp_path):
    """The demonstration weights were trained on other images of the generator."""
    from types import SimpleNamespace

    from benchmark.tuning.images import may_be_trained_on

    def job(card, data, protocol, quirks=()):
        return SimpleNamespace(
            weights=SimpleNamespace(name=card, mark="verified"),
            data=SimpleNamespace(name=data),
            protocol=Protocol.of_settings(written("protocol", protocol)),
            settings=SimpleNamespace(data={"quirks": dict.fromkeys(quirks)}),
        )

    assert not may_be_trained_on(job("vit_b_lm", "livecell", "paper")), "its training split alone"
    assert may_be_trained_on(job("demo", "dsb", "paper", ["val_training"]))
    assert not may_be_trained_on(job("demo", "dsb", "clean", ["val_training"]))
    assert not may_be_trained_on(job("demo", "u20s", "paper"))
