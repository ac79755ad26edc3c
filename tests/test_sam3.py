"""SAM 3: equal to its library called directly."""

import inspect

import numpy as np
import pytest

pytest.importorskip("transformers.models.sam3")

import torch
from helpers.adapters import GREY, ODD, RGB, configured, drawn, valid_or_refused
from helpers.small_sam3 import UNSURE, build
from helpers.small_sam3 import folder as folder
from helpers.small_sam3 import model as model
from PIL import Image

from models.common.images import to_rgb8
from models.sam3 import Sam3, _renamed


def directly(folder, image, prompt, threshold=0.5, mask_threshold=0.5):
    """Scores as transformers gives them, in its order; masks in the order of Meta's processor.

    Of each kept query: interpolate the logits to the image's size, then sigmoid, then compare.
    """
    from transformers import Sam3Model, Sam3Processor

    network = Sam3Model.from_pretrained(folder).eval()
    processor = Sam3Processor.from_pretrained(folder)
    inputs = processor(images=Image.fromarray(to_rgb8(image)), text=prompt, return_tensors="pt")
    sizes = inputs.pop("original_sizes").tolist()
    with torch.no_grad():
        outputs = network(**inputs)
    [found] = processor.post_process_instance_segmentation(
        outputs, threshold=threshold, mask_threshold=mask_threshold, target_sizes=sizes
    )
    scores = outputs.pred_logits[0].sigmoid() * outputs.presence_logits[0].sigmoid()
    kept = [query for query in range(len(scores)) if scores[query] > threshold]
    assert torch.equal(scores[kept], found["scores"])
    masks = []
    for query in kept:
        logits = outputs.pred_masks[0, query][None, None]
        resized = torch.nn.functional.interpolate(
            logits, size=tuple(sizes[0]), mode="bilinear", align_corners=False
        )
        masks.append((resized[0, 0].sigmoid() > mask_threshold).numpy())
    return found["scores"].numpy(), np.array(masks)


def test_logits_are_interpolated_before_the_sigmoid(folder):
    """On steep logits the two orders differ, so that the parity test can tell them apart."""
    model = build(folder)
    with torch.no_grad():
        for name, value in model._model.mask_decoder.named_parameters():
            if name.startswith("instance_projection"):
                value *= 30
    with torch.no_grad():
        pixels = model._processor(images=Image.fromarray(to_rgb8(GREY)), return_tensors="pt")
        outputs = model._model(pixel_values=pixels["pixel_values"], **model._texts[0])
    shape = GREY.shape[:2]
    [sigmoid_first] = model._processor.post_process_instance_segmentation(
        outputs, threshold=UNSURE, target_sizes=[shape]
    )
    ours = [mask for _, mask in model._masks(outputs, shape)]
    [logits] = torch.nn.functional.interpolate(
        outputs.pred_masks, size=shape, mode="bilinear", align_corners=False
    )
    assert len(ours) == len(logits) == 20
    assert np.array_equal(ours, (logits.sigmoid() > 0.5).numpy())
    assert not np.array_equal(ours, sigmoid_first["masks"].numpy() > 0)


@pytest.mark.parametrize(("mask_threshold", "share"), [(0.0, 1.0), (1.0, 0.0)])
def test_the_ends_of_the_mask_threshold(mask_threshold, share, folder):
    labels = build(folder, mask_threshold=mask_threshold).predict(GREY)
    assert (labels > 0).mean() == share


def test_a_mask_threshold_that_is_no_probability_is_refused(folder):
    with pytest.raises(ValueError, match="mask_threshold"):
        build(folder, mask_threshold=1.5)


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
