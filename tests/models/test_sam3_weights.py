"""SAM 3's folder of weights: nothing asked of the network, and damage refused by name."""

import json
import shutil
import socket

import numpy as np
import pytest
import torch
from helpers.adapters import GREY
from helpers.small_sam3 import UNSURE, SmallSam3, build, needs_sam3
from helpers.small_sam3 import folder as folder
from helpers.small_sam3 import model as model

from benchmark.errors import ModelError
from benchmark.types import Weights
from models.weights.card import cards

pytestmark = needs_sam3


@pytest.fixture
def copy(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_nothing_is_asked_of_the_network(folder, monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert build(folder).predict(GREY).any()


def test_shards_are_read(model, copy):
    from transformers import Sam3Model

    network = Sam3Model.from_pretrained(copy)
    (copy / "model.safetensors").unlink()
    network.save_pretrained(copy, max_shard_size="400KB")
    assert len(list(copy.glob("*.safetensors"))) > 2
    assert np.array_equal(build(copy).predict(GREY), model.predict(GREY))


def as_on_the_hub(folder):
    """The layout of facebook/sam3: there, the model is a part of the one for videos."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    saved = {f"detector_model.{name}": value for name, value in load_file(path).items()}
    saved |= {"tracker_model.x.weight": torch.ones(2), "tracker_neck.y.bias": torch.ones(3)}
    save_file(saved, path, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    video = {"model_type": "sam3_video", "architectures": ["Sam3VideoModel"]}
    (folder / "config.json").write_text(json.dumps(video | {"detector_config": config}))


def test_the_layout_of_the_hub(model, copy):
    as_on_the_hub(copy)
    assert np.array_equal(build(copy).predict(GREY), model.predict(GREY))


@pytest.mark.parametrize("hub", [False, True])
def test_what_was_loaded_is_compared_with_the_file(hub, copy, monkeypatch):
    from transformers import Sam3Model

    if hub:
        as_on_the_hub(copy)
    load = Sam3Model.from_pretrained

    def slip(*args, **kwargs):
        network, report = load(*args, **kwargs)
        with torch.no_grad():
            network.text_projection.bias[0] += 1
        return network, report

    monkeypatch.setattr(Sam3Model, "from_pretrained", slip)
    with pytest.raises(ModelError, match=r"model.safetensors .*'text_projection.bias' differs"):
        build(copy)


def edit(folder, change):
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda saved: {k: v for k, v in saved.items() if k != "text_projection.bias"},
         "1 parameters are missing or of another shape, such as 'text_projection.bias'"),
        (lambda saved: saved | {"text_projection.bias": torch.zeros(5)}, "text_projection.bias"),
        (lambda saved: {"other": torch.zeros(5)}, "parameters are missing"),
    ],
)  # fmt: skip
def test_a_checkpoint_of_another_architecture(change, why, copy):
    edit(copy, change)
    with pytest.raises(
        ModelError, match=r"model.safetensors can't be loaded.*architecture"
    ) as info:
        build(copy)
    assert why in str(info.value) or "ize" in str(info.value)


def test_files_that_are_no_checkpoints(copy):
    path = copy / "model.safetensors"
    whole = path.read_bytes()
    for content in (b"<!DOCTYPE html><html>log in</html>", whole[:-500], whole[:100]):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"model.safetensors can't be loaded"):
            build(copy)


@pytest.mark.parametrize("name", ["config.json", "processor_config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", ["{", "<html></html>", '{"vision_config": 3}'])
def test_damaged_settings_are_one_clear_error(name, content, copy):
    (copy / name).write_text(content)
    with pytest.raises(ModelError, match=f"can't be loaded.*{copy}"):
        build(copy)


def test_a_folder_that_lacks_what_is_needed(folder, copy):
    lacks = "is no folder with config.json and safetensors"
    with pytest.raises(ModelError, match=f"{folder}/model.safetensors {lacks}"):
        build(folder / "model.safetensors")
    (copy / "config.json").rename(copy / "other.json")
    with pytest.raises(ModelError, match=f"{copy} {lacks}"):
        build(copy)
    (copy / "other.json").rename(copy / "config.json")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=lacks):
        build(copy)


def test_the_files_of_a_card_have_to_lie_together(folder, copy):
    paths = {p.name: p for p in sorted(folder.iterdir())}
    digests = dict.fromkeys(paths, "sha256:0")
    together = Weights("sam3", "verified", digests, paths=paths)
    assert SmallSam3(together, threshold=UNSURE).predict(GREY).any()
    apart = paths | {"tokenizer.json": copy / "tokenizer.json"}
    with pytest.raises(ModelError, match=r"tokenizer.json must lie beside .*small/config.json"):
        SmallSam3(Weights("sam3", "verified", digests, paths=apart))


def test_the_files_of_the_card_suffice(folder, copy):
    card = cards("sam3")["sam3"]
    assert all(key == file.name for key, file in card.files.items())
    for path in copy.iterdir():
        if path.name not in card.files:
            path.unlink()
    assert np.array_equal(build(copy).predict(GREY), build(folder).predict(GREY))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"prompt": []}, r"prompt is \[\]: give words"),
        ({"prompt": " "}, "prompt is ' ': give words"),
        ({"prompt": ["cell", 3]}, r"prompt is \['cell', 3\]"),
        ({"mask_order": "best"}, "mask_order is 'best': give returned or score"),
    ],
)
def test_bad_parameters_are_refused(parameters, message, folder):
    with pytest.raises(ValueError, match=message):
        build(folder, **parameters)
