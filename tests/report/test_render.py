"""One kind of table in four formats: the same numbers, marks and places, whatever the names."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.reports import markdown_cells, run
from helpers.study_tables import some
from rich.console import Console

from benchmark.paper.report import beside, study_options
from benchmark.report.assemble import assemble
from benchmark.report.frame import frame_of_rows
from benchmark.report.marks import MARKS
from benchmark.report.tables import formats, per_run
from benchmark.report.tables.over_data_sets import tables_of
from benchmark.report.tables.table import Cell, Column, Table, number, placed, words

HOSTILE = "<img src=x onerror=alert(1)>_&%"


def printed(table, width=200):
    console = Console(
        width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(formats.console(table))
    return console.file.getvalue()


WRITTEN = {"console": printed, **formats.FORMATS}


def example():
    row = placed([number(0.5), number(2 / 3, marks=("in-domain",)), number(0.1, marks=("2 of 9",))])
    more = [
        number(np.nan),
        number(np.nan, missing="not reported"),
        Cell("0.1 / 0.2", None, ("demo",)),
    ]
    columns = [Column("method"), *(Column(name, right=True) for name in "abc")]
    return Table("t", "A title", columns, [[words("x"), *row], [words("y"), *more]], ["A note."])


@pytest.mark.parametrize("name", WRITTEN)
def test_numbers_marks_and_what_is_missing(name):
    text = WRITTEN[name](example())
    for shown in ("n/a", "not reported", "2 of 9", "0.1 / 0.2"):
        assert shown in text
    assert not re.search(r"\bnan\b|0\.000|None", text)
    if name == "csv":
        rows = list(csv.reader(io.StringIO(text)))
        assert rows[0] == ["method", "a", "b", "b: mark", "c", "c: mark"]
        assert rows[1] == ["x", "0.5", repr(2 / 3), "in-domain", "0.1", "2 of 9"]
        assert rows[2] == ["y", "n/a", "not reported", "", "0.1 / 0.2", "demo"]
        return
    assert "A note." in text and "Best in bold, second underlined." in text and "A title" in text
    for mark in ("in-domain", "demo"):
        assert MARKS[mark].meaning in " ".join(text.split())
    assert MARKS["mixed"].meaning not in text


@pytest.mark.parametrize(
    ("name", "best", "second"),
    [("console", "\x1b[1m0.667\x1b[0m†", "\x1b[4m0.500\x1b[0m"),
     ("md", "**0.667**†", "<ins>0.500</ins>"),
     ("tex", r"\textbf{0.667}\textsuperscript{\dag}", r"\underline{0.500}")],
)  # fmt: skip
def test_the_best_is_bold_and_the_second_underlined(name, best, second):
    text = WRITTEN[name](example())
    assert best in text and second in text


def places(values, **how):
    return [cell.place for cell in placed([number(v) for v in values], **how)]


def test_places():
    assert places([0.1, 0.3, 0.2]) == [0, 1, 2]
    assert places([0.3, 0.3, 0.2, 0.1]) == [1, 1, 2, 0]
    assert places([3, 1, 2], lowest=True) == [0, 1, 2]
    assert places([0.1, 0.9, 0.2], eligible=[True, False, True]) == [2, 0, 1]
    assert places([np.nan, 0.9, 0.0]) == [0, 1, 2] and places([0.3, 0.3]) == [1, 1]
    assert places([np.nan, 0.9]) == [0, 0] and places([]) == [], "alone is no best"


def test_a_table_without_rows_is_a_table():
    for write in WRITTEN.values():
        assert "method" in write(Table("t", "", [Column("method")], []))


@pytest.fixture(scope="module")
def hostile():
    patch = pytest.MonkeyPatch()
    patch.setattr(
        per_run, "recall_by_size",
        lambda result: pd.DataFrame({"objects": [1] * 5, "found": [1] * 5}),
    )  # fmt: skip
    runs = [
        run(HOSTILE, data, (0.5,) * 6, data_label=HOSTILE, modality="histopathology", mixed=True,
            weights=HOSTILE, mark="user", lost=HOSTILE, path=Path(HOSTILE.replace("/", "")))
        for data in (HOSTILE, "u20s")
    ]  # fmt: skip
    odd = [
        some(HOSTILE, "u20s"),
        some(HOSTILE, "dsb", status="skipped", reason=HOSTILE, score=np.nan),
    ]
    yield [
        *beside(assemble(runs, options=study_options(study_ranks=True))).tables,
        *tables_of(frame_of_rows(odd), "odd"),
    ]
    patch.undo()


@pytest.mark.parametrize("name", WRITTEN)
def test_hostile_names_are_text_in_every_table(hostile, name):
    seen = 0
    for table in hostile:
        text = WRITTEN[name](table)
        if name == "md":
            shown = str(markdown_cells(text))
            assert "<img" not in text
        elif name == "tex":
            shown = text.replace(r"\textless{}", "<").replace(r"\textgreater{}", ">")
            shown = re.sub(r"\\([_&%])", r"\1", shown)
            assert "<" not in text and HOSTILE[-3:] not in text
        else:
            shown = "".join(text.split()) if name == "console" else text
        needle = HOSTILE.replace(" ", "") if name == "console" else HOSTILE
        seen += needle in shown
    assert seen >= 3, name


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_every_latex_table_compiles(hostile, tmp_path):
    body = "\n\n".join(
        r"\resizebox{\textwidth}{!}{\begin{minipage}{3\textwidth}" + formats.latex(table)
        + r"\end{minipage}}" for table in [example(), *hostile]
    )  # fmt: skip
    source = rf"\documentclass{{article}}\usepackage{{booktabs,graphicx}}\begin{{document}}{body}"
    (tmp_path / "tables.tex").write_text(source + r"\end{document}", encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "tables.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in (tmp_path / "tables.log").read_text(errors="replace")


@pytest.mark.parametrize(
    ("name", "harmful"), [("md", "<img"), ("tex", "_&%"), ("console", "\x1b]")]
)
def test_a_mark_of_any_words_is_text_too(name, harmful):
    cell = Cell("0.1", 0.1, (HOSTILE + "\x1b]",))
    text = WRITTEN[name](Table("t", "", [Column("a")], [[cell]]))
    assert harmful not in text and "onerror" in text
