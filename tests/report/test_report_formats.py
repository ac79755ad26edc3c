"""The summary in four formats: the same numbers in each, and harmless whatever a name holds."""

import io
import re
import shutil
import subprocess

import pandas as pd
import pytest
from helpers.reports import HOSTILE, markdown_cells, printed, read_csv, run

from benchmark.report import escape
from benchmark.report.tables import run_summary

# --- the renderings ---------------------------------------------------------------------

RENDERINGS = {
    "console": printed,
    "csv": run_summary.csv,
    "markdown": run_summary.markdown,
    "latex": run_summary.latex,
}
BOLD = {
    "console": "\x1b[1m{}\x1b[0m",
    "markdown": "**{}**",
    "latex": r"\textbf{{{}}}",
}


@pytest.mark.parametrize("name", RENDERINGS)
def test_no_run_is_an_empty_table(name):
    assert "model" in RENDERINGS[name](run_summary.summary([]))


@pytest.mark.parametrize("name", RENDERINGS)
def test_missing_numbers_are_not_zero_and_not_nan(name):
    text = RENDERINGS[name](run_summary.summary([run(msa=(), expected=3)]))
    assert "n/a" in text
    assert "nan" not in text.lower()
    assert "0.0" not in text
    assert "partial" in text


@pytest.mark.parametrize("name", BOLD)
def test_best_of_the_complete_runs_is_bold(name):
    frame = run_summary.summary(
        [
            run("best", "a", (0.7,) * 6),
            run("second", "a", (0.6,) * 6),
            run("unfinished", "a", (0.8,) * 6, expected=9),
            run("alone", "b", (0.3,) * 6),
        ]
    )
    text = RENDERINGS[name](frame)
    bold = {x for x in ("0.700", "0.600", "0.800", "0.300") if BOLD[name].format(x) in text}
    assert bold == {"0.700"}
    assert "partial (6 of 9)" in text or name == "console"


@pytest.mark.parametrize("name", BOLD)
def test_intervals_status_and_notes(name):
    frame = run_summary.summary(
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
    frame = run_summary.summary(
        [run("a long name of a model (size=large)", "a data set", (0.5,) * 3)]
    )
    text = printed(frame, width)
    assert max(len(re.sub(r"\x1b\[\d*m", "", line)) for line in text.splitlines()) <= width
    if width == 80:
        assert frame["run"].item() in text
        assert "often" in text


def test_csv_is_exact_and_complete():
    frame = run_summary.summary([run(msa=(1 / 3, 0.1, 0.7, 0.2, 0.9)), run("few", msa=(0.2, 0.1))])
    rows = read_csv(run_summary.csv(frame))
    assert [float(row["msa"]) for row in rows] == list(frame["msa"])
    assert [row["run_id"] for row in rows] == list(frame["run_id"])
    assert rows[1]["msa_low"] == "n/a"
    assert pd.read_csv(io.StringIO(run_summary.csv(frame)))["msa_low"].isna().tolist() == [
        False,
        True,
    ]


# --- hostile names ----------------------------------------------------------------------


@pytest.mark.parametrize("where", ["model", "data", "protocol", "split"])
def test_hostile_names_are_text_in_every_table(where):
    scores = {"both_empty": [True] + [False] * 5}  # so that the protocol is named in the notes
    frame = run_summary.summary(
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
    frame = run_summary.summary([run(name)])
    shown = escape.plain(name)
    assert markdown_cells(run_summary.markdown(frame))[0][0] == shown.strip()
    (row,) = read_csv(run_summary.csv(frame))
    assert row["model"].lstrip("'") == shown
    assert not row["model"].startswith(tuple("=+-@\t\r"))
    assert shown in re.sub(r"\x1b\[\d*m", "", printed(frame))


@pytest.mark.parametrize("start", "=+-@\t\r")
def test_formulas_are_disarmed_in_csv_and_numbers_left_alone(start):
    assert escape.csv_cell(f"{start}1").startswith("'")
    assert escape.csv_cell(f"a{start}1")[0] == "a"
    assert all(
        row["msa"] == "0.5" for row in read_csv(run_summary.csv(run_summary.summary([run()])))
    )


def test_latex_escapes_all_ten():
    text = escape.latex(r"\{}$&#%_^~")
    assert text == (r"\textbackslash{}\{\}\$\&\#\%\_\textasciicircum{}\textasciitilde{}")
    assert escape.latex("é細") == "é細"
    assert escape.latex("a\x1b\n\x9b\u202eb") == "a????b"
    # "\\ [" and "\\ *" would be read as arguments of the line break before them.
    for row in run_summary.latex(run_summary.summary([run("[red]"), run("*")])).splitlines():
        assert not row.startswith(("[", "*"))


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles(tmp_path):
    names = [name for name in HOSTILE if name.isascii()] + ["Zelle é"]
    body = run_summary.latex(run_summary.summary([run(name) for name in names]))
    source = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}"
    (tmp_path / "table.tex").write_text(source + r"\end{document}", encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
