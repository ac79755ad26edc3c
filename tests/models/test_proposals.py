"""Masks of a grid of points: filtered before they cost anything, and equal to micro-sam's."""

import itertools

import numpy as np
import pytest
import torch
from helpers.adapters import one_thread as one_thread
from helpers.small_musam import SmallMasks, blobs, with_small_models
from helpers.small_musam import checkpoint as checkpoint
from segment_anything.modeling import Sam

from benchmark.data.sources.synthetic import draw
from models.common.images import to_rgb8
from models.common.masks import Runs, coded, cut
from models.musam import AMG
from models.prompting import proposals
from models.prompting.promptable import MaskLogits
from models.prompting.proposals import Proposals, point_grid
from models.prompting.upsampling import Upsampling

SHAPES = {"square": (128, 128), "wide": (60, 131), "high": (200, 90, 3), "a line": (1, 77)}
THRESHOLDS = {
    "pred_iou_thresh": (0.0, -1.0, 0.7, 1.2),
    "stability_score_thresh": (0.0, 0.3, 0.95),
    "box_nms_thresh": (0.3, 0.9),
    "with_background": (True, False),
}


def nuclei(height, width):
    image = draw("fluorescent_nuclei", 1, seed=0, size=max(height, width, 64))[0][:height, :width]
    return (image // max(int(image.max()) // 255, 1)).astype(np.uint8)


def upstream(adapter, image, settings, side, batch_size=64):
    """Label images by micro-sam's class, initialised once, and the data that it chose among."""
    from micro_sam.instance_segmentation import AutomaticMaskGenerator

    generator = AutomaticMaskGenerator(
        adapter._backbone.predictor, side, points_per_batch=batch_size
    )
    rgb = to_rgb8(image)
    with adapter.predicting():
        generator.initialize(rgb, adapter._backbone.encode(rgb, adapter))
    return [generator.generate(**setting) for setting in settings], generator.crop_list[0]


@pytest.fixture(params=["small", "demo"])
def weights(request):
    if request.param == "demo":
        return AMG, AMG.find_weights("demo").fetch()
    path = request.getfixturevalue("checkpoint")
    return SmallMasks, SmallMasks.find_weights(str(path)).fetch()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_all_thresholds_equal_micro_sam_to_the_bit(weights, shape, monkeypatch):
    with_small_models(monkeypatch)
    adapter, weights = weights
    image = blobs(*shape, seed=5) if len(shape) == 3 else nuclei(*shape)
    settings = [
        dict(zip(THRESHOLDS, values, strict=True))
        for values in itertools.product(*THRESHOLDS.values())
    ]
    model = adapter(weights, points_per_side=3, batch_size=5)
    found = list(model.predict_each(image, settings))
    expected, _ = upstream(model, image, settings, side=3, batch_size=5)
    for setting, labels, wanted in zip(settings, found, expected, strict=True):
        assert labels.dtype == wanted.dtype
        assert np.array_equal(labels, wanted), setting
    assert min(shape) == 1 or len({labels.tobytes() for labels in found}) >= 3


@pytest.mark.parametrize("least", [(0.0, 0.0), (0.6, 0.0), (0.0, 0.5), (0.8, 0.9)])
def test_what_is_kept_equals_micro_sam_s_data(weights, least, monkeypatch):
    """Scores to the bit: torch rounds otherwise where masks are not resized by threes."""
    with_small_models(monkeypatch)
    adapter, weights = weights
    image = nuclei(110, 150)
    names = ("pred_iou_thresh", "stability_score_thresh")
    model = adapter(weights, **dict(zip(names, least, strict=True)))
    made = proposals_of(model, image, side=4)
    _, data = upstream(model, image, [], side=4)
    kept = torch.ones(len(data["rles"]), dtype=torch.bool)
    for name, key, compare in zip(
        names, ("iou_preds", "stability_score"), (torch.gt, torch.ge), strict=True
    ):
        threshold = dict(zip(names, least, strict=True))[name]
        kept &= compare(data[key], threshold) if threshold > 0 else True
    data.filter(kept)
    assert least == (0.8, 0.9) or len(data["rles"]) > 3
    scores = [np.array(made._scores[name], np.float32) for name in names]
    assert np.array_equal(scores[0], data["iou_preds"])
    assert np.array_equal(scores[1], data["stability_score"], equal_nan=True)
    boxes = [list(mask.box) for mask in made.masks]
    assert boxes == data["boxes"].tolist()
    assert [mask.area for mask in made.masks] == [sum(rle["counts"][1::2]) for rle in data["rles"]]


def proposals_of(model, image, side):
    kept = []

    class Kept(Proposals):
        def __init__(self, *args):
            super().__init__(*args)
            kept.append(self)

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(proposals, "Proposals", Kept)
        list(model.predict_each(image, [{"points_per_side": side}]))
    (made,) = kept
    return made


@pytest.fixture
def resized(monkeypatch):
    """How many masks were thresholded, and how many had the image's size at a time."""
    asked, whole = [], []
    thresholded, resize = Upsampling.thresholded, Sam.postprocess_masks

    def counted(self, logits, *args):
        asked.append(len(logits))
        return thresholded(self, logits, *args)

    def count_whole(self, masks, *args, **kwargs):
        whole.append(masks.shape[0] * masks.shape[1])
        return resize(self, masks, *args, **kwargs)

    monkeypatch.setattr(Upsampling, "thresholded", counted)
    monkeypatch.setattr(Sam, "postprocess_masks", count_whole)
    return asked, whole


def test_few_masks_have_the_image_s_size_at_a_time_and_only_those_that_may_stay(resized):
    asked, whole = resized
    weights, image = AMG.find_weights("demo").fetch(), nuclei(64, 80)
    everything = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    AMG(weights, points_per_side=4, **everything).predict(image)
    assert asked == [3] * 16
    assert set(whole) <= {3} and len(whole) <= 16
    asked.clear()
    model = AMG(weights, points_per_side=4, pred_iou_thresh=0.7, stability_score_thresh=0.0)
    made = proposals_of(model, image, side=4)
    assert 0 < len(made.masks) < 30
    assert sum(asked) == len(made.masks)
    asked.clear()
    assert not AMG(weights, points_per_side=4, pred_iou_thresh=2.0).predict(image).any()
    assert not asked


def test_on_a_gpu_so_many_as_memory_is_set_aside_for():
    assert proposals._at_once("cpu", (512, 512)) == 3
    assert proposals._at_once("cuda", (512, 512)) == 63
    assert proposals._at_once("cuda", (4096, 4096)) == 3
    assert proposals._at_once("cuda", (16_000, 16_000)) == 3


@pytest.mark.parametrize("side", [1, 2, 7, 32])
def test_points_equal_upstream(side):
    from segment_anything.utils.amg import build_point_grid

    expected = build_point_grid(side) * np.array((30, 70))[None, ::-1]
    assert np.array_equal(point_grid(side, (30, 70)), expected)


MASKS = {
    "empty": np.zeros((4, 5), bool),
    "full": np.ones((4, 5), bool),
    "a pixel": np.eye(4, 5, 2, dtype=bool) & (np.arange(4) == 1)[:, None],
    "begins inside": np.array([[0, 0, 0], [0, 1, 1], [0, 0, 1]], bool),
    "begins outside": np.array([[0, 0, 1], [0, 1, 0], [1, 1, 0]], bool),
    "blobs": blobs(30, 40) > 120,
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_run_lengths_give_the_mask_and_its_box_back(mask):
    from micro_sam._vendored import batched_mask_to_box

    patch = cut(mask)
    runs = coded(patch)
    assert isinstance(runs, Runs) and runs.lengths.sum() == patch.mask.size
    assert runs.area == mask.sum()
    again = runs.patch
    assert np.array_equal(again.mask, patch.mask) and again[1:] == patch[1:]
    assert list(runs.box) == batched_mask_to_box(torch.from_numpy(mask)[None])[0].tolist()


def test_masks_are_resized_in_the_company_that_upstream_has_them_in():
    """torch rounds otherwise for another number of channels; the threshold here is a rounding."""
    interpolate = torch.nn.functional.interpolate
    small = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def resize(masks):
        return interpolate(masks, (90, 70), mode="bilinear", align_corners=False)

    whole, alone = resize(small), resize(small.flatten(0, 1)[:, None]).reshape(2, 3, 90, 70)
    differs = torch.nonzero(alone > whole)
    level = float(whole[tuple(differs[0])]) if len(differs) else 0.0
    everything = {"pred_iou_thresh": 0.5, "stability_score_thresh": 0.0}
    made = Proposals([everything], mask_threshold=level)
    ious = torch.tensor([[0.9, 0.1, 0.9], [0.9, 0.9, 0.1]])
    made.add(MaskLogits(small, ious, small, Upsampling(resize, channels=3)), at_once=3)
    expected = (whole[ious > 0.5] > level).sum(dim=(1, 2))
    assert [mask.area for mask in made.masks] == expected.tolist()
