"""The summary of runs: true to the numbers, and it says what may not be compared."""

import itertools
import json

import numpy as np
import pytest
from helpers.reports import printed, run
from helpers.runs import do, make_job
from omegaconf import OmegaConf

from benchmark.choices import CONFIGS
from benchmark.paper.published import published_frame
from benchmark.report import figures
from benchmark.report.frame import frame_of_runs
from benchmark.report.results import load_result, summary_of
from benchmark.report.tables import run_summary
from benchmark.report.tables.per_data_set import per_data_set


def test_summary_holds_the_run_in_a_row():
    result = run(msa=(0.2, 0.4, 0.6, 0.8, 0.9, 1.0), mixed=True)
    (row,) = run_summary.summary([result]).to_dict("records")
    assert row["msa"] == pytest.approx(0.65)
    assert row["sa50"] == pytest.approx(0.325)
    assert 0.2 < row["msa_low"] < 0.65 < row["msa_high"] < 1
    assert row["sa50_low"] == pytest.approx(row["msa_low"] / 2)
    assert row["sa50_pooled"] == pytest.approx(2 / 6)  # TP 2 of 4 and 4
    assert row["msa_pooled"] == pytest.approx((2 / 6 + 9 * 1 / 7) / 10)
    assert row["seconds"] == 6.5  # the median; the mean is 9.2
    assert (row["images"], row["groups"], row["excluded"]) == (6, 6, 0)
    assert (row["status"], row["mixed"]) == ("complete", True)
    assert (row["run"], row["run_id"]) == (result.run_id[:12], result.run_id)


def test_pooling_weighs_images_by_their_objects():
    counts = {"n_true": [1, 99], "n_predicted": [1, 99], "true_positives": [(1,) * 10, (0,) * 10]}
    (row,) = run_summary.summary([run(msa=(1, 0), scores=counts)]).to_dict("records")
    assert row["msa"] == 0.5
    assert row["msa_pooled"] == row["sa50_pooled"] == 1 / 199


def test_excluded_images_are_out_of_means_and_groups_but_counted():
    empty = {
        "both_empty": [True, True, False, False, False, False],
        "sa50": [np.nan, np.nan, 0.5, 0.5, 0.5, 0.5],
    }
    msa = (np.nan, np.nan, 0.4, 0.5, 0.6, 0.5)
    frame = run_summary.summary([run(msa=msa, scores=empty, protocol="clean")])
    (row,) = frame.to_dict("records")
    assert (row["images"], row["groups"], row["both_empty"], row["excluded"]) == (4, 4, 2, 2)
    assert row["msa"] == pytest.approx(0.5)
    assert "n/a (4 groups)" in run_summary.markdown(frame)
    assert "Protocol clean" in run_summary.markdown(frame)
    assert "left out of the means (up to 2 per run)" in run_summary.markdown(frame)


def test_empty_images_that_score_zero_are_said_aloud():
    frame = run_summary.summary([run(scores={"both_empty": [True] + [False] * 5})])
    assert frame["excluded"].item() == 0
    for text in (run_summary.markdown(frame), run_summary.latex(frame), printed(frame)):
        assert "score 0 (up to 1 per run)" in " ".join(text.split())
    assert "score 0" not in run_summary.markdown(run_summary.summary([run()]))


def test_sorted_by_data_then_accuracy_whatever_the_order():
    runs = [
        run("low", "b", (0.1,) * 6),
        run("none", "b", ()),
        run("high", "b", (0.9,) * 6),
        run("only", "a"),
    ]
    for some in itertools.permutations(runs):
        assert list(run_summary.summary(some)["model"]) == ["only", "high", "low", "none"]


def test_split_and_protocol_are_shown_where_they_differ():
    same = run_summary.summary([run("a"), run("b")])
    assert list(run_summary.data_names(same)) == ["dsb", "dsb"]
    mixed = run_summary.summary([run("a", split="val"), run("b", protocol="clean")])
    assert list(run_summary.data_names(mixed)) == ["dsb, test, clean", "dsb, val, paper"]
    alike = run_summary.summary([run(split="val"), run("empty", split="val")])
    assert list(run_summary.data_names(alike)) == ["dsb, val"] * 2, "what is no test is always told"


def bold(frame):
    """The models whose mSA is marked as the best."""
    table = run_summary.table(frame)
    (score,) = [i for i, column in enumerate(table.columns) if column.header == "mSA"]
    return [row[0].text for row in table.rows if row[score].place == 1]


def test_a_control_is_shown_but_never_the_best():
    frame = run_summary.summary(
        [run("oracle", msa=(0.9,), control=True), run("otsu", msa=(0.4,)), run("sam", msa=(0.3,))]
    )
    assert bold(frame) == ["otsu"]


