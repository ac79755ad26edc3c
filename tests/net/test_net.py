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


@pytest.mark.parametrize("source", ["published", "both", "runs"])
def test_tables(source, tmp_path):
    results = tmp_path if source == "published" else net.stored_runs(tmp_path)
    found, wanted = net.tables_of(results, source), written(f"tables_{source}.json")
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert found[name] == wanted[name], name


def test_files_of_a_report(tmp_path):
    assert net.files_of(net.stored_runs(tmp_path)) == written("report_files.json")
