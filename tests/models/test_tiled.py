"""AIS, APG and AMG in tiles: equal to micro-sam's own tiled classes, pixel for pixel."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers.adapters import one_thread as one_thread
from helpers.small_musam import (
    ALL_MASKS,
    GRID,
    SmallAPG,
    SmallDecoder,
    SmallMasks,
    SmallSam,
    blobs,
    study_boundary_prompts,
    with_small_models,
)
from helpers.small_musam import checkpoint as checkpoint
from helpers.small_musam import weights as weights
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import ModelError
from benchmark.types import Tiled
from models.apg import APG
from models.common.images import to_rgb8
from models.common.masks import cut
from models.common.tile_masks import joined_masks, masks_of_tile
from models.common.tiles import Tiling
from models.musam import AIS, AMG
from models.prompting.path import PathSetting
from models.prompting.promptable import PromptableSam
from models.prompting.prompts import Prompts, split
from models.prompting.tiled import by_tile, joined, placed

slow = pytest.mark.slow
MANY = {"points_per_side": 3} | ALL_MASKS


def deep(*shape, seed=0):
    """The same in 16 bit, and brighter to the right: each tile has a range of its own."""
    image = blobs(*shape, seed=seed).astype(np.uint16) * 40
    return image + np.arange(shape[1], dtype=np.uint16).reshape((1, -1) + (1,) * (len(shape) - 2))


CASES = {
    "grey, no multiple": (deep(100, 130, seed=3), (64, 100), (16, 8)),
    "rgb, no multiple": (deep(110, 90, 3, seed=3), (80, 55), (12, 20)),
    "smaller than a tile": (deep(110, 125), (128, 128), (32, 32)),
    "no halo": (deep(128, 128), (64, 64), (0, 0)),
    "a halo wider than the tile": (deep(90, 130, seed=2), (64, 64), (70, 66)),
}


def pairs(changes):
    """Every case with each change; each case with one of them is fast, all others are slow."""
    for number, case in enumerate(CASES):
        for turn, changed in enumerate(changes):
            fast = number < 3 and turn == number % len(changes)
            yield pytest.param(case, changed, marks=() if fast else pytest.mark.slow)


class Upstream:
    """micro-sam's tiled classes with a predictor and a decoder."""

    def __init__(self, predictor, decoder):
        self.predictor, self.decoder = predictor, decoder
        # What an embedding is signed with, in a field that the demo network's has no need of.
        predictor.model_type = predictor.model_name = "vit_b"

    def ais(self, image, tile, halo, **generate):
        from micro_sam.instance_segmentation import TiledInstanceSegmentationWithDecoder

        segmenter = TiledInstanceSegmentationWithDecoder(self.predictor, self.decoder)
        segmenter.initialize(image, self._embedded(image, tile, halo))
        return segmenter.generate(**generate)

    def apg(self, image, tile, halo, **generate):
        from micro_sam.instance_segmentation import TiledAutomaticPromptGenerator

        segmenter = TiledAutomaticPromptGenerator(self.predictor, self.decoder)
        segmenter.initialize(image, self._embedded(image, tile, halo))
        return segmenter.generate(**generate)

    def amg(self, image, tile, halo, points_per_side, **generate):
        from micro_sam.instance_segmentation import TiledAutomaticMaskGenerator

        segmenter = TiledAutomaticMaskGenerator(self.predictor, points_per_side)
        segmenter.initialize(image, self._embedded(image, tile, halo))
        return segmenter.generate(**generate)

    def _embedded(self, image, tile, halo):
        from micro_sam.util import precompute_image_embeddings

        return precompute_image_embeddings(
            self.predictor, image, ndim=2, tile_shape=tile, halo=halo, verbose=False
        )


@pytest.fixture
def small(checkpoint, monkeypatch):
    from micro_sam.instance_segmentation import get_predictor_and_decoder

    with_small_models(monkeypatch)
    return Upstream(*get_predictor_and_decoder("vit_b", checkpoint_path=checkpoint, device="cpu"))


