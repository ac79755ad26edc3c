"""Families of comparisons: what is compared, corrected, marked and left out."""

import io

import numpy as np
import pandas as pd
import pytest
from helpers import figures
from helpers.reports import fake

from benchmark.errors import StoreError
from benchmark.paper.report import FURTHER_TEST
from benchmark.paper.significance import study_test
from benchmark.report import comparison
from benchmark.report.assemble import assemble
from benchmark.report.comparison import against_reference, every_pair, within
from benchmark.report.eligible import select_eligible
from benchmark.report.frame import frame_of_runs
from benchmark.report.tables.comparisons import comparison_tables, reference
from benchmark.report.tables.formats import csv
from benchmark.report.text import interval, p_equation
from benchmark.stats import compare as compare_scores
from benchmark.stats import holm


def many(methods="pqrs", data=("d1", "d2", "d3")):
    return [
        fake(m, d, seed=10 * i + j, run_id=f"{i}{j}" * 16)
        for i, m in enumerate(methods)
        for j, d in enumerate(data)
    ]


def test_a_reference_against_each_other_is_one_family():
    results = many()
    found = against_reference(results, "q", FURTHER_TEST)
    frame = found.frame
    assert list(frame.columns) == comparison.COLUMNS
    assert set(zip(frame["data"], frame["a"], frame["b"], strict=True)) == {
        (d, "q", other) for d in ("d1", "d2", "d3") for other in "prs"
    }
    np.testing.assert_allclose(frame["p_holm"], holm(frame["p"]))
    assert found.left_out == ()
    by_run = {r.run_id: r for r in results}
    for row in frame.itertuples():
        one = compare_scores(by_run[row.run_a].scores, by_run[row.run_b].scores)
        assert (row.difference, row.p, row.low, row.high) == (one.difference, one.p, *one.interval)
        assert (row.samples, row.groups, row.excluded) == (8, 8, 0)
        differences = by_run[row.run_a].scores["msa"] - by_run[row.run_b].scores["msa"]
        assert row.further_p == study_test(differences).p
        assert row.further_better == {"a": row.a, "b": row.b}[study_test(differences).better]
    assert "corrected by Holm for 9 tests" in found.notes[0]
    assert any("one in ten" in line for line in found.notes)


def test_order_of_results_does_not_matter():
    results = many()
    first, again = against_reference(results, "q"), against_reference(results[::-1], "q")
    pd.testing.assert_frame_equal(first.frame, again.frame)


def test_all_pairs_of_one_data_set_are_a_family():
    (found,) = within(many(), "d2")
    pairs = list(zip(found.frame["a"], found.frame["b"], strict=True))
    assert pairs == [("p", "q"), ("p", "r"), ("p", "s"), ("q", "r"), ("q", "s"), ("r", "s")]
    np.testing.assert_allclose(found.frame["p_holm"], holm(found.frame["p"]))
    assert "d2" in found.family
    assert within(many(), "unknown") == []


def test_only_what_is_comparable_is_compared():
    base = fake("q", seed=1)
    others = [
        fake("images", images_id="abc"),
        fake("labels", score_key="abc"),
        fake("protocol", protocol="clean"),
        fake("split", split="val"),
        fake("data", data="other"),
        fake("oracle", control=True),
        fake("unscored", msa=[np.nan] * 8),
        fake("fine", seed=2),
    ]
    found = against_reference([base, *others], "q")
    assert list(found.frame["b"]) == ["fine"]
    told = " ".join(found.left_out)
    assert "oracle on dsb: a control" in told and "unscored on dsb: no sample is scored" in told
    assert told.count("there is no run of q") == 5
    for other in others[:5]:
        assert comparison.incomparable(base, other)
    assert comparison.incomparable(base, others[-1]) is None


def test_a_run_that_nothing_compares_with_is_named():
    (found,) = within([fake("p"), fake("q", seed=1), fake("r", split="val")], "dsb")
    assert len(found.frame) == 1
    assert found.left_out == ("r on dsb: no other run is of its images and split.",)


def test_without_apg_the_reference_is_not_the_best_but_the_first_by_name():
    rows = figures.many(["b", "a", "few"], 4)
    rows = rows[(rows["method"] != "few") | (rows["data"] == "data 0")]
    rows.loc[rows["method"] == "a", "score"] = 0.0
    assert reference(select_eligible(rows)) == "a", (
        "picked by its scores, its p-values would be too small"
    )
    rows.loc[rows["method"] == "few", "key"] = "apg"
    assert reference(select_eligible(rows), "apg") == "few"
    assert reference(select_eligible(rows), "b") == "b", "by its name"


