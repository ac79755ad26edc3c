"""SAM 3: equal to its library called directly, from a folder and from nowhere else."""

import inspect
import json
import shutil
import socket

import numpy as np
import pytest

pytest.importorskip("transformers.models.sam3")

import torch
from helpers.adapters import GREY, ODD, RGB, configured, drawn, valid_or_refused
from helpers.small_sam3 import SmallSam3, make_checkpoint
from PIL import Image

from benchmark.errors import ModelError
from benchmark.types import Weights
from models.common.images import to_rgb8
from models.sam3 import Sam3, _renamed
from models.weights.card import cards

UNSURE = 0.2  # untrained, it gives every mask a score of about 0.25


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return make_checkpoint(tmp_path_factory.mktemp("sam3") / "small")


@pytest.fixture(scope="module")
def model(folder):
    return build(folder)


@pytest.fixture
def copy(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


def build(path, **parameters):
    weights = SmallSam3.find_weights(str(path)).fetch()
    return SmallSam3(weights, **{"threshold": UNSURE} | parameters)


def directly(folder, image, prompt, **thresholds):
    """Scores and masks as the library's own example gets them."""
    from transformers import Sam3Model, Sam3Processor

    network = Sam3Model.from_pretrained(folder).eval()
    processor = Sam3Processor.from_pretrained(folder)
    inputs = processor(images=Image.fromarray(to_rgb8(image)), text=prompt, return_tensors="pt")
    sizes = inputs.pop("original_sizes").tolist()
    with torch.no_grad():
        outputs = network(**inputs)
    found = processor.post_process_instance_segmentation(outputs, target_sizes=sizes, **thresholds)
    return found[0]["scores"].numpy(), found[0]["masks"].numpy()


def painted(masks, shape):
    """As the study painted them: each over those before."""
    labels = np.zeros(shape, np.int64)
    for number, mask in enumerate(masks, start=1):
        labels[mask > 0] = number
    return labels


@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "rgb"])
@pytest.mark.parametrize("thresholds", [(UNSURE, 0.5), (0.24, 0.51)])
def test_equal_to_upstream(image, thresholds, folder):
    named = dict(zip(("threshold", "mask_threshold"), thresholds, strict=True))
    labels = build(folder, **named).predict(image)
    _, masks = directly(folder, image, "cell", **named)
    wanted = painted(masks, image.shape[:2])
    assert len(np.unique(wanted)) > 3, "nothing but background would be equal too easily"
    assert np.array_equal(labels, wanted)


@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "rgb"])
def test_several_prompts_are_found_in_their_order(image, folder):
    masks = [mask for words in ("cell", "blob") for mask in directly(folder, image, words,
             threshold=UNSURE)[1]]  # fmt: skip
    both = build(folder, prompt=["cell", "blob"]).predict(image)
    assert np.array_equal(both, painted(masks, image.shape[:2]))
    assert both.max() == len(masks) == 40
    other_way = build(folder, prompt=["blob", "cell"]).predict(image)
    assert not np.array_equal(both, other_way)


def test_an_image_is_encoded_once_for_all_prompts(folder, monkeypatch):
    model = build(folder, prompt=["cell", "blob", "rod"])
    encoder, calls = model._model.vision_encoder, []
    encoder.register_forward_hook(lambda *_: calls.append(1))
    model.predict(GREY)
    assert len(calls) == 1
    assert model.stages.keys() == {"encode", "decode", "postprocess"}
    assert all(seconds > 0 for seconds in model.stages.values())


@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "rgb"])
def test_the_more_confident_mask_shows_where_masks_overlap(image, folder):
    found = [directly(folder, image, words, threshold=UNSURE) for words in ("cell", "blob")]
    scores = np.concatenate([scores for scores, _ in found])
    masks = np.concatenate([masks for _, masks in found]) > 0
    assert len(set(scores)) == len(scores) == 40
    best = np.where(masks, scores[:, None, None], -1).argmax(axis=0)
    labels = build(folder, prompt=["cell", "blob"], mask_order="score").predict(image)
    assert np.array_equal(labels > 0, masks.any(axis=0))
    # Whatever the numbers: where the best mask is another, so is the label, and the reverse.
    pairs = set(zip(best[labels > 0], labels[labels > 0], strict=True))
    assert len(pairs) == len(np.unique(best[labels > 0])) == len(np.unique(labels[labels > 0]))
    assert len(pairs) > 3


def test_the_same_in_a_second_run_and_another_build(model, folder):
    expected = model.predict(GREY)
    model.predict(RGB)
    assert np.array_equal(model.predict(GREY), expected)
    assert np.array_equal(build(folder).predict(GREY), expected)
    assert model.details == {"reproducible": True}


@pytest.mark.parametrize("what", ODD)
def test_any_image_gives_labels_or_is_refused(what, model):
    labels = valid_or_refused(model, ODD[what])
    assert (labels is None) == (what in ("NaN", "five channels"))
    assert labels is None or labels.any()


@pytest.mark.slow
def test_a_large_image(model):
    assert valid_or_refused(model, drawn((2000, 3000, 3))).any()


def test_nothing_found_is_background(folder):
    labels = build(folder, threshold=0.9).predict(GREY)
    assert labels.shape == GREY.shape
    assert not labels.any()


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


def test_the_config_says_what_the_class_says():
    target, config, first = configured("sam3")
    assert target == "models.sam3.Sam3"
    assert first.startswith("# SAM 3")
    assert [config.pop(key) for key in ("weights", "mask_order")] == [
        "sam3", "${protocol.mask_order}"
    ]  # fmt: skip
    ours = inspect.signature(Sam3).parameters
    assert config == {name: ours[name].default for name in list(ours)[2:-1]}


def test_a_renamed_parameter_is_known_by_its_values_and_no_other_vouches_for_itself():
    saved = {"old": torch.arange(3.0), "same": torch.ones(2)}
    loaded = {"new": torch.arange(3.0), "same": torch.ones(2)}
    assert torch.equal(_renamed(saved, loaded)["new"], saved["old"])
    loaded["new"] = loaded["new"] + 1
    assert "new" not in _renamed(saved, loaded)
