"""Overlapping masks -> one label image: equal to micro-sam's, ids and all."""

import numpy as np
import pytest
from skimage.measure import label

from models.common.masks import Patch, connected_parts, cut, merge, paint

SHAPES = [(40, 50), (1, 30), (530, 60), (70, 1100)]  # the last two: beyond a block of micro-sam's


def drawn(shape, seed, number=12):
    """Random discs, and rectangles in two parts; several of equal area; one covers much."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    masks = [(y + x) % 41 < 20]
    for _ in range(number):
        (cy, ry), (cx, rx) = ((rng.integers(n), rng.integers(1, 2 + n // 8)) for n in shape)
        masks.append(np.hypot((y - cy) / ry, (x - cx) / rx) <= 1)
        masks.append((abs(y - cy) < ry) & (abs(x - cx) < rx) & (abs(x - cx) != 1))
    masks += masks[3:5]
    return [mask for mask in masks if mask.any()]


def upstream(masks, shape, exclusive, min_size, drop_largest):
    from micro_sam.util import mask_data_to_segmentation

    described = [{"segmentation": mask, "area": int(mask.sum())} for mask in masks]
    return mask_data_to_segmentation(
        described, shape=shape, min_object_size=min_size, with_background=drop_largest,
        merge_exclusively=exclusive,
    )  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize(("min_size", "drop_largest"), [(0, False), (12, False), (0, True)])
@pytest.mark.parametrize("cropped", [True, False])
def test_merge_equals_micro_sam(shape, exclusive, min_size, drop_largest, cropped):
    for seed in range(3):
        masks = drawn(shape, seed)
        expected = upstream(masks, shape, exclusive, min_size, drop_largest)
        given = [cut(mask) for mask in masks] if cropped else masks
        found = merge(
            given, shape, exclusive=exclusive, min_size=min_size, drop_largest=drop_largest
        )
        assert found.dtype == np.uint32
        assert np.array_equal(found, expected), seed
        assert min(shape) == 1 or found.max() >= 5


@pytest.mark.parametrize("exclusive", [True, False])
def test_without_background_the_first_object_is_lost_as_in_micro_sam(exclusive):
    halves = np.zeros((2, 6, 8), bool)
    halves[0, :, :4] = halves[1, :, 4:] = True
    found = merge(list(halves), (6, 8), exclusive=exclusive)
    assert np.array_equal(found, upstream(halves, (6, 8), exclusive, 0, False))
    assert np.unique(found).tolist() == [0, 1]


def test_merge_of_nothing_is_empty():
    assert not merge([], (4, 5), exclusive=True).any()
    assert not merge([np.zeros((4, 5), bool)], (4, 5), exclusive=True).any()
    assert not merge([np.ones((4, 5), bool)], (4, 5), exclusive=True, min_size=21).any()


@pytest.mark.parametrize("shape", SHAPES)
def test_parts_are_those_of_skimage_under_other_ids(shape):
    values = np.random.default_rng(0).integers(0, 3, shape)
    found, expected = connected_parts(values), label(values, connectivity=1, background=0)
    pairs = np.unique(np.stack([found.ravel(), expected.ravel()]), axis=1)
    assert found.max() == expected.max() == pairs.shape[1] - 1
    if max(shape) <= 512:
        assert np.array_equal(found, expected)


def test_later_masks_are_painted_over_earlier_ones():
    masks = np.zeros((3, 2, 4), bool)
    masks[0, 0], masks[1, :, 1:3], masks[2, 1, 2:] = True, True, True
    assert paint(masks, (2, 4)).tolist() == [[1, 2, 2, 1], [0, 2, 3, 3]]
    assert paint([], (2, 4)).tolist() == [[0] * 4] * 2


def test_a_cut_mask_is_the_mask_in_its_box():
    mask = np.zeros((6, 9), bool)
    mask[2, 3] = mask[4, 7] = True
    patch = cut(mask)
    assert (patch.row, patch.column, patch.area, patch.mask.shape) == (2, 3, 2, (3, 5))
    again = np.zeros_like(mask)
    again[patch.region] = patch.mask
    assert np.array_equal(again, mask)
    assert cut(mask & False).area == 0
    assert isinstance(cut(mask), Patch) and not np.shares_memory(patch.mask, mask)
