"""The data sets' YAMLs against the table of the study's protocols, and the docs against both."""

from __future__ import annotations

import csv
import importlib.util
import re
from pathlib import Path

import pytest
import yaml
from helpers.data_sets import composed, public_data_sets

from benchmark.choices import CHECKOUT, CONFIGS
from benchmark.data.select import STEPS
from benchmark.data.transforms import TRANSFORMS, min_objects
from benchmark.scoring.protocol import METHODS, SCORING, SWITCHES

TABLE = Path(__file__).parents[1] / "study" / "protocols.csv"
ROWS = {row["key"]: row for row in csv.DictReader(TABLE.open(encoding="utf-8"))}
MODALITY = {
    "label_free_cells": "label_free_cells",
    "fluo_cells": "fluorescence_cells",
    "fluo_nuclei": "fluorescence_nuclei",
    "histopathology": "histopathology",
}
DATA_SWITCHES = {key for key in SWITCHES if key not in (*METHODS, *SCORING)}
KEYS = public_data_sets()


def step(key, name):
    return next((s[name] for s in composed(key)["recipe"] if name in s), None)


def test_all_36_of_the_study_are_here_and_organoids():
    assert len(ROWS) == 36 and ROWS.keys() <= set(KEYS)
    organoids = set(KEYS) - ROWS.keys()
    assert {"orgasegment", "organoidnet", "orgaextractor"} <= organoids
    assert {composed(key)["modality"] for key in organoids} == {"organoids"}


@pytest.mark.parametrize("key", sorted(ROWS))
def test_a_card_says_what_the_table_says(key):
    row, card = ROWS[key], composed(key)
    assert card["title"] == row["plot_name"]
    assert card["modality"] == MODALITY[row["group"]]
    loader = row["loader"].split("(")[0].split(" ")[0]
    assert card["loader"].startswith(loader)
    least = step(key, "min_objects")
    assert (str(least["count"]) if least else "") == row["min_unique_labels"]
    assert (least or {}).get("counting", "values") == "values"
    crop = step(key, "center_crop") or step(key, "crop_around_labels")
    assert bool(crop) == ("crop 512x512" in row["preprocessing"])
    ignored = step(key, "ignore_label")
    assert (str(ignored["value"]) if ignored else "") == row["ignore_label"].split(" ")[0].replace(
        "none", ""
    )
    assert (step(key, "connected_components") is not None) == (row["connected_components"] == "yes")
    assert (card["access"] == "download") == row["download"].startswith("auto")
    assert (card["access"] == "kaggle") == ("Kaggle" in row["download"])
    assert bool(card["by_hand"]) == (card["access"] != "download")
    if row["trap"]:
        assert card["quirks"] or card["notes"]
    if "WITHOUT seed" in row["trap"] or "random without seed" in row["trap"]:
        assert "random_splits" in card["quirks"] and card["not_recoverable"]


def test_background_counts_as_an_object_in_29_sets():
    assert sum("counting" in composed(key)["quirks"] for key in KEYS) == 29


@pytest.mark.parametrize("key", KEYS)
def test_a_card_is_complete(key):
    card, text = composed(key), (CONFIGS / "data" / f"{key}.yaml").read_text()
    assert card["name"] == key and text.startswith("# ")
    assert card["task"] in ("cell", "nucleus", "organoid")
    assert card["channels"] and card["licence"] and card["citation"] not in ("", "unknown", None)
    assert card["redistribute"] in ("yes", "no", "unknown")
    assert card["quirks"].keys() <= DATA_SWITCHES
    assert all(isinstance(line, str) and line.strip() for line in card["notes"])
    # What a switch does stands where it is used, and what is used is told.
    assert set(re.findall(r"\$\{protocol\.(\w+)\}", text)) == card["quirks"].keys()
    assert {name for s in card["recipe"] for name in s} - {"when"} <= TRANSFORMS.keys()
    for part in card["splits"].values():
        assert {n for s in part.get("take", []) + part.get("files", []) for n in s} <= {
            *STEPS,
            "when",
        }


def test_every_switch_of_data_matters_somewhere():
    assert {switch for key in KEYS for switch in composed(key)["quirks"]} == DATA_SWITCHES


def test_no_code_knows_a_data_set_by_name():
    for path in [*(CHECKOUT / "benchmark").rglob("*.py")]:
        words = set(re.findall(r"[\"'](\w+)[\"']", path.read_text()))
        assert not words & set(KEYS), path


def test_the_docs_say_what_the_cards_say():
    spec = importlib.util.spec_from_file_location("w", CHECKOUT / "scripts" / "write_docs.py")
    write_docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(write_docs)
    assert write_docs.WHY.keys() == DATA_SWITCHES
    for path, text in write_docs.pages().items():
        assert path.read_text() == text, f"{path}: run python scripts/write_docs.py"
    for key in KEYS:
        assert f"`{key}`" in (CHECKOUT / "docs" / "data_sets.md").read_text()


def test_a_protocol_sets_every_switch():
    for name, index in (("paper", 0), ("clean", 1)):
        given = yaml.safe_load((CONFIGS / "protocol" / f"{name}.yaml").read_text())
        assert given == {"name": name} | {key: values[index] for key, values in SWITCHES.items()}


def test_the_minimum_is_read_as_the_study_did():
    import numpy as np

    labels = np.array([[0, 1, 2]])
    assert list(min_objects(labels, labels, 3, "values")) and not list(
        min_objects(labels, labels, 3, "objects")
    )
