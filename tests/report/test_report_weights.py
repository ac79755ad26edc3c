"""Weights in the tables: by name, with what a reader has to know, and only where there are any."""

import pytest
from helpers.reports import printed, read_csv, run

from benchmark.report.tables import run_summary
from benchmark.types import Weights

PATHO = Weights("vit_b_histopathology", "verified", {}, title="PathoSAM")


@pytest.mark.parametrize(
    ("weights", "label"),
    [
        (PATHO, "vit_b_histopathology (PathoSAM)"),
        (Weights("cpsam", "verified", {}, confirmed=False), "cpsam, digest unconfirmed"),
        (Weights("user 1a2b3c4d", "user", {}), "user 1a2b3c4d"),
    ],
)
def test_every_format_shows_the_weights_as_they_are_called(weights, label):
    frame = run_summary.summary([run("otsu"), run("apg", weights=weights.label, mark=weights.mark)])
    assert label in printed(frame) and label in run_summary.latex(frame).replace(r"\_", "_")
    assert label in run_summary.markdown(frame).replace("\\", "")
    rows = {row["model"]: row for row in read_csv(run_summary.csv(frame))}
    assert (rows["apg"]["weights"], rows["apg"]["weights_mark"]) == (label, weights.mark)
    assert rows["otsu"]["weights"] == ""


def test_a_note_says_what_the_names_vouch_for():
    weighted = run_summary.notes(
        run_summary.summary([run("apg", weights="vit_b_lm", mark="verified")])
    )
    assert any("digest unconfirmed: nobody publishes one" in line for line in weighted)
    assert not any(
        "digest" in line for line in run_summary.notes(run_summary.summary([run("otsu")]))
    )


def test_without_weights_there_is_no_column_for_them():
    frame = run_summary.summary([run("otsu"), run("oracle")])
    for table in (printed(frame), run_summary.markdown(frame), run_summary.latex(frame)):
        assert "weights" not in table


def test_a_hostile_title_stays_text():
    frame = run_summary.summary([run("apg", weights="x|y <b> $z$", mark="user")])
    assert "<b>" not in run_summary.markdown(frame) and "$z$" not in run_summary.latex(frame)
