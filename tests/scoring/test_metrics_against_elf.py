"""Our numbers are those of the libraries that the field uses: elf to the bit, and stardist.

The study was scored by elf's `mean_segmentation_accuracy`; what we call `paper` has to
equal it exactly, not closely, on anything that can be put in two label images.
"""

import importlib.util
import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from cases import CASES, CLEAN, PAPER, label_pairs, predictions_from, repeatable, tied_pair
from hypothesis import given
from pytest import approx
from skimage.io import imread

from benchmark.scoring.match import match
from benchmark.scoring.metrics import score

SA_NAMES = [f"sa{percent}" for percent in range(50, 100, 5)]

# The layout of the public data sets as they are downloaded.
REAL = {
    "dsb": "dsb/test/masks/*.tif",
    "u20s": "u20s/labels/*.tif",
    "usiigaci": "usiigaci/**/instances_ids.png",
    "histology_rgb": "histology_rgb/labels/*.tif",
}


def assert_equals_elf(true, predicted):
    from elf.evaluation.matching import mean_segmentation_accuracy as elf_accuracy

    ours = score(match(true, predicted), PAPER).metrics
    mean, accuracies = elf_accuracy(predicted, true, return_accuracies=True)
    assert [ours[name] for name in SA_NAMES] == accuracies
    assert ours["msa"] == mean


def assert_equals_stardist(true, predicted):
    """Its IoUs are float32, which no threshold of the exact grid comes close enough to notice."""
    ours = score(match(true, predicted), CLEAN)
    from stardist.matching import matching as stardist_matching

    theirs = stardist_matching(true, predicted, thresh=CLEAN.thresholds)
    assert ours.true_positives == tuple(one.tp for one in theirs)
    if ours.both_empty:
        return
    half = theirs[0]
    assert ours.metrics["pq"] == approx(half.panoptic_quality)
    assert ours.metrics["sq"] == approx(half.mean_matched_score)
    assert ours.metrics["mean_matched_iou"] == (
        approx(half.mean_matched_score) if half.tp else None
    )
    for name in ("precision", "recall", "f1"):
        assert ours.metrics[name] == approx(getattr(half, name))


def label_images_of(pixels):
    """All label images of so many pixels, but for the names of the objects."""
    images = [()]
    for _ in range(pixels):
        images = [(*image, i) for image in images for i in range(max(image, default=0) + 2)]
    return [np.array([image], np.uint8) for image in images]


@pytest.mark.parametrize("case", [c for c in CASES if c.true.size], ids=lambda case: case.name)
def test_named_pairs_score_as_in_elf(case):
    assert_equals_elf(case.true, case.predicted)


@pytest.mark.parametrize("pixels", [1, 2, 3, 4, pytest.param(5, marks=pytest.mark.slow)])
def test_every_pair_of_the_smallest_label_images_scores_as_in_elf(pixels):
    """Where the pixels lie does not matter to IoUs: this is all that so few pixels can be."""
    images = label_images_of(pixels)
    assert len(images) == [2, 5, 15, 52, 203][pixels - 1], "Bell numbers"
    for true, predicted in product(images, images):
        assert_equals_elf(true, predicted)


@repeatable
@given(label_pairs())
def test_random_pairs_score_as_in_elf_and_in_stardist(labels):
    assert_equals_elf(*labels)
    assert_equals_stardist(*labels)


@pytest.mark.parametrize("ids", [1, 2, 3, 5, 8, 20])
@pytest.mark.parametrize("size", [2, 3, 4, 6])
def test_small_grids_full_of_ties_score_as_in_elf_and_in_stardist(size, ids):
    rng = np.random.default_rng([size, ids])
    for _ in range(20):
        true, predicted = tied_pair(rng, size, ids)
        assert_equals_elf(true, predicted)
        assert_equals_elf(predicted, true)
        assert_equals_stardist(true, predicted)


@pytest.mark.parametrize("seed", range(5))
def test_objects_in_halves_score_as_in_elf(seed):
    """Rows of equal objects, each kept, halved, merged, shortened to a threshold, or lost."""
    rng = np.random.default_rng(seed)
    n = 200
    true = np.repeat(np.arange(1, n + 1), 20).reshape(n, 20)
    predicted = true.copy()
    for i, change in enumerate(rng.integers(0, 5, n)):
        match change:
            case 1:
                predicted[i, 10:] = n + i + 1
            case 2:
                predicted[i] = predicted[i - 1]
            case 3:
                predicted[i, rng.integers(10, 20) :] = 0
            case 4:
                predicted[i] = 0
    assert_equals_elf(true, predicted)
    assert_equals_elf(predicted, true)
    assert_equals_stardist(true, predicted)


def test_no_object_has_more_than_two_partners_at_one_half():
    """Why ties stay simple: a pair of IoU 1/2 shares a third of its areas' sum.

    So two such partners fill an object wholly, are its halves, and have no other partner:
    the knottiest tie is a star of two leaves. There are no chains to settle.
    """
    images = label_images_of(4)
    for true, predicted in product(images, images):
        overlap = match(true, predicted)
        tied = overlap.iou == 0.5
        t, p = overlap.true_index[tied], overlap.predicted_index[tied]
        partners = np.stack([np.bincount(t, minlength=4)[t], np.bincount(p, minlength=4)[p]])
        assert (partners.max(axis=0, initial=0) <= 2).all()
        assert (partners.min(axis=0, initial=1) <= 1).all()


def packaged_mask():
    """The real annotated nuclei that stardist ships; finding it does not import stardist."""
    (folder,) = importlib.util.find_spec("stardist").submodule_search_locations
    return Path(folder) / "data" / "images" / "mask2d.tif"


def test_the_packaged_nuclei_score_as_in_elf_and_in_stardist():
    true = imread(packaged_mask())
    assert len(np.unique(true)) > 100
    for predicted in predictions_from(true).values():
        assert_equals_elf(true, predicted)
        assert_equals_stardist(true, predicted)


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("dataset", REAL)
def test_real_annotations_score_as_in_elf(dataset, every):
    if not (root := os.environ.get("BENCHMARK_DATA")):
        pytest.skip("BENCHMARK_DATA does not name a folder with the public data sets")
    files = sorted(Path(root).glob(REAL[dataset]))[::every]
    if not files:
        pytest.skip(f"no {REAL[dataset]} in {root}")
    tied = 0
    for file in files:
        true = imread(file)
        for predicted in predictions_from(true).values():
            assert_equals_elf(true, predicted)
            tied += (match(true, predicted).iou == 0.5).sum()
    assert tied > 0, "real objects of even area, cut in halves, are ties"
