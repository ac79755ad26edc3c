"""Which method is best: the sentences and numbers of paired tests on scores made by hand."""

import io
import re
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.reports import fake, markdown_cells, run
from rich.console import Console

from benchmark.report import comparison, write
from benchmark.report.assemble import assemble
from benchmark.report.comparison import FurtherTest, every_pair
from benchmark.report.figures import differences
from benchmark.report.figures.draw import draw_all
from benchmark.report.frame import frame_of_runs
from benchmark.report.site.build import write_site
from benchmark.report.tables.formats import csv, markdown
from benchmark.report.verdict import (
    BETTER,
    FEW,
    ROUGH,
    SAME,
    UNCLEAR,
    on_console,
    verdict_table,
    verdicts,
)
from benchmark.scoring.metrics import METRICS
from benchmark.stats import ALPHA, fewest_groups, groups_needed, smallest_p

BASE = np.array([0.3, 0.4, 0.5, 0.6, 0.35, 0.45, 0.55, 0.65, 0.5, 0.4])
WAVE = np.array([0.03, -0.02, 0.04, -0.03, 0.02, -0.01, 0.03, -0.03, 0.01, -0.02])
SHIFT = np.array([0.05, 0.06, 0.07, 0.05, 0.08, 0.06, 0.06, 0.07, 0.05, 0.09])


def verdict(*runs, metric=METRICS["msa"]):
    (found,) = verdicts(every_pair(runs), metric)
    return found


def against(found):
    return {one.other: one for one in found.against}


def test_the_numbers_are_those_of_the_table_of_all_pairs():
    runs = [fake("ais", msa=BASE + SHIFT), fake("apg", msa=BASE + WAVE), fake("otsu", msa=BASE)]
    (family,) = every_pair(runs)
    found = verdict(*runs)
    assert found.best == "ais" and set(against(found)) == {"apg", "otsu"}
    for row in family.frame.to_dict("records"):
        if row["a"] == "ais":
            one = against(found)[row["b"]]
            assert (one.difference, one.low, one.high, one.p) == (
                row["difference"], row["low"], row["high"], row["p_holm"]
            )  # fmt: skip
            assert one.p > row["p"], "corrected for all pairs"
            size = f"{one.difference:.3f} [{one.low:.3f}, {one.high:.3f}]"
            assert one.sentence == f"ais beats {one.other} by {size}, p = {one.p:.4f}."


def test_a_method_beats_another_in_whichever_order_they_are_compared():
    first, second = BASE + SHIFT, BASE
    for names in (("a", "z"), ("z", "a")):
        found = verdict(fake(names[0], msa=first), fake(names[1], msa=second, seed=1))
        (one,) = found.against
        assert (found.best, one.outcome) == (names[0], BETTER)
        assert one.difference == pytest.approx(SHIFT.mean())
        assert 0 < one.low < one.difference < one.high and one.more is None
        assert found.headline == f"{names[0]} is best: it beats {names[1]}."


def test_what_no_test_tells_apart_is_no_winner_and_says_how_many_images_might():
    found = verdict(fake("apg", msa=BASE + WAVE + 0.01), fake("ais", msa=BASE, seed=1))
    (one,) = found.against
    assert (found.best, one.outcome) == ("apg", UNCLEAR)
    by_hand = ((1.959964 + 0.841621) * WAVE.std(ddof=1) / (WAVE.mean() + 0.01)) ** 2
    assert one.more == int(np.ceil(by_hand)) - 10
    assert found.headline == "No single best method: apg can't be told apart from ais."
    assert "apg and ais can't be told apart on 10 images" in one.sentence
    assert f"roughly {one.more} more images would settle it" in one.sentence
    assert ROUGH in found.notes


def test_groups_are_counted_where_images_are_not_independent():
    groups = {"group": [f"g{i // 2}" for i in range(20)]}
    runs = [
        run("a", msa=np.repeat(BASE + WAVE + 0.01, 2), scores=groups),
        run("b", msa=np.repeat(BASE, 2), scores=groups),
    ]
    (one,) = verdict(*runs).against
    assert "on 20 images in 10 groups" in one.sentence and "more groups would" in one.sentence


@pytest.mark.parametrize("images", [1, 2, 4, 5])
def test_with_fewer_than_six_groups_there_is_no_verdict(images):
    found = verdict(fake("a", msa=(BASE + 0.1)[:images]), fake("b", msa=BASE[:images], seed=1))
    (one,) = found.against
    assert (one.outcome, one.more) == (FEW, 6 - images)
    assert one.p != one.p
    assert re.match(rf"No verdict: a test takes at least 6 images, .* {images}\.", found.headline)
    assert not re.search(r"beats|best", " ".join(found.sentences))
    assert f"at least {6 - images} more image" in one.sentence


