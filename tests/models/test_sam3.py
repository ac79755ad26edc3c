"""SAM 3: scores and order as transformers gives them, masks as Meta's processor cuts them."""

import inspect
import math

import numpy as np
import pytest
import torch
from helpers.adapters import GREY, ODD, RGB, configured, drawn, valid_or_refused
from helpers.small_sam3 import UNSURE, build, needs_sam3
from helpers.small_sam3 import folder as folder
from helpers.small_sam3 import model as model
from PIL import Image

from models.common.images import to_rgb8
from models.sam3 import _AT_ONCE, Sam3, _renamed

pytestmark = needs_sam3


def processor_of(folder):
    from transformers import Sam3Processor

    return Sam3Processor.from_pretrained(folder)


def raw(folder, image, prompt):
    """What the library's network returns when it is called as its own example calls it."""
    from transformers import Sam3Model

    network = Sam3Model.from_pretrained(folder).eval()
    picture = Image.fromarray(to_rgb8(image))
    inputs = processor_of(folder)(images=picture, text=prompt, return_tensors="pt")
    inputs.pop("original_sizes")
    with torch.no_grad():
        return network(**inputs)


def by_transformers(folder, outputs, shape, **thresholds):
    """Scores and masks as transformers makes them: the sigmoid, then the interpolation."""
    [found] = processor_of(folder).post_process_instance_segmentation(
        outputs, target_sizes=[shape], **thresholds
    )
    return found["scores"].numpy(), found["masks"].numpy() > 0


def by_meta(outputs, shape, threshold=0.5, mask_threshold=0.5):
    """Scores and masks in the order of Meta's processor: the interpolation, then the sigmoid."""
    found = []
    for score, logits in zip(outputs.pred_logits[0], outputs.pred_masks[0], strict=True):
        score = score.sigmoid()
        if outputs.presence_logits is not None:
            score = score * outputs.presence_logits[0, 0].sigmoid()
        if score > threshold:
            large = torch.nn.functional.interpolate(
                logits[None, None], shape, mode="bilinear", align_corners=False
            )
            found.append((score.item(), (large.sigmoid() > mask_threshold)[0, 0].numpy()))
    return [score for score, _ in found], [mask for _, mask in found]


def directly(folder, image, prompt, **thresholds):
    scores, masks = by_meta(raw(folder, image, prompt), image.shape[:2], **thresholds)
    return np.array(scores), np.array(masks)


def painted(masks, shape):
    """As the study painted them: each over those before."""
    labels = np.zeros(shape, np.int64)
    for number, mask in enumerate(masks, start=1):
        labels[mask > 0] = number
    return labels


@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "rgb"])
@pytest.mark.parametrize("thresholds", [(UNSURE, 0.5), (0.24, 0.51)])
def test_labels_are_those_of_metas_order(image, thresholds, folder):
    named = dict(zip(("threshold", "mask_threshold"), thresholds, strict=True))
    labels = build(folder, **named).predict(image)
    _, masks = directly(folder, image, "cell", **named)
    wanted = painted(masks, image.shape[:2])
    assert len(np.unique(wanted)) > 3, "nothing but background would be equal too easily"
    assert np.array_equal(labels, wanted)


def stand_in(count, steepness=8.0, presence=True):
    """Outputs of a network that is sure of its masks, where the random one never is."""
    from transformers.models.sam3.modeling_sam3 import Sam3ImageSegmentationOutput

    random = torch.Generator().manual_seed(count)
    return Sam3ImageSegmentationOutput(
        pred_logits=torch.randn((1, count), generator=random),
        pred_boxes=torch.rand((1, count, 4), generator=random),
        pred_masks=steepness * torch.randn((1, count, 24, 24), generator=random),
        presence_logits=torch.full((1, 1), 1.5) if presence else None,
    )


# Enlarged, of other proportions, reduced, and one pixel high.
@pytest.mark.parametrize("shape", [(60, 60), (31, 97), (13, 9), (1, 40)])
@pytest.mark.parametrize("mask_threshold", [0.2, 0.5, 0.9])
def test_scores_and_order_are_transformers_and_masks_are_metas(shape, mask_threshold, folder):
    named = {"threshold": 0.4, "mask_threshold": mask_threshold}
    outputs = stand_in(70)
    found = list(build(folder, **named)._masks(outputs, shape))
    scores, masks = [score for score, _ in found], np.array([mask for _, mask in found])
    theirs, cut_otherwise = by_transformers(folder, outputs, shape, **named)
    assert scores == theirs.tolist() and len(set(scores)) == len(scores) > 2 * _AT_ONCE
    assert np.array_equal(masks, by_meta(outputs, shape, **named)[1])
    assert not np.array_equal(masks, cut_otherwise), "the two orders can't be told apart here"


@pytest.mark.parametrize("count", [1, _AT_ONCE - 1, _AT_ONCE, _AT_ONCE + 1])
@pytest.mark.parametrize("presence", [True, False])
def test_any_number_of_masks_with_or_without_a_presence(count, presence, folder):
    outputs = stand_in(count, presence=presence)
    found = list(build(folder, threshold=0.0)._masks(outputs, (30, 20)))
    theirs, _ = by_transformers(folder, outputs, (30, 20), threshold=0.0)
    assert [score for score, _ in found] == theirs.tolist() and len(found) == count
    assert np.array_equal([mask for _, mask in found], by_meta(outputs, (30, 20), 0.0)[1])


@pytest.mark.parametrize(("mask_threshold", "all_of_it"), [(0, True), (0.0, True), (1, False)])
def test_the_ends_of_the_mask_threshold_take_every_pixel_or_none(mask_threshold, all_of_it, folder):
    found = list(build(folder, mask_threshold=mask_threshold)._masks(stand_in(5), (30, 20)))
    masks = [mask for _, mask in found]
    assert masks and all(mask.all() if all_of_it else not mask.any() for mask in masks)


