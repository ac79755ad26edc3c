"""Tables, figures and pictures: true to the numbers, and harmless whatever a name holds."""

import csv
import io
import itertools
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from rich.console import Console

from benchmark.actions.run import summary_of
from benchmark.errors import BenchmarkError, DataError
from benchmark.report import escape, figures, overlays, tables
from benchmark.report.figures.entries import order
from benchmark.report.figures.style import bar_styles
from benchmark.report.results import RunResult

HOSTILE = [
    "<img src=x>", "a&b_%.tif", "[red]", "$x$", "=1+1", "\x1b[31mred", "a|b\\", "line\nbreak",
    "*bold* `code` ~~x~~ #1", "^{~}\\end{tabular}", "$$", "\u202egpj", "Zelle_é_細胞", "\ud800", "",
]  # fmt: skip


def run(model="otsu", data="dsb", msa=(0.5,) * 6, **changes):
    """A RunResult whose images score `msa`, each image a group of its own."""
    n = len(msa)
    scores = pd.DataFrame(
        {
            "group": [f"g{i}" for i in range(n)],
            "n_true": [4] * n,
            "n_predicted": [4] * n,
            "true_positives": [(2,) + (1,) * 9] * n,
            "both_empty": [False] * n,
            "seconds": np.arange(n, dtype=float) ** 2,
            "msa": np.array(msa, float),
            "sa50": np.array(msa, float) / 2,
        },
        index=[f"s{i}" for i in range(n)],
    )
    scores = scores.assign(**changes.pop("scores", {}))
    fields = {
        "run_id": f"{abs(hash((model, data))):032x}"[-32:],
        "path": Path("nowhere"),
        "model": model,
        "data": data,
        "split": "test",
        "protocol": "paper",
        "expected": n,
        "failed": 0,
        "mixed": False,
    }
    return RunResult(**(fields | changes), scores=scores)


def printed(frame, width=200):
    console = Console(
        width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(tables.console(frame))
    return console.file.getvalue()


def read_csv(text):
    return list(csv.DictReader(io.StringIO(text)))


def markdown_cells(text):
    """The table's body as a Markdown reader shows it, row by row."""
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)
    tree = xml.etree.ElementTree.fromstring(f"<page>{html}</page>")
    return [["".join(cell.itertext()) for cell in row] for row in tree.iter("tr")][1:]


# --- the summary ------------------------------------------------------------------------


def test_summary_holds_the_run_in_a_row():
    result = run(msa=(0.2, 0.4, 0.6, 0.8, 0.9, 1.0), mixed=True)
    (row,) = tables.summary([result]).to_dict("records")
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
    (row,) = tables.summary([run(msa=(1, 0), scores=counts)]).to_dict("records")
    assert row["msa"] == 0.5
    assert row["msa_pooled"] == row["sa50_pooled"] == 1 / 199


def test_excluded_images_are_out_of_means_and_groups_but_counted():
    empty = {
        "both_empty": [True, True, False, False, False, False],
        "sa50": [np.nan, np.nan, 0.5, 0.5, 0.5, 0.5],
    }
    msa = (np.nan, np.nan, 0.4, 0.5, 0.6, 0.5)
    frame = tables.summary([run(msa=msa, scores=empty, protocol="clean")])
    (row,) = frame.to_dict("records")
    assert (row["images"], row["groups"], row["both_empty"], row["excluded"]) == (4, 4, 2, 2)
    assert row["msa"] == pytest.approx(0.5)
    assert "n/a (4 groups)" in tables.markdown(frame)
    assert "Protocol clean" in tables.markdown(frame)
    assert "left out of the means (up to 2 per run)" in tables.markdown(frame)


def test_empty_images_that_score_zero_are_said_aloud():
    frame = tables.summary([run(scores={"both_empty": [True] + [False] * 5})])
    assert frame["excluded"].item() == 0
    for text in (tables.markdown(frame), tables.latex(frame), printed(frame)):
        assert "score 0 (up to 1 per run)" in " ".join(text.split())
    assert "score 0" not in tables.markdown(tables.summary([run()]))


