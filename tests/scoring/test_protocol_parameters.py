"""Parameters of models that follow the protocol: what the study had, or what is sensible."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from helpers.data_sets import composed_whole

from benchmark.errors import UsageError
from benchmark.scoring.protocol import Protocol
from benchmark.scoring.score import score_basis


def model(*words: str) -> dict[str, Any]:
    """The model of a command, its parameters resolved."""
    found: dict[str, Any] = composed_whole(*words)["model"]
    return found


@pytest.mark.parametrize(
    ("name", "parameter", "paper", "clean"),
    [("sam3", "mask_order", "returned", "score"), ("cellsam", "grey_columns", True, False)],
)
def test_the_protocol_decides_what_only_the_study_did(
    name: str, parameter: str, paper: object, clean: object
) -> None:
    assert model(f"model={name}")[parameter] == paper  # paper is the default
    assert model(f"model={name}", "protocol=clean")[parameter] == clean


def test_a_word_overrides_the_protocol() -> None:
    assert model("model=sam3", "model.mask_order=score")["mask_order"] == "score"


def test_weights_by_modality_give_way_to_weights_by_name() -> None:
    named = model("model=apg", "model.weights=vit_b_histopathology")
    assert named["weights"] == "vit_b_histopathology"
    assert model("model=apg")["weights"]["histopathology"] == "vit_b_histopathology"


def test_what_shapes_predictions_is_no_part_of_a_scores_key() -> None:
    given = {"name": "x", "threshold_grid": "exact", "both_empty": "zero"}
    assert Protocol(**given).switches() == {"threshold_grid": "exact", "both_empty": "zero"}
    assert (
        Protocol(**given, mask_order="score", library_quirks=False).switches()
        == Protocol(**given).switches()
    )


@pytest.mark.parametrize(
    ("switch", "value"), [("mask_order", "largest"), ("library_quirks", "perhaps")]
)
def test_an_unknown_value_is_refused(switch: str, value: str) -> None:
    given = {"name": "x", "threshold_grid": "exact", "both_empty": "zero", switch: value}
    with pytest.raises(UsageError, match=f"protocol.{switch} is '{value}'; "):
        Protocol(**given)  # type: ignore[arg-type]


def test_scores_belong_to_the_protocol_whose_switches_shaped_their_truth() -> None:
    paper = Protocol("paper", "drifting", "zero")
    basis = score_basis(paper, "digest", ["counting", "cut_objects"])["protocol"]
    assert basis == {
        "threshold_grid": "drifting", "both_empty": "zero", "counting": "values",
        "cut_objects": "one",
    }  # fmt: skip
    assert paper.made(basis)
    assert not replace(paper, cut_objects="split").made(basis)
    assert not replace(paper, both_empty="exclude").made(basis)
    # What a data set knows nothing of does not part its scores.
    assert replace(paper, volumes="whole", mask_order="score").made(basis)
