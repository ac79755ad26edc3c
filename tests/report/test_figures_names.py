"""What the figures call methods and data sets, and which of them they compare."""

import numpy as np
import pandas as pd
from helpers.figures import SHOWN, cell
from helpers.figures import published as published

from benchmark.paper.published import published_frame
from benchmark.report.figures import methods
from benchmark.report.frame import frame_of_rows


def test_labels_tell_apart_what_one_name_stands_for():
    frame = methods.entries(
        frame_of_rows(
            [
                cell("apg", run_id="aaaaaaaa1"),
                cell("apg", run_id="bbbbbbbb2"),
                cell("tiny", mark="demo", run_id="c"),
                cell("demo_net", mark="demo", run_id="d"),
                cell("apg", "e", source="published", run_id="", images_id=""),
            ]
        )
    )
    assert list(frame["label"]) == [
        "apg #aaaaaa", "apg #bbbbbb", "tiny (demo)", "demo_net (demo)", "apg (published)",
    ]  # fmt: skip


def test_data_sets_are_told_apart_by_split_images_and_loss():
    frame = methods.entries(
        frame_of_rows(
            [
                cell("a", "x", images_id="111111"),
                cell("b", "x", images_id="222222"),
                cell("a", "y", split="val", lost="why"),
                cell("b", "y", split="val", run_id="z"),
                cell("c", "z", source="published", images_id="", run_id=""),
                cell("a", "z"),
            ]
        )
    )
    assert list(frame["group"]) == [
        "x, test #111111", "x, test #222222", "y, val*", "y, val*", "z, test", "z, test",
    ]  # fmt: skip


def test_what_was_skipped_stands_with_the_runs_of_its_data_set():
    skip = {"status": "skipped", "reason": "no token", "split": "", "images_id": "", "run_id": ""}
    rows = [cell("a", "x"), cell("a", "y"), cell("b", "x", score=np.nan, **skip)]
    assert list(methods.entries(frame_of_rows(rows))["group"]) == ["x", "y", "x"]
    rows = [*rows, cell("a", "z", split="val"), cell("b", "w", score=np.nan, **skip)]
    groups = list(methods.entries(frame_of_rows(rows))["group"])
    assert groups == ["x, test", "y, test", "x, test", "z, val", "w"]


def test_the_order_compares_methods_on_the_same_data_sets():
    rows = [
        cell("few", "easy", score=0.8),
        cell("all", "easy", score=0.9),
        cell("all", "hard", score=0.3),
    ]
    assert methods.order(methods.entries(frame_of_rows(rows))) == ["all", "few"]


def test_partial_controls_and_variants_are_not_compared():
    frame = methods.entries(
        frame_of_rows(
            [
                cell("apg", key="apg"),
                cell("apg_boundary", key="apg_boundary", variant_of="apg"),
                cell("oracle", score=1.0, control=True),
                cell("slow", status="partial (1 of 2)"),
                cell("gone", score=np.nan, status="skipped", reason="no weights"),
            ]
        )
    )
    rows, left_out = methods.comparable(methods.main(frame))
    assert list(rows["label"]) == ["apg"]
    assert left_out.startswith("Not compared: 1 result,")
    alone = frame[frame["key"] != "apg"]
    assert "apg_boundary" in set(methods.main(alone)["label"])


def test_the_studys_main_figure_has_its_seven_methods(published):
    assert set(methods.main(published)["label"]) == set(SHOWN)


def test_demonstration_weights_stand_beside_published_numbers_only_when_asked():
    mine = [cell("tiny", "livecell", mark="demo"), cell("tiny", "own", mark="demo")]
    frame = pd.concat([published_frame(), frame_of_rows(mine)], ignore_index=True)
    rows, left_out = methods.without_demo(methods.entries(frame))
    assert list(rows.loc[rows["mark"] == "demo", "data"]) == ["own"]
    assert left_out.startswith("Left out: 1 run of demonstration weights")
    assert methods.without_demo(methods.entries(frame_of_rows(mine)))[1] == ""
