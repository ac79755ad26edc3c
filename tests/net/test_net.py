"""Results equal the reference results in `tests/net/`; its README says how they were made."""

import itertools
import json
from pathlib import Path

import pytest
from helpers import net
from helpers.runs import tree

SLOW_REPORTS = ("published", "both_with_demo", "runs_paper")
"""Their tables are, but for a few, also those of `both`."""


def stored(*parts):
    return json.loads(net.NET.joinpath(*parts).read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return net.place_for_identities(tmp_path_factory.mktemp("net") / "identities")


def test_every_model_is_in_the_net():
    assert sorted(stored("identities.json")) == net.MODELS


def is_slow(model, protocol):
    """The protocol is part of the key of scores alone: one model shows that fast."""
    return protocol != "paper" and model != "otsu"


@pytest.mark.parametrize(
    ("model", "protocol"),
    [
        pytest.param(*each, marks=[pytest.mark.slow] if is_slow(*each) else [])
        for each in itertools.product(net.MODELS, net.PROTOCOLS)
    ],
)
def test_identities_and_run_ids_are_as_stored(folder, model, protocol):
    found = net.identity_of(folder, model, protocol)
    assert found == stored("identities.json")[model][protocol]
    # What is installed here, or lies in a cache, has no part in them.
    versions = net.STATED["versions"] | net.STATED["versions_for"].get(model, {})
    libraries = found["identity"]["libraries"]
    assert libraries == {name: versions[name] for name in libraries}


@pytest.mark.parametrize("model", net.CLASSICAL)
def test_predictions_and_scores_are_as_stored(tmp_path, model):
    found = {"found": net.text(net.predictions(tmp_path, model))}
    expected = {"found": net.text(stored("predictions", f"{model}.json"))}
    assert net.differences(expected, found) == []


@pytest.mark.slow
@pytest.mark.parametrize("model", net.DEMO)
def test_predictions_and_scores_of_networks_are_as_stored(tmp_path, model):
    pytest.importorskip("micro_sam")
    expected = stored("predictions", f"{model}.json")
    made_in = expected.pop("environment")
    found = net.predictions(tmp_path, model)
    if net.environment() == made_in:
        texts = ({"found": net.text(one)} for one in (expected, found))
        assert net.differences(*texts) == []
    else:  # other libraries or another processor: single pixels may differ
        assert (
            found["report"] == expected["report"]
            and found["scores"].keys() == expected["scores"].keys()
        )
        for key, scores in expected["scores"].items():
            assert scores["basis"] == found["scores"][key]["basis"]
            means = [mean_msa(each["scores"][key]) for each in (expected, found)]
            assert means[0] == pytest.approx(means[1], abs=0.02)


def mean_msa(scores):
    values = [row["metrics"]["msa"] for row in scores["samples"].values()]
    return sum(values) / len(values)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW_REPORTS else []) for n in net.REPORTS],
)
def test_tables_and_names_of_files_are_as_stored(tmp_path, name):
    found = net.report(tmp_path, name)
    assert net.differences(net.read_folder(net.NET / "reports" / name), found) == []


def test_stored_runs_are_found_complete_and_nothing_is_repeated(tmp_path):
    runs = net.stored_runs(tmp_path) / "runs"
    before = {name: data for name, data in tree(runs).items() if is_result(name)}
    for model in ("oracle", "empty"):  # of no library, so that their run ids are the same anywhere
        net.call(f"model={model}", "data=nuclei_demo", *net.places(tmp_path))
    assert {name: data for name, data in tree(runs).items() if is_result(name)} == before


def is_result(name):
    return Path(name).parts[1:2] in [(part,) for part in ("records", "predictions", "scores")]


def test_differences_are_noticed():
    """The comparison can fail: a number, a file too many, a file too few."""
    expected = {"a.csv": "x,0.12345678901234567\r\n", "b.md": "0.123\n"}
    same = {"a.csv": "x,0.12345678901234512\r\n", "b.md": "0.123\n"}
    assert net.differences(expected, same) == []
    for changed in (
        {**expected, "a.csv": "x,0.12345678911234567\r\n"},
        {**expected, "a.csv": "x,0.12345678901234567\n"},
        {**expected, "b.md": "0.124\n"},
        {**expected, "b.md": "0.123"},
        {**expected, "c.md": ""},
        {"a.csv": expected["a.csv"]},
    ):
        assert len(net.differences(expected, changed)) == 1
