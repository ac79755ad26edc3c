"""The figures all together: legible and harmless whatever a name holds, the same each time."""

import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.figures import many, run, styles_of

from benchmark.paper.published import published_frame
from benchmark.paper.report import study_options
from benchmark.report.figures import (
    averages,
    critical_difference,
    draw_all,
    head_to_head,
    methods,
    pareto,
    per_data_set,
    style,
)
from benchmark.report.frame import frame_of_rows, frame_of_runs

HOSTILE = [
    "<img src=x>", "a&b_%.tif", "[red]", "$x$", "=1+1", "\x1b[31mred", "a|b\\", "line\nbreak",
    "^{~}\\end{tabular}", "$$", "\\$", "$\\frac", "\u202egpj", "Zelle_é_細胞", "\ud800",
    "x" * 300,
]  # fmt: skip
LONG = [f"method {i:02d} " + "abcdefghij klmnopqrst uvwxyzäöü"[: 40 - 10] for i in range(12)]


def drawn(figure):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    with style.missing_glyphs_allowed():
        canvas.draw()
    return canvas


# --- all of them ----------------------------------------------------------------------------


def figures_of(frame):
    """Every figure of cells, by name."""
    named = methods.entries(frame)
    bars, lines = styles_of(named)
    rows, left_out = methods.comparable(methods.main(named))
    return {
        "bars": per_data_set.draw(named, bars),
        "averages": averages.draw(rows, left_out, bars),
        "wins": head_to_head.draw(rows, left_out),
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
    frame = pd.concat([published_frame(), frame_of_runs(results)], ignore_index=True)
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
from helpers.figures import many, run
from benchmark.report.frame import frame_of_runs
from benchmark.report.figures import draw_all
draw_all(many(["a", "b", "c"], 6), [], Path(sys.argv[1]))
results = [run("a"), run("b")]
draw_all(frame_of_runs(results), results, Path(sys.argv[1]) / "runs")
"""


@pytest.mark.slow
def test_same_results_same_bytes_in_another_process(tmp_path):
    script = tmp_path / "twice.py"
    script.write_text(_TWICE.format(tests=str(Path(__file__).parents[1])))
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
    paths = draw_all(frame_of_runs(results), results, tmp_path, further=study_options().figures)
    assert {path.stem for path in paths} == {
        "msa_per_data_set", "thresholds", "accuracy_and_time",
    }  # fmt: skip
    said = capsys.readouterr().err
    assert "no figure samples_d: " in said
    assert not any(name in said for name in ("ablation", "wins", "critical_difference"))


def test_nothing_at_all_is_said(tmp_path, capsys):
    assert draw_all(frame_of_rows([]), [], tmp_path) == []
    assert "no figure msa_per_data_set: There is no run" in capsys.readouterr().err


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


def test_a_figure_is_laid_out_once_for_all_formats(tmp_path, monkeypatch):
    figure, _ = style.grid(2, 2.0, 2.0, "x")
    draws, draw = [], type(figure).draw
    monkeypatch.setattr(
        type(figure), "draw", lambda self, renderer: draws.append(1) or draw(self, renderer)
    )
    style.save(figure, tmp_path / "figure")
    assert len(draws) == 1 + len(style.SUFFIXES)  # the layout's, and one for each file


def test_a_layout_that_the_user_prefers_does_not_replace_a_figures_own(tmp_path):
    import matplotlib

    files = []
    for preferred in (False, True):
        with matplotlib.rc_context({"figure.autolayout": preferred}):
            figure, panels = style.grid(2, 2.0, 2.0, "x")
            panels[0].set_ylabel("a label")
            files.append([path.read_bytes() for path in style.save(figure, tmp_path / "figure")])
    assert files[0] == files[1]
