"""The metrics of two label images, and their names."""

from cases import CLEAN

from benchmark.scoring.interior import match_interior
from benchmark.scoring.match import match
from benchmark.scoring.metrics import score

COUNTS = ("matched", "missed", "spurious", "split", "merged")
SA_NAMES = [f"sa{percent}" for percent in range(50, 100, 5)]


def metrics(true, predicted, protocol=CLEAN):
    return score(match(true, predicted), protocol, match_interior(true, predicted)).metrics
