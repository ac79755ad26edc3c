"""Where a sweep keeps its jobs: a folder of its own, and a clear word where there can be none."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers.runs import run

from benchmark.cli.sweep import new_folder
from benchmark.errors import StoreError, UsageError
from benchmark.settings import expanded

pytestmark = pytest.mark.alone


def test_sweeps_that_begin_at_once_get_a_folder_each(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: new_folder(tmp_path / "sweeps" / "now"), range(40)))
    names = {"now", *(f"now-{number}" for number in range(2, 41))}
    assert {folder.name for folder in found} == names and all(f.is_dir() for f in found)


def test_a_folder_that_cant_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"can't write .*/file/sweeps/now: Not a directory"):
        new_folder(tmp_path / "file" / "sweeps" / "now")


@pytest.mark.slow
def test_a_second_sweep_of_the_same_second_leaves_the_first_ones_jobs_alone(tmp_path):
    place = f"hydra.sweep.dir={tmp_path / 'sweeps' / 'now'}"  # as if the clock stood still
    assert run(tmp_path, "-m", "limit=1", "model=oracle", place).returncode == 0
    left = {path: path.read_bytes() for path in tmp_path.glob("sweeps/now/*/*")}
    again = run(tmp_path, "-m", "limit=1", "model=mistaken", place)
    assert again.returncode == 1 and len(left) > 2
    assert {path: path.read_bytes() for path in tmp_path.glob("sweeps/now/*/*")} == left
    assert re.search(r"log: \S+/sweeps/now-2/0/log.txt", again.stderr), again.stderr


def test_the_state_of_a_sweep_leaves_no_folder(tmp_path):
    assert run(tmp_path, "-m", "model=traced,oracle", "action=status").returncode == 0
    assert list(tmp_path.glob("results/sweeps/*")) == []


def test_a_mistaken_launcher_leaves_no_folder(tmp_path):
    words = ("-m", "model=traced,oracle", "+launcher=slurm", "hydra.launcher.timeout_min=soon")
    done = run(tmp_path, *words)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert list(tmp_path.glob("results/sweeps/*")) == []


@pytest.mark.parametrize("results", ["file", "file/below"])
def test_results_that_are_a_file_are_told_in_one_line(tmp_path, results):
    (tmp_path / "file").touch()
    done = run(tmp_path, "-m", "model=traced,oracle", f"results={results}")
    assert done.returncode == 1 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: can't write {results}/sweeps/")


@pytest.mark.slow
def test_home_is_meant_by_a_tilde_wherever_a_place_is_named(tmp_path):
    words = ("-m", "limit=1", "model=oracle", "results=~/r", "datasets=~/d")
    done = run(tmp_path, *words, HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "home" / "d").iterdir())
    assert {path.name for path in (tmp_path / "home" / "r").iterdir()} == {"runs", "sweeps"}
    assert not (tmp_path / "~").exists()


def test_an_interpolated_place_follows(monkeypatch):
    """Of `~` in the datasets a data set's lists are made as well."""
    from omegaconf import OmegaConf

    from benchmark.cli.compose import expand_places

    monkeypatch.setenv("HOME", "/h")
    lists = {"lists": "${datasets}/x"}
    config = OmegaConf.create({"results": "~", "datasets": "~/d", "weights_dir": None, **lists})
    config.output = "~/masks"
    expand_places(config)
    assert (config.results, config.lists, config.weights_dir) == ("/h", "/h/d/x", None)
    assert config.output == "/h/masks"


@pytest.mark.parametrize("more", [(), ("-m",)], ids=["run", "sweep"])
@pytest.mark.parametrize("word", ["results", "datasets", "weights_dir"])
def test_an_empty_place_is_refused(tmp_path, word, more):
    done = run(tmp_path, *more, f"{word}=")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {word}= is empty") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_tilde_that_is_no_home_is_a_name():
    assert expanded("results", "~nobody-here/x") == "~nobody-here/x"
    with pytest.raises(UsageError, match="results= is empty"):
        expanded("results", " ")


def test_the_report_of_a_sweep_is_drawn_under_each_of_its_protocols(tmp_path, blank_pictures):
    for protocol in ("paper", "clean"):  # complete, so that the sweep starts no process
        assert run(tmp_path, "limit=1", f"protocol={protocol}").returncode == 0
    words = ("-m", "limit=1", "model=traced", "protocol=paper,clean", "report=true")
    done = run(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    reports = tmp_path / "results" / "reports"
    assert {path.name for path in reports.iterdir()} == {"paper", "clean"}
    assert all((path / "table.csv").exists() for path in reports.iterdir())
