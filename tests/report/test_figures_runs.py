"""Figures of runs themselves: curves over thresholds, times, and pictures of chosen samples."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.command_line import call
from helpers.figures import cell, run, styles_of
from PIL import Image

from benchmark.report import pictures
from benchmark.report.figures import draw_all, methods, panels, pareto, style, thresholds
from benchmark.report.frame import frame_of_rows, frame_of_runs

# --- runs: curves, times --------------------------------------------------------------------


def test_a_curve_has_the_msa_as_its_mean():
    result = run()
    assert thresholds.curve(result.scores).mean() == pytest.approx(result.scores["msa"].mean())
    excluded = result.scores.assign(msa=result.scores["msa"].where(~result.scores["both_empty"]))
    assert thresholds.curve(excluded).mean() == pytest.approx(excluded["msa"].mean())
    assert thresholds.curve(excluded).mean() > thresholds.curve(result.scores).mean()
    assert thresholds.curve(result.scores.iloc[:0]) is None


def test_curves_are_drawn_each_in_its_data_sets_panel():
    results = [run("a", "x"), run("b", "x", expected=9), run("a", "y"), run("c", "y", n=0)]
    frame = methods.entries(frame_of_runs(results))
    figure = thresholds.draw(results, frame, styles_of(frame)[1])
    assert [axes.get_title() for axes in figure.axes] == ["x", "y"]
    lines = figure.axes[0].lines
    for line, result in zip(lines, results[:2], strict=True):
        assert line.get_ydata() == pytest.approx(thresholds.curve(result.scores))
        assert line.get_xdata() == pytest.approx(np.arange(0.5, 1, 0.05))
    assert [line.get_markerfacecolor() == "white" for line in lines] == [False, True]


@pytest.mark.parametrize("seed", range(20))
def test_front_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    points = pd.DataFrame(
        {"score": rng.integers(0, 6, 12) / 6, "seconds": rng.integers(1, 6, 12).astype(float)},
        index=[f"m{i}" for i in range(12)],
    )
    kept = set()
    for name, point in points.iterrows():
        beaten = False
        for _, other in points.iterrows():
            as_good = other["score"] >= point["score"] and other["seconds"] <= point["seconds"]
            beaten |= as_good and tuple(other) != tuple(point)
        if not beaten:
            kept.add(name)
    found = pareto.front(points)
    assert set(found) == kept
    assert list(points.loc[found, "seconds"]) == sorted(points.loc[found, "seconds"])


def test_times_are_drawn_and_the_front_is_filled():
    rows = [
        cell("fast", "x", 0.3, seconds=0.1), cell("good", "x", 0.8, seconds=10.0),
        cell("bad", "x", 0.2, seconds=5.0), cell("timeless", "x", 0.9),
        cell("fast", "y", 0.5, seconds=0.3), cell("good", "y", 0.6, seconds=30.0),
    ]  # fmt: skip
    frame = methods.entries(frame_of_rows(rows))
    figure = pareto.draw(methods.comparable(frame)[0], "", styles_of(frame)[1])
    assert [axes.get_title() for axes in figure.axes] == ["2 data sets", "x", "y"]
    over, alone, _ = figure.axes
    points = {(line.get_xdata()[0], line.get_ydata()[0]): line.get_markerfacecolor() != "white"
              for line in alone.lines[1:]}  # fmt: skip
    assert points == {(0.1, 0.3): True, (10.0, 0.8): True, (5.0, 0.2): False}
    assert {(line.get_xdata()[0], round(line.get_ydata()[0], 9)) for line in over.lines[1:]} == {
        (0.2, 0.4), (20.0, 0.7),
    }  # fmt: skip
    assert alone.get_xscale() == "log"


# --- panels ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Two real runs on the packaged image."""
    from omegaconf import OmegaConf

    from benchmark.report.results import load_results
    from benchmark.scoring.protocol import Protocol

    folder = tmp_path_factory.mktemp("real")
    for sigma in (0.5, 4):
        words = ["model=otsu", f"model.sigma={sigma}", "data=nuclei_demo"]
        done = call([*words, f"results={folder}", f"datasets={folder}/datasets"], folder)
        assert done.returncode == 0, done.stderr
    settings = OmegaConf.load(Path(__file__).parents[2] / "configs" / "protocol" / "paper.yaml")
    return load_results(folder / "runs", Protocol(**settings))


def count(picture, name):
    return int((picture == pictures.OUTLINES[name]).all(axis=-1).sum())


def test_panels_show_truth_and_each_prediction(real):
    figure = panels.draw(real, ["one", "two"])
    chosen = pictures.choose(pictures.scores_of(real), pictures.FOR_FIGURE)
    assert len(chosen) == 4
    drawn = [axes.images[0].get_array() for axes in figure.axes]
    assert len(drawn) == 4 * 3
    for block in range(4):
        truth, *made = drawn[3 * block : 3 * block + 3]
        assert count(truth, "true") > 100
        assert count(truth, "predicted") == count(truth, "both") == 0
        for picture in made:
            assert count(picture, "predicted") > 100
            assert count(picture, "both") > 100
            assert count(picture, "true") + count(picture, "both") == count(truth, "true")
    titles = [axes.get_title() for axes in figure.axes]
    for block, (why, sample) in enumerate(chosen):
        assert titles[3 * block] == f"{why}\n{sample}"
        assert titles[3 * block + 1] == f"one\nmSA {real[0].scores['msa'][sample]:.3f}"


def test_panels_need_prepared_data(tmp_path):
    results = [run("a", path=tmp_path)]
    with pytest.raises(style.NothingToDrawError):
        panels.draw(results, ["a"])


def test_real_runs_come_out_whole(real, tmp_path):
    paths = draw_all(frame_of_runs(real), real, tmp_path)
    assert {"samples_nuclei_demo", "thresholds", "accuracy_and_time"} <= {
        path.stem for path in paths
    }
    for path in paths:
        assert path.stat().st_size > 3000
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert np.asarray(image.convert("L")).std() > 5
