"""The stage account: every true object is lost, or found, at exactly one stage."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cases import draw, label_pairs, repeatable
from hypothesis import given
from hypothesis import strategies as st

from benchmark.scoring.match import match
from benchmark.scoring.metrics import true_positives
from benchmark.scoring.protocol import THRESHOLD_GRIDS
from benchmark.scoring.stages import (
    FOUND,
    MERGING,
    NO_MASK,
    NO_PROMPT,
    OUTCOMES,
    REFINEMENT,
    SUPPRESSION,
    account,
    evidence,
    outcomes,
)

CELL, SIDE = 12, 8
"""Pixels of the square that an object is drawn in, and of its side."""


@dataclass
class Mask:
    mask: Any
    row: int
    column: int


@dataclass
class Prompts:
    points: Any = None
    point_labels: Any = None
    boxes: Any = None


@dataclass
class Stages:
    prompts: Prompts
    first: Any
    refined: Any
    kept: Any
    labels: Any


def proposed(masks):
    return SimpleNamespace(masks=masks)


def square(number, side=SIDE):
    """A square mask in the corner of the number's cell, of a row of cells."""
    return Mask(np.ones((side, side), bool), 0, CELL * number)


def cut(image):
    rows, columns = np.nonzero(image)
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    return Mask(image[box], int(rows.min()), int(columns.min()))


def planted(fates, *, boxes=False, ids=None, doubled=False):
    """A row of objects, each lost where it is planted to be."""
    good, bad = SIDE, 3  # of 64 pixels 9
    refines = REFINEMENT in fates
    truth = np.zeros((CELL, CELL * max(len(fates), 1)), np.uint32)
    labels = np.zeros_like(truth)
    where, first, refined, kept = [], [], [], []
    for number, fate in enumerate(fates):
        left = CELL * number
        truth[:SIDE, left : left + SIDE] = number + 1 if ids is None else ids[number]
        if fate == FOUND:
            labels[:SIDE, left : left + SIDE] = number + 1
        if fate == NO_PROMPT:
            continue
        for _ in range(1 + doubled):
            where.append((left, 0, left + SIDE - 1, SIDE - 1) if boxes else [(left + 3, 4)])
            kept += [len(first)] if fate in (MERGING, FOUND) else []
            first.append(square(number, bad if fate == NO_MASK else good))
            refined.append(square(number, bad if fate in (NO_MASK, REFINEMENT) else good))
    points = np.reshape(where, (-1, 4) if boxes else (-1, 1, 2))
    prompts = Prompts(boxes=points) if boxes else Prompts(points, np.ones(points.shape[:2]))
    return truth, Stages(
        prompts,
        proposed(first),
        proposed(refined) if refines else None,
        np.array(kept, int),
        labels,
    )


fates = st.lists(st.sampled_from(OUTCOMES), max_size=12)


@repeatable
@given(fates, st.booleans(), st.booleans(), st.sampled_from([0.5, 0.75, 0.95]))
def test_each_object_is_lost_where_it_was_planted(fates, boxes, doubled, threshold):
    truth, stages = planted(fates, boxes=boxes, doubled=doubled)
    found = evidence(truth, stages)
    assert list(outcomes(found, threshold)) == fates
    counts = account([found], threshold)
    assert counts == {outcome: fates.count(outcome) for outcome in OUTCOMES}
    missed = len(fates) - true_positives(match(truth, stages.labels), [threshold])[0]
    assert sum(counts.values()) - counts[FOUND] == missed


@repeatable
@given(label_pairs(), label_pairs(), st.data())
def test_whatever_was_proposed_the_losses_add_up_to_the_misses(labels, others, data):
    truth, result = labels
    masks = [
        cut(other == number)
        for other in (result, *others)
        if other.shape == truth.shape
        for number in np.unique(other[other > 0])
    ]
    numbers = st.lists(st.integers(0, len(masks) - 1), unique=True) if masks else st.just([])
    kept = np.array(data.draw(numbers), int)
    height, width = truth.shape
    at = st.tuples(st.integers(-2, width + 1), st.integers(-2, height + 1))
    points = np.reshape(
        data.draw(st.lists(at, min_size=len(masks), max_size=len(masks))), (-1, 1, 2)
    )
    refined = proposed(masks[::-1]) if data.draw(st.booleans()) else None
    found = evidence(truth, Stages(Prompts(points), proposed(masks), refined, kept, result))
    for threshold in THRESHOLD_GRIDS["exact"]:
        counts = account([found], threshold)
        overlap = match(truth, result)
        assert sum(counts.values()) == len(overlap.true)
        assert counts[FOUND] == true_positives(overlap, [threshold])[0]