@pytest.mark.parametrize(
    ("case", "changed"), [*pairs([{}, {"foreground_threshold": 0.7, "min_size": 40}])]
)
def test_ais_equals_micro_sam(small, weights, case, changed):
    expected = small.ais(*CASES[case], **changed)
    assert len(np.unique(expected)) > 3
    found = SmallDecoder(weights, **changed).predict_tiled(*CASES[case])
    assert np.array_equal(found, expected)


APG_CHANGES = (
    {"min_size": 3},
    {"nms_threshold": 0.3, "intersection_over_min": True, "min_size": 4},
    {"multimasking": True, "nms_threshold": 0.1, "min_size": 0},
)


@pytest.mark.parametrize(("case", "changed"), [*pairs(APG_CHANGES)])
def test_apg_equals_micro_sam(small, weights, case, changed):
    expected = small.apg(*CASES[case], **changed)
    assert len(np.unique(expected)) > 3
    model = SmallAPG(weights, **changed)
    found = model.predict_tiled(*CASES[case])
    assert found.dtype == np.uint32 and np.array_equal(found, expected)
    assert model.details["prompts"] == model.details["decodes"] >= 5
    assert 1 <= model.details["masks"] <= model.details["prompts"]


def test_apg_with_other_prompts_equals_micro_sam(small, weights):
    def by_place(foreground, center_distances, boundary_distances, **thresholds):
        return study_boundary_prompts(foreground, boundary_distances, **thresholds)

    case = CASES["grey, no multiple"]
    expected = small.apg(*case, prompt_function=by_place, min_size=3)
    assert len(np.unique(expected)) > 3
    found = SmallAPG(weights, prompts="boundary_distance", min_size=3).predict_tiled(*case)
    assert np.array_equal(found, expected)


OTHERS = {"box_nms_thresh": 0.97, "with_background": False, "pred_iou_thresh": 1.0}


@pytest.mark.parametrize(
    ("case", "changed"),
    [
        ("a halo wider than the tile", {}),  # of 24 masks, 12 are others' duplicates
        ("smaller than a tile", OTHERS),
        pytest.param("rgb, no multiple", {}, marks=slow),
        pytest.param("rgb, no multiple", OTHERS, marks=slow),
        pytest.param("a halo wider than the tile", OTHERS, marks=slow),
    ],
)
def test_amg_equals_micro_sam(small, weights, case, changed):
    choices = MANY | changed
    expected = small.amg(*CASES[case], **choices)
    assert len(np.unique(expected)) > 3
    found = SmallMasks(weights, **choices).predict_tiled(*CASES[case])
    assert found.dtype == np.uint32 and np.array_equal(found, expected)


def test_sam_has_the_same_in_tiles(small, checkpoint):
    case = CASES["rgb, no multiple"]
    model = SmallSam(SmallSam.find_weights(str(checkpoint)).fetch(), **GRID, **ALL_MASKS)
    assert np.array_equal(model.predict_tiled(*case), small.amg(*case, **GRID, **ALL_MASKS))


# With the demo weights, on real images


class DemoAsAdapter:
    """The demo network's decoder in the two steps that micro-sam takes tiles by."""

    def __init__(self, decoder):
        self.decoder = decoder

    def _forward_impl(self, embeddings):
        import torch

        return torch.sigmoid(self.decoder.logits(embeddings))

    @staticmethod
    def postprocess_masks(maps, input_shape, original_shape):
        from torch.nn.functional import interpolate

        resize = partial(interpolate, mode="bilinear", align_corners=False)
        maps = resize(maps, (1024, 1024))[..., : input_shape[0], : input_shape[1]]
        return resize(maps, tuple(original_shape))


REAL = {"u20s/images/*.tif": (300, 420), "histology_rgb/images/*.tif": (330, 260)}