def test_sorted_by_data_then_accuracy_whatever_the_order():
    runs = [
        run("low", "b", (0.1,) * 6),
        run("none", "b", ()),
        run("high", "b", (0.9,) * 6),
        run("only", "a"),
    ]
    for some in itertools.permutations(runs):
        assert list(tables.summary(some)["model"]) == ["only", "high", "low", "none"]


def test_split_and_protocol_are_shown_where_they_differ():
    same = tables.summary([run("a"), run("b")])
    assert list(tables.data_names(same)) == ["dsb", "dsb"]
    mixed = tables.summary([run("a", split="val"), run("b", protocol="clean")])
    assert list(tables.data_names(mixed)) == ["dsb, test, clean", "dsb, val, paper"]


# --- the renderings ---------------------------------------------------------------------

RENDERINGS = {
    "console": printed,
    "csv": tables.csv,
    "markdown": tables.markdown,
    "latex": tables.latex,
}
BOLD = {
    "console": "\x1b[1m{}\x1b[0m",
    "markdown": "**{}**",
    "latex": r"\textbf{{{}}}",
}


@pytest.mark.parametrize("name", RENDERINGS)
def test_no_run_is_an_empty_table(name):
    assert "model" in RENDERINGS[name](tables.summary([]))


@pytest.mark.parametrize("name", RENDERINGS)
def test_missing_numbers_are_not_zero_and_not_nan(name):
    text = RENDERINGS[name](tables.summary([run(msa=(), expected=3)]))
    assert "n/a" in text
    assert "nan" not in text.lower()
    assert "0.0" not in text
    assert "partial" in text


@pytest.mark.parametrize("name", BOLD)
def test_best_of_the_complete_runs_is_bold(name):
    frame = tables.summary(
        [
            run("best", "a", (0.7,) * 6),
            run("second", "a", (0.6,) * 6),
            run("unfinished", "a", (0.8,) * 6, expected=9),
            run("alone", "b", (0.3,) * 6),
        ]
    )
    text = RENDERINGS[name](frame)
    bold = {x for x in ("0.700", "0.600", "0.800", "0.300") if BOLD[name].format(x) in text}
    assert bold == {"0.700", "0.300"}
    assert "partial (6 of 9)" in text or name == "console"


@pytest.mark.parametrize("name", BOLD)
def test_intervals_status_and_notes(name):
    frame = tables.summary(
        [
            run("many", msa=(0.5, 0.6) * 10, mixed=True),
            run("four", msa=(0.5,) * 4),
            run("single", msa=(0.5,)),
            run("partial", msa=(0.5,), expected=2),
        ]
    )
    text = RENDERINGS[name](frame)
    low, high = frame.loc[frame["model"] == "many", ["msa_low", "msa_high"]].to_numpy()[0]
    assert f"{low:.3f} - {high:.3f}" in text
    assert "n/a (4 groups)" in text
    assert "n/a (1 group)" in text
    for word in ("mixed:", "partial:", "AP50", "2-D"):
        assert word in text


@pytest.mark.parametrize("width", [60, 80])
def test_narrow_terminals_keep_the_run_id_and_the_notes(width):
    frame = tables.summary([run("a long name of a model (size=large)", "a data set", (0.5,) * 3)])
    text = printed(frame, width)
    assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in text.splitlines()) <= width
    if width == 80:
        assert frame["run"].item() in text
        assert "often" in text


def test_csv_is_exact_and_complete():
    frame = tables.summary([run(msa=(1 / 3, 0.1, 0.7, 0.2, 0.9)), run("few", msa=(0.2, 0.1))])
    rows = read_csv(tables.csv(frame))
    assert [float(row["msa"]) for row in rows] == list(frame["msa"])
    assert [row["run_id"] for row in rows] == list(frame["run_id"])
    assert rows[1]["msa_low"] == "n/a"
    assert pd.read_csv(io.StringIO(tables.csv(frame)))["msa_low"].isna().tolist() == [False, True]


# --- hostile names ----------------------------------------------------------------------


