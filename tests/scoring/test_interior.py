"""Scores without the pixels at true boundaries: who is forgiven what."""

import numpy as np
import pytest
from cases import CLEAN, PAPER, label_pairs, repeatable
from helpers.scores import metrics
from hypothesis import given
from skimage.segmentation import expand_labels, find_boundaries

from benchmark.scoring.interior import interior, match_interior
from benchmark.scoring.match import match
from benchmark.scoring.metrics import METRICS, metrics_version, score


def discs(radius=6):
    """Three discs, two of which touch."""
    rows, columns = np.indices((40, 60))
    labels = np.zeros((40, 60), np.uint16)
    for number, (row, column) in enumerate([(10, 10), (10, 10 + 2 * radius), (28, 40)], start=1):
        labels[np.hypot(rows - row, columns - column) <= radius] = number
    return labels


@repeatable
@given(label_pairs())
def test_the_interior_is_what_scikit_image_finds_no_boundary_in(labels):
    true, _ = labels
    np.testing.assert_array_equal(interior(true), ~find_boundaries(true, mode="thick"))


@repeatable
@given(label_pairs())
def test_pixels_at_true_boundaries_decide_nothing(labels):
    true, predicted = labels
    elsewhere = np.where(interior(true), predicted, predicted.max() + 1)
    ignored = [metrics(true, labels, PAPER)["msa_tolerant"] for labels in (predicted, elsewhere)]
    assert ignored[0] == ignored[1]


def test_a_boundary_drawn_one_pixel_inside_or_outside_is_forgiven():
    true = discs()
    eroded = np.where(find_boundaries(true, mode="inner"), 0, true)
    for shifted in (true, eroded, expand_labels(true, 1)):
        assert metrics(true, shifted)["msa_tolerant"] == 1
    assert metrics(true, eroded)["msa"] < 0.8
    assert metrics(true, expand_labels(true, 2))["msa_tolerant"] < 1
    assert metrics(true, np.where(true == 3, 0, true))["msa_tolerant"] == pytest.approx(2 / 3)


def test_an_object_of_boundaries_alone_is_left_out():
    true = discs()
    thin = true.copy()
    thin[35, 5:20] = 9
    assert metrics(thin, true)["msa_tolerant"] == 1, "as no pixel of it is counted"
    only = np.where(thin == 9, thin, 0)
    assert metrics(only, only)["msa_tolerant"] is None
    nothing = np.zeros_like(true)
    assert metrics(nothing, nothing, PAPER)["msa_tolerant"] == 0
    assert metrics(nothing, nothing, CLEAN)["msa_tolerant"] is None
    assert metrics(true, nothing)["msa_tolerant"] == metrics(nothing, true)["msa_tolerant"] == 0


def test_without_pixels_it_is_undefined_and_no_other_metric_depends_on_them():
    true = discs()
    predicted = np.roll(true, 2, axis=1)
    with_pixels, without = metrics(true, predicted), score(match(true, predicted), CLEAN).metrics
    assert without["msa_tolerant"] is None and with_pixels["msa_tolerant"] is not None
    assert {**with_pixels, "msa_tolerant": None} == without


def test_stored_scores_keep_their_key():
    assert METRICS["msa_tolerant"].optional
    assert metrics_version() == 1, "scores do not depend on an optional metric"


def test_images_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        match_interior(np.zeros((3, 4), int), np.zeros((4, 3), int))