def test_numbers_of_a_comparison_can_be_computed_with_and_both_states_are_told():
    a, b = fake("p", seed=1, expected=9), fake("q", seed=2, expected=10)
    tables = comparison_tables([a, b], select_eligible(frame_of_runs([a, b])), every_pair([a, b]))
    (table,) = [t for t in tables if t.name == "tests_pairs"]
    (line,) = pd.read_csv(io.StringIO(csv(table))).to_dict("records")
    (row,) = within([a, b], "dsb")[0].frame.to_dict("records")
    assert (line["95 % from"], line["to"]) == (row["low"], row["high"])
    assert line["a - b: mark"] == "a partial 8 of 9; b partial 8 of 10"


def test_runs_of_one_name_are_told_apart_and_an_ambiguous_reference_is_left_out():
    twice = [fake("q", seed=1, run_id="1" * 32), fake("q", seed=2, run_id="2" * 32)]
    found = against_reference([fake("p"), *twice], "p")
    assert list(found.frame["b"]) == ["q #111111", "q #222222"]
    found = against_reference([fake("p"), *twice], "q")
    assert found.frame.empty and "there are 2 runs of q" in found.left_out[0]


def test_marks_of_runs_stay_with_the_comparison():
    marks = {"mixed": True, "edited": True}
    a, b = fake("p", seed=1), fake("q", msa=[0.5] * 5, expected=8, failed=0, **marks)
    (row,) = against_reference([a, b], "p").frame.to_dict("records")
    assert (row["samples"], row["excluded"]) == (5, 3)
    assert (row["status_a"], row["status_b"], row["mixed"]) == (
        "complete",
        "partial (5 of 8)",
        True,
    )
    assert np.isnan(row["p"]) and np.isnan(row["p_holm"]) and not np.isnan(row["low"])
    found = against_reference([a, b], "p")
    assert list(found.exclusions["sample"]) == ["s5", "s6", "s7"]
    told = " ".join(found.notes)
    assert row["edited"] and "edited:" in told
    tables = comparison_tables([a, b], select_eligible(frame_of_runs([a, b])), every_pair([a, b]))
    marks_shown = {mark for t in tables for line in t.rows for cell in line for mark in cell.marks}
    assert {"mixed", "edited"} <= marks_shown
    assert "partial:" in told and "mixed:" in told and "3 in all" in told


def test_the_studys_test_is_no_claim_under_another_protocol():
    found = against_reference(
        [fake("p", protocol="clean"), fake("q", protocol="clean", seed=1)], "p", FURTHER_TEST
    )
    assert found.frame["further_p"].isna().all() and (found.frame["further_better"] == "").all()
    assert not any("one in ten" in line for line in found.notes)


@pytest.mark.parametrize(("key", "value"), [("n_true", 5.0), ("group", "x")])
def test_runs_that_disagree_on_the_truth_are_left_out_and_the_others_compared(key, value):
    other = fake("q", seed=1)
    object.__setattr__(other, "scores", other.scores.assign(**{key: value}))
    found = against_reference([fake("p"), other, fake("r", seed=2)], "p")
    assert list(found.frame["b"]) == ["r"]
    (left_out,) = found.left_out
    assert f"'{key}' of sample 's0'" in left_out and "action=evaluate" in left_out
    with pytest.raises(StoreError, match=key):
        comparison.compare_runs(fake("p"), other)


def test_hostile_names_keep_no_control_characters():
    found = against_reference([fake("p\x1b[31m"), fake("q\nq", seed=1)], "p\x1b[31m")
    assert found.frame["a"].item() == "p?[31m" and found.frame["b"].item() == "q?q"
    assert "\x1b" not in "".join(found.notes)


def test_missing_numbers_are_told_with_their_groups():
    nan = float("nan")
    assert interval(nan, nan, 4) == "n/a (4 groups)"
    assert interval(nan, nan, 1) == "n/a (1 group)"
    assert interval(-0.01, 0.02, 9, "+.3f", " to ") == "-0.010 to +0.020"
    assert p_equation(None, 5) == p_equation(nan, 5) == "p n/a (5 groups)"
    assert (p_equation(0.03125, 6), p_equation(1e-5, 40)) == ("p = 0.0312", "p < 0.0001")


def test_partial_runs_on_different_data_sets_have_a_report_without_comparisons():
    runs = [fake(*of, expected=9, score_key="1") for of in (("a", "dsb"), ("b", "u20s"))]
    tables = {table.name for table in assemble(runs).tables}
    assert "runs_errors" in tables
    assert not tables & {"runs_tests_pairs", "runs_tests_reference"}


@pytest.mark.parametrize("others", ["", "unknown", "organoids"])
def test_a_data_set_has_one_modality_whatever_its_runs_name(others):
    named = zip("abc", ("histopathology", others, "histopathology"), strict=True)
    report = assemble([fake(name, modality=of, score_key="1") for name, of in named])
    assert set(report.cells["modality"]) == {"histopathology"}
    assert list(select_eligible(report.cells).of.items()) == [("histopathology", 1)]
