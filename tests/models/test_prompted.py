"""Prompts of any source, masks of any promptable model: each equal to its library."""

import importlib.util

import numpy as np
import pytest
import torch
from helpers.adapters import one_thread as one_thread
from helpers.small_musam import IMAGES, blobs
from helpers.small_prompted import SMALL_MASKS
from helpers.small_sam3 import needs_sam3

from benchmark.data.sources.synthetic import draw
from benchmark.errors import ModelError, UsageError
from benchmark.types import Attending, Sample, Staged
from models.apg import APG
from models.common.images import to_rgb8
from models.controls import Oracle
from models.musam import AIS
from models.otsu import OtsuWatershed
from models.prompted import Prompted, PromptedMicroSam
from models.prompting.points import innermost
from models.prompting.prompts import Prompts
from models.prompting.sources import Grid, OfLabels, of_labels, prompts_of

needs_sam2 = pytest.mark.skipif(
    importlib.util.find_spec("sam2") is None, reason="sam2 is not installed"
)
EVERY = [
    "musam",
    pytest.param("sam2", marks=needs_sam2),
    pytest.param("sam3", marks=needs_sam3),
]
PICTURES = {"wide": blobs(90, 140), "high, rgb": blobs(130, 80, 3, seed=1)}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The adapter of each model in small, built once."""
    built = {}

    def get(masks):
        if masks not in built:
            adapter, make = SMALL_MASKS[masks]
            path = tmp_path_factory.mktemp(masks) / "small.pt"
            if masks == "sam3":
                path.mkdir()
            weights = adapter.find_weights(str(make(path))).fetch()
            built[masks] = adapter(weights, Grid(2), min_size=0)
        return built[masks]

    return get


# The models that make masks


def arrays(kind, shape, number=8):
    rng = np.random.default_rng(2)
    points = rng.uniform(0, 1, (number, 1, 2)) * (shape[1] - 1, shape[0] - 1)
    found = {"points": points, "point_labels": np.ones((number, 1))}
    corner = rng.uniform(0, 0.5, (number, 2)) * (shape[1], shape[0])
    size = rng.uniform(0.2, 0.5, (number, 2)) * (shape[1], shape[0])
    boxes = {"boxes": np.concatenate([corner, corner + size], axis=1)}
    return {"points": found, "boxes": boxes, "both": found | boxes}[kind]


def by_segment_anything(adapter, rgb, given, multimask):
    """One prompt after the other, by the method that its example calls."""
    predictor = adapter._promptable.predictor
    predictor.set_image(rgb)
    found = [
        predictor.predict(
            point_coords=given["points"][n] if "points" in given else None,
            point_labels=given["point_labels"][n] if "points" in given else None,
            box=given["boxes"][n] if "boxes" in given else None,
            multimask_output=multimask, return_logits=True,
        )
        for n in range(len(next(iter(given.values()))))
    ]  # fmt: skip
    return tuple(np.stack(each) for each in zip(*found, strict=True))


def by_sam2(adapter, rgb, given, multimask):
    predictor = adapter._promptable.predictor
    predictor.set_image(rgb)
    return predictor.predict(
        given.get("points"), given.get("point_labels"), given.get("boxes"),
        multimask_output=multimask, return_logits=True,
    )  # fmt: skip


def by_transformers(adapter, rgb, given, multimask):
    from PIL import Image

    processor, model = adapter._promptable._processor, adapter._promptable._model
    names = {"points": "input_points", "point_labels": "input_labels", "boxes": "input_boxes"}
    lists = {names[name]: [array.tolist()] for name, array in given.items()}
    if "input_labels" in lists:
        lists["input_labels"] = [[[int(label) for label in own] for own in given["point_labels"]]]
    inputs = processor(images=Image.fromarray(rgb), return_tensors="pt", **lists)
    sizes = inputs.pop("original_sizes")
    with torch.no_grad():
        out = model(**inputs, multimask_output=multimask)
    [masks] = processor.post_process_masks(out.pred_masks, sizes, binarize=False)
    return masks.numpy(), out.iou_scores[0].numpy(), out.pred_masks[0].numpy()


LIBRARIES = {"musam": by_segment_anything, "sam2": by_sam2, "sam3": by_transformers}


@pytest.mark.parametrize("masks", EVERY)
@pytest.mark.parametrize("kind", ["points", "boxes", "both"])
@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("image", PICTURES)
def test_masks_equal_those_of_the_library(small, masks, kind, multimask, image):
    adapter, rgb = small(masks), to_rgb8(PICTURES[image])
    given = arrays(kind, rgb.shape)
    with adapter.predicting():
        adapter._encode(rgb)
        decoded = adapter._promptable.decode(given, multimask)
        found = [np.asarray(each) for each in (decoded.whole, decoded.ious, decoded.small)]
        expected = LIBRARIES[masks](adapter, rgb, given, multimask)
    for own, theirs in zip(found, expected, strict=True):
        theirs = theirs.reshape(own.shape)  # libraries squeeze
        if masks == "musam":  # one prompt at a time rounds otherwise than a batch
            np.testing.assert_allclose(own, theirs, atol=1e-3 * np.abs(theirs).max())
        else:
            assert np.array_equal(own, theirs)
    logits = found[0]
    assert logits.shape == (8, 3 if multimask else 1, *rgb.shape[:2])
    assert len({array.tobytes() for array in logits}) == 8, "prompts matter"
    assert (logits > 0).any() and (logits < 0).any()


@pytest.mark.parametrize("masks", EVERY)
def test_each_model_makes_label_images_of_the_objects_of_a_source(small, masks):
    adapter = small(masks)
    adapter._source = OtsuWatershed()
    for image in PICTURES.values():
        labels = adapter.predict(image)
        assert labels.shape == image.shape[:2] and labels.dtype == np.uint32
        assert np.array_equal(labels, adapter.predict(image))
        assert {"source", "encode", "prompt", "postprocess"} <= set(adapter.stages)


@needs_sam3
def test_sam_3_without_a_parameter_of_its_prompted_part_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    adapter, make = SMALL_MASKS["sam3"]
    folder = tmp_path / "small"
    folder.mkdir()
    file = make(folder) / "model.safetensors"
    state = load_file(file)
    del state["tracker_model.mask_decoder.conv_s0.weight"]
    save_file(state, file, {"format": "pt"})
    with pytest.raises(ModelError, match="1 parameters are missing"):
        adapter(adapter.find_weights(str(folder)).fetch(), Grid(2))


# Sources


ODD_LABELS = np.zeros((20, 30), np.uint64)
ODD_LABELS[2:9, 3:14] = 7
ODD_LABELS[2:9, 14:20] = 900  # touches it
ODD_LABELS[15:20, 25:30] = 3  # in the corner
ODD_LABELS[12:14, 2:4] = 3  # and a second part of the same


def test_of_each_object_the_innermost_point_and_the_box_are_prompts_in_order_of_ids():
    found = of_labels(ODD_LABELS, "both")
    assert found.boxes.tolist() == [[2, 12, 29, 19], [3, 2, 13, 8], [14, 2, 19, 8]]
    assert [ODD_LABELS[y, x] for [[x, y]] in found.points] == [3, 7, 900]
    numbered = np.searchsorted([0, 3, 7, 900], ODD_LABELS).astype(np.uint32)
    assert np.array_equal(found.points[:, 0], innermost(numbered))
    assert found.point_labels.tolist() == [[1]] * 3
    assert of_labels(ODD_LABELS, "points").boxes is None
    assert of_labels(ODD_LABELS, "boxes").points is None
    for kind in ("points", "boxes", "both"):
        assert len(of_labels(ODD_LABELS * 0, kind)) == 0
        assert len(of_labels(np.ones((4, 5), np.uint16), kind)) == 1


def test_a_grid_is_that_of_segment_anything():
    from segment_anything.utils.amg import build_point_grid

    found = Grid(5).prompts(np.zeros((40, 90, 3)))
    assert np.allclose(found.points[:, 0], build_point_grid(5) * (90, 40))


class Counting:
    """A segmenter that counts its calls."""

    calls = 0

    def predict(self, image):
        self.calls += 1
        return ODD_LABELS


def test_a_segmenter_predicts_once_for_all_kinds_of_prompts():
    source = Counting()
    found = prompts_of(source, ODD_LABELS, ["points", "boxes", "points", "both"])
    assert set(found) == {"points", "boxes", "both"} and source.calls == 1
    single = OfLabels(source, "boxes").prompts(ODD_LABELS)
    assert np.array_equal(single.boxes, found["boxes"].boxes)


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        (OtsuWatershed(), "circles", "give one of points, boxes, both, own"),
        (OtsuWatershed(), "own", "give points, boxes or both"),
        (Grid(), "boxes", "give own"),
    ],
)
def test_a_source_without_such_prompts_is_refused_as_it_is_built(small, source, kind, message):
    adapter = small("musam")
    with pytest.raises(ValueError, match=message):
        type(adapter)(None, source, prompts=kind)


class Wrong:
    def predict(self, image):
        return image.astype(float)


def test_a_source_that_returns_no_labels_is_named(small):
    adapter = small("musam")
    adapter._source = Wrong()
    with pytest.raises(ModelError, match="Wrong"):
        adapter.predict(PICTURES["wide"])


# The path, on the demo weights


def nuclei(size=128, seed=0):
    image = draw("fluorescent_nuclei", seed, seed=0, size=size)[0]
    return (image // max(int(image.max()) // 255, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def demo():
    return APG.find_weights("demo").fetch()


OPTIONS = {
    "refine_with_box_prompts": True,
    "multimasking": True,
    "min_size": 50,
    "nms_threshold": 0.5,
    "intersection_over_min": True,
    "mask_threshold": "auto",
}


@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["defaults", "options"])
@pytest.mark.parametrize("source", ["connected_components", "boundary_distance"])
def test_apg_is_the_case_of_its_own_prompts(demo, options, source):
    apg = APG(demo, prompts=source, **options)
    prompted = PromptedMicroSam(demo, APG(demo, prompts=source), prompts="own", **options)
    for seed, image in enumerate((nuclei(), np.stack([nuclei(96, 1)] * 3, axis=2)[:, :80])):
        expected = apg.predict(image)
        assert np.array_equal(prompted.predict(image), expected), seed
        assert expected.max() > 2
        assert prompted.details["prompts"] == apg.details["prompts"]


@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["defaults", "options"])
@pytest.mark.parametrize("way", ["apg", "boxes", "grid"])
def test_stages_are_those_of_the_prediction(demo, options, way):
    model = {
        "apg": lambda: APG(demo, **options),
        "boxes": lambda: PromptedMicroSam(demo, AIS(demo), prompts="boxes", **options),
        "grid": lambda: PromptedMicroSam(demo, Grid(6), **options),
    }[way]()
    assert isinstance(model, Staged)
    image = nuclei()
    stages = model.segment_stages(image)
    assert np.array_equal(stages.labels, model.predict(image))
    assert len(stages.prompts) == len(stages.first.masks) == len(stages.first.scores) > 3
    assert (stages.prompts.boxes is None) == (way != "boxes")
    assert (stages.refined is None) == (not options)
    assert len(stages.last.masks) == len(stages.prompts)
    assert len(set(stages.kept.tolist())) == len(stages.kept) == model.details["masks"] > 2
    kept = [stages.last.masks[number] for number in stages.kept]
    assert all(mask.area > model.setting.min_size for mask in kept)
    scores = stages.last.scores[stages.kept]
    assert (np.diff(scores) <= 0).all()
    inside = np.zeros(image.shape, bool)
    for mask in kept:
        inside[mask.region] |= mask.mask
    assert not (stages.labels.astype(bool) & ~inside).any(), "objects are of kept masks alone"


def test_equal_prompts_have_equal_masks_and_are_kept_once(demo):
    model = PromptedMicroSam(demo, Grid(1), prompts="own")
    [[point]] = Grid(1).prompts(nuclei()).points

    class Twice:
        def prompts(self, image):
            return Prompts.of_points(np.stack([point, point, point + 9]))

    model._source = Twice()
    stages = model.segment_stages(nuclei())
    assert len(stages.prompts) == 3 and 1 not in stages.kept.tolist()
    assert np.array_equal(stages.first.masks[0].mask, stages.first.masks[1].mask)


def test_many_settings_equal_the_single_ones_and_the_source_predicts_once(demo):
    settings = [
        {},
        {"prompts": "boxes"},
        {"prompts": "both", "nms_threshold": 0.5},
        {"refine_with_box_prompts": True},
        {"min_size": 60, "intersection_over_min": True},
        {"multimasking": True, "mask_threshold": 1.0},
    ]
    image = nuclei(seed=3)
    together = list(PromptedMicroSam(demo, OtsuWatershed()).predict_each(image, settings))
    for setting, labels in zip(settings, together, strict=True):
        alone = PromptedMicroSam(demo, OtsuWatershed(), **setting).predict(image)
        assert np.array_equal(labels, alone), setting
    assert len({labels.tobytes() for labels in together}) > 3
    source = Counting()
    model = PromptedMicroSam(demo, source)
    list(model.predict_each(ODD_LABELS.astype(np.uint8), settings))
    assert source.calls == 1


def test_only_a_source_that_is_given_the_sample_makes_the_whole_so(demo):
    image = nuclei()
    truth = np.zeros(image.shape, np.uint16)
    truth[20:60, 20:60] = 5
    model = PromptedMicroSam(demo, Oracle())
    assert isinstance(model, Attending)
    model.attend(Sample("a", image, truth, "a"))
    stages = model.segment_stages(image)
    assert (
        len(stages.prompts) == 1
        and truth[tuple(stages.prompts.points[0, 0, ::-1].astype(int))] == 5
    )
    assert not isinstance(PromptedMicroSam(demo, OtsuWatershed()), Attending)


def test_an_image_without_objects_has_none(demo):
    model = PromptedMicroSam(demo, OtsuWatershed())
    assert not model.predict(np.full((40, 50), 9, np.uint8)).any()
    assert len(model.segment_stages(np.full((40, 50), 9, np.uint8)).kept) == 0


def test_another_model_for_masks_is_a_usage_error():
    with pytest.raises(UsageError, match=r"model\.masks is 'sam9'"):
        Prompted.adapter_for({"masks": "sam9"})
    assert Prompted.adapter_for({}) is PromptedMicroSam


def test_small_images_of_the_family_work(small):
    adapter = small("musam")
    adapter._source = OtsuWatershed()
    for image in IMAGES.values():
        assert adapter.predict(image).shape == image.shape[:2]