@pytest.mark.parametrize("where", ["model", "data", "protocol", "split"])
def test_hostile_names_are_text_in_every_table(where):
    scores = {"both_empty": [True] + [False] * 5}  # so that the protocol is named in the notes
    frame = tables.summary(
        [run(**{"model": f"m{i}", where: name}, scores=scores) for i, name in enumerate(HOSTILE)]
    )
    # As it would be had `summary` let the names through: each rendering guards itself.
    frame[where] = ["" if name == "\ud800" else name for name in HOSTILE]
    for name, render in RENDERINGS.items():
        text = render(frame)
        stray = re.sub(r"\x1b\[[01]?m", "", text) if name == "console" else text
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e\ud800]", stray), name
        assert text.encode()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_survive_legibly(name):
    frame = tables.summary([run(name)])
    shown = escape.plain(name)
    assert markdown_cells(tables.markdown(frame))[0][0] == shown.strip()
    (row,) = read_csv(tables.csv(frame))
    assert row["model"].lstrip("'") == shown
    assert not row["model"].startswith(tuple("=+-@\t\r"))
    assert shown in re.sub(r"\x1b\[\d*m", "", printed(frame))


@pytest.mark.parametrize("start", "=+-@\t\r")
def test_formulas_are_disarmed_in_csv_and_numbers_left_alone(start):
    assert escape.csv_cell(f"{start}1").startswith("'")
    assert escape.csv_cell(f"a{start}1")[0] == "a"
    assert all(row["msa"] == "0.5" for row in read_csv(tables.csv(tables.summary([run()]))))


