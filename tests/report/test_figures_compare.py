"""Figures that compare methods: differences, wins and ranks equal a count by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest
from helpers.figures import SHOWN, cell, many, texts_of
from helpers.figures import published as published
from helpers.figures import reference as reference
from scipy.stats import rankdata

from benchmark.paper import ablation
from benchmark.report.figures import critical_difference, head_to_head, methods, style
from benchmark.report.frame import frame_of_rows

# --- ablation -------------------------------------------------------------------------------


def test_ablation_pairs_common_data_sets_alone(published, reference):
    rows, _ = methods.comparable(published)
    found = ablation.differences(rows)
    cc, bd = ("apg_cc", "default"), ("apg_bd", "default")
    cc_tuned, bd_tuned = ("apg_cc", "grid_search"), ("apg_bd", "grid_search")
    pairs = [(cc, bd), (cc_tuned, bd_tuned), (cc_tuned, cc), (bd_tuned, bd)]
    for place, (first, second) in enumerate(pairs):
        expected = []
        for _, row in reference.iterrows():
            if not np.isnan(row[first]) and not np.isnan(row[second]):
                expected.append(row[first] - row[second])
        assert sorted(found[place]["difference"]) == pytest.approx(sorted(expected))
    assert [len(found[place]) for place in range(4)] == [30, 26, 32, 27]


def test_ablation_draws_every_difference(published):
    rows, _ = methods.comparable(published)
    figure = ablation.draw(rows)
    for axes, paired in zip(figure.axes, ablation.differences(rows).values(), strict=True):
        marks = [line for line in axes.lines if line.get_marker() not in ("None", "")]
        points = np.concatenate([line.get_xdata() for line in marks])
        assert sorted(points) == pytest.approx(sorted(paired["difference"]))
        assert axes.get_title(loc="left").endswith(
            f"mean {paired['difference'].mean():+.3f} over {len(paired)} data sets"
        )


def test_ablation_relative_to_ais_pairs_each_variant_with_it(published, reference):
    rows, _ = methods.comparable(published)
    found = ablation.differences(rows, ablation.TO_AIS)
    variants = [
        (prompts, setting)
        for setting in ("default", "grid_search")
        for prompts in ("apg_cc", "apg_bd")
    ]
    for place, variant in enumerate(variants):
        expected = (reference[variant] - reference["ais", "default"]).dropna()
        assert sorted(found[place]["difference"]) == pytest.approx(sorted(expected))
        assert len(expected) > 20
    titles = [axes.get_title(loc="left") for axes in ablation.draw(rows, ablation.TO_AIS).axes]
    assert len(titles) == 4 and all(" - AIS\n" in title for title in titles)


def test_nothing_to_ablate_is_said():
    rows, _ = methods.comparable(methods.entries(many(["a", "b"], 3)))
    with pytest.raises(style.NothingToDrawError, match="two variants"):
        ablation.draw(rows)
    with pytest.raises(style.NothingToDrawError, match="and AIS"):
        ablation.draw(rows, ablation.TO_AIS)


# --- wins -----------------------------------------------------------------------------------


def test_wins_equal_a_count_by_hand(published, reference):
    rows, left_out = methods.comparable(methods.main(published))
    found = head_to_head.counts(methods.matrix(rows))
    for first, second in itertools.permutations(SHOWN, 2):
        won = lost = tied = 0
        for _, row in reference.iterrows():
            a, b = row[(SHOWN[first], "default")], row[(SHOWN[second], "default")]
            won, lost, tied = won + (a > b), lost + (a < b), tied + (a == b)
        assert tuple(found.loc[(first, second)]) == (won, lost, tied)
    texts = texts_of(head_to_head.draw(rows, left_out))
    assert texts.count("36-0-0") == texts.count("0-36-0") > 0
    won, lost, tied = found.loc[("APG", "AIS")]
    assert f"{won}-{lost}-{tied}" in texts


def test_methods_without_a_common_data_set_say_so():
    frame = methods.entries(frame_of_rows([cell("a", "x"), cell("b", "x", 0.5), cell("c", "y")]))
    figure = head_to_head.draw(methods.comparable(frame)[0], "")
    assert texts_of(figure).count("no\ndata") == 4
    assert texts_of(figure).count("0-0-1") == 2
    with pytest.raises(style.NothingToDrawError, match="same data set"):
        head_to_head.draw(methods.comparable(frame[frame["label"] != "b"])[0], "")


# --- critical difference --------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_cliques_join_just_what_is_not_told_apart(seed):
    rng = np.random.default_rng(seed)
    ranks = pd.Series(sorted(rng.uniform(1, 9, 9)), index=list("abcdefghi"))
    difference = rng.uniform(0.1, 5)
    found = critical_difference.cliques(ranks, difference)
    joined = {
        pair
        for first, last in found
        for pair in itertools.combinations(ranks.loc[first:last].index, 2)
    }
    near = {
        (a, b)
        for a, b in itertools.combinations(ranks.index, 2)
        if ranks[b] - ranks[a] < difference
    }
    assert joined == near
    assert len({first for first, _ in found}) == len({last for _, last in found}) == len(found)


def test_diagram_shows_ranks_and_difference(published):
    rows, left_out = methods.comparable(methods.main(published))
    figure = critical_difference.draw(rows, left_out)
    table = methods.matrix(rows)
    ranks = rankdata(-table.to_numpy(), axis=1).mean(axis=0)
    texts = texts_of(figure)
    assert {f"{rank:.2f}" for rank in ranks} <= set(texts)
    # Demsar 2006, table 5: q is 2.949 for 7 methods.
    assert f"critical difference {2.949 * np.sqrt(7 * 8 / (6 * 36)):.2f}" in texts
    assert any("not independent" in text.replace("\n", " ") for text in texts)
    places = {line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 3}
    assert sorted(places) == pytest.approx(sorted(ranks))


def test_too_few_for_a_diagram_is_said():
    rows, _ = methods.comparable(methods.entries(many(["a", "b"], 9)))
    with pytest.raises(style.NothingToDrawError, match="there are 2 on 9"):
        critical_difference.draw(rows, "")
