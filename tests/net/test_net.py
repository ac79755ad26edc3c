"""Ids, labels, scores and tables are those of version 0.1 (`helpers/net.py` says how)."""

import json

import pytest
from helpers import net


def written(name):
    return json.loads((net.NET / name).read_text(encoding="utf-8"))


def test_run_ids_of_every_model(tmp_path):
    found, wanted = net.identities(tmp_path), written("identities.json")
    assert json.loads(json.dumps(found)) == wanted


@pytest.mark.parametrize(
    "model", [*net.FAST, *(pytest.param(model, marks=pytest.mark.slow) for model in net.SLOW)]
)
def test_labels_and_scores(model, tmp_path):
    run, wanted = net.run_of(model, tmp_path), written("predictions.json")[model]
    assert net.labels_of(run) == wanted["labels"]
    assert json.loads(json.dumps(net.scores_of(run))) == wanted["scores"]


@pytest.fixture(scope="module")
def of_runs(tmp_path_factory):
    """The report of the stored runs, with its site."""
    results = net.stored_runs(tmp_path_factory.mktemp("of_runs"))
    return net.report_of(results, "source=runs", "format=html")


def assert_tables(report, name):
    found, wanted = net.tables_of(report), written(name)
    assert found.keys() == wanted.keys()
    for table in wanted:
        assert found[table] == wanted[table], table


def test_tables_of_published_numbers(published):
    assert_tables(published[0], "tables_published.json")


def test_tables_of_runs(of_runs):
    assert_tables(of_runs, "tables_runs.json")


def test_tables_of_both(tmp_path, without_figures):
    report = net.report_of(net.stored_runs(tmp_path), "source=both")
    assert_tables(report, "tables_both.json")


def test_files_of_a_report(of_runs):
    assert net.files_of(of_runs) == written("report_files.json")
