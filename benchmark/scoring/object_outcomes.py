"""What became of each single object, as one letter per object."""

from __future__ import annotations

import numpy as np

from benchmark.scoring.match import Match, outcomes

MATCHED, MISSED, SPURIOUS, SPLIT, MERGED = "mxspg"
"""The letter of each kind of outcome; a string of them describes all objects of an image."""


def object_outcomes(match: Match) -> tuple[str, str]:
    """Assign one kind to each true and to each predicted object.

    A true object is split if it holds more than half of each of several predictions,
    matched at an IoU of at least 0.5, merged if it lies mostly in a prediction that holds
    several, else missed; the first that applies. A prediction is merged if it holds several
    true objects, matched, split if it is a piece of a split object, else spurious.

    Returns:
        The letters of the true and of the predicted objects, in ascending order of their ids.
        Matched objects that are also split or merged have the letter of that.
    """
    found = outcomes(match)
    true = np.select(
        [found.split, found.true_matched, found.parts_of_merged],
        [SPLIT, MATCHED, MERGED],
        MISSED,
    )
    predicted = np.select(
        [found.merged, found.predicted_matched, found.parts_of_split],
        [MERGED, MATCHED, SPLIT],
        SPURIOUS,
    )
    return "".join(true.tolist()), "".join(predicted.tolist())
