"""The figure of a summary: bars as long as the numbers, and harmless whatever a name holds."""

import re
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest
from helpers.reports import HOSTILE, run
from PIL import Image

from benchmark.errors import BenchmarkError
from benchmark.report import figures, pictures
from benchmark.report.figures.methods import order
from benchmark.report.figures.style import bar_styles
from benchmark.report.tables import run_summary


def svg_texts(path):
    """What matplotlib wrote beside its glyphs: each text, as a comment."""
    return re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"), re.DOTALL)


def test_bars_are_as_long_as_the_numbers(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    drawn = []
    barh = Axes.barh
    monkeypatch.setattr(
        Axes, "barh", lambda *args, **style: drawn.append((args[2], style)) or barh(*args, **style)
    )
    frame = run_summary.summary(
        [
            run("a", msa=(0.25,) * 6),
            run("b", msa=(0.75,) * 6, expected=9),
            run("c", "none", ()),
        ]
    )
    paths = figures.bars(frame, tmp_path / "v1.2 bars")
    assert [path.name for path in paths] == ["v1.2 bars.png", "v1.2 bars.svg"]
    assert sorted(width for width, _ in drawn) == [0, 0.25, 0.75]
    assert {width for width, style in drawn if "/" in style["hatch"]} == {0.75}
    assert len({style["facecolor"] for _, style in drawn}) == 3
    texts = svg_texts(paths[1])
    assert {"a", "b", "c", "dsb", "none", "0.250", "0.750", "n/a", "partial"} <= set(texts)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(1, 1), (8, 36)])
def test_bars_of_few_and_of_many(tmp_path, sizes):
    models, data = sizes
    frame = run_summary.summary(
        [run(f"m{i}", f"data{j}", (0.1 * i,) * 2) for i in range(models) for j in range(data)]
    )
    png, svg = figures.bars(frame, tmp_path / "bars")
    with Image.open(png) as image:
        width, height = image.size
        assert np.asarray(image.convert("L")).std() > 5
    assert 0.5 < width / height < 4
    assert height < 4000
    assert {f"data{j}" for j in range(data)} <= set(svg_texts(svg))


def test_models_keep_their_colours_and_differ():
    frame = run_summary.summary([run(f"m{i}", data) for data in "ab" for i in range(20)])
    styles = bar_styles(
        order(frame.assign(label=frame["model"], group=frame["data"], score=frame["msa"]))
    )
    assert len({tuple(style.values()) for style in styles.values()}) == 20


def test_figures_take_hostile_names_as_text(tmp_path):
    names = [*HOSTILE, r"\$", r"$\frac", "x" * 300]
    frame = run_summary.summary([run(name, data) for name in names for data in ("$a_b$", "<b>")])
    _, svg = figures.bars(frame, tmp_path / "$bars$")
    xml.etree.ElementTree.parse(svg)
    assert "<img" not in svg.read_text(encoding="utf-8")
    texts = svg_texts(svg)
    assert {"$x$", "$$", r"\$", r"$\frac", "$a_b$"} <= set(texts)
    assert max(map(len, texts)) < 60


def test_figures_are_the_same_each_time(tmp_path):
    frame = run_summary.summary([run("a"), run("b", expected=9)])
    first = [path.read_bytes() for path in figures.bars(frame, tmp_path / "one")]
    assert [path.read_bytes() for path in figures.bars(frame, tmp_path / "two")] == first


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(BenchmarkError, match="no run"):
        figures.bars(run_summary.summary([]), tmp_path / "bars")


def test_pyplot_is_never_loaded():
    for module in (figures, pictures):
        assert "pyplot" not in Path(module.__file__).read_text(encoding="utf-8")