def test_images_are_added_up():
    two = [[FOUND, NO_MASK], [FOUND, MERGING, NO_PROMPT]]
    found = [evidence(*planted(fates)) for fates in two]
    assert list(account(found).values()) == [1, 1, 0, 0, 1, 2]
    assert account([]) == dict.fromkeys(OUTCOMES, 0)


@pytest.mark.parametrize("ids", [[7, 3, 2**31], [300, 1, 2]])
def test_objects_are_in_the_order_of_their_ids(ids):
    fates = [NO_MASK, FOUND, SUPPRESSION]
    found = evidence(*planted(fates, ids=ids))
    assert found.ids.tolist() == sorted(ids)
    assert dict(zip(ids, fates, strict=True)) == dict(
        zip(found.ids.tolist(), outcomes(found), strict=True)
    )


def test_a_mask_is_measured_by_its_exact_iou():
    truth = draw("1111....", "....2222")
    half = Mask(np.ones((1, 2), bool), 0, 2)  # of four pixels two
    both = Mask(np.array([[1, 1, 1, 0], [0, 0, 0, 1]], bool), 0, 1)
    stages = Stages(
        Prompts(np.array([[[0, 0]], [[7, 1]]])), proposed([half, both]), None, np.array([1]),
        np.zeros_like(truth),
    )  # fmt: skip
    found = evidence(truth, stages)
    assert found.first.tolist() == found.last.tolist() == [3 / 5, 1 / 7]
    assert found.kept.tolist() == [3 / 5, 1 / 7] and found.result.tolist() == [0, 0]
    assert outcomes(found).tolist() == [MERGING, NO_MASK]
    assert outcomes(found, 0.61).tolist() == [NO_MASK, NO_MASK]


TRUTH = draw(
    "11...",
    "11.22",
    "...22",
)


@pytest.mark.parametrize(
    ("prompts", "prompted"),
    [
        (Prompts(np.array([[[0, 1]]])), [True, False]),
        (Prompts(np.array([[[1.4, 0.6]]])), [True, False]),  # in the pixel of column 1, row 1
        (Prompts(np.array([[[2, 0]]])), [False, False]),
        (Prompts(np.array([[[9, 0], [-1, 1]]])), [False, False]),
        (Prompts(np.array([[[0, 0], [3, 2]]]), np.array([[0, 1]])), [False, True]),
        (Prompts(boxes=np.array([[0, 0, 1, 1]])), [True, False]),
        (Prompts(boxes=np.array([[1, 0, 4, 2]])), [False, True]),
        (Prompts(boxes=np.array([[2, 0, 2, 2]])), [False, False]),
        (Prompts(np.array([[[0, 1]]]), None, np.array([[3, 1, 4, 2]])), [True, True]),
        (Prompts(np.zeros((0, 1, 2)), np.zeros((0, 1))), [False, False]),
        (Prompts(boxes=np.zeros((0, 4))), [False, False]),
    ],
)
def test_which_object_a_prompt_is_for(prompts, prompted):
    nothing = Stages(prompts, proposed([]), None, np.array([], int), np.zeros_like(TRUTH))
    found = evidence(TRUTH, nothing)
    assert found.prompted.tolist() == prompted
    assert outcomes(found).tolist() == [NO_MASK if one else NO_PROMPT for one in prompted]


def test_an_image_without_objects():
    truth, stages = planted([FOUND, SUPPRESSION], boxes=True)
    found = evidence(np.zeros_like(truth), stages)
    assert not found.ids.size and set(account([found]).values()) == {0}


def test_what_does_not_fit_is_refused():
    truth, stages = planted([FOUND])
    outside = proposed([Mask(np.ones((2, 2), bool), CELL - 1, 0)])
    with pytest.raises(ValueError, match="row 11, column 0 is not within an image of 12 x 12"):
        evidence(truth, replace(stages, first=outside))
    with pytest.raises(ValueError, match="names prompts up to 1, and there are 1"):
        evidence(truth, replace(stages, kept=np.array([1])))
    with pytest.raises(ValueError, match=r"at least 0\.5"):
        outcomes(evidence(truth, stages), 0.4)
