"""What every metric keeps: names, turns, truth itself, thresholds and sums."""

from itertools import pairwise

import numpy as np
from cases import PAPER, PROTOCOLS, SCORES, label_pairs, repeatable
from helpers.scores import COUNTS, SA_NAMES, metrics
from hypothesis import assume, given
from hypothesis import strategies as st
from pytest import approx

from benchmark.scoring.match import match
from benchmark.scoring.metrics import (
    mean_segmentation_accuracy,
    object_rows,
    score,
    segmentation_accuracy,
    true_positives,
)


def relabelled(labels, ids):
    """Object k is called ids[k - 1] instead."""
    return np.array([0, *ids], np.uint64)[labels]


SPARSE_IDS = st.lists(st.integers(1, 2**64 - 1), min_size=4, max_size=4, unique=True)


@repeatable
@given(label_pairs(), SPARSE_IDS, SPARSE_IDS)
def test_names_of_objects_do_not_matter(labels, true_ids, predicted_ids):
    """But for AJI, where a tie goes to the lowest id: there the order has to stay."""
    before = score(match(*labels), PAPER)
    renamed = relabelled(labels[0], true_ids), relabelled(labels[1], predicted_ids)
    after = score(match(*renamed), PAPER)
    assert after.true_positives == before.true_positives
    assert without_aji(after) == approx(without_aji(before))
    in_order = relabelled(labels[0], true_ids), relabelled(labels[1], sorted(predicted_ids))
    assert metrics(*in_order)["aji"] == approx(metrics(*labels)["aji"], nan_ok=True)


def without_aji(found):
    return {name: value for name, value in found.metrics.items() if name != "aji"}


@repeatable
@given(label_pairs(), st.sampled_from([np.flipud, np.fliplr, np.transpose, np.rot90]))
def test_turning_both_images_changes_nothing(labels, turn):
    turned = match(turn(labels[0]), turn(labels[1]))
    straight = match(*labels)
    assert score(turned, PAPER).true_positives == score(straight, PAPER).true_positives
    assert score(turned, PAPER).metrics == approx(score(straight, PAPER).metrics)
    assert object_rows(turned) == object_rows(straight)


@repeatable
@given(label_pairs())
def test_truth_and_prediction_may_change_places(labels):
    there, back = metrics(*labels, PAPER), metrics(*labels[::-1], PAPER)
    for name in ("msa", *SA_NAMES, "f1", "pq", "sq", "rq", "mean_matched_iou", "matched"):
        assert there[name] == approx(back[name]), name
    mirrored = {"precision": "recall", "missed": "spurious", "split": "merged"}
    for name, twin in mirrored.items():
        assert (there[name], there[twin]) == (back[twin], back[name]), name


@repeatable
@given(label_pairs())
def test_the_truth_itself_scores_one(labels):
    true = labels[0]
    assume(true.any())
    found = metrics(true, true)
    ones = {*SA_NAMES, *SCORES, "precision", "recall", "f1"}
    assert {name: found[name] for name in ones} == dict.fromkeys(ones, approx(1, rel=1e-15))
    assert [found[name] for name in COUNTS] == [len(np.unique(true[true > 0])), 0, 0, 0, 0]


@repeatable
@given(label_pairs(), st.lists(st.floats(0.5, 1), min_size=2))
def test_a_stricter_threshold_never_matches_more(labels, thresholds):
    found = true_positives(match(*labels), sorted(thresholds))
    assert all(n >= stricter for n, stricter in pairwise(found))


@repeatable
@given(label_pairs())
def test_the_numbers_of_one_image_agree_with_each_other(labels):
    for protocol in PROTOCOLS:
        found = score(match(*labels), protocol)
        m = found.metrics
        assert found.n_true == m["matched"] + m["missed"] == len(set(labels[0].flat) - {0})
        assert found.n_predicted == m["matched"] + m["spurious"] == len(set(labels[1].flat) - {0})
        assert m["matched"] == found.true_positives[0]
        assert min(m[name] for name in COUNTS) >= 0
        if found.both_empty:
            continue
        assert m["pq"] == approx(m["sq"] * m["rq"])
        assert m["msa"] == approx(np.mean([m[name] for name in SA_NAMES]))
        assert all(0 <= m[n] <= 1 for n in ("msa", "pq", "sq", "rq", "aji", "precision", "recall"))
        assert m["mean_matched_iou"] == (m["sq"] if m["matched"] else None)
        assert m["sq"] == 0 or m["sq"] >= 0.5
        matched, missed, spurious = m["matched"], m["missed"], m["spurious"]
        assert m["sa50"] == matched / (matched + missed + spurious)
        assert m["f1"] == approx(2 * m["sa50"] / (1 + m["sa50"])), "Dice of Jaccard"


def test_accuracy_is_matched_of_all_and_its_mean_runs_over_the_thresholds():
    assert segmentation_accuracy(3, 5, 4) == 3 / (2 + 1 + 3)
    assert segmentation_accuracy(0, 0, 0) == 0
    assert mean_segmentation_accuracy([3, 0], 5, 4) == 0.25
