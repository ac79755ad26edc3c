"""The demo weights that know boxes: the demo weights with another mask decoder."""

import json
from dataclasses import replace

import pytest
import torch
from demo.checks import load, prompting
from demo.trainer import MASKS
from helpers.adapters import one_thread as one_thread
from helpers.command_line import main
from safetensors.torch import load_file, save_file

from benchmark.data.sources.folder import PackagedNuclei
from benchmark.data.transforms import apply
from benchmark.errors import ModelError
from models.backbone import open_backbone
from models.weights import find_weights
from models.weights.card import PACKAGED, cards
from models.weights.checkpoint import file_digest

DEMO = "sha256:ebd14625df2eaf541dc5d0cd5ad2a0ac39025baf32fd63678578819214d4c5f1"
MOST = 10_000_000  # bytes of both files


def fetched(name):
    return find_weights(name, family="musam").fetch()


def test_the_default_weights_are_those_that_they_were():
    assert fetched("demo").digests == {"weights": DEMO}
    assert file_digest(PACKAGED / "demo" / "demo.safetensors") == DEMO


def test_the_card_is_the_demo_weights_with_a_file_of_changes():
    found = fetched("demo_boxes")
    assert (found.name, found.mark, found.title) == ("demo_boxes", "demo", "no published model")
    assert found.digests["weights"] == DEMO and found.confirmed
    assert found.digests["changes"] == file_digest(found.paths["changes"])
    assert sum(path.stat().st_size for path in found.paths.values()) < MOST
    own, other = cards("musam")["demo_boxes"], cards("musam")["demo"]
    assert (own.architecture, own.licence) == (other.architecture, other.licence)
    assert [row["data"] for row in own.trained_on] == [row["data"] for row in other.trained_on]


def test_the_history_continues_that_of_the_demo_weights():
    card = cards("musam")["demo_boxes"]
    before, parts = (
        json.loads((PACKAGED / name / "parts.json").read_text()) for name in ("demo", "demo_boxes")
    )
    assert parts[:-1] == before
    assert parts[-1]["settings"]["start"] == DEMO
    assert tuple(parts[-1]["settings"]["trained"]) == MASKS
    assert parts[-1]["masks"] == card.files["changes"].digest
    assert parts[-1]["images"] == before[-1]["images"]
    assert all(revision in card.notes for revision in parts[-1]["revisions"])
    assert f"{parts[-1]['settings']['steps']} steps" in card.notes


def test_all_but_the_mask_decoder_and_the_corners_of_boxes_is_as_it_was():
    demo, boxes = (open_backbone(fetched(name), "cpu") for name in ("demo", "demo_boxes"))
    assert demo is not boxes
    changed = load_file(PACKAGED / "demo_boxes" / "demo_boxes.safetensors")
    assert changed and all(name.startswith(MASKS) for name in changed)
    for prefix, one, other in (
        ("model_state.", demo.predictor.model, boxes.predictor.model),
        ("decoder_state.", demo.decoder, boxes.decoder),
    ):
        values = other.state_dict()
        for name, value in one.state_dict().items():
            assert torch.equal(value, values[name]) != (prefix + name in changed), name


def test_changes_of_another_network_are_refused(tmp_path):
    found = fetched("demo_boxes")
    for name, shape in (("model_state.mask_decoder.other", 1), (f"{MASKS[1]}weight", 3)):
        path = tmp_path / "changes.safetensors"
        save_file({name: torch.zeros(shape)}, path)
        paths = {**found.paths, "changes": path}
        digests = {**found.digests, "changes": file_digest(path)}
        with pytest.raises(ModelError, match="another architecture"):
            open_backbone(replace(found, paths=paths, digests=digests), "cpu")


def test_boxes_get_better_masks_than_by_the_demo_weights():
    """On a part of an image that neither was trained on, nor chosen by."""
    [raw] = PackagedNuclei().items("test")
    tiles = apply([{"tiles": {"rows": 2, "columns": 2}}], *raw.read())
    [(_, image, labels), *_] = tiles
    demo, boxes = (
        prompting(load("apg", name), [(image, labels)]) for name in ("demo", "demo_boxes")
    )
    assert boxes["boxes"] > demo["boxes"] + 0.1
    assert boxes["both"] > demo["both"]
    assert boxes["points"] > demo["points"] - 0.03


@pytest.mark.parametrize(
    "words",
    [
        ("model=apg",),
        pytest.param(
            ("model=prompted", "model.source=otsu", "model.prompts=boxes"), marks=pytest.mark.slow
        ),
    ],
)
def test_a_run_names_them(tmp_path, words):
    done = main(tmp_path, *words, "model.weights=demo_boxes", "limit=1")
    assert done.returncode == 0, done.stderr
    [run] = (tmp_path / "results" / "runs").iterdir()
    described = json.loads((run / "run.json").read_text())
    assert described["weights"]["name"] == "demo_boxes"
    assert set(described["weights"]["digests"]) == {"weights", "changes"}
