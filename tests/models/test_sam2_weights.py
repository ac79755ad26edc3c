"""SAM 2's checkpoints: their architecture is known, and what is none is refused."""

import importlib
import inspect

import pytest
import torch
from helpers.small_sam2 import SmallSam2
from helpers.small_sam2 import weights as weights

from benchmark.errors import ModelError
from benchmark.types import Weights
from models.sam2 import _ARCHITECTURES, Sam2, packaged

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("sam2") is None, reason="sam2 is not installed"
)


def changed(weights, tmp_path, change):
    content = torch.load(weights.paths["weights"], weights_only=True)
    path = tmp_path / "other.pt"
    torch.save(change(content), path)
    return SmallSam2.find_weights(str(path)).fetch()


def _without(content):
    del content["model"]["no_mem_embed"]
    return content


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_without, "no_mem_embed"),
        (lambda content: content["model"], "no parameters under 'model'"),
        (lambda content: {"model": content["model"] | {"more": torch.zeros(1)}}, "more"),
    ],
)
def test_a_checkpoint_of_another_architecture(change, why, weights, tmp_path):
    with pytest.raises(ModelError, match=f"other.pt can't be loaded.*architecture.*{why}"):
        SmallSam2(changed(weights, tmp_path, change))


def test_the_architecture_is_read_from_the_file(weights):
    with pytest.raises(ModelError, match=r"small.pt .* 5 blocks; known are 12 \(hiera_t\), 16"):
        Sam2(weights)
    from sam2.modeling.backbones.hieradet import Hiera

    usual = inspect.signature(Hiera).parameters["stages"].default
    for blocks, name in _ARCHITECTURES.items():
        described = packaged(name)
        assert sum(described.image_encoder.trunk.get("stages", usual)) == blocks
        assert Sam2._describe(weights, "weights", blocks) == described


def test_the_card_says_the_architecture(weights):
    card = Weights("a card", "verified", weights.digests, architecture="hiera_s")
    assert Sam2._describe(card, "weights", 5) == packaged("hiera_s")


def test_files_that_are_no_checkpoints(weights, tmp_path):
    page, torn = tmp_path / "page.pt", tmp_path / "torn.pt"
    page.write_text("<!DOCTYPE html><html>log in</html>")
    torn.write_bytes(weights.paths["weights"].read_bytes()[:100_000])
    for path in (page, torn):
        with pytest.raises(ModelError, match=f"{path.name} can't be loaded"):
            SmallSam2(SmallSam2.find_weights(str(path)).fetch())