def test_latex_escapes_all_ten():
    text = escape.latex(r"\{}$&#%_^~")
    assert text == (r"\textbackslash{}\{\}\$\&\#\%\_\textasciicircum{}\textasciitilde{}")
    assert escape.latex("é細") == "é細"
    assert escape.latex("a\x1b\n\x9b\u202eb") == "a????b"
    # "\\ [" and "\\ *" would be read as arguments of the line break before them.
    for row in tables.latex(tables.summary([run("[red]"), run("*")])).splitlines():
        assert not row.startswith(("[", "*"))


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles(tmp_path):
    names = [name for name in HOSTILE if name.isascii()] + ["Zelle é"]
    body = tables.latex(tables.summary([run(name) for name in names]))
    source = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}"
    (tmp_path / "table.tex").write_text(source + r"\end{document}", encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


# --- figures ----------------------------------------------------------------------------


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
    frame = tables.summary(
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


@pytest.mark.parametrize("sizes", [(1, 1), (8, 36)])
def test_bars_of_few_and_of_many(tmp_path, sizes):
    models, data = sizes
    frame = tables.summary(
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
    frame = tables.summary([run(f"m{i}", data) for data in "ab" for i in range(20)])
    styles = bar_styles(order(frame.assign(label=frame["model"])))
    assert len({tuple(style.values()) for style in styles.values()}) == 20


def test_figures_take_hostile_names_as_text(tmp_path):
    names = [*HOSTILE, r"\$", r"$\frac", "x" * 300]
    frame = tables.summary([run(name, data) for name in names for data in ("$a_b$", "<b>")])
    _, svg = figures.bars(frame, tmp_path / "$bars$")
    xml.etree.ElementTree.parse(svg)
    assert "<img" not in svg.read_text(encoding="utf-8")
    texts = svg_texts(svg)
    assert {"$x$", "$$", r"\$", r"$\frac", "$a_b$"} <= set(texts)
    assert max(map(len, texts)) < 60


def test_figures_are_the_same_each_time(tmp_path):
    frame = tables.summary([run("a"), run("b", expected=9)])
    first = [path.read_bytes() for path in figures.bars(frame, tmp_path / "one")]
    assert [path.read_bytes() for path in figures.bars(frame, tmp_path / "two")] == first


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(BenchmarkError, match="no run"):
        figures.bars(tables.summary([]), tmp_path / "bars")


def test_matplotlib_is_loaded_late_and_pyplot_never():
    code = (
        "import sys; from benchmark.report import figures, overlays, tables;"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for module in (figures, overlays):
        assert "pyplot" not in Path(module.__file__).read_text(encoding="utf-8")


# --- overlays ---------------------------------------------------------------------------


def squares(size=64):
    labels = np.zeros((size, size), np.uint16)
    labels[size // 8 : size // 2, size // 8 : size // 2] = 1
    labels[size // 2 : -size // 8, size // 2 : -size // 8] = 2
    return labels


def panels(path, height, width):
    """The plain and the outlined panel, cut out of a picture laid out side by side."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    top = pixels.shape[0] - height - 2 * 12 - 18
    left = pixels[top : top + height, 12 : 12 + width]
    return left, pixels[top : top + height, 24 + width : 24 + 2 * width]


def count(panel, colour):
    return int((panel == overlays.OUTLINES[colour]).all(axis=-1).sum())


def test_overlay_shows_pixels_as_they_are(tmp_path):
    size = 480
    image = np.tile(np.arange(size), (size, 1)).astype(np.uint16) * 100
    true, predicted = squares(size), np.zeros((size, size), np.uint16)
    plain, outlined = panels(
        overlays.overlay(image, true, predicted, "t", tmp_path / "a.png"), size, size
    )
    assert np.all(plain == plain[:1]), "columns are constant: nothing was interpolated"
    assert plain[0, 0].tolist() == [0, 0, 0]
    assert plain[0, -1].tolist() == [255, 255, 255]
    assert np.all(np.diff(plain[0, :, 0].astype(int)) >= 0)
    boundary = 2 * (4 * 179 + 0)  # two squares of 180 x 180, one pixel wide
    assert count(outlined, "true") == boundary
    assert count(outlined, "predicted") == count(outlined, "both") == 0
    assert not count(plain, "true")


def test_overlay_tells_truth_from_prediction_and_agreement(tmp_path):
    labels = squares(400)
    missed, found = np.where(labels == 1, 0, labels), np.where(labels == 2, 0, labels)
    image = np.zeros(labels.shape)
    _, outlined = panels(overlays.overlay(image, labels, missed, "t", tmp_path / "a.png"), 400, 400)
    assert count(outlined, "predicted") == 0
    assert count(outlined, "true") == count(outlined, "both") == 4 * 149
    _, outlined = panels(overlays.overlay(image, found, missed, "t", tmp_path / "b.png"), 400, 400)
    assert (count(outlined, "true"), count(outlined, "predicted")) == (4 * 149, 4 * 149)


def test_small_images_are_enlarged_with_outlines_two_pixels_wide(tmp_path):
    labels = squares(64)
    image = np.random.default_rng(0).integers(0, 255, labels.shape, np.uint8)
    path = overlays.overlay(image, labels, labels * 0, "t", tmp_path / "a.png")
    plain, outlined = panels(path, 448, 448)  # seven times
    assert np.array_equal(plain, plain[::7, ::7].repeat(7, axis=0).repeat(7, axis=1))
    side = 24 * 7
    assert count(outlined, "true") == 2 * (side**2 - (side - 4) ** 2)


def test_large_images_are_reduced(tmp_path):
    labels = squares(2401)
    path = overlays.overlay(labels, labels, labels, "t", tmp_path / "a.png")
    _, outlined = panels(path, 1200, 1200)  # half
    assert count(outlined, "both") == 2 * 4 * 449


@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint64", "float16", "float32", "f8"])
def test_any_image_can_be_drawn(tmp_path, channels, dtype):
    shape = (64, 64) if channels is None else (64, 64, channels)
    image = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    path = overlays.overlay(image, squares(), squares(), "t", tmp_path / "a.png")
    plain, _ = panels(path, 448, 448)
    assert plain.std() > 20


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64)),
        np.full((64, 64, 3), 255, np.uint8),
        np.full((64, 64), np.nan),
        np.full((64, 64), np.inf),
        np.where(squares() == 1, np.nan, squares()).astype(np.float32),
        np.where(squares() == 1, 1e308, -1e308),
        np.where(squares() == 1, np.inf, squares()),
    ],
    ids=["zero", "constant", "nan", "inf", "some nan", "huge", "some inf"],
)
def test_odd_images_do_not_stop_a_report(tmp_path, request, image):
    path = overlays.overlay(image, squares(), squares(), "t", tmp_path / "a.png")
    plain, outlined = panels(path, 448, 448)
    assert count(outlined, "both") > 0
    assert plain.any() == ("some" in request.node.callspec.id)


def test_a_few_bright_spots_are_seen():
    image = np.zeros((64, 64))
    image[3, 3], image[5, 5] = 5, 2.5
    assert overlays.rgb(image)[3, 3].tolist() == [255, 255, 255]
    assert overlays.rgb(image)[5, 5].tolist() == [128, 128, 128]


def test_alpha_changes_nothing_and_two_channels_are_magenta_and_green():
    rgb = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    rgba = np.dstack([rgb, np.full((32, 32), 255, np.uint8)])
    assert np.array_equal(overlays.rgb(rgba), overlays.rgb(rgb))
    two = np.zeros((2, 2, 2))
    two[0, 0, 0] = two[1, 1, 1] = 1
    assert overlays.rgb(two)[0, 0].tolist() == [255, 0, 255]
    assert overlays.rgb(two)[1, 1].tolist() == [0, 255, 0]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (5000, 2), (30, 900)])
def test_odd_shapes(tmp_path, shape):
    labels = np.ones(shape, np.uint16)
    path = overlays.overlay(labels, labels, labels, "t", tmp_path / "a.png")
    with Image.open(path) as image:
        assert max(image.size) <= 2 * 2000 + 100


@pytest.mark.parametrize("title", [*HOSTILE, "word " * 200, "x" * 500])
def test_hostile_titles(tmp_path, title):
    size = 64
    path = overlays.overlay(squares(size), squares(size), squares(size), title, tmp_path / "a.png")
    with Image.open(path) as image:
        assert image.size[0] == 2 * 448 + 3 * 12


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(DataError, match="shape"):
        overlays.overlay(np.zeros((4, 5)), squares(), squares(), "t", tmp_path / "a.png")
    with pytest.raises(DataError, match="channels"):
        overlays.overlay(np.zeros((64, 64, 5)), squares(), squares(), "t", tmp_path / "a.png")


def test_pick_takes_worst_and_best_once():
    result = run(msa=(0.5, 0.1, 0.9, np.nan, 0.5, 0.1))
    assert overlays.pick(result, 2) == [
        ("worst", "s1"),
        ("worst", "s5"),
        ("best", "s2"),
        ("best", "s0"),
    ]
    everything = overlays.pick(result, 9)
    assert sorted(name for _, name in everything) == ["s0", "s1", "s2", "s4", "s5"]
    assert overlays.pick(result, 0) == overlays.pick(run(msa=()), 3) == []
    three = overlays.pick(run(msa=(0.1, 0.2, 0.3)), 2)
    assert three == [("worst", "s0"), ("worst", "s1"), ("best", "s2")]


def test_a_control_is_shown_but_never_the_best():
    frame = tables.summary([run("oracle", msa=(0.9,), control=True), run("otsu", msa=(0.4,))])
    assert dict(zip(frame["model"], tables.best(frame), strict=True)) == {
        "oracle": False,
        "otsu": True,
    }


def test_images_that_are_not_the_studys_own_have_a_star_and_the_reason():
    frame = tables.summary([run(data="tnbc", lost="its split was drawn"), run(data="u20s")])
    assert list(tables.data_names(frame)) == ["tnbc*", "u20s"]
    assert "* tnbc: not the published study's own images, as its split was drawn." in tables.notes(
        frame
    )
    assert not [line for line in tables.notes(tables.summary([run()])) if line.startswith("*")]


def test_rows_of_other_images_are_told_apart_and_not_compared():
    frame = tables.summary(
        [run(msa=(0.5,) * 6, images_id="abc123"), run(msa=(0.9,) * 6, images_id="def456")]
    )
    assert list(tables.data_names(frame)) == ["dsb #abc123", "dsb #def456"]
    assert list(tables.best(frame)) == [True, True]
    assert list(tables.data_names(tables.summary([run(images_id="abc123")]))) == ["dsb"]


def test_demonstration_weights_are_marked_wherever_a_run_is_named(tmp_path):
    """In the figure of a single run too, and in what overlays and sweeps call it."""
    demo, other = run("apg", mark="demo", weights="demo"), run("otsu")
    assert (demo.method, other.method) == ("apg (demo)", "otsu")
    assert run("apg (weights=demo)", mark="demo").method == "apg (weights=demo)"
    assert summary_of(demo)["model"] == "apg (demo)"
    _, svg = figures.bars(tables.summary([demo, other]), tmp_path / "msa")
    told = svg.read_text()
    assert "<!-- apg (demo) -->" in told and "<!-- otsu -->" in told
