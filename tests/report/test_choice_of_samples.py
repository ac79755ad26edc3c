"""Which samples are shown: by one function, and by rules that say why and how many."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.reports import run

from benchmark.report import head_to_head, pictures
from benchmark.report.comparison import compare_runs
from benchmark.report.pictures import FOR_COMPARISON, FOR_FIGURE, FOR_RUN, FOR_SITE, choose
from benchmark.scoring.metrics import Metric

RULES = {"run": FOR_RUN, "figure": FOR_FIGURE, "site": FOR_SITE}


def scores(**msa):
    """A table of samples x runs."""
    values = pd.DataFrame(msa)
    return values.set_axis([f"s{i}" for i in range(len(values))])


def by_reason(chosen):
    return {why: [name for reason, name in chosen if reason == why] for why, _ in chosen}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 40])
@pytest.mark.parametrize("runs", [1, 2, 4])
def test_no_sample_is_chosen_twice_and_order_does_not_matter(rule, n, runs):
    rng = np.random.default_rng([n, runs])
    msa = {f"m{i}": np.round(rng.random(n), 1) for i in range(runs)}
    table = scores(**msa)
    chosen = choose(table, RULES[rule])
    names = [name for _, name in chosen]
    assert len(set(names)) == len(names) and set(names) <= set(table.index)
    assert choose(table.sample(frac=1, random_state=1), RULES[rule]) == chosen
    assert choose(table[table.columns[::-1]], RULES[rule]) == chosen
    reasons = list(dict.fromkeys(why for why, _ in chosen))
    assert reasons == [why for why in RULES[rule] if why in reasons]
    assert all(len(found) <= RULES[rule][why][1] for why, found in by_reason(chosen).items())


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_samples_without_a_score_are_left_out(rule):
    assert choose(scores(a=[np.nan, np.nan]), rule) == []
    table = scores(a=[0.5, np.nan, np.nan], b=[0.4, 0.7, np.nan])
    assert {name for _, name in choose(table, rule)} == {"s0", "s1"}


def test_a_run_shows_its_worst_and_best_each_once():
    table = pictures.scores_of([run(msa=(0.5, 0.1, 0.9, np.nan, 0.5, 0.1))])
    expected = [("worst", "s1"), ("worst", "s5"), ("best", "s2"), ("best", "s0")]
    assert choose(table, FOR_RUN) == expected
    three = choose(scores(a=[0.1, 0.2, 0.3]), FOR_RUN)
    assert three == [("worst", "s0"), ("worst", "s1"), ("best", "s2")]


def test_a_figure_shows_a_sample_for_each_reason():
    table = scores(a=[0.5, 0.9, 0.1, 0.6, 0.6, 0.65, 0.7], b=[0.5, 0.1, 0.2, 0.6, 0.7, 0.65, 0.7])
    chosen = dict(choose(table, FOR_FIGURE))
    assert len(set(chosen.values())) == 4
    assert chosen["largest difference"] == "s1"
    assert chosen["worst"] == "s2"
    assert chosen["median"] == "s3"
    assert choose(table[["a"]], FOR_FIGURE)[0] == ("worst", "s2"), "a run alone differs from none"
    agreed = scores(a=[0.5, 0.6], b=[0.5, 0.6])
    assert "largest difference" not in dict(choose(agreed, FOR_FIGURE))


def test_of_two_in_the_middle_the_lower_is_the_median():
    table = scores(a=[0.9, 0.7, 0.5, 0.4, 0.1, 0.95])
    assert by_reason(choose(table, {"median": (pictures.middle, 2)})) == {"median": ["s2", "s1"]}


def test_the_site_shows_a_dozen():
    rng = np.random.default_rng(0)
    table = scores(a=rng.random(30), b=rng.random(30))
    chosen = choose(table, FOR_SITE)[: pictures.SITE_SAMPLES]
    assert {why: len(names) for why, names in by_reason(chosen).items()} == {
        "worst": 3, "best": 2, "median": 2, "largest difference": 3, "drawn at random": 2,
    }  # fmt: skip
    mean = table.mean(axis=1)
    reasons = by_reason(chosen)
    assert reasons["worst"] == mean.sort_values().index[:3].tolist()
    assert reasons["best"] == mean.sort_values().index[:-3:-1].tolist()
    span = (table["a"] - table["b"]).abs()
    others = [name for name in table.index if name not in dict(map(reversed, chosen))]
    assert span[reasons["largest difference"]].min() >= span[others].max()
    # Where other reasons find few samples, those drawn at random make the dozen full.
    agreed = choose(scores(a=rng.random(30)), FOR_SITE)[: pictures.SITE_SAMPLES]
    assert len(agreed) == 12 and len(by_reason(agreed)["drawn at random"]) == 5


def test_the_same_samples_are_drawn_at_random_from_the_same_scores():
    table = scores(a=np.full(20, 0.5))
    rule = {"random": (pictures.at_random, 20)}
    order = [name for _, name in choose(table, rule)]
    assert order == [name for _, name in choose(table.copy(), rule)]
    assert sorted(order) == sorted(table.index) and order != sorted(order)


def test_a_comparison_shows_the_ten_largest_differences_either_way_and_no_equal_one():
    differences = [0.0] * 5 + [-0.01 * i for i in range(1, 13)] + [0.01 * i for i in range(1, 4)]
    pairs = pd.DataFrame({"a": differences, "b": 0.0}, index=[f"s{i:02d}" for i in range(20)])
    names = head_to_head._stems(pairs)
    assert [n for n in names.values() if n.startswith("b")] == [
        f"b_better_{i:02d}_s{17 - i:02d}" for i in range(1, 11)
    ]
    assert [n for n in names.values() if n.startswith("a")] == [
        f"a_better_{i:02d}_s{20 - i:02d}" for i in range(1, 4)
    ]
    tied = pd.DataFrame({"a": [0.5, 0.5, 0.1, 0.1], "b": [0.1, 0.1, 0.5, 0.5]}, index=list("wxyz"))
    assert choose(tied, FOR_COMPARISON) == [
        ("b_better", "y"), ("b_better", "z"), ("a_better", "w"), ("a_better", "x"),
    ]  # fmt: skip


def test_scores_of_runs_are_joined_by_sample():
    few, many = run(msa=(0.5, 0.6)), run(msa=(0.1, 0.2, 0.3), path=Path("elsewhere"))
    table = pictures.scores_of([few, many])
    assert table.index.tolist() == ["s0", "s1", "s2"]
    assert table.loc["s2"].isna().tolist() == [True, False]


ERRORS = Metric("errors", "errors", lambda counts: None, higher_is_better=False)


def test_the_worst_sample_has_the_highest_value_where_lower_is_better():
    result = run(msa=(0.1, 0.2, 0.3), metric=ERRORS, scores={"errors": [3.0, np.nan, 7.0]})
    chosen = choose(pictures.scores_of([result]), FOR_RUN)
    assert chosen == [("worst", "s2"), ("worst", "s0")]


def test_a_comparison_names_the_method_that_is_better_where_lower_is(tmp_path, monkeypatch):
    a = run("a", msa=(0.5,) * 3, metric=ERRORS, scores={"errors": [1.0, 5.0, 2.0]})
    b = run("b", msa=(0.5,) * 3, metric=ERRORS, scores={"errors": [3.0, 1.0, 2.0]})
    pairs, found = compare_runs(a, b)
    drawn = []
    monkeypatch.setattr(head_to_head, "_draw_overlays", lambda *given: drawn.append(given[3]))
    head_to_head.write_comparison(a, b, pairs, found, [], tmp_path / "out")
    assert drawn == [{"s1": "b_better_01_s1", "s0": "a_better_01_s0"}]