def test_a_part_of_a_data_set_does_not_pass_as_the_whole():
    part, whole = run("part", known=172), run("whole", known=6)
    unknown, unfinished = run("unknown"), run("unfinished", known=172, expected=25)
    frame = run_summary.summary([part, whole, unknown, unfinished])
    states = dict(zip(frame["model"], frame["status"], strict=True))
    assert states == {
        "part": "partial (6 of 172 known)", "whole": "complete", "unknown": "complete",
        "unfinished": "partial (6 of 25)",
    }  # fmt: skip
    assert "part" not in bold(frame)


def test_a_data_set_of_unknown_size_is_said_in_its_rows():
    unknown, own = run("unknown", uncounted=True, data="dsb"), run("own", data="mine")
    frame = run_summary.summary([unknown, own])
    text = run_summary.markdown(frame)
    (row,) = [line for line in text.splitlines() if line.startswith("| unknown")]
    (other,) = [line for line in text.splitlines() if line.startswith("| own")]
    assert "complete, count unknown" in row and "count unknown" not in other
    assert "count unknown: nobody knows how many" in text
    assert "count unknown" not in run_summary.markdown(run_summary.summary([own]))
    assert "uncounted" not in run_summary.csv(run_summary.summary([own])).splitlines()[0]
    cells = per_data_set(frame_of_runs([unknown, own]))
    assert cells.rows[0][2].marks == ("uncounted",)


@pytest.mark.parametrize(
    ("count", "protocol", "uncounted"),
    [("unknown", "paper", True), ("unknown", "clean", False), (4, "paper", False)],
)
def test_the_card_says_that_the_number_of_images_is_unknown(root, count, protocol, uncounted):
    job = make_job(root)
    do(job)
    path = job.store.path / "run.json"
    described = json.loads(path.read_text())
    described["data_card"] |= {"known_images": {"test": count}}
    path.write_text(json.dumps(described))
    result = load_result(job.store, job.score_key, protocol)
    assert result.uncounted == uncounted and result.status == "complete"


def test_the_card_of_each_data_set_of_the_study_says_how_many_images_there_are():
    for data in published_frame()["data"].unique():
        count = OmegaConf.load(CONFIGS / "data" / f"{data}.yaml").known_images.test
        assert count == "unknown" or count > 0, data


@pytest.mark.parametrize(
    ("protocol", "split", "known"), [("paper", "test", 7), ("paper", "val", None),
                                     ("clean", "test", None), ("paper (x=y)", "test", None)],
)  # fmt: skip
def test_known_images_are_those_of_the_studys_preparation(root, protocol, split, known):
    job = make_job(root)
    do(job)
    path = job.store.path / "run.json"
    described = json.loads(path.read_text()) | {"split": split}
    described["data_card"] |= {"known_images": {"test": 7}}
    path.write_text(json.dumps(described))
    result = load_result(job.store, job.score_key, protocol)
    assert result.known == known and len(result.scores) == 4
    assert result.status == ("partial (4 of 7 known)" if known else "complete")


def test_images_that_are_not_the_studys_own_have_a_star_and_the_reason():
    frame = run_summary.summary([run(data="tnbc", lost="its split was drawn"), run(data="u20s")])
    assert list(run_summary.data_names(frame)) == ["tnbc*", "u20s"]
    assert (
        "* tnbc: not the published study's own images, as its split was drawn."
        in run_summary.notes(frame)
    )
    assert not [
        line for line in run_summary.notes(run_summary.summary([run()])) if line.startswith("*")
    ]


def test_rows_of_other_images_are_told_apart_and_not_compared():
    frame = run_summary.summary(
        [
            run(msa=(0.5,) * 6, images_id="abc123", run_id="1" * 64),
            run(msa=(0.9,) * 6, images_id="def456", run_id="2" * 64),
        ]
    )
    assert list(run_summary.data_names(frame)) == ["dsb #abc123", "dsb #def456"]
    assert bold(frame) == []
    assert list(run_summary.data_names(run_summary.summary([run(images_id="abc123")]))) == ["dsb"]


def test_demonstration_weights_are_marked_wherever_a_run_is_named(tmp_path):
    """In the figure of a single run too, and in what overlays and sweeps call it."""
    demo, other = run("apg", mark="demo", weights="demo"), run("otsu")
    assert (demo.method, other.method) == ("apg (demo)", "otsu")
    assert run("apg (weights=demo)", mark="demo").method == "apg (weights=demo)"
    assert summary_of(demo)["model"] == "apg (demo)"
    _, svg = figures.bars(run_summary.summary([demo, other]), tmp_path / "msa")
    told = svg.read_text()
    assert "<!-- apg (demo) -->" in told and "<!-- otsu -->" in told
