"""The table of which mean ranks differ, and which methods and data sets it is over."""

import numpy as np
import pandas as pd
import pytest
from helpers.figures import cell, many
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy.stats import friedmanchisquare

from benchmark.paper.published import published_frame
from benchmark.report.eligible import select_eligible
from benchmark.report.figures import methods
from benchmark.report.frame import frame_of_rows
from benchmark.report.tables.numbers import complete_block
from benchmark.report.tables.rank_tests import rank_test_table, ranked_methods
from benchmark.report.tables.table import all_notes


def test_complete_block_keeps_the_most_cells():
    table = pd.DataFrame(
        {"a": [1, 1, 1, 1.0], "b": [1, 1, 1, np.nan], "c": [np.nan, np.nan, np.nan, 1.0]}
    )
    block = complete_block(table)
    assert block.shape == (3, 2)
    assert list(block.columns) == ["a", "b"]
    assert complete_block(table[["a"]]).shape == (4, 1)


def test_published_ranks_are_tested_as_by_the_libraries_themselves():
    chosen = select_eligible(published_frame())
    table = rank_test_table(chosen)
    methods = [column.header for column in table.columns[2:]]
    assert [row[0].text for row in table.rows] == methods
    scores = ranked_methods(chosen)[methods].dropna()
    assert len(scores) > 30 and len(methods) >= 6
    ranks = scores.rank(axis=1, ascending=False).mean()
    assert [row[1].value for row in table.rows] == pytest.approx(ranks.tolist())
    assert ranks.is_monotonic_increasing
    pairs = posthoc_nemenyi_friedman(scores.to_numpy())
    for i, row in enumerate(table.rows):
        assert row[2 + i].text == "-"
        for j in set(range(len(methods))) - {i}:
            assert row[2 + j].value == pytest.approx(pairs.to_numpy()[i, j])
    statistic, p = friedmanchisquare(*scores.to_numpy().T)
    assert p < 1e-4
    notes = " ".join(all_notes(table))
    assert f"over {len(scores)} data sets" in notes
    assert f"chi squared {statistic:.2f} with {len(methods) - 1} degrees" in notes
    assert "p < 0.0001" in notes and "not independent of each other" in notes


def test_methods_on_few_data_sets_are_named_and_cost_the_others_none():
    rows = many(["a", "b", "c"], 6)
    few = frame_of_rows([cell("new", f"data {j}", modality="label_free_cells") for j in range(2)])
    table = rank_test_table(select_eligible(pd.concat([rows, few], ignore_index=True)))
    assert {row[0].text for row in table.rows} == {"a", "b", "c"}
    notes = " ".join(all_notes(table))
    assert "over 6 data sets" in notes and "Not on all these data sets: new." in notes


def test_of_a_method_and_its_variants_the_method_alone_is_tested():
    rows = many(["apg", "apg_boundary", "ais", "otsu"], 6)
    rows["key"] = rows["method"]
    rows.loc[rows["method"] == "apg_boundary", "variant_of"] = "apg"
    table = rank_test_table(select_eligible(rows))
    assert {row[0].text for row in table.rows} == {"apg", "ais", "otsu"}
    drawn = methods.comparable(methods.main(methods.entries(rows)))[0]
    assert set(drawn["label"]) == {"apg", "ais", "otsu"}, "as in the diagram"
    assert "Left out as variants of apg: apg_boundary." in " ".join(all_notes(table))
    alone = rows[rows["method"] != "apg"]
    assert len(rank_test_table(select_eligible(alone)).rows) == 3


def test_a_mark_stays_with_its_method():
    table = rank_test_table(select_eligible(many(["a", "b", "c"], 6, mark="demo")))
    assert all(row[1].marks == ("demo",) for row in table.rows)


def test_too_few_methods_or_data_sets_make_no_table():
    assert rank_test_table(select_eligible(many(["a", "b", "c"], 4))) is None
    assert rank_test_table(select_eligible(many(["a", "b"], 6))) is None
    assert (
        rank_test_table(select_eligible(frame_of_rows([cell(status="partial (1 of 2)")]))) is None
    )


def test_methods_that_are_all_equal_have_no_p_value():
    rows = many(["a", "b", "c"], 6).assign(score=0.5)
    table = rank_test_table(select_eligible(rows))
    assert [row[1].text for row in table.rows] == ["2.00"] * 3
    assert {row[2 + (i == 0)].text for i, row in enumerate(table.rows)} <= {"1.0000", "n/a"}