def test_six_groups_are_enough_for_one_pair_and_too_few_for_three():
    pair = [fake("a", msa=(BASE + SHIFT)[:6]), fake("b", msa=BASE[:6], seed=1)]
    assert verdict(*pair).against[0].outcome == BETTER
    found = verdict(*pair, fake("c", msa=BASE[:6] - SHIFT[:6], seed=2))
    assert {one.outcome for one in found.against} == {UNCLEAR}
    assert any("No difference can be significant" in note for note in found.notes)
    assert {one.more for one in found.against} == {1}, "of seven groups p by Holm may be 3 / 64"


def test_equal_scores_are_said_to_be_equal():
    found = verdict(fake("a", msa=BASE), fake("b", msa=BASE, seed=1), fake("c", msa=BASE - SHIFT))
    assert found.best == "a", "of equals the first by name"
    assert {name: one.outcome for name, one in against(found).items()} == {"b": SAME, "c": BETTER}
    assert found.headline == "No single best method: a can't be told apart from b; it beats c."
    assert against(found)["b"].sentence == "a and b score the same on 10 images."


def test_a_difference_whose_mean_is_0_names_no_number_of_images():
    up = np.array([0.1, -0.1] * 5)
    found = verdict(fake("a", msa=BASE + up), fake("b", msa=BASE, seed=1))
    assert found.against[0].outcome == UNCLEAR and found.against[0].more is None
    assert "no number of further images" in found.against[0].sentence


def test_where_groups_and_images_disagree_neither_is_best():
    # One group of 30 images favours b; seven groups of one image favour a.
    groups = ["big"] * 30 + [f"g{i}" for i in range(7)]
    scores = {"group": groups}
    a = run("a", msa=[0.4] * 30 + [0.6] * 7, scores=scores)
    b = run("b", msa=[0.45] * 30 + [0.5] * 7, scores=scores)
    found = verdict(a, b)
    assert found.best == "b" and found.against[0].outcome == UNCLEAR
    assert "larger groups favour one of them" in found.against[0].sentence


def test_where_lower_is_better_the_lower_one_beats():
    lower = next((m for m in METRICS.values() if not m.higher_is_better), None)
    if lower is None:
        from dataclasses import replace

        lower = replace(METRICS["msa"], higher_is_better=False)
    scores = [{lower.name: BASE}, {lower.name: BASE + SHIFT}]
    runs = [run(n, msa=BASE, scores=s, metric=lower) for n, s in zip("ab", scores, strict=True)]
    found = verdict(*runs, metric=lower)
    (one,) = found.against
    assert (found.best, one.outcome) == ("a", BETTER)
    assert one.difference == pytest.approx(-SHIFT.mean()), "as tables have it, a - b"
    assert one.sentence.startswith(f"a beats b by {SHIFT.mean():.3f} [0.0")


def test_one_method_alone_and_controls_have_no_verdict():
    assert verdicts(every_pair([fake("a")])) == []
    assert verdicts(every_pair([fake("a"), fake("oracle", control=True)])) == []
    assert verdict_table([]) is None and on_console([]) == []


def test_the_estimate_by_hand_and_its_limits():
    assert groups_needed(0.5, 1.0, 0.05) == 32, "(2.8016 * 2)^2 = 31.4"
    assert groups_needed(5.0, 1.0, 0.05) == 6, "never fewer than a test takes"
    assert groups_needed(-0.5, 1.0, 0.05) == 32
    assert groups_needed(0.25, 1.0, 0.05) == 126, "half the difference, four times as many"
    for nothing in ((0.0, 1.0), (float("nan"), 1.0), (0.1, float("nan"))):
        assert groups_needed(*nothing, 0.05) is None
    for tests in (1, 2, 3, 10, 100):
        fewest = fewest_groups(ALPHA / tests)
        assert smallest_p(fewest) * tests <= ALPHA
        assert fewest == 6 or smallest_p(fewest - 1) * tests > ALPHA


# --- where it is shown ------------------------------------------------------------------------


def some_runs(*data):
    return [
        fake(name, data, msa=scores, seed=i)
        for data in data
        for i, (name, scores) in enumerate(
            [("ais", BASE + SHIFT), ("apg", BASE + WAVE), ("otsu", BASE)]
        )
    ]


def printed(report, monkeypatch):
    console = Console(width=80, file=io.StringIO())
    monkeypatch.setattr(write, "out", console)
    write.show_report(report)
    return " ".join(console.file.getvalue().split())


def test_the_console_has_every_sentence_of_one_data_set_and_the_answer_for_several(monkeypatch):
    report = assemble(some_runs("d"))
    shown = printed(report, monkeypatch)
    assert all(sentence in shown for sentence in report.verdicts[0].sentences)
    shown = printed(assemble(some_runs("d", "e")), monkeypatch)
    assert "d: ais is best: it beats all 2 other methods." in shown
    assert "e: ais is best" in shown and "ais beats apg by" not in shown


def test_the_table_is_written_in_markdown_and_with_full_numbers():
    report = assemble(some_runs("d"))
    (table,) = [table for table in report.tables if table.name == "runs_verdict"]
    (found,) = report.verdicts
    cells = markdown_cells(markdown(table))
    assert [row[-1] for row in cells] == [one.sentence for one in found.against]
    assert found.headline in markdown(table)
    assert repr(found.against[0].difference) in csv(table)


