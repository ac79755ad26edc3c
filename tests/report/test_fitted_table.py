"""Tables at the width of a terminal: columns are left out, and words stay whole."""

import io

import pytest
from helpers.reports import run
from rich.console import Console
from rich.text import Text

from benchmark.fitted_table import FittedColumn, FittedTable, shortened
from benchmark.report.tables import formats, run_summary
from benchmark.report.tables.table import Column, Table, number, words

LEFT_OUT = "Not shown at this width: "


def printed(table, width):
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def example(*drops, text="some words that are long enough to be wrapped"):
    names = [f"column{i}" for i in range(len(drops))]
    columns = [FittedColumn(name, drop=drop) for name, drop in zip(names, drops, strict=True)]
    return FittedTable(columns, [[Text(text) for _ in drops]])


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(200, []), (80, [2]), (60, [2, 0]), (30, [2, 0])],
)
def test_columns_are_left_out_by_their_number_and_named(width, left_out):
    """Four of 45 letters, which wrap to 20: all take 93, three 70, two 47."""
    text = printed(example(1, 0, 3, 0), width)
    head, _, named = " ".join(text.split()).partition(LEFT_OUT)
    assert [i for i in range(4) if f"column{i}" not in head] == sorted(left_out)
    assert all(f"column{i}" in named for i in left_out) and bool(named) == bool(left_out)
    assert all(len(line) <= width for line in text.splitlines())


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_summary_breaks_no_word(width):
    frame = run_summary.summary([
        run("demo_ais", "nuclei_demo", weights="demo", mark="demo", mixed=True),
        run("otsu (sigma=2, min_distance=7)", "a_data_set_of_mine", expected=9, failed=1),
    ])  # fmt: skip
    text = printed(run_summary.console(frame), width)
    assert max(map(len, text.splitlines())) <= width
    shown = text.split()
    for cell in (
        "demo_ais", "nuclei_demo", "a_data_set_of_mine", "min_distance=7)", "0.500",
        "complete,", "partial", "s/image", frame["run"][0],
    ):  # fmt: skip
        assert cell in shown, cell
    assert ("groups" in text.partition(LEFT_OUT)[0].splitlines()[0]) == (width == 200)
    assert (LEFT_OUT in text) == (width < 200)


def test_the_time_per_image_is_on_the_console_alone():
    frame = run_summary.summary([run(scores={"seconds": [0.25] * 6})])
    assert "0.250" in printed(run_summary.console(frame), 200)
    assert "s/image" not in run_summary.markdown(frame) + run_summary.latex(frame)


def test_a_table_without_an_order_loses_its_last_columns():
    columns = [Column("method"), *(Column(f"number{i}", right=True) for i in range(12))]
    table = Table("t", "", columns, [[words("otsu"), *map(number, range(12))]])
    text = printed(formats.console(table), 60)
    head = text.splitlines()[0].split()
    assert head == ["method", *(f"number{i}" for i in range(6))]
    assert "number11 (t.csv" in " ".join(text.split())


def test_a_shortened_column_stays_on_one_line():
    column = FittedColumn("what it is", shorten=True)
    table = FittedTable([FittedColumn("name"), column], [[Text("otsu"), Text("threshold " * 20)]])
    row = next(line for line in printed(table, 60).splitlines() if "otsu" in line)
    assert "threshold…" in row and printed(table, 60).count("threshold") == row.count("threshold")


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("two words", 9, "two words"),
        ("two words", 8, "two…"),
        ("two words", 4, "two…"),
        ("two, words", 9, "two…"),
        ("unbreakable", 5, "unbr…"),
    ],
)
def test_a_text_is_cut_between_words(text, width, expected):
    assert shortened(text, width) == expected


@pytest.mark.parametrize("width", [80, 100])
def test_long_names_give_way_before_numbers_and_short_words(width):
    """A status of runs on a data set of a long name, none of whose columns may be left out."""
    names = ["otsu (sigma=3.25)", "mouse_embryo_nuclei_of_the_confocal_microscope_" * 2]
    heads = ["model", "data", "samples", "done", "failed", "state"]
    cells = [*names, "50", "8", "0", "partial"]
    table = FittedTable(list(map(FittedColumn, heads)), [list(map(Text, cells))])
    text = printed(table, width)
    assert max(map(len, text.splitlines())) <= width
    assert all(word in text for word in (*heads, "partial")), text
