"""Every metric: by hand on named cases, and by definition on random ones."""

import numpy as np
import pytest
import yaml
from cases import (
    CASES,
    CLEAN,
    PAPER,
    PROTOCOLS,
    SCORES,
    draw,
    label_pairs,
    repeatable,
    row,
    tied_pair,
)
from helpers.scores import COUNTS, SA_NAMES, metrics
from hypothesis import assume, given
from hypothesis import strategies as st
from pytest import approx

from benchmark.errors import BenchmarkError
from benchmark.scoring.match import match
from benchmark.scoring.metrics import (
    METRICS,
    Metric,
    aggregated_jaccard_index,
    object_rows,
    pooled_accuracies,
    score,
    true_positives,
)
from benchmark.scoring.protocol import Protocol

# By hand


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_scores_are_what_was_derived_by_hand(case, protocol):
    found = score(match(case.true, case.predicted), protocol)
    n_true, n_predicted, matched = case.objects
    assert (found.n_true, found.n_predicted) == (n_true, n_predicted)

    expected = {name: getattr(case, name) for name in SCORES}
    tp = case.tp
    if protocol is PAPER and case.paper_tp is not None:
        tp, expected["msa"] = case.paper_tp, case.paper_msa
    assert found.true_positives == tp
    expected |= {
        name: n / (n_true + n_predicted - n) if n else 0
        for name, n in zip(SA_NAMES, tp, strict=True)
    }
    expected["precision"] = matched / n_predicted if n_predicted else 0
    expected["recall"] = matched / n_true if n_true else 0
    expected["f1"] = expected["rq"]
    assert found.both_empty == (n_true == n_predicted == 0)
    if protocol is CLEAN and found.both_empty:
        expected = dict.fromkeys(expected)
    counts = (matched, n_true - matched, n_predicted - matched, case.split, case.merged)
    expected |= dict(zip(COUNTS, counts, strict=True))

    expected["msa_tolerant"] = None  # which takes pixels
    assert found.metrics.keys() == expected.keys()
    for name, value in expected.items():
        value = value if value is None else approx(float(value), rel=1e-14)
        assert found.metrics[name] == value, name


def test_two_empty_images_score_zero_in_the_paper_and_are_left_out_when_clean():
    empty = match(draw(".."), draw(".."))
    paper, clean = score(empty, PAPER), score(empty, CLEAN)
    assert paper.both_empty and clean.both_empty
    scored = set(paper.metrics) - set(COUNTS) - {"mean_matched_iou", "msa_tolerant"}
    assert {paper.metrics[name] for name in scored} == {0}
    assert {clean.metrics[name] for name in scored} == {None}
    assert [clean.metrics[name] for name in COUNTS] == [0] * 5


@pytest.mark.parametrize("truth", [draw(".."), draw("1.")])
def test_one_empty_image_is_never_left_out(truth):
    other = draw("22") if not truth.any() else draw("..")
    assert metrics(truth, other)["msa"] == metrics(truth, other, PAPER)["msa"] == 0


def test_three_quarters_are_a_match_at_75_unless_the_threshold_has_drifted():
    overlap = match(draw("1111"), draw("111."))
    assert score(overlap, CLEAN).metrics["sa75"] == 1
    assert score(overlap, PAPER).metrics["sa75"] == 0
    assert score(overlap, PAPER).metrics["sa70"] == 1


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_the_protocols_tested_here_are_those_in_the_configs(protocol, request):
    folder = request.config.rootpath / "configs" / "protocol"
    given = Protocol(**yaml.safe_load((folder / f"{protocol.name}.yaml").read_text()))
    assert given.switches() == protocol.switches()


@pytest.mark.parametrize(
    ("true", "predicted", "split"),
    [("111111..", "111122..", 1), ("1111....", "11122...", 0), ("1111....", "11122222", 0)],
    ids=["all of the second part", "exactly half of it", "less than half of it"],
)
def test_a_split_object_holds_more_than_half_of_each_of_its_parts(true, predicted, split):
    assert metrics(draw(true), draw(predicted))["split"] == split
    assert metrics(draw(predicted), draw(true))["merged"] == split


def test_an_object_in_three_parts_is_one_split_object():
    assert metrics(draw("111111"), draw("112233"))["split"] == 1


def test_a_dataset_is_pooled_by_adding_counts():
    one, many = ([1, 0], 1, 1), ([2, 1], 3, 4)
    assert pooled_accuracies([one, many]) == [3 / (4 + 5 - 3), 1 / (4 + 5 - 1)]
    assert pooled_accuracies([([0, 0], 0, 0)]) == [0, 0]
    assert pooled_accuracies([]) == []


def test_a_threshold_below_one_half_is_refused():
    with pytest.raises(ValueError, match=r"thresholds start at 0\.5, got 0\.45"):
        true_positives(match(draw("1"), draw("1")), [0.5, 0.45])


def test_thresholds_may_come_in_any_order():
    overlap = match(draw("1111", "22.."), draw("111.", "22.."))
    assert true_positives(overlap, [0.9, 0.5, 0.75, 1.0]) == [1, 2, 2, 1]


# By definition


def iou_table(true, predicted):
    """Dense IoUs of every true with every predicted object."""
    ids = [np.unique(labels[labels > 0]) for labels in (true, predicted)]
    masks = [
        [labels == i for i in found] for labels, found in zip((true, predicted), ids, strict=True)
    ]
    table = [[(t & p).sum() / (t | p).sum() for p in masks[1]] for t in masks[0]]
    return np.array(table).reshape(len(ids[0]), len(ids[1])), *masks


