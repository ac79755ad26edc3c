"""The µSAM family's weights: a card's files, refusals, and how wide a network is."""

import importlib.util

import numpy as np
import pytest
import torch
from helpers.adapters import one_thread as one_thread
from helpers.small_musam import (
    ARCHITECTURES,
    CHANNELS,
    IMAGES,
    MODES,
    SmallAPG,
    build,
    build_sam,
    make_checkpoint,
)
from helpers.small_musam import checkpoint as checkpoint
from helpers.small_musam import models as models

from benchmark.errors import ModelError
from benchmark.types import Weights
from models import architecture, backbone
from models.backbone import open_backbone


def test_files_of_a_card_give_what_the_single_file_gives(models, checkpoint, tmp_path):
    both = torch.load(checkpoint, weights_only=True)
    # As training saves them: a prefix, and more in the file.
    encoder = {"model_state": {f"sam.{key}": value for key, value in both["model_state"].items()}}
    files = {"encoder": encoder, "decoder": both["decoder_state"]}
    for key, state in files.items():
        torch.save(state, tmp_path / key)
    weights = Weights(
        "card", "verified", {key: f"sha256:{key}" for key in files}, architecture="small",
        paths={key: tmp_path / key for key in files},
    )  # fmt: skip
    image = IMAGES["grey"]
    for name in ("musam_amg", "musam_ais"):
        adapter, parameters = MODES[name]
        model = adapter(weights, **parameters)
        assert model._backbone is not models[name]._backbone
        assert np.array_equal(model.predict(image), models[name].predict(image))


@pytest.mark.parametrize("name", ["musam_ais", "apg", "apg_boundary"])
def test_weights_without_a_decoder_are_refused_where_one_is_needed(name, tmp_path):
    plain = make_checkpoint(tmp_path / "sam.pth", decoder=False)
    with pytest.raises(ModelError, match="have no decoder"):
        build(name, plain)


def broken(change):
    """A checkpoint, changed."""

    def make(path):
        state = torch.load(make_checkpoint(path), weights_only=True)
        change(state)
        torch.save(state, path)

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: make_checkpoint(path, width=48), "its encoder is 48 wide; known are small"),
        (broken(lambda s: s["model_state"].popitem()), "Missing key"),
        (broken(lambda s: s["model_state"].update(more=torch.zeros(1))), "Unexpected key"),
        (broken(lambda s: s["decoder_state"].pop("out_conv.bias")), "out_conv.bias"),
        (broken(lambda s: s["decoder_state"].update({"out_conv.bias": torch.ones(5)})), "mismatch"),
        (broken(lambda s: s.update(model_state=5)), "it has none"),
        (broken(lambda s: s.update(decoder_state=5)), "could not be found"),
        (lambda path: torch.save({"weight": torch.ones(2)}, path), "it has none"),
    ],
)
def test_checkpoints_of_another_architecture_are_refused(make, message, tmp_path):
    make(tmp_path / "odd.pt")
    with pytest.raises(ModelError, match=f"(?s)another architecture.*{message}"):
        build("apg", tmp_path / "odd.pt")


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("MPS backend out of memory")],
    ids=["cuda", "mps"],
)
@pytest.mark.parametrize("place", ["sam", "decoder"])
def test_a_device_without_room_is_not_taken_for_another_architecture(
    checkpoint, monkeypatch, error, place
):
    def full(*_):
        raise error

    class Small(SmallAPG):
        architectures = ARCHITECTURES

    if place == "sam":
        monkeypatch.setattr(torch.nn.Module, "to", full)
    else:
        Small.architectures = {"small": ARCHITECTURES["small"]._replace(decoder=full)}
    monkeypatch.setattr(backbone, "_backbones", {})
    with pytest.raises(ModelError, match=r"^out of memory on cpu .*loaded"):
        Small(SmallAPG.find_weights(str(checkpoint)).fetch())


def test_a_folder_of_several_files_is_refused(checkpoint, tmp_path):
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(checkpoint.read_bytes())
    with pytest.raises(ModelError, match=r"are 2 files \(a.pt, b.pt\)"):
        build("apg", tmp_path)


def test_widths_are_those_that_segment_anything_builds():
    with torch.device("meta"):
        for name, built in architecture.ARCHITECTURES.items():
            if name == "vit_t" and not importlib.util.find_spec("mobile_sam"):
                continue
            assert built.build().state_dict()[built.sign].shape[0] == built.width, name
    assert build_sam().mask_decoder.transformer_dim == CHANNELS


def test_a_card_s_architecture_counts_more_than_the_file(checkpoint):
    weights = SmallAPG.find_weights(str(checkpoint)).fetch()
    wrong = {"other": ARCHITECTURES["small"]._replace(build=lambda: build_sam(48))}
    named = Weights(
        weights.name, "verified", {"weights": "sha256:x"}, architecture="other", paths=weights.paths
    )
    with pytest.raises(ModelError, match="another architecture"):
        open_backbone(named, "cpu", wrong | ARCHITECTURES)
