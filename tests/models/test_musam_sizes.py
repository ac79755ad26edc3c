"""micro-sam's other sizes: the whole architectures, with random weights, equal micro-sam."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.adapters import one_thread as one_thread
from helpers.small_musam import ALL_MASKS, GRID, blobs, study_segmenter

from benchmark.errors import SkippedError
from models.architecture import ARCHITECTURES
from models.musam import AIS, AMG
from models.weights.card import Card, CardFile, cards
from models.weights.registry import CardWeights

MOBILE = importlib.util.find_spec("mobile_sam") is not None
IMAGE = blobs(96, 128)


def make_checkpoint(size: str, path: Path) -> Path:
    from micro_sam.instance_segmentation import DecoderAdapter, get_unetr

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sam = ARCHITECTURES[size].build()
        unetr = DecoderAdapter(get_unetr(sam.image_encoder, None, "cpu"))
    with torch.no_grad():
        unetr.out_conv.weight *= 4
        unetr.out_conv.bias.copy_(torch.tensor([2.0, -0.5, -0.5]))
    state = {"model_state": sam.state_dict(), "decoder_state": unetr.state_dict()}
    torch.save(state, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "size",
    ["vit_l", pytest.param("vit_t", marks=pytest.mark.skipif(not MOBILE, reason="no mobile_sam"))],
)
def test_ais_and_amg_equal_micro_sam(size, tmp_path, monkeypatch):
    import pickle

    monkeypatch.setattr(pickle, "Unpickler", pickle.Unpickler)  # micro-sam replaces it
    path = make_checkpoint(size, tmp_path / size)
    weights = AIS.find_weights(str(path)).fetch()
    found = AIS(weights).predict(IMAGE)
    assert len(np.unique(found)) > 5
    np.testing.assert_array_equal(found, study_segmenter(path, "ais", IMAGE))
    masks = AMG(weights, **GRID, **ALL_MASKS).predict(IMAGE)
    np.testing.assert_array_equal(masks, study_segmenter(path, "amg", IMAGE, GRID, ALL_MASKS))


def test_every_size_that_micro_sam_publishes_for_cells_has_a_card():
    util = pytest.importorskip("micro_sam.util", reason="micro-sam is not installed")
    published = {
        name
        for name in util.models().registry
        if name.endswith(("_lm", "_histopathology")) and "decoder" not in name
    }
    assert published == {name for name in cards("musam") if not name.startswith("demo")}
    assert all(cards("musam")[name].architecture == name[:5] for name in published)


def test_weights_whose_architecture_is_not_installed_are_skipped_before_a_download(tmp_path):
    def choice(requires: str) -> CardWeights:
        file = CardFile("net.pt", "https://example.org/net.pt")
        card = Card(
            "net", "musam", {"model": file}, "1 MB", "MIT", "https://example.org",
            requires=requires, install="pip install git+https://example.org/it",
        )  # fmt: skip
        return CardWeights(card, tmp_path, False)

    (tmp_path / "net.pt").touch()
    lacking = choice("no_such_module")
    reason = "no_such_module is not installed. Install with: pip install git+https://example.org/it"
    assert lacking.unavailable_reason() == lacking.about().state == reason
    assert choice("numpy").unavailable_reason() is None and choice("numpy").about().state == "here"


@pytest.mark.skipif(MOBILE, reason="mobile_sam is installed")
def test_vit_t_says_what_it_needs():
    from benchmark.adapter import fetch_weights

    with pytest.raises(SkippedError, match=r"mobile_sam is not installed.*ChaoningZhang/MobileSAM"):
        fetch_weights(AIS.find_weights("vit_t_lm"))
