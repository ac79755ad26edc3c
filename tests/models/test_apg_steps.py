"""APG step by step: prompts, masks and suppression, each against micro-sam's own."""

import numpy as np
import pytest
import torch
from helpers.adapters import one_thread as one_thread
from helpers.small_musam import IMAGES, SmallAPG, study_boundary_prompts
from helpers.small_musam import checkpoint as checkpoint
from helpers.small_musam import weights as weights
from scipy.ndimage import gaussian_filter

from models.apg import iou, prompted, suppress
from models.common.masks import cut
from models.prompting.points import innermost, of_components, of_maxima

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
    points = np.random.default_rng(0).integers(0, 110, (11, 2))
    from micro_sam.inference import batched_inference

    expected = batched_inference(
        predictor, None, 4, points=points[:, None], point_labels=np.ones((11, 1)),
        return_instance_segmentation=False,
    )  # fmt: skip
    areas = sorted(int(one["area"]) for one in expected)
    for min_size in (0, areas[3], areas[-1]):
        found = prompted(predictor, points, min_size, 4)
        large = [one for one in expected if one["area"] > min_size]
        assert len(found.masks) == len(found.scores) == len(large)
        for mask, score, one in zip(*found, large, strict=True):
            assert mask.area == one["area"]
            assert np.array_equal(mask.mask, one["segmentation"].numpy()[mask.region])
            factors = np.float32([one["predicted_iou"], one["stability_score"]])
            assert score == factors[0] * factors[1]
        assert min_size or len(set(found.scores.tolist())) > 5


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


@pytest.mark.parametrize("threshold", [0.9, 0.7, 0.5, 0.05, 0.0, 1.0])
def test_suppression_equals_micro_sam(threshold):
    from micro_sam import util
    from micro_sam._vendored import batched_mask_to_box

    dropped = 0
    for seed in range(8):
        masks = drawn(seed)
        patches = [cut(mask) for mask in masks]
        scores = np.random.default_rng(seed).random(len(masks)).astype(np.float32)
        boxes = batched_mask_to_box(torch.tensor(masks))
        expected = util._batched_mask_nms(torch.tensor(masks), boxes, scores, threshold, False)
        found = suppress(patches, scores, threshold)
        numbers = [next(i for i, p in enumerate(patches) if p is patch) for patch in found]
        assert numbers == expected.tolist(), seed
        dropped += len(masks) - len(found)
    assert dropped > 0 or threshold == 1.0


def test_an_iou_at_the_threshold_suppresses_nothing():
    masks = np.zeros((2, 4, 10), bool)
    masks[0, :2, :10] = masks[1, :2, :9] = True  # 18 of 20 pixels
    patches = [cut(mask) for mask in masks]
    scores = np.array([0.5, 0.6], np.float32)
    assert len(suppress(patches, scores, 0.9)) == 2
    assert suppress(patches, scores, 0.89) == [patches[1]]


def test_of_equal_scores_the_first_wins_and_of_none_none():
    patch, other = cut(np.ones((5, 5), bool)), cut(np.ones((5, 5), bool))
    (left,) = suppress([patch, other], np.ones(2, np.float32), 0.9)
    assert left is patch
    assert suppress([], np.zeros(0, np.float32), 0.9) == []


def test_iou_is_taken_over_whole_masks():
    masks = np.random.default_rng(0).random((2, 9, 8)) < 0.4
    masks[0, :, :3] = masks[1, 6:] = masks[1, :, 6:] = False
    expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    assert 0 < iou(*map(cut, masks)) == np.float32(expected)
