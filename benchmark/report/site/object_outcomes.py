"""What became of each single object: the kinds that the counts of a score are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from benchmark.scoring.match import Match, Objects

MATCHED, MISSED, SPURIOUS, SPLIT, MERGED = "mxspg"
"""A letter for each kind; a string of them tells of all objects of an image."""

_HALF = 0.5  # as in `benchmark.scoring.metrics`: what matched, missed, ... are counted at


def object_outcomes(match: Match) -> tuple[str, str]:
    """One letter per true and per predicted object.

    A true object is split if it holds more than half of each of several predictions,
    matched at an IoU of at least 0.5, merged if it lies mostly in a prediction that holds
    several, else missed; the first that applies. A prediction is merged if it holds several
    true objects, matched, split if it is a piece of a split object, else spurious.

    Returns:
        The letters of the true and of the predicted objects, in the order of their ids. As
        many true ones are split, and predictions merged, as `benchmark.scoring.metrics` counts.
    """
    true_matched, predicted_matched = _matched(match)
    in_true = 2 * match.intersection > match.predicted.areas[match.predicted_index]
    in_predicted = 2 * match.intersection > match.true.areas[match.true_index]
    split, pieces = _several(match.true, match.true_index, match.predicted_index, in_true)
    merged, parts = _several(match.predicted, match.predicted_index, match.true_index, in_predicted)
    true = np.select(
        [split, true_matched, np.isin(np.arange(len(match.true)), parts)],
        [SPLIT, MATCHED, MERGED],
        MISSED,
    )
    predicted = np.select(
        [merged, predicted_matched, np.isin(np.arange(len(match.predicted)), pieces)],
        [MERGED, MATCHED, SPLIT],
        SPURIOUS,
    )
    return "".join(true.tolist()), "".join(predicted.tolist())


def _matched(match: Match) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which objects are matched, those in a tie at exactly 0.5 settled among themselves."""
    iou = match.iou
    sure, tie = iou > _HALF, iou == _HALF
    true, predicted = np.zeros(len(match.true), bool), np.zeros(len(match.predicted), bool)
    true[match.true_index[sure]] = True
    predicted[match.predicted_index[sure]] = True
    if tie.any():
        graph = csr_array(
            (np.ones(int(tie.sum()), np.int8), (match.true_index[tie], match.predicted_index[tie])),
            shape=(len(match.true), len(match.predicted)),
        )
        partner = maximum_bipartite_matching(graph, perm_type="column")
        true |= partner >= 0
        predicted[partner[partner >= 0]] = True
    return true, predicted


def _several(
    holders: Objects, holder: NDArray[np.intp], part: NDArray[np.intp], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which objects hold two or more others, and which others these are."""
    several = np.bincount(holder[inside], minlength=len(holders)) >= 2
    return several, part[inside & several[holder]]