def aji_by_definition(true, predicted):
    """Algorithm 1 of Kumar et al. 2017, line by line on dense masks.

    Where a true object overlaps no prediction the arg max is over zeros; as in the
    authors' own code its area then counts in the union, and no prediction is used up.
    """
    iou, true_masks, predicted_masks = iou_table(true, predicted)
    c = u = 0
    used = set()
    for i, g in enumerate(true_masks):
        if not iou[i].any():
            u += g.sum()
            continue
        j = int(np.argmax(iou[i]))  # the first of equals
        c += (g & predicted_masks[j]).sum()
        u += (g | predicted_masks[j]).sum()
        used.add(j)
    u += sum(s.sum() for j, s in enumerate(predicted_masks) if j not in used)
    return c / u if u else 0


def most_pairs(allowed, row_number=0, taken=frozenset()):
    """The size of the largest matching, by trying all of them."""
    if row_number == len(allowed):
        return 0
    best = most_pairs(allowed, row_number + 1, taken)
    for column in np.flatnonzero(allowed[row_number]):
        if column not in taken:
            best = max(best, 1 + most_pairs(allowed, row_number + 1, taken | {column}))
    return best


@repeatable
@given(label_pairs())
def test_true_positives_are_the_largest_matching(labels):
    iou, *_ = iou_table(*labels)
    for protocol in PROTOCOLS:
        expected = [most_pairs(iou >= threshold) for threshold in protocol.thresholds]
        assert true_positives(match(*labels), protocol.thresholds) == expected


@repeatable
@given(label_pairs(), st.integers(0, 1000))
def test_matched_pairs_are_one_to_one_and_as_many_as_possible(labels, seed):
    for true, predicted in (labels, tied_pair(np.random.default_rng(seed), 3, 6)):
        overlap = match(true, predicted)
        pairs = overlap.matched_pairs
        assert (overlap.iou[pairs] >= 0.5).all()
        for index in (overlap.true_index, overlap.predicted_index):
            assert len(set(index[pairs])) == len(pairs)
        assert len(pairs) == most_pairs(iou_table(true, predicted)[0] >= 0.5)


@repeatable
@given(label_pairs())
def test_aji_is_the_published_algorithm(labels):
    assert aggregated_jaccard_index(match(*labels)) == approx(aji_by_definition(*labels))


@repeatable
@given(st.integers(1, 2**64 - 2), st.integers(1, 2**64 - 1))
def test_of_two_equally_good_predictions_aji_takes_the_first(low, high):
    assume(low < high)
    # Both have IoU 1/3: 2 / 6 and 3 / 9. With the first: 2 / (6 + 6); with the other: 3 / 11.
    true = row((1, 6), (0, 3))
    assert metrics(true, row((low, 2), (0, 1), (high, 6)))["aji"] == approx(1 / 6)
    assert metrics(true, row((high, 2), (0, 1), (low, 6)))["aji"] == approx(3 / 11)


@repeatable
@given(label_pairs())
def test_errors_are_those_seen_in_the_masks(labels):
    _, true, predicted = iou_table(*labels)

    def holding_several(holders, parts):
        inside = [
            sum(2 * (part & holder).sum() > part.sum() for part in parts) for holder in holders
        ]
        return sum(n >= 2 for n in inside)

    found = metrics(*labels)
    assert found["split"] == holding_several(true, predicted)
    assert found["merged"] == holding_several(predicted, true)


@repeatable
@given(label_pairs())
def test_the_best_iou_of_each_object_is_the_largest_in_the_dense_table(labels):
    rows, (iou, *_) = object_rows(match(*labels)), iou_table(*labels)
    # Background as one more partner, of IoU 0: an object may overlap nothing at all.
    padded = np.pad(iou, ((0, 1), (0, 1)))
    assert rows["true"]["best_iou"] == approx(padded.max(axis=1)[:-1], abs=1e-4)
    assert rows["predicted"]["best_iou"] == approx(padded.max(axis=0)[:-1], abs=1e-4)


def test_each_object_has_its_row():
    assert object_rows(match(draw(".....", ".113.", "....."), draw("9....", ".999.", "....."))) == {
        "true": {"id": [1, 3], "area": [2, 1], "best_iou": [0.5, 0.25], "border": [0, 0]},
        "predicted": {"id": [9], "area": [4], "best_iou": [0.5], "border": [1]},
    }


# --- a metric of one's own --------------------------------------------------------------


def own_metric(monkeypatch, value):
    """The score of one pair of images, with a metric that calls `value`."""
    monkeypatch.setitem(METRICS, "own", Metric("own", "own", lambda of: value()))
    labels = np.ones((4, 4), int)
    return score(match(labels, labels), PROTOCOLS[0]).metrics["own"]


@pytest.mark.parametrize(
    ("value", "stored"),
    [(None, None), (np.nan, None), (np.float32(0.5), 0.5), (np.int64(3), 3.0), (-250, -250.0)],
)
def test_a_metric_of_ones_own_is_stored_as_a_plain_number(monkeypatch, value, stored):
    found = own_metric(monkeypatch, lambda: value)
    assert found == stored and type(found) is type(stored)


@pytest.mark.parametrize("value", [lambda: np.inf, lambda: "x", lambda: 1 / 0, lambda: [1, 2]])
def test_a_metric_that_fails_is_named_without_a_traceback(monkeypatch, value):
    with pytest.raises(BenchmarkError, match="'own'"):
        own_metric(monkeypatch, value)
