"""The figures: what is drawn is what the data say, harmless, legible and the same each time."""

import itertools
import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import rankdata

from benchmark.metrics import mean_segmentation_accuracy
from benchmark.report import escape
from benchmark.report.cells import MODALITIES, cells, cells_of_runs
from benchmark.report.figures import (
    ablation,
    averages,
    critical_difference,
    draw_all,
    entries,
    panels,
    pareto,
    per_data_set,
    style,
    thresholds,
    wins,
)
from benchmark.report.published import published_cells
from benchmark.report.results import RunResult
from benchmark.report.study_card import PUBLISHED

HOSTILE = [
    "<img src=x>", "a&b_%.tif", "[red]", "$x$", "=1+1", "\x1b[31mred", "a|b\\", "line\nbreak",
    "^{~}\\end{tabular}", "$$", "\\$", "$\\frac", "\u202egpj", "Zelle_é_細胞", "\ud800",
    "x" * 300,
]  # fmt: skip
LONG = [f"method {i:02d} " + "abcdefghij klmnopqrst uvwxyzäöü"[: 40 - 10] for i in range(12)]


def cell(method="a", data="d", msa=0.5, **changes):
    """A row of cells: one complete run."""
    row = {
        "source": "runs", "method": escape.plain(method), "key": "", "data": escape.plain(data),
        "data_label": escape.plain(data), "modality": "fluorescence_nuclei", "msa": msa,
        "msa_low": np.nan, "msa_high": np.nan, "images": 10, "groups": 10, "status": "complete",
        "reason": "", "in_domain": pd.NA, "protocol": "paper", "split": "test", "weights": "",
        "mark": "", "mixed": False, "control": False, "lost": "", "seconds": np.nan,
        "memory": np.nan, "run": "r", "run_id": f"{method}/{data}".encode("utf-8", "replace").hex(),
        "images_id": "0a0a0a",
    }  # fmt: skip
    return row | changes


