"""APG step by step: prompts, masks and suppression, each against micro-sam's own."""

import numpy as np
import pytest
import torch
from helpers.adapters import one_thread as one_thread
from helpers.small_musam import IMAGES, SmallAPG, study_boundary_prompts
from helpers.small_musam import checkpoint as checkpoint
from helpers.small_musam import weights as weights
from scipy.ndimage import gaussian_filter

from models.common.masks import cut
from models.common.overlaps import Overlaps, iou, over_smaller, shared_pixels, suppress
from models.prompting.masks import Way, decode, local_threshold
from models.prompting.points import innermost, of_components, of_maxima
from models.prompting.promptable import PromptableSam
from models.prompting.prompts import around, of_points, split, stack

HALVES = {
    "foreground_threshold": 0.5,
    "center_distance_threshold": 0.5,
    "boundary_distance_threshold": 0.5,
}


# Prompts


@pytest.fixture(scope="module")
def library():
    from micro_sam import instance_segmentation

    return instance_segmentation


def maps(shape, seed, sigma=6):
    """Three smooth maps from 0 to 1, as a decoder might give them."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(3, *shape)), (0, sigma, sigma))
    noise -= noise.min(axis=(1, 2), keepdims=True)
    found = (noise / noise.max(axis=(1, 2), keepdims=True)).astype(np.float32)
    found[0] = found[0] ** 0.5  # more foreground than background
    return found


# Some beyond one of the blocks that micro-sam works in, in either direction and in both.
SHAPES = [(60, 70), (1, 40), (40, 1), (300, 700), (1100, 90)]
SHAPES.append(pytest.param((530, 1060), marks=pytest.mark.slow))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", [2, 6, 30])
def test_component_prompts_equal_micro_sam(library, shape, sigma):
    numbers = []
    for seed in range(3):
        given = maps(shape, seed, sigma)
        for thresholds in (HALVES, dict(zip(HALVES, (0.4, 0.6, 0.7), strict=True))):
            found = of_components(*given, **thresholds)
            expected = library._derive_point_prompts(*given, **thresholds)
            if expected is None:
                assert found.shape == (0, 2)
            else:
                assert np.array_equal(found[:, None], expected["points"])
            numbers.append(len(found))
    assert max(numbers) >= (1 if min(shape) == 1 or sigma == 30 else 5), numbers


def test_values_at_a_threshold_count_as_micro_sam_counts_them(library):
    given = np.full((3, 30, 30), 0.5, np.float32)
    given[1:, 5:9, 5:9] = 0.25
    given[0, 20:, 20:] = 0.25
    given[1:, 21:25, 21:25] = 0.25
    found = of_components(*given, **HALVES)
    assert np.array_equal(found[:, None], library._derive_point_prompts(*given, **HALVES)["points"])
    assert found.tolist() == [[6, 6]], "not where equal to a distance's, but where to foreground's"


def test_the_innermost_point_of_odd_parts(library):
    parts = np.zeros((20, 30), np.uint32)
    parts[0, 3:9] = 1  # on the border alone
    parts[5:12, 5:14] = 2
    parts[6:12, 14:20] = 3  # touches the second
    parts[15:20, 20:30] = 4  # in the corner
    parts[15:18, 2:5], parts[16, 3] = 5, 6  # one within the other
    assert innermost(parts).tolist() == [[3, 0], [8, 8], [17, 8], [21, 16], [2, 15], [3, 16]]
    assert np.array_equal(innermost(parts)[:, ::-1], library._get_centers(parts))
    assert innermost(parts * 0).shape == (0, 2)


@pytest.mark.parametrize("shape", [(60, 70), (300, 700), (1, 40)])
def test_maximum_prompts_equal_the_ablation_s(shape):
    for seed in range(3):
        given = maps(shape, seed)
        for threshold in (0.4, 0.7):
            found = of_maxima(
                given[0], given[2], foreground_threshold=threshold, min_distance=5,
                threshold_abs=0.25,
            )  # fmt: skip
            expected = study_boundary_prompts(given[0], given[2], threshold)["points"]
            assert np.array_equal(found[:, None], expected)
            assert len(found) >= 1


# Masks


def test_masks_and_their_scores_equal_micro_sam(weights):
    model = SmallAPG(weights)
    model.predict(IMAGES["rgb"])
    predictor = model._backbone.predictor
    points = np.random.default_rng(0).integers(0, 110, (12, 2))
    from micro_sam.inference import batched_inference

    expected = batched_inference(
        predictor, None, 4, points=points[:, None], point_labels=np.ones((12, 1)),
        return_instance_segmentation=False,
    )  # fmt: skip
    prompts = of_points(points)
    pools, decodes = decode(PromptableSam(predictor), [(Way(), prompts)], 4)
    pool = pools[Way()]
    assert list(pool.numbers) == prompts and decodes == len(expected) == 12
    for mask, score, one in zip(pool.masks, pool.scores, expected, strict=True):
        assert mask.area == one["area"]
        assert np.array_equal(mask.mask, one["segmentation"].numpy()[mask.region])
        factors = np.float32([one["predicted_iou"], one["stability_score"]])
        assert np.float32(score) == factors[0] * factors[1]
    assert len(set(pool.scores)) > 5


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 1.5, -2, "auto"])
def test_masks_made_in_any_way_equal_micro_sam(weights, multimask, threshold):
    model = SmallAPG(weights)
    model.predict(IMAGES["rgb"])
    predictor = model._backbone.predictor
    from micro_sam.inference import batched_inference
    from micro_sam.instance_segmentation import _derive_box_prompts

    points = np.random.default_rng(1).integers(0, 110, (8, 2))
    options = {"multimasking": multimask, "mask_threshold": threshold}
    expected = batched_inference(
        predictor, None, 4, points=points[:, None], point_labels=np.ones((8, 1)),
        return_instance_segmentation=False, **options,
    )  # fmt: skip
    boxes = _derive_box_prompts(expected, 0.01)
    boxed = batched_inference(
        predictor, None, 4, return_instance_segmentation=False, **options, **boxes
    )
    way, prompts = Way(multimask, threshold), of_points(points)
    # Others, asked for at once, change nothing.
    pools, decodes = decode(
        PromptableSam(predictor), [(Way(multimask, 0.7), prompts), (way, prompts)], 4
    )
    assert decodes == 8 and len(pools) == 2
    refined = around(map(pools[way].of, prompts), (150, 110))
    assert np.array_equal(stack(refined)["boxes"], boxes["boxes"])
    pool = decode(PromptableSam(predictor), [(way, refined)], 4)[0][way]
    for mine, theirs, own in (
        (pools[way], expected, prompts),
        (pool, boxed, refined),
    ):
        for prompt, one in zip(own, theirs, strict=True):
            mask, score = mine.of(prompt), mine.scores[mine.numbers[prompt]]
            assert mask.area == one["area"]
            assert np.array_equal(mask.mask, one["segmentation"].numpy()[mask.region])
            factors = np.float32([one["predicted_iou"], one["stability_score"]])
            # Boxes that are equal were decoded once, in other batches: these weights are of a
            # width at which products then differ in the last bit.
            assert not mask.area or score == pytest.approx(factors[0] * factors[1], rel=1e-6)
    assert sum(mask.area > 0 for mask in pool.masks) > 1


@pytest.mark.parametrize("shape", [(20, 33), (31, 31), (64, 40)])
def test_the_local_threshold_equals_micro_sam(shape):
    from micro_sam.inference import _local_otsu_threshold

    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(3, 1, *shape, generator=generator) - 0.5
        logits[0, 0, 5:15, 5:15] += 9 + seed
        logits[2, 0, : shape[0] // 2] = 7
        expected = _local_otsu_threshold(logits).flatten()
        found = torch.stack([local_threshold(one) for one in logits[:, 0]])
        assert torch.equal(found, expected) and (expected > 0).any()
    assert local_threshold(torch.full(shape, -3.0)) == 0


# Prompts as values


def test_prompts_are_split_and_stacked():
    arrays = {
        "points": np.arange(12).reshape(2, 3, 2),
        "point_labels": np.array([[1, 1, 0], [1, 0, 0]]),
        "boxes": np.arange(8).reshape(2, 4) / 3,
    }
    prompts = split(arrays)
    assert len(set(prompts)) == 2
    assert all(np.array_equal(stack(prompts)[name], array) for name, array in arrays.items())
    doubled = split({name: np.repeat(array, 2, axis=0) for name, array in arrays.items()})
    assert doubled == [prompts[0], prompts[0], prompts[1], prompts[1]]
    assert of_points(np.zeros((0, 2))) == [] == around([], (9, 9))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"point": np.zeros((1, 1, 2))}, "'point' is none of points, point_labels"),
        ({"points": np.zeros((4, 2)), "point_labels": np.ones((4, 1))}, "N x any x 2"),
        ({"boxes": np.zeros((4, 5))}, r"shape \(4, 5\); it must be N x 4"),
        ({"points": np.zeros((4, 1, 2))}, "belong together"),
        ({"points": np.zeros((4, 1, 2)), "point_labels": np.ones((3, 1))}, "differ in number"),
        ({"points": np.zeros((4, 1, 2)), "point_labels": np.ones((4, 2))}, "differ in number"),
        ({"logits_masks": np.zeros((1, 1, 4, 4))}, "neither 'points' nor 'boxes'"),
        ({"boxes": np.zeros((2, 4)), "logits_masks": np.zeros((1, 1, 4, 4))}, "differ in number"),
        ({}, "neither"),
    ],
)
def test_what_is_no_prompt_is_refused(arrays, message):
    with pytest.raises(ValueError, match=message):
        split(arrays)


def kept_of(patches, scores, threshold, **options):
    return suppress(Overlaps(patches), range(len(patches)), scores, threshold, **options)


# Suppression


def drawn(seed, shape=(48, 64), number=40):
    """Discs, most of them nearly the same as another; lines of one pixel, some equal."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    masks = []
    for _ in range(number // 4):
        row, column, radius = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(3, 14)
        for _ in range(4):
            dy, dx, dr = rng.normal(0, 0.4, 3)
            masks.append(np.hypot(y - row - dy, x - column - dx) <= radius + dr)
    for line in (np.s_[4, 5:25], np.s_[4, 5:25], np.s_[4, 6:25], np.s_[4:6, 5:25], np.s_[9:30, 7]):
        masks.append(np.zeros(shape, bool))
        masks[-1][line] = True
    return np.array([mask for mask in masks if mask.any()])


MEASURES = {"iou": iou, "over_smaller": over_smaller}


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("threshold", [0.9, 0.7, 0.5, 0.05, 0.0, 1.0])
def test_suppression_equals_micro_sam(threshold, measure):
    from micro_sam import util
    from micro_sam._vendored import batched_mask_to_box

    dropped = 0
    for seed in range(8):
        masks = drawn(seed)
        patches = [cut(mask) for mask in masks]
        scores = np.random.default_rng(seed).random(len(masks)).astype(np.float32)
        boxes = batched_mask_to_box(torch.tensor(masks))
        expected = util._batched_mask_nms(
            torch.tensor(masks), boxes, scores, threshold, measure == "over_smaller"
        )
        by = MEASURES[measure]
        overlaps = Overlaps(patches, by, least=threshold)
        found = suppress(overlaps, range(len(masks)), scores, threshold, by)
        assert found == expected.tolist(), seed
        assert kept_of(patches, scores, threshold, measure=by) == found, "without a bound"
        dropped += len(masks) - len(found)
    assert dropped > 0 or threshold == 1.0


def test_suppression_among_some_of_the_masks_equals_that_of_these_alone():
    dropped = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        patches = [cut(mask) for mask in drawn(seed)]
        scores = rng.random(len(patches)).astype(np.float32)
        overlaps = Overlaps(patches, over_smaller, least=0.3)
        for measure, threshold in ((iou, 0.3), (over_smaller, 0.6), (iou, 0.9)):
            some = rng.permutation(len(patches))[:20]
            found = suppress(overlaps, some, scores[some], threshold, measure)
            alone = kept_of([patches[n] for n in some], scores[some], threshold, measure=measure)
            assert found == some[alone].tolist()
            dropped += len(some) - len(found)
    assert dropped > 20


def test_an_iou_at_the_threshold_suppresses_nothing():
    masks = np.zeros((2, 4, 10), bool)
    masks[0, :2, :10] = masks[1, :2, :9] = True  # 18 of 20 pixels
    patches = [cut(mask) for mask in masks]
    scores = np.array([0.5, 0.6], np.float32)
    assert len(kept_of(patches, scores, 0.9)) == 2
    assert kept_of(patches, scores, 0.89) == [1]


def test_of_equal_scores_the_first_wins_and_of_none_none():
    patch = cut(np.ones((5, 5), bool))
    assert kept_of([patch, patch], np.ones(2, np.float32), 0.9) == [0]
    assert kept_of([], np.zeros(0, np.float32), 0.9) == []


def test_shared_pixels_are_counted_over_whole_masks():
    masks = np.random.default_rng(0).random((2, 9, 8)) < 0.4
    masks[0, :, :3] = masks[1, 6:] = masks[1, :, 6:] = False
    expected = int((masks[0] & masks[1]).sum())
    assert 0 < shared_pixels(*map(cut, masks)) == expected
    others, shared = Overlaps([*map(cut, masks)]).of(0)
    assert (others.tolist(), shared.tolist()) == ([1], [expected])
