"""Tests and intervals are right on simulated data as often as they say.

A small part of what `scripts/simulate_statistics.py` measures, done again.
"""

import importlib.util
import sys
from pathlib import Path

import pytest

from benchmark.stats import bootstrap_interval

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def simulate():
    spec = importlib.util.spec_from_file_location(
        "simulate_statistics", ROOT / "scripts" / "simulate_statistics.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("n_groups", [10, 30])
def test_true_null_hypotheses_are_rejected_as_often_as_said(simulate, n_groups):
    independent, clusters = simulate.NULLS[:2]
    trials = 1000
    found = simulate.rejections(independent, n_groups, trials)
    assert found["report's test"] == pytest.approx(0.05, abs=0.015 + 0.01)
    assert found["study's own"] == pytest.approx(0.10, abs=0.03)
    found = simulate.rejections(clusters, n_groups, trials)
    assert found["report's test"] == pytest.approx(0.05, abs=0.015 + 0.01)
    assert found["over slices"] > 0.4


@pytest.mark.slow
@pytest.mark.parametrize("n_groups", [10, 30, 100])
@pytest.mark.parametrize("scores", ["symmetric", "near_one"])
@pytest.mark.parametrize("sizes", ["one", "uneven"])
def test_intervals_cover_what_they_say(simulate, n_groups, scores, sizes):
    trials = 1000
    kind = getattr(simulate, scores), getattr(simulate, sizes)
    ours, plain, _ = simulate.coverage(*kind, n_groups, trials, seed=1)
    assert ours == pytest.approx(0.95, abs=0.02 + 0.014)
    assert plain < 0.93 or n_groups > 10


def test_the_docstring_tells_what_was_simulated():
    lines = (ROOT / "results" / "baselines" / "statistics.txt").read_text().splitlines()
    cells = {tuple(line.split()[:2]): line.split()[2:] for line in lines}
    told = [line.split() for line in bootstrap_interval.__doc__.splitlines()]
    kinds = [("symmetric", "uneven"), ("near_one", "uneven"), ("near_one", "heavy")]
    assert ["groups", *(word for kind in kinds for word in kind)] in told
    for column, groups in enumerate(("5", "10", "30", "100")):
        (row,) = [words for words in told if words[:1] == [groups] and "(" in words[-1]]
        simulated = [cells[kind][3 * column : 3 * column + 2] for kind in kinds]
        assert row[1:] == [word for pair in simulated for word in pair]
