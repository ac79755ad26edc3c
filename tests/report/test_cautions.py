"""Numbers that mislead if they are read alone are named below their table."""

import numpy as np
import pytest
from helpers.reports import fake, read_csv, run

from benchmark.actions.compare import _findings
from benchmark.report.comparison import (
    against_reference,
    cautions,
    compare_runs,
    every_pair,
    within,
)
from benchmark.report.eligible import select_eligible
from benchmark.report.frame import frame_of_runs
from benchmark.report.tables import run_summary
from benchmark.report.tables.comparisons import comparison_tables
from benchmark.report.text import some
from benchmark.scoring.metrics import METRICS

ALIKE = (0.9, 0.91, 0.89, 0.9, 0.92, 0.88, 0.9, 0.91)
SPREAD = (0.2, 0.5, 0.35, 0.7, 0.6, 0.4, 0.3, 0.8)


def narrow(frame):
    return [line for line in run_summary.notes(frame) if "too narrow" in line]


def test_the_summary_names_the_intervals_that_may_be_too_narrow():
    spread = {"sa50": np.array(SPREAD)}
    runs = [
        run("alike", msa=ALIKE, scores=spread),
        run("equal", msa=(0.5,) * 5 + (0.1, 0.7, 0.9), scores=spread),
        run("spread", msa=SPREAD, scores=spread),
        run("few", msa=ALIKE[:4]),
        run("control", msa=(1.0,) * 8, control=True),
    ]
    equal, alike = narrow(run_summary.summary(runs))
    assert equal.startswith("The interval may be too narrow for equal on dsb (mSA): more than half")
    assert alike.startswith("The interval may be too narrow for alike on dsb (mSA): the groups are")
    assert narrow(run_summary.summary(runs[2:])) == []
    assert narrow(run_summary.summary([])) == []


def test_the_metrics_shown_are_the_ones_that_are_named():
    (line,) = narrow(run_summary.summary([run("both", msa=ALIKE)]))
    assert "both on dsb (mSA), both on dsb (SA50): " in line
    ranked = run("pq", msa=ALIKE, scores={"pq": SPREAD, "sa50": SPREAD}, metric=METRICS["pq"])
    assert narrow(run_summary.summary([ranked])) == []


def test_the_files_for_programs_have_the_columns_that_they_had():
    (row,) = read_csv(run_summary.csv(run_summary.summary([run(msa=ALIKE)])))
    assert not any("caution" in column for column in row) and "msa_low" in row


def said(families):
    lines = dict.fromkeys(("No difference", "Interval and p", "The interval may"), "")
    for line in cautions(families):
        (key,) = [key for key in lines if line.startswith(key)]
        lines[key] = line
    return lines.values()


def of_groups(many, shift=0.0, **changes):
    rng = np.random.default_rng(len(changes.get("run_id", "")))
    return fake(changes.pop("name"), msa=tuple(rng.uniform(0.3, 0.5, many) + shift), **changes)


@pytest.mark.parametrize(
    ("groups", "methods", "p", "corrected"),
    [
        (6, 2, None, None), (6, 3, "0.0312", "0.0625"), (7, 4, None, None),
        (7, 5, "0.0156", "0.0625"), (8, 7, None, None), (8, 8, "0.0078", "0.0547"),
        (5, 4, None, None),
    ],
)  # fmt: skip
def test_a_family_with_too_few_groups_for_its_tests_says_that_nothing_can_be_significant(
    groups, methods, p, corrected
):
    runs = [of_groups(groups, 0.1 * i, name=f"m{i}", run_id=f"{i}" * 32) for i in range(methods)]
    family = against_reference(runs, "m0")
    assert len(family.frame) == methods - 1
    hopeless, _, _ = said([family])
    assert bool(hopeless) == (p is not None)
    if p is None:
        assert not (family.frame["p_holm"].min() > 0.05) or groups == 5
    else:
        assert family.frame["p_holm"].min() > 0.05  # though each is ahead in all groups
        assert hopeless.startswith("No difference can be significant at 5 % for any of these: ")
        assert f"With {groups} groups p is at least {p}, here by Holm {corrected}." in hopeless


@pytest.mark.slow
def test_of_families_of_different_groups_those_are_named_that_have_too_few():
    runs = [
        of_groups(groups, 0.1 * i, name=f"m{i}", data=f"d{groups}", run_id=f"{groups}{i}" * 16)
        for groups in (6, 12)
        for i in range(3)
    ]
    hopeless, _, _ = said([*within(runs, "d6"), *within(runs, "d12")])
    assert "m0 - m1 on d6, m0 - m2 on d6, m1 - m2 on d6: " in hopeless and "d12" not in hopeless
    # In one family those of twelve groups may be significant before those of six.
    hopeless, _, _ = said([against_reference(runs, "m0")])
    assert "m0 - m1 on d6, m0 - m2 on d6: " in hopeless and "d12" not in hopeless


def test_comparisons_are_named_where_interval_and_test_disagree():
    # a is far ahead in one small group, and a little behind in seven large ones.
    ahead = np.array([0.2] * 3 + [-0.02] * 280)
    group = ["g0"] * 3 + [f"g{1 + i // 40}" for i in range(280)]
    b = fake("b", msa=(0.5,) * 283, scores={"group": group})
    a = fake("a", msa=tuple(0.5 + ahead), scores={"group": group})
    (family,) = within([a, b], "dsb")
    assert family.frame["high"].item() < 0 and family.frame["p"].item() > 0.05
    _, disagree, _ = said([family])
    assert disagree.startswith("Interval and p disagree for a - b on dsb: they ask different")
    told = _findings(compare_runs(a, b)[1])
    assert any(line.startswith("Interval and permutation test disagree: they") for line in told)
    told = " ".join(_findings(compare_runs(fake("a", msa=SPREAD), fake("b", seed=3))[1]))
    assert "disagree" not in told and "too narrow" not in told
    _, disagree, _ = said(within([fake("a", msa=SPREAD), fake("b", seed=3)], "dsb"))
    assert disagree == ""


def test_comparisons_are_named_of_which_most_groups_are_equal():
    a = fake("a", msa=SPREAD)
    b = fake("b", msa=(*SPREAD[:6], 0.1, 0.9))
    _, _, narrow = said(within([a, b], "dsb"))
    assert narrow.startswith("The interval may be too narrow for a - b on dsb: more than half")
    tables = comparison_tables([a, b], select_eligible(frame_of_runs([a, b])), every_pair([a, b]))
    assert tables and all(narrow in table.notes for table in tables)
    told = _findings(compare_runs(a, b)[1])
    assert any(line.startswith("The interval may be too narrow: more than half") for line in told)
    assert list(said(within([a, fake("c", seed=3)], "dsb")))[2] == ""


def test_many_names_are_cut():
    assert some(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"
    assert some(list("abcdef")) == "a, b, c, d, e, f"