@pytest.mark.parametrize("mask_threshold", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_mask_threshold_that_is_no_probability_is_refused(mask_threshold, folder):
    with pytest.raises(ValueError, match="mask_threshold is"):
        build(folder, mask_threshold=mask_threshold)


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


def test_many_settings_equal_the_single_adapter_and_each_prompt_is_decoded_once(folder):
    settings = [
        {},
        {"threshold": UNSURE + 0.05},
        {"mask_threshold": 0.52, "mask_order": "score"},
        {"prompt": ["nucleus", "cell"]},
        {"prompt": ("cell",), "threshold": 0.9},
        {},
    ]
    model = build(folder)
    decodes = []
    forward = model._model.forward
    model._model.forward = lambda **given: decodes.append(1) or forward(**given)
    together = list(model.predict_each(GREY, settings))
    assert len(decodes) == 2 and together[0] is together[5]
    for setting, labels in zip(settings, together, strict=True):
        assert np.array_equal(labels, build(folder, **setting).predict(GREY))
    assert len({labels.tobytes() for labels in together}) >= 3


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
    rest = [name for name in list(ours)[2:] if name != "mask_order"]
    assert config == {name: ours[name].default for name in rest}


def test_a_renamed_parameter_is_known_by_its_values_and_no_other_vouches_for_itself():
    saved = {"old": torch.arange(3.0), "same": torch.ones(2)}
    loaded = {"new": torch.arange(3.0), "same": torch.ones(2)}
    assert torch.equal(_renamed(saved, loaded)["new"], saved["old"])
    loaded["new"] = loaded["new"] + 1
    assert "new" not in _renamed(saved, loaded)


@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "rgb"])
def test_its_boxes_are_prompts_as_transformers_gives_them(image, folder):
    model = build(folder, prompt=["cell", "dot"])
    found = model.prompts(image)
    expected = []
    for words in ("cell", "dot"):
        [each] = processor_of(folder).post_process_object_detection(
            raw(folder, image, words), UNSURE, [image.shape[:2]]
        )
        expected.append(each["boxes"].numpy())
    assert np.allclose(found.boxes, np.concatenate(expected), atol=1e-3)
    assert found.points is None and len(found) > 1


BOXES = {"boxes": [[10, 12, 40, 44], [60, 5, 80, 30]], "negative_boxes": [[0, 60, 20, 90]]}


def shown(folder, image, prompt, boxes, labels):
    """What the library returns when words and boxes are given as its own example gives them."""
    from transformers import Sam3Model

    network = Sam3Model.from_pretrained(folder).eval()
    inputs = processor_of(folder)(
        images=Image.fromarray(to_rgb8(image)), text=prompt, input_boxes=[boxes],
        input_boxes_labels=[labels], return_tensors="pt",
    )  # fmt: skip
    inputs.pop("original_sizes")
    with torch.no_grad():
        return network(**inputs)


@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "rgb"])
@pytest.mark.parametrize("prompt", ["cell", None], ids=["words", "boxes alone"])
@pytest.mark.parametrize("kinds", [("boxes",), ("negative_boxes",), ("boxes", "negative_boxes")])
def test_boxes_beside_words_are_those_of_transformers(image, prompt, kinds, folder):
    given = {kind: BOXES[kind] for kind in kinds}
    boxes = [box for kind in kinds for box in given[kind]]
    labels = [int(kind == "boxes") for kind in kinds for _ in given[kind]]
    outputs = shown(folder, image, prompt, boxes, labels)
    model = build(folder, prompt=prompt or "visual", **given)
    # Masks are cut by the adapter, as is tested above: a logit of 1e-9 has a sigmoid of 0.5.
    wanted = painted([mask for _, mask in model._masks(outputs, image.shape[:2])], image.shape[:2])
    assert len(np.unique(wanted)) > 3
    assert np.array_equal(model.predict(image), wanted)
    assert not np.array_equal(build(folder).predict(image), wanted)


def test_boxes_can_be_varied_and_are_no_part_of_earlier_runs(folder):
    from benchmark.adapter import AdapterInfo

    model = build(folder)
    settings = [{}, BOXES, {"boxes": BOXES["boxes"]}, {"boxes": None}]
    together = list(model.predict_each(RGB, settings))
    for setting, labels in zip(settings, together, strict=True):
        assert np.array_equal(labels, build(folder, **setting).predict(RGB))
    assert together[3] is together[0] and not np.array_equal(together[0], together[1])
    info = AdapterInfo.of(Sam3)
    ids = [info.in_identity("", {"boxes": boxes}, None) for boxes in (None, BOXES["boxes"])]
    assert ids[0] == info.in_identity("", {}, None) != ids[1]


@pytest.mark.parametrize(
    "boxes", [[], [[1, 2, 3]], [[5, 5, 5, 9]], [[-1, 0, 4, 4]], ["abcd"], 7, [[0, 0, 4, math.nan]]]
)
def test_what_is_no_box_is_refused(boxes, folder):
    for name in BOXES:
        with pytest.raises(ValueError, match=f"^{name} is .*give a list of boxes"):
            build(folder, **{name: boxes})


def test_a_box_that_is_not_in_the_image_is_refused(folder):
    model = build(folder, boxes=[[10, 10, 95, 20]])
    assert model.predict(GREY).shape == GREY.shape
    with pytest.raises(ValueError, match=r"image of 150 x 90 pixels: the box .* is not in it"):
        model.predict(RGB)