@pytest.mark.skipif("BENCHMARK_DATA" not in os.environ, reason="BENCHMARK_DATA is not set")
@pytest.mark.parametrize("pattern", REAL)
@pytest.mark.parametrize(
    "adapter", [AIS, pytest.param(APG, marks=slow), pytest.param(AMG, marks=slow)]
)
def test_demo_weights_equal_micro_sam_on_real_images(adapter, pattern):
    height, width = REAL[pattern]
    path = min(Path(os.environ["BENCHMARK_DATA"]).glob(pattern))
    case = (tifffile.imread(path)[:height, :width], (200, 160), (32, 24))
    own = {"points_per_side": 8} if adapter is AMG else {}
    model = adapter(adapter.find_weights("demo").fetch(), **own)
    found = model.predict_tiled(*case)
    upstream = Upstream(model._backbone.predictor, DemoAsAdapter(model._backbone.decoder))
    expected = getattr(upstream, adapter.__name__.lower())(*case, **own)
    assert np.array_equal(found, expected)
    assert len(np.unique(expected)) > 5


# What upstream has not, or not so


@pytest.mark.parametrize("adapter", [SmallDecoder, SmallAPG, SmallMasks])
def test_every_adapter_says_how_many_tiles_there_were(weights, adapter):
    model = adapter(weights, **(GRID if adapter is SmallMasks else {}))
    assert isinstance(model, Tiled)
    model.predict_tiled(deep(100, 130), (64, 64), (8, 8))
    assert model.details["tiles"] == 6
    assert {"encode", "postprocess"} < set(model.stages)
    assert all(seconds > 0 for seconds in model.stages.values())
    model.predict(deep(100, 130))
    assert "tiles" not in model.details