def test_of_one_data_set_nothing_is_averaged_or_ranked(tmp_path):
    over = {"means", "medians", "ranks", "rank_tests", "duels", "domain"}
    for data, expected in ((["d"], set()), (["d", "e"], {"means", "medians", "ranks"})):
        report = assemble(some_runs(*data))
        names = {table.name.removeprefix("runs_") for table in report.tables}
        assert names & over == expected
        assert {"table", "per_data_set", "tests_pairs", "verdict"} <= names
        results = report.results
        drawn = {
            p.stem
            for p in draw_all(
                report.cells, results, tmp_path / str(len(data)), verdicts=report.verdicts
            )
        }
        assert "differences" in drawn
        assert ({"averages", "wins"} <= drawn) == bool(expected)


def test_the_forest_plot_draws_every_difference_and_its_interval():
    found = [verdict(*some_runs("d")), verdict(fake("p", msa=BASE[:4]), fake("q", seed=1))]
    (axes,) = differences.draw(found[:1]).axes
    every = found[0].against
    marks = [line for line in axes.lines if line.get_marker() == "s"]
    assert [line.get_xdata()[0] for line in marks] == [one.difference for one in every]
    assert [line.get_markerfacecolor() != "white" for line in marks] == [
        one.outcome == BETTER for one in every
    ]
    spans = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    assert {(one.low, one.high) for one in every} <= set(spans)
    assert [label.get_text() for label in axes.get_yticklabels()] == [one.other for one in every]
    assert len(differences.draw(found).axes[0].lines) > len(axes.lines), "without intervals too"


def test_the_site_answers_on_the_first_page_and_on_that_of_the_data_set(tmp_path):
    runs = some_runs("<d>")
    report = assemble(runs)
    index = write_site(
        frame_of_runs(runs), runs, tmp_path / "site", private=True, verdicts=report.verdicts
    )
    assert "ais is best: it beats all 2 other methods." in index.read_text(encoding="utf-8")
    (page,) = (tmp_path / "site" / "data").glob("*.html")
    text = page.read_text(encoding="utf-8")
    assert all(sentence in text for sentence in report.verdicts[0].sentences)
    (figure,) = re.findall(r'src="\.\./(figures/[^"]+\.svg)"', text)
    assert (tmp_path / "site" / figure).is_file()
    assert "Which method is best" not in write_site(
        frame_of_runs(runs[:1]), runs[:1], tmp_path / "one", private=True
    ).read_text(encoding="utf-8")


def test_an_interval_that_holds_0_confirms_no_winner():
    """One image of the other method's is far better; all others are a little worse."""
    by = np.array([-0.06, 0.05, 0.07, 0.01, 0.03, 0.06, 0.04, 0.02, 0.05, 0.09])
    found = verdict(fake("a", msa=0.5 + by), fake("b", msa=np.full(10, 0.5), seed=1))
    (one,) = found.against
    assert one.p <= ALPHA and one.low < 0 < one.high
    assert one.outcome == UNCLEAR and one.more is None
    assert "disagree" in one.sentence and "No single best" in found.headline


def test_a_partial_run_is_best_only_so_far():
    runs = [fake("a", msa=BASE + SHIFT, expected=40), fake("b", msa=BASE, seed=1)]
    assert "so far" in verdict(*runs).headline
    assert "so far" not in verdict(fake("a", msa=BASE + SHIFT), runs[1]).headline


def test_a_pair_of_runs_is_compared_once_in_a_report(monkeypatch):
    made, compare = [], comparison.compare_runs

    def counted(a, b):
        made.append((a.method, b.method))
        return compare(a, b)

    monkeypatch.setattr(comparison, "compare_runs", counted)
    runs = [fake(name, seed=seed) for seed, name in enumerate(("ais", "apg", "otsu"))]
    tables = {table.name: table for table in assemble(runs).tables}
    assert {"runs_tests_reference", "runs_tests_pairs"} <= tables.keys()
    assert sorted(made) == [("ais", "apg"), ("ais", "otsu"), ("apg", "otsu")]
    known = csv(tables["runs_tests_reference"])
    assert (
        csv(tables["runs_tests_pairs"]).splitlines()[1].split(",")[:9]
        == (known.splitlines()[1].split(",")[:9])
    )


def test_what_a_further_test_says_is_kept_apart_from_other_tests_of_the_pair():
    a, b = fake("ais", seed=0), fake("apg", seed=1)

    def further(p):
        answer = SimpleNamespace(better="a", p=p)
        return FurtherTest(a.protocol, "msa", "t", "n", lambda differences: answer)

    first, second = further(0.25), further(0.75)
    for asked, p in ((first, 0.25), (second, 0.75), (first, 0.25)):
        (family,) = every_pair([a, b], asked)
        assert list(family.frame["further_p"]) == [p]
    (family,) = every_pair([a, b])
    assert family.frame["further_p"].isna().all()