def many(methods, sets, seed=0, **changes):
    """Cells of every method on every data set, of three modalities, with random numbers."""
    rng = np.random.default_rng(seed)
    kinds = list(MODALITIES)[:3]
    return cells(
        [
            cell(
                method, f"data {j}", round(rng.random(), 3), modality=kinds[j % 3],
                seconds=10 ** rng.uniform(-2, 2), in_domain=bool(rng.random() < 0.3), **changes,
            )
            for method, j in itertools.product(methods, range(sets))
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def published():
    return entries.entries(published_cells())


@pytest.fixture(scope="module")
def reference():
    """The study's numbers straight from the file: data sets x (method, setting)."""
    table = pd.read_csv(PUBLISHED / "msa.csv")
    return table.pivot(index=["modality", "dataset"], columns=["method", "setting"], values="msa")


SHOWN = {
    "SAM": "amg_sam_vit_b", "AIS": "ais", "APG": "apg_cc", "Cellpose 3": "cellpose3_cyto3",
    "CellPoseSAM": "cellposesam_cpsam", "CellSAM": "cellsam", "SAM3": "sam3_text_cell",
}  # fmt: skip


def styles_of(frame):
    labels = entries.order(frame)
    return style.bar_styles(labels), style.line_styles(labels)


def bars_of(axes):
    """The widths of what `barh` drew, from the top down."""
    found = sorted(axes.patches, key=lambda bar: bar.get_y())
    return [bar.get_width() for bar in found]


def texts_of(figure):
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def drawn(figure):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with style.missing_glyphs_allowed():
        canvas.draw()
    return canvas


# --- names and comparisons ----------------------------------------------------------------


def test_labels_tell_apart_what_one_name_stands_for():
    frame = entries.entries(
        cells(
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
    frame = entries.entries(
        cells(
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


def test_partial_controls_and_variants_are_not_compared():
    frame = entries.entries(
        cells(
            [
                cell("apg", key="apg_cc"),
                cell("apg_boundary", key="apg_bd"),
                cell("oracle", msa=1.0, control=True),
                cell("slow", status="partial (1 of 2)"),
                cell("gone", msa=np.nan, status="skipped", reason="no weights"),
            ]
        )
    )
    rows, left_out = entries.comparable(entries.main(frame))
    assert list(rows["label"]) == ["apg"]
    assert left_out.startswith("Not compared: 1 result,")
    alone = frame[frame["key"] != "apg_cc"]
    assert "apg_boundary" in set(entries.main(alone)["label"])


def test_the_studys_main_figure_has_its_seven_methods(published):
    assert set(entries.main(published)["label"]) == set(SHOWN)


def test_complete_block_keeps_the_most_cells():
    table = pd.DataFrame(
        {"a": [1, 1, 1, 1.0], "b": [1, 1, 1, np.nan], "c": [np.nan, np.nan, np.nan, 1.0]}
    )
    block = entries.complete_block(table)
    assert block.shape == (3, 2)
    assert list(block.columns) == ["a", "b"]
    assert entries.complete_block(table[["a"]]).shape == (4, 1)


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


def test_skipped_partial_and_mixed_bars_are_marked():
    frame = entries.entries(
        cells(
            [
                cell("a", msa=np.nan, status="skipped", reason="no weights"),
                cell("b", msa=0.3, status="partial (3 of 4)"),
                cell("c", msa=0.4, mixed=True),
                cell("d", msa=0.2, msa_low=0.1, msa_high=0.35),
            ]
        )
    )
    styles, _ = styles_of(frame)
    figure = per_data_set.draw(frame, styles)
    (axes,) = figure.axes
    assert bars_of(axes) == [0.4, 0.3, 0.2]
    assert [style.PARTIAL in bar.get_hatch() for bar in axes.patches] == [False, True, False]
    assert {"skipped", "0.400 mixed", "partial", "95 % interval"} <= set(texts_of(figure))
    assert [list(line.get_xdata()) for line in axes.lines] == [[0.1, 0.35]]


def test_numbers_lead_from_bars_to_the_legend():
    frame = entries.entries(cells([cell("a", "x", 0.1), cell("b", "x", 0.9), cell("b", "y", 0.8)]))
    figure = per_data_set.draw(frame, styles_of(frame)[0], numbered=True)
    (axes,) = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1 b", "2 a"]
    numbers = [label.get_text() for label in axes.get_yticklabels()]
    told = list(zip(numbers, bars_of(axes), strict=True))
    assert told == [("1", 0.9), ("2", 0.1), ("1", 0.8)]


@pytest.mark.parametrize("sets", [1, 3, 36, 37])
def test_panels_are_filled_evenly(sets):
    frame = entries.entries(many(["a", "b", "c", "d", "e", "f", "g", "h"], sets))
    found = per_data_set._panels(frame)
    assert sum(map(len, found)) == sets
    sizes = [len(panel) for panel in found]
    assert max(sizes) - min(sizes) <= 1
    assert [rows["group"].iloc[0] for panel in found for rows in panel] == list(
        frame["group"].unique()
    )


def test_demonstration_weights_stand_beside_published_numbers_only_when_asked():
    mine = [cell("tiny", "livecell", mark="demo"), cell("tiny", "own", mark="demo")]
    frame = pd.concat([published_cells(), cells(mine)], ignore_index=True)
    rows, left_out = entries.without_demo(entries.entries(frame))
    assert list(rows.loc[rows["mark"] == "demo", "data"]) == ["own"]
    assert left_out.startswith("Left out: 1 run of demonstration weights")
    assert entries.without_demo(entries.entries(cells(mine)))[1] == ""


# --- averages -------------------------------------------------------------------------------


def test_averages_are_the_studys(published, reference):
    rows, left_out = entries.comparable(entries.main(published))
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
    rows, _ = entries.comparable(entries.main(published))
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
    frame = entries.entries(cells([cell("a", "x", 0.2), cell("a", "y", 0.4), cell("b", "x", 0.9)]))
    rows, left_out = entries.comparable(frame)
    styles, _ = styles_of(frame)
    figure = averages.draw(rows, left_out, styles)
    (axes,) = figure.axes
    assert bars_of(axes) == pytest.approx([0.9, 0.3])
    assert [style.PARTIAL in bar.get_hatch() for bar in axes.patches] == [True, False]
    assert [text.get_text() for text in axes.texts] == ["0.900 (1.00), 1 of 2 sets", "0.300 (2.00)"]
    assert axes.get_title(loc="left").endswith("(2 data sets, ranks over 1)")


# --- ablation -------------------------------------------------------------------------------


def test_ablation_pairs_common_data_sets_alone(published, reference):
    rows, _ = entries.comparable(published)
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
    rows, _ = entries.comparable(published)
    figure = ablation.draw(rows)
    for axes, paired in zip(figure.axes, ablation.differences(rows).values(), strict=True):
        marks = [line for line in axes.lines if line.get_marker() not in ("None", "")]
        points = np.concatenate([line.get_xdata() for line in marks])
        assert sorted(points) == pytest.approx(sorted(paired["difference"]))
        assert axes.get_title(loc="left").endswith(
            f"mean {paired['difference'].mean():+.3f} over {len(paired)} data sets"
        )


def test_nothing_to_ablate_is_said():
    rows, _ = entries.comparable(entries.entries(many(["a", "b"], 3)))
    with pytest.raises(style.NothingToDrawError, match="two variants"):
        ablation.draw(rows)


# --- wins -----------------------------------------------------------------------------------


def test_wins_equal_a_count_by_hand(published, reference):
    rows, left_out = entries.comparable(entries.main(published))
    found = wins.counts(entries.matrix(rows))
    for first, second in itertools.permutations(SHOWN, 2):
        won = lost = tied = 0
        for _, row in reference.iterrows():
            a, b = row[(SHOWN[first], "default")], row[(SHOWN[second], "default")]
            won, lost, tied = won + (a > b), lost + (a < b), tied + (a == b)
        assert tuple(found.loc[(first, second)]) == (won, lost, tied)
    texts = texts_of(wins.draw(rows, left_out))
    assert texts.count("36-0-0") == texts.count("0-36-0") > 0
    won, lost, tied = found.loc[("APG", "AIS")]
    assert f"{won}-{lost}-{tied}" in texts


def test_methods_without_a_common_data_set_say_so():
    frame = entries.entries(cells([cell("a", "x"), cell("b", "x", 0.5), cell("c", "y")]))
    figure = wins.draw(entries.comparable(frame)[0], "")
    assert texts_of(figure).count("no\ndata") == 4
    assert texts_of(figure).count("0-0-1") == 2
    with pytest.raises(style.NothingToDrawError, match="same data set"):
        wins.draw(entries.comparable(frame[frame["label"] != "b"])[0], "")


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
    rows, left_out = entries.comparable(entries.main(published))
    figure = critical_difference.draw(rows, left_out)
    table = entries.matrix(rows)
    ranks = rankdata(-table.to_numpy(), axis=1).mean(axis=0)
    texts = texts_of(figure)
    assert {f"{rank:.2f}" for rank in ranks} <= set(texts)
    # Demsar 2006, table 5: q is 2.949 for 7 methods.
    assert f"critical difference {2.949 * np.sqrt(7 * 8 / (6 * 36)):.2f}" in texts
    assert any("not independent" in text.replace("\n", " ") for text in texts)
    places = {line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 3}
    assert sorted(places) == pytest.approx(sorted(ranks))


def test_too_few_for_a_diagram_is_said():
    rows, _ = entries.comparable(entries.entries(many(["a", "b"], 9)))
    with pytest.raises(style.NothingToDrawError, match="there are 2 on 9"):
        critical_difference.draw(rows, "")


# --- runs: curves, times --------------------------------------------------------------------


def run(model="otsu", data="d", n=6, seed=0, **changes):
    """A run of random counts, scored by the harness's own metric; its last image is empty."""
    rng = np.random.default_rng([seed, *model.encode("utf-8", "replace")])
    true, predicted = rng.integers(1, 30, n), rng.integers(1, 30, n)
    true[-1:] = predicted[-1:] = 0
    matched = np.sort(rng.integers(0, np.minimum(true, predicted) + 1, (10, n)), axis=0)[::-1].T
    counts = zip(matched, true, predicted, strict=True)
    msa = [mean_segmentation_accuracy(*image) for image in counts]
    scores = pd.DataFrame(
        {
            "group": [f"g{i}" for i in range(n)], "n_true": true.astype(float),
            "n_predicted": predicted.astype(float),
            "true_positives": [tuple(row) for row in matched],
            "both_empty": true == 0, "seconds": rng.uniform(0.1, 9, n), "msa": msa, "sa50": msa,
        },
        index=pd.Index([f"s{i}" for i in range(n)], name="sample"),
    )  # fmt: skip
    fields = {
        "run_id": f"{model}/{data}".encode("utf-8", "replace").hex(), "path": Path("nowhere"),
        "model": model, "data": data, "split": "test", "protocol": "paper", "expected": n,
        "failed": 0, "mixed": False,
    }  # fmt: skip
    return RunResult(**(fields | changes), scores=scores)


def test_a_curve_has_the_msa_as_its_mean():
    result = run()
    assert thresholds.curve(result.scores).mean() == pytest.approx(result.scores["msa"].mean())
    excluded = result.scores.assign(msa=result.scores["msa"].where(~result.scores["both_empty"]))
    assert thresholds.curve(excluded).mean() == pytest.approx(excluded["msa"].mean())
    assert thresholds.curve(excluded).mean() > thresholds.curve(result.scores).mean()
    assert thresholds.curve(result.scores.iloc[:0]) is None


def test_curves_are_drawn_each_in_its_data_sets_panel():
    results = [run("a", "x"), run("b", "x", expected=9), run("a", "y"), run("c", "y", n=0)]
    frame = entries.entries(cells_of_runs(results))
    figure = thresholds.draw(results, frame, styles_of(frame)[1])
    assert [axes.get_title() for axes in figure.axes] == ["x", "y"]
    lines = figure.axes[0].lines
    for line, result in zip(lines, results[:2], strict=True):
        assert line.get_ydata() == pytest.approx(thresholds.curve(result.scores))
        assert line.get_xdata() == pytest.approx(np.arange(0.5, 1, 0.05))
    assert [line.get_markerfacecolor() == "white" for line in lines] == [False, True]


@pytest.mark.parametrize("seed", range(20))
def test_front_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    points = pd.DataFrame(
        {"msa": rng.integers(0, 6, 12) / 6, "seconds": rng.integers(1, 6, 12).astype(float)},
        index=[f"m{i}" for i in range(12)],
    )
    kept = set()
    for name, point in points.iterrows():
        beaten = False
        for _, other in points.iterrows():
            as_good = other["msa"] >= point["msa"] and other["seconds"] <= point["seconds"]
            beaten |= as_good and tuple(other) != tuple(point)
        if not beaten:
            kept.add(name)
    found = pareto.front(points)
    assert set(found) == kept
    assert list(points.loc[found, "seconds"]) == sorted(points.loc[found, "seconds"])


def test_times_are_drawn_and_the_front_is_filled():
    rows = [
        cell("fast", "x", 0.3, seconds=0.1), cell("good", "x", 0.8, seconds=10.0),
        cell("bad", "x", 0.2, seconds=5.0), cell("timeless", "x", 0.9),
        cell("fast", "y", 0.5, seconds=0.3), cell("good", "y", 0.6, seconds=30.0),
    ]  # fmt: skip
    frame = entries.entries(cells(rows))
    figure = pareto.draw(entries.comparable(frame)[0], "", styles_of(frame)[1])
    assert [axes.get_title() for axes in figure.axes] == ["2 data sets", "x", "y"]
    over, alone, _ = figure.axes
    points = {(line.get_xdata()[0], line.get_ydata()[0]): line.get_markerfacecolor() != "white"
              for line in alone.lines[1:]}  # fmt: skip
    assert points == {(0.1, 0.3): True, (10.0, 0.8): True, (5.0, 0.2): False}
    assert {(line.get_xdata()[0], round(line.get_ydata()[0], 9)) for line in over.lines[1:]} == {
        (0.2, 0.4), (20.0, 0.7),
    }  # fmt: skip
    assert alone.get_xscale() == "log"


# --- panels ---------------------------------------------------------------------------------


def scored(**msa):
    """Two runs or more, by name, with these mSA per sample."""
    results = []
    for name, values in msa.items():
        scores = pd.DataFrame({"msa": values}, index=[f"s{i}" for i in range(len(values))])
        fields = (name, Path("nowhere"), name, "d", "test", "paper", len(values), 0, False)
        results.append(RunResult(*fields, scores))
    return results


def test_samples_are_chosen_as_said():
    results = scored(
        a=[0.5, 0.9, 0.1, 0.6, 0.6, np.nan, 0.7], b=[0.5, 0.1, 0.2, 0.6, 0.7, 0.0, 0.7]
    )
    chosen = dict(panels.choose(results))
    assert chosen["largest difference"] == "s1"
    assert chosen["worst"] == "s2"
    assert chosen["median"] in ("s0", "s3")
    left = {"s0", "s3", "s4", "s6"} - {chosen["median"]}
    assert chosen["drawn at random"] in left
    assert len(set(chosen.values())) == 4
    assert panels.choose(results) == panels.choose(results)
    assert {dict(panels.choose(results, seed))["drawn at random"] for seed in range(30)} == left
    assert panels.choose(results[:1], 0)[0] == ("worst", "s2")
    assert len(panels.choose(scored(a=[0.5]))) == 1
    assert panels.choose(scored(a=[np.nan])) == []


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Two real runs on the packaged image."""
    from omegaconf import OmegaConf

    from benchmark.protocol import Protocol
    from benchmark.report.results import load_results

    folder = tmp_path_factory.mktemp("real")
    command = [sys.executable, "-m", "benchmark", "-m", "model=otsu", "model.sigma=0.5,4"]
    command += ["data=nuclei_demo", f"results={folder}", f"datasets={folder}/datasets"]
    subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[1])
    settings = OmegaConf.load(Path(__file__).parents[1] / "configs" / "protocol" / "paper.yaml")
    return load_results(folder / "runs", Protocol(**settings))


def count(picture, name):
    from benchmark.report import overlays

    return int((picture == overlays.OUTLINES[name]).all(axis=-1).sum())


def test_panels_show_truth_and_each_prediction(real):
    figure = panels.draw(real, ["one", "two"])
    chosen = panels.choose(real)
    assert len(chosen) == 4
    pictures = [axes.images[0].get_array() for axes in figure.axes]
    assert len(pictures) == 4 * 3
    for block in range(4):
        truth, *made = pictures[3 * block : 3 * block + 3]
        assert count(truth, "true") > 100
        assert count(truth, "predicted") == count(truth, "both") == 0
        for picture in made:
            assert count(picture, "predicted") > 100
            assert count(picture, "both") > 100
            assert count(picture, "true") + count(picture, "both") == count(truth, "true")
    titles = [axes.get_title() for axes in figure.axes]
    for block, (why, sample) in enumerate(chosen):
        assert titles[3 * block] == f"{why}\n{sample}"
        assert titles[3 * block + 1] == f"one\nmSA {real[0].scores['msa'][sample]:.3f}"


def test_panels_without_prepared_data_are_said(tmp_path):
    results = [run("a", path=tmp_path)]
    with pytest.raises(style.NothingToDrawError):
        panels.draw(results, ["a"])


# --- all of them ----------------------------------------------------------------------------


def figures_of(frame):
    """Every figure of cells, by name."""
    named = entries.entries(frame)
    bars, lines = styles_of(named)
    rows, left_out = entries.comparable(entries.main(named))
    return {
        "bars": per_data_set.draw(named, bars),
        "averages": averages.draw(rows, left_out, bars),
        "wins": wins.draw(rows, left_out),
        "critical_difference": critical_difference.draw(rows, left_out),
        "pareto": pareto.draw(rows, left_out, lines),
    }


@pytest.mark.parametrize(
    "names", [LONG, ["a", "b", "c"], HOSTILE], ids=["long", "short", "hostile"]
)
def test_no_text_leaves_the_page(names):
    for kind, figure in figures_of(many(names, 8)).items():
        box = figure.get_tightbbox(drawn(figure).get_renderer())
        width, height = figure.get_size_inches()
        inside = box.x0 > -0.02 and box.x1 < width + 0.02
        assert inside and box.y0 > -0.02 and box.y1 < height + 0.02, (kind, box, width, height)


def test_counts_fit_into_the_cells_of_the_heat_map():
    figure = figures_of(many(LONG, 36))["wins"]
    renderer = drawn(figure).get_renderer()
    axes = figure.axes[0]
    width = axes.get_window_extent(renderer).width / len(LONG)
    widest = max(text.get_window_extent(renderer).width for text in axes.texts)
    assert widest < 0.95 * width


@pytest.mark.slow
def test_hostile_names_do_no_harm(tmp_path):
    results = [run(name, data) for name in HOSTILE[:4] for data in HOSTILE]
    frame = pd.concat([published_cells(), cells_of_runs(results)], ignore_index=True)
    paths = draw_all(frame, results, tmp_path / "$figures$")
    names = {path.name for path in paths}
    assert {
        "msa_per_data_set.svg",
        "averages_published.pdf",
        "averages_runs.pdf",
        "thresholds.png",
    } <= names
    assert {path.parent for path in paths} == {tmp_path / "$figures$"}
    for path in paths:
        if path.suffix == ".svg":
            xml.etree.ElementTree.parse(path)
            assert "<img" not in path.read_text(encoding="utf-8")


_TWICE = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_figures import many, run
from benchmark.report.cells import cells_of_runs
from benchmark.report.figures import draw_all
draw_all(many(["a", "b", "c"], 6), [], Path(sys.argv[1]))
results = [run("a"), run("b")]
draw_all(cells_of_runs(results), results, Path(sys.argv[1]) / "runs")
"""


@pytest.mark.slow
def test_same_results_same_bytes_in_another_process(tmp_path):
    script = tmp_path / "twice.py"
    script.write_text(_TWICE.format(tests=str(Path(__file__).parent)))
    found = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        environment = os.environ | {"PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": seed}
        subprocess.run([sys.executable, script, folder], check=True, env=environment)
        found.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")})
    assert len(found[0]) > 15
    assert {path.suffix for path in found[0]} == {".png", ".svg", ".pdf"}
    assert [path for path in found[0] if found[0][path] != found[1].get(path)] == []


def test_one_method_on_one_data_set_draws_what_it_can(tmp_path, capsys):
    results = [run()]
    paths = draw_all(cells_of_runs(results), results, tmp_path)
    assert {path.stem for path in paths} == {
        "msa_per_data_set", "averages", "thresholds", "accuracy_and_time",
    }  # fmt: skip
    said = capsys.readouterr().err
    for name in ("ablation", "wins", "critical_difference", "samples_d"):
        assert f"no figure {name}: " in said


def test_nothing_at_all_is_said(tmp_path, capsys):
    assert draw_all(cells([]), [], tmp_path) == []
    assert "no figure msa_per_data_set: There is no run" in capsys.readouterr().err


def test_real_runs_come_out_whole(real, tmp_path):
    paths = draw_all(cells_of_runs(real), real, tmp_path)
    assert {"samples_nuclei_demo", "thresholds", "accuracy_and_time"} <= {
        path.stem for path in paths
    }
    for path in paths:
        assert path.stat().st_size > 3000
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert np.asarray(image.convert("L")).std() > 5


# --- style ----------------------------------------------------------------------------------


def luminance(colour):
    from matplotlib.colors import to_rgb

    return float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)))


def test_colours_go_from_dark_to_light():
    steps = [luminance(colour) for colour in style.COLOURS]
    assert steps == sorted(steps)


def test_grey_prints_tell_methods_apart():
    names = [f"m{i}" for i in range(12)]
    lines = style.line_styles(names)
    assert len({(style["marker"], str(style["linestyle"])) for style in lines.values()}) == 12
    few = [luminance(bar["facecolor"]) for bar in style.bar_styles(names[:5]).values()]
    assert np.diff(few).min() > 0.05
    assert len({tuple(bar.values()) for bar in style.bar_styles(names).values()}) == 12


def test_a_footnote_is_wrapped_and_lines_without_text_are_left_out():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 2))
    style.footnote(figure, ["", "word " * 60, ""])
    lines = figure.get_supxlabel().split("\n")
    assert len(lines) > 3
    assert max(map(len, lines)) < 70
    assert " ".join(lines) == ("word " * 60).strip()
