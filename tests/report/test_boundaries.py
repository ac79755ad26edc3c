"""The table of boundaries and counts: means over images, and scores that lack the metric."""

import numpy as np
import pytest
from helpers.reports import run

from benchmark.report.frame import frame_of_runs
from benchmark.report.tables.objects import boundaries
from benchmark.report.tables.per_run import run_tables


def table_of(*results):
    tables = run_tables(results, frame_of_runs(results))
    return next(table for table in tables if table.name == "boundaries")


def test_means_are_over_the_images_that_have_both():
    result = run(
        msa=(0.2, 0.4, 0.9),
        scores={"msa_tolerant": [0.5, 0.7, np.nan], "n_true": [4, 2, 0], "n_predicted": [3, 4, 5]},
    )
    (row,) = boundaries([result]).to_dict("records")
    assert row["msa"] == pytest.approx(0.3) and row["msa_tolerant"] == pytest.approx(0.6)
    assert row["count_error"] == pytest.approx((1 / 4 + 2 / 2) / 2), "none where nothing is true"


def test_scores_from_before_the_metric_are_shown_without_it():
    old, new = run("old", msa=(0.5, 0.7)), run("new", scores={"msa_tolerant": 0.8})
    cells = [[cell.text for cell in row] for row in table_of(old, new).rows]
    assert cells == [
        ["new", "dsb", "0.500", "0.800", "0.300", "0.0%"],
        ["old", "dsb", "0.600", "n/a", "n/a", "0.0%"],
    ]
