"""Bars per data set, and averages: as long as the numbers, and what is missing is said."""

import numpy as np
import pandas as pd
import pytest
from helpers.figures import SHOWN, cell, many, styles_of, texts_of
from helpers.figures import published as published
from helpers.figures import reference as reference
from scipy.stats import rankdata

from benchmark.paper.card import PUBLISHED
from benchmark.report.figures import averages, methods, per_data_set, style
from benchmark.report.frame import frame_of_rows


def bars_of(axes):
    """The widths of what `barh` drew, from the top down."""
    found = sorted(axes.patches, key=lambda bar: bar.get_y())
    return [bar.get_width() for bar in found]


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


# --- bars per data set ----------------------------------------------------------------------


def test_bars_are_the_published_numbers_and_gaps_are_said(published):
    styles, _ = styles_of(published)
    figure = per_data_set.draw(published, styles)
    numbers = pd.read_csv(PUBLISHED / "msa.csv")
    widths = np.concatenate([bars_of(axes) for axes in figure.axes])
    assert sorted(widths) == sorted(numbers["msa"].dropna())
    assert len(widths) == 377
    texts = texts_of(figure)
    assert texts.count("not reported") == 19
    assert not [text for text in texts if text == "n/a"]
    flagged = numbers[numbers["msa"].notna() & (numbers["flagged_in_domain"] == 1)]
    assert sum(style.IN_DOMAIN in text for text in texts) == len(flagged)
    assert any(text.startswith("Not reported on any data set: SAM2.") for text in texts)


def test_skipped_partial_mixed_and_edited_bars_are_marked():
    frame = methods.entries(
        frame_of_rows(
            [
                cell("a", score=np.nan, status="skipped", reason="no weights"),
                cell("b", score=0.3, status="partial (3 of 4)"),
                cell("c", score=0.4, mixed=True),
                cell("d", score=0.2, score_low=0.1, score_high=0.35),
                cell("e", score=0.1, edited=True),
                cell("f", score=0.05, gone=True),
            ]
        )
    )
    styles, _ = styles_of(frame)
    figure = per_data_set.draw(frame, styles)
    (axes,) = figure.axes
    assert bars_of(axes) == [0.4, 0.3, 0.2, 0.1, 0.05]
    hatched = [style.PARTIAL in bar.get_hatch() for bar in axes.patches]
    assert hatched == [False, True, False, False, False]
    marked = {
        "skipped",
        "0.400 mixed",
        "0.100 edited",
        "0.050 predictions gone",
        "partial",
        "95 % interval",
    }
    assert marked <= set(texts_of(figure))
    assert [list(line.get_xdata()) for line in axes.lines] == [[0.1, 0.35]]


def test_numbers_lead_from_bars_to_the_legend():
    frame = methods.entries(
        frame_of_rows([cell("a", "x", 0.1), cell("b", "x", 0.9), cell("b", "y", 0.8)])
    )
    figure = per_data_set.draw(frame, styles_of(frame)[0], numbered=True)
    (axes,) = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1 b", "2 a"]
    numbers = [label.get_text() for label in axes.get_yticklabels()]
    told = list(zip(numbers, bars_of(axes), strict=True))
    assert told == [("1", 0.9), ("2", 0.1), ("1", 0.8)]


@pytest.mark.parametrize("sets", [1, 3, 36, 37])
def test_panels_are_filled_evenly(sets):
    frame = methods.entries(many(["a", "b", "c", "d", "e", "f", "g", "h"], sets))
    found = per_data_set._panels(frame)
    assert sum(map(len, found)) == sets
    sizes = [len(panel) for panel in found]
    assert max(sizes) - min(sizes) <= 1
    assert [rows["group"].iloc[0] for panel in found for rows in panel] == list(
        frame["group"].unique()
    )


# --- averages -------------------------------------------------------------------------------


def test_averages_are_the_studys(published, reference):
    rows, left_out = methods.comparable(methods.main(published))
    assert left_out == ""
    styles, _ = styles_of(published)
    figure = averages.draw(rows, left_out, styles)
    labels = [label for label in styles if label in SHOWN]
    names = {"label_free_cells": "Label-free", "fluo_cells": "Fluorescence cells",
             "fluo_nuclei": "Fluorescence nuclei", "histopathology": "Histopathology"}  # fmt: skip
    assert len(figure.axes) == 4
    for axes, (modality, name) in zip(figure.axes, names.items(), strict=True):
        table = reference.loc[modality][[(SHOWN[label], "default") for label in labels]].to_numpy()
        assert axes.get_title(loc="left").startswith(name)
        assert bars_of(axes) == pytest.approx(table.mean(axis=0))
        ranks = rankdata(-table, axis=1).mean(axis=0)
        pairs = zip(table.mean(axis=0), ranks, strict=True)
        told = [f"{mean:.3f} ({rank:.2f})" for mean, rank in pairs]
        assert [text.get_text() for text in axes.texts] == told
    assert {"0.544 (1.33)", "0.541 (2.11)", "0.418 (1.89)"} <= set(texts_of(figure))


def test_means_without_data_trained_on_are_the_diamonds(published):
    rows, _ = methods.comparable(methods.main(published))
    found = averages.shown(rows)["outside"]
    numbers = pd.read_csv(PUBLISHED / "msa.csv")
    some = numbers[(numbers["modality"] == "histopathology") & (numbers["method"] == "ais")]
    assert some["flagged_in_domain"].any()
    assert found["histopathology", "AIS"] == pytest.approx(
        some.loc[some["flagged_in_domain"] == 0, "msa"].mean()
    )
    assert np.isnan(found["histopathology", "SAM"]), (
        "trained on none: there is nothing to leave out"
    )


def test_a_mean_over_fewer_data_sets_is_marked():
    frame = methods.entries(
        frame_of_rows([cell("a", "x", 0.2), cell("a", "y", 0.4), cell("b", "x", 0.9)])
    )
    rows, left_out = methods.comparable(frame)
    styles, _ = styles_of(frame)
    figure = averages.draw(rows, left_out, styles)
    (axes,) = figure.axes
    assert bars_of(axes) == pytest.approx([0.9, 0.3])
    assert [style.PARTIAL in bar.get_hatch() for bar in axes.patches] == [True, False]
    assert [text.get_text() for text in axes.texts] == ["0.900 (1.00), 1 of 2 sets", "0.300 (2.00)"]
    assert axes.get_title(loc="left").endswith("(2 data sets, ranks over 1)")


def test_a_control_within_the_axis_is_a_line_across_the_bars_of_its_data_set():
    rows = [
        cell("truth_eroded", score=0.6, control=True),
        cell("oracle", score=1.0, control=True),
        cell("empty", score=0.0, control=True),
        cell("otsu", score=0.5),
    ]
    frame = methods.entries(frame_of_rows(rows))
    figure = per_data_set.draw(frame, styles_of(frame)[0])
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert [list(line.get_xdata()) for line in dashed] == [[0.6, 0.6]]
    bottom, top = dashed[0].get_ydata()
    bars = figure.axes[0].patches
    assert len(bars) == 4
    assert all(bottom <= bar.get_y() and bar.get_y() + bar.get_height() <= top for bar in bars)
    assert "a control's score" in legend_of(figure)

    without = methods.entries(frame_of_rows(rows[1:]))
    assert "a control's score" not in legend_of(per_data_set.draw(without, styles_of(without)[0]))
