"""A table and a figure are added by one file and one line in a registry."""

from matplotlib.figure import Figure

from benchmark.paper.report import published_report
from benchmark.report.figures import draw
from benchmark.report.options import ReportOptions
from benchmark.report.tables import over_data_sets
from benchmark.report.tables.table import Column, Table, number
from benchmark.report.write import write_study


def highest(given):
    return Table("", "Highest", [Column("highest")], [[number(given.cells["score"].max())]], [])


def points(given):
    figure = Figure()
    figure.subplots().plot(given.frame["score"])
    return figure


def test_a_table_and_a_figure_by_one_line_each(tmp_path, monkeypatch):
    monkeypatch.setitem(over_data_sets.TABLES, "highest", highest)
    monkeypatch.setattr(draw, "FIGURES", {"points": points, "nothing": lambda given: None})
    monkeypatch.setattr(draw, "FIGURES_OF_SOURCE", {"points_each": points})
    monkeypatch.setattr(draw, "FIGURES_OVER_DATA_SETS", {"points_over": points})
    report = published_report(ReportOptions())
    folder = write_study(report, tmp_path / "report", html=False, private=False)
    largest = report.cells["score"].max()
    written = (folder / "tables" / "published_highest.csv").read_text(encoding="utf-8")
    assert float(written.splitlines()[1]) == largest
    drawn = {path.stem for path in (folder / "figures").iterdir()}
    assert drawn == {"points", "points_each", "points_over"}, "None leaves no file"