def test_stages_of_tiles_add_up_whether_kept_or_made(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHMARK_CACHE", str(tmp_path))
    image, half = deep(64, 150), deep(64, 150)[:, :72]
    before = SmallDecoder(weights, cache=2**30)
    backbone = before._backbone
    before.predict(half)  # the first tile, with its halo
    before.cache.finish()
    backbone._last.clear()
    model = SmallDecoder(weights, cache=2**30)
    first = model.predict_tiled(image, (64, 64), (8, 8))
    made = dict(model.stages)
    assert set(model.cached) == {"encode", "decode"}
    assert 0 < model.cached["encode"] < made["encode"]  # what was made counts in both
    model.cache.finish()
    backbone._last.clear()
    assert np.array_equal(model.predict_tiled(image, (64, 64), (8, 8)), first)
    for stage in ("encode", "decode"):
        assert model.stages[stage] == pytest.approx(made[stage])
    backbone._last.clear()


def boxes_and_points(foreground, **_):
    """A prompt function: a box across a border of tiles, with a point in the tile beside it."""
    height, width = foreground.shape
    box = [[width / 2 - 20, height / 2 - 12, width / 2 + 40, height / 2 + 30]]
    return {
        "boxes": np.array(box),
        "points": np.array([[[width / 2 - 10, height / 2], [width / 2 + 5, height / 2 + 9]]]),
        "point_labels": np.array([[1, 1]]),
    }


def masks_as_prompts(**_):
    """A prompt function with what can't be cut."""
    return {"boxes": np.ones((1, 4)), "logits_masks": np.zeros((1, 1, 32, 32))}


def test_a_prompt_goes_to_the_tile_of_its_middle(weights):
    """A tile with its halo is an image: there the prompt, moved, gives the same mask."""
    image = deep(100, 128, seed=1)
    options = {"prompt_function": f"{__name__}.boxes_and_points", "min_size": 0}
    tiled = SmallAPG(weights, **options).predict_tiled(image, (64, 64), (6, 8))
    tile = Tiling((100, 128), (64, 64), (6, 8))[1]
    model = SmallAPG(weights, min_size=0)
    [prompt] = split(boxes_and_points(foreground=image))
    [(number, [moved])] = by_tile([prompt], Tiling((100, 128), (64, 64), (6, 8))).items()
    assert number == 1 and tile.outer == (slice(0, 70), slice(56, 128))
    arrays = Prompts.joined([moved]).arrays
    assert arrays["boxes"].tolist() == [[0, 38, 48, 70]]  # cut where the halo ends
    assert arrays["points"].tolist() == [[[-2, 50], [13, 59]]]
    model._backbone.encode(to_rgb8(image[tile.outer]), model)
    [[logits]] = PromptableSam(model._backbone.predictor).decode(arrays, False).whole
    found, expected = logits.numpy() > 0, np.zeros(image.shape, bool)
    assert found.any()
    rows, columns = np.nonzero(found)
    found[rows.max(), :] = found[:, columns.max()] = False  # as micro-sam's joining leaves them out
    expected[tile.outer] = found
    assert np.array_equal(tiled > 0, expected)


def test_masks_as_prompts_are_refused(weights):
    model = SmallAPG(weights, prompt_function=f"{__name__}.masks_as_prompts")
    with pytest.raises(ModelError, match=r"logits_masks.*model\.tile=off"):
        model.predict_tiled(deep(100, 128), (64, 64), (8, 8))


def test_refinement_and_mask_threshold_act_in_tiles_too(weights):
    case = CASES["smaller than a tile"]
    plain = SmallAPG(weights, min_size=3).predict_tiled(*case)
    for changed in ({"mask_threshold": 1.0}, {"refine_with_box_prompts": True}):
        model = SmallAPG(weights, min_size=3, **changed)
        assert not np.array_equal(model.predict_tiled(*case), plain)
    assert model.details["prompts"] == 2 * len(model.prompts(to_rgb8(case[0])))


# How masks of tiles are joined


def masks_in_tiles(seed, tiling):
    """Discs and lines in tiles, most nearly the same as another, seen from two tiles as well."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: tiling.shape[0], : tiling.shape[1]]
    whole = []
    for _ in range(8):
        row, column = rng.uniform(0, tiling.shape[0]), rng.uniform(0, tiling.shape[1])
        radius = rng.uniform(0.5, 9)
        for _ in range(3):
            dy, dx, dr = rng.normal(0, 0.6, 3)
            whole.append(np.hypot(y - row - dy, x - column - dx) <= radius + dr)
    for line in (np.s_[20, 5:50], np.s_[20:22, 5:50], np.s_[21:23, 5:49], np.s_[9:30, 7:9]):
        whole.append(np.zeros(tiling.shape, bool))
        whole[-1][line] = True
    found = [(tile, mask[tile.outer]) for tile in tiling for mask in whole]
    return [(tile, mask) for tile, mask in found if mask.any() or rng.random() < 0.1]


@pytest.mark.parametrize("over_min", [False, True])
@pytest.mark.parametrize(
    ("min_size", "nms_threshold"),  # there are masks of 42 pixels
    [(42, 0.9), (3, 0.5), (0, 0.1), (0, 0.0), (0, 1.0)],
)
def test_masks_of_tiles_are_joined_as_micro_sam_joins_them(over_min, min_size, nms_threshold):
    import torch
    from micro_sam._vendored import batched_mask_to_box
    from micro_sam.util import apply_nms

    tiling = Tiling((52, 66), (32, 30), (7, 9))
    setting = PathSetting(
        min_size=min_size, nms_threshold=nms_threshold, intersection_over_min=over_min
    )
    for seed in range(4):
        masks = masks_in_tiles(seed, tiling)
        scores = np.random.default_rng(seed).random(len(masks)).astype(np.float32)
        predictions = []
        for (tile, mask), score in zip(masks, scores, strict=True):
            left, top, right, bottom = batched_mask_to_box(torch.tensor(mask[None]))[0].tolist()
            row, column = tile.corner
            box = [left, top, right - left, bottom - top]
            moved = [left + column, top + row, *box[2:]]
            predictions.append({
                "segmentation": torch.tensor(mask), "bbox": box, "global_bbox": moved,
                "predicted_iou": float(score), "stability_score": 1.0,
            })  # fmt: skip
        expected = apply_nms(
            predictions, min_size, tiling.shape,
            nms_thresh=nms_threshold, intersection_over_min=over_min,
        )  # fmt: skip
        patches = [placed(cut(mask), tile) for tile, mask in masks]
        labels, kept = joined(patches, scores, tiling.shape, setting)
        assert np.array_equal(labels, expected)
        assert 0 < kept <= len(masks) and expected.any()


@pytest.mark.parametrize("with_background", [False, True])
@pytest.mark.parametrize("box_nms_thresh", [0.97, 0.5])
def test_masks_of_grids_are_chosen_as_micro_sam_chooses_them(with_background, box_nms_thresh):
    import torch
    from micro_sam._vendored import batched_mask_to_box, mask_to_rle_pytorch
    from micro_sam.instance_segmentation import (
        AutomaticMaskGenerator,
        TiledAutomaticMaskGenerator,
    )
    from segment_anything.utils.amg import MaskData, uncrop_masks

    tiling = Tiling((92, 126), (46, 42), (24, 28))
    choices = {
        "pred_iou_thresh": 0.2, "stability_score_thresh": 0.1, "box_nms_thresh": box_nms_thresh
    }  # fmt: skip
    differing = 0
    for seed in range(4):
        upstream = TiledAutomaticMaskGenerator(None, 1, points_per_batch=1)
        state = {"crop_list": [], "crop_boxes": [], "original_size": tiling.shape}
        found = []
        for number, tile in enumerate(tiling):
            own = [mask for each, mask in masks_in_tiles(seed, tiling) if each == tile]
            masks = torch.tensor(np.array(own))
            scores = torch.rand(2, len(own), generator=torch.Generator().manual_seed(number))
            row, column = tile.corner
            place = [column, row, column + tile.shape[1], row + tile.shape[0]]
            data, whole = (
                MaskData(
                    boxes=batched_mask_to_box(masks), rles=mask_to_rle_pytorch(pixels),
                    iou_preds=scores[0], stability_score=scores[1],
                )
                for pixels in (masks, uncrop_masks(masks, place, *tiling.shape))
            )  # fmt: skip
            state["crop_list"].append(whole)
            state["crop_boxes"].append(place)
            generator = AutomaticMaskGenerator(None, 1, points_per_batch=1)
            local = {"crop_boxes": [[0, 0, *tile.shape[::-1]]], "original_size": tile.shape}
            generator.set_state({"crop_list": [data], **local})
            found += masks_of_tile(generator, tile, tiling, choices)
        upstream.set_state(state)
        expected = upstream.generate(**choices, with_background=with_background)
        labels = joined_masks(found, tiling, with_background)
        assert np.array_equal(labels, expected) and len(np.unique(expected)) > 3
        one = Tiling(tiling.shape, tiling.shape, (0, 0))
        differing += not np.array_equal(joined_masks(found, one, with_background), expected)
    assert differing  # masks of several tiles had the same objects


# Where tiles are


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_tiles_are_micro_sam_s_blocks(data):
    from bioimage_cpp.utils import Blocking

    shape, tile = (data.draw(st.tuples(*[st.integers(1, 40)] * 2)) for _ in range(2))
    halo = data.draw(st.tuples(*[st.integers(0, 12)] * 2))
    tiling, blocks = Tiling(shape, tile, halo), Blocking([0, 0], shape, tile)
    assert len(tiling) == len(list(tiling)) == blocks.number_of_blocks

    def region(block):
        return tuple(slice(*sides) for sides in zip(block.begin, block.end, strict=True))

    for number, each in enumerate(tiling):
        block = blocks.get_block_with_halo(number, list(halo))
        assert each.inner == region(block.inner_block)
        assert each.outer == region(block.outer_block)
        assert each.own == region(block.inner_block_local)
        assert np.zeros(shape)[each.outer].shape == each.shape
    pixel = tuple(data.draw(st.integers(0, side - 1)) for side in shape)
    assert tiling.number_at(*pixel) == blocks.coordinates_to_block_id(list(pixel))


def test_a_point_beyond_the_image_is_of_the_nearest_tile():
    tiling = Tiling((128, 192), (64, 64), (8, 8))
    assert [tiling.number_at(*at) for at in ((-3, 200), (128, -1), (128, 192))] == [2, 3, 5]


@pytest.mark.parametrize(
    ("tile", "halo", "message"),
    [((0, 8), (1, 1), "tile is 0"), ((8, 8), (0, -1), "halo is -1")],
)
def test_a_tile_without_a_side_is_refused(tile, halo, message):
    with pytest.raises(ValueError, match=message):
        Tiling((10, 10), tile, halo)
