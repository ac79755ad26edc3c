"""Match -> numbers. Pure functions; nothing here has seen a pixel.

Segmentation accuracy SA@t = TP / (TP + FP + FN), where a true and a predicted object
count as matched if their IoU is at least t; mSA is its mean over ten thresholds from
0.50 to 0.95 (the metric of the Data Science Bowl 2018, as in elf's
`mean_segmentation_accuracy`). SA@t is often called AP in this field; it is not average
precision in the detection sense, which needs scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.choices import nearest
from benchmark.errors import BenchmarkError, UsageError
from benchmark.scoring.match import MATCH_IOU, Match, outcomes
from benchmark.scoring.protocol import Protocol

VERSION = 1
"""Raised whenever a number below changes its meaning: scores of other versions are made again."""

GLOSSARY = "docs/metrics.md"
"""The page with the formula, convention and source of every metric, below the checkout."""


@dataclass(frozen=True)
class Score:
    """The numbers of one image.

    Attributes:
        n_true: annotated objects.
        n_predicted: predicted objects.
        true_positives: matched objects at each threshold of the protocol.
        both_empty: neither the truth nor the prediction has an object.
        metrics: name -> value; None where it is undefined or excluded by the protocol.
    """

    n_true: int
    n_predicted: int
    true_positives: tuple[int, ...]
    both_empty: bool
    metrics: Mapping[str, float | None]


@dataclass(frozen=True)
class Counts:
    """What a metric of one image is computed from.

    Attributes:
        match: the overlap of truth and prediction; its objects have ids, areas and borders.
        n_true: annotated objects.
        n_predicted: predicted objects.
        true_positives: matched objects at each threshold of the protocol.
        matched: matched objects at an IoU of at least 0.5.
        iou_sum: the sum of their IoUs.
        interior: the counts without the pixels within one pixel of a true boundary
            (`benchmark.scoring.interior`); None where pixels are not at hand.
    """

    match: Match
    n_true: int
    n_predicted: int
    true_positives: tuple[int, ...]
    matched: int
    iou_sum: float
    interior: Counts | None = None


@dataclass(frozen=True)
class Metric:
    """A metric of one image; a run's number is its mean over images.

    Attributes:
        name: in options, and in files of scores.
        title: in tables and figures.
        function: of the counts of an image; None where the metric is undefined.
        higher_is_better: the direction in which methods are ranked.
        version: raised when the function changes its meaning: scores made before are scored again.
        optional: whether stored scores may lack it, as those made before it was added to ours do:
            reports show them, and leave it blank. If its meaning changes, so must its name.
    """

    name: str
    title: str
    function: Callable[[Counts], float | None]
    higher_is_better: bool = True
    version: int = 1
    optional: bool = False

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1: what a difference is multiplied by to be a gain."""
        return 1 if self.higher_is_better else -1


def score(match: Match, protocol: Protocol, interior: Match | None = None) -> Score:
    """Everything we report of one image.

    Args:
        match: the overlap of truth and prediction.
        protocol: thresholds, and what an image without any object scores.
        interior: their overlap without pixels at true boundaries, as
            `benchmark.scoring.interior.match_interior` returns it; metrics that need it are None
            without.

    Returns:
        `metrics` holds every metric in `METRICS`, and the counts matched, missed, spurious,
        split, merged.
    """
    found = outcomes(match)
    counts = _counts(match, found.pairs, protocol)
    if interior is not None:
        of_interior = _counts(interior, interior.matched_pairs, protocol)
        counts = replace(counts, interior=of_interior)
    n_true, n_predicted, matched = counts.n_true, counts.n_predicted, counts.matched
    both_empty = n_true == n_predicted == 0
    excluded = both_empty and protocol.both_empty == "exclude"
    metrics: dict[str, float | None] = {
        name: None if excluded else _value(metric, counts) for name, metric in METRICS.items()
    }
    metrics |= {
        "matched": matched,
        "missed": n_true - matched,
        "spurious": n_predicted - matched,
        "split": int(found.split.sum()),
        "merged": int(found.merged.sum()),
    }
    return Score(n_true, n_predicted, counts.true_positives, both_empty, metrics)


def _counts(match: Match, pairs: NDArray[np.intp], protocol: Protocol) -> Counts:
    iou = match.iou[pairs]
    tps = _reaching(iou, protocol.thresholds)
    n_true, n_predicted = len(match.true), len(match.predicted)
    return Counts(match, n_true, n_predicted, tuple(tps), len(pairs), _sum_of_iou(iou))


def _value(metric: Metric, counts: Counts) -> float | None:
    """A metric of an image as a number that can be stored; None where it is undefined or NaN.

    Raises:
        BenchmarkError: its function failed, or returned something else.
    """
    try:
        value = metric.function(counts)
        number = None if value is None else float(value)
    except Exception as error:  # of a function that anyone may add
        reason = f"{type(error).__name__}: {error}"
        raise BenchmarkError(f"metric '{metric.name}' failed: {reason}") from error
    if number is not None and math.isinf(number):
        raise BenchmarkError(f"metric '{metric.name}' failed: it is infinite; return None there")
    return None if number is None or math.isnan(number) else number


def implied_metrics(row: Mapping[str, Any]) -> dict[str, float | None]:
    """The metrics that the stored counts of an image imply; they need no pixels.

    Args:
        row: as `benchmark.scoring.score.score_row` makes it.

    Returns:
        Every metric of this module but AJI; `sq` is that of the row, from which the sum of IoUs
        is taken, and 0 where nothing is matched.

    Raises:
        KeyError, TypeError: an entry is missing, or undefined though there are objects.
    """
    metrics, n_true, n_predicted = row["metrics"], row["n_true"], row["n_predicted"]
    matched = int(metrics["matched"])
    iou_sum = metrics["sq"] * matched
    tps = tuple(row["true_positives"])
    counts = Counts(None, n_true, n_predicted, tps, matched, iou_sum)  # type: ignore[arg-type]
    return {metric.name: metric.function(counts) for metric in _OURS if metric.name != "aji"}


def true_positives(match: Match, thresholds: Sequence[float]) -> list[int]:
    """Matched objects at each IoU threshold, one true object to one prediction.

    Args:
        match: the overlap.
        thresholds: IoU thresholds, each in [0.5, 1].

    Returns:
        One count per threshold.

    Raises:
        ValueError: a threshold below 0.5, where several partners are possible.
    """
    if min(thresholds) < MATCH_IOU:
        raise ValueError(f"thresholds start at {MATCH_IOU}, got {min(thresholds)}")
    return _reaching(match.iou[match.matched_pairs], thresholds)


def _reaching(iou: NDArray[np.float64], thresholds: Sequence[float]) -> list[int]:
    """How many of these IoUs are at least each threshold."""
    counts: list[int] = (len(iou) - np.searchsorted(np.sort(iou), thresholds, side="left")).tolist()
    return counts


def segmentation_accuracy(tp: int, n_true: int, n_predicted: int) -> float:
    """SA = TP / (TP + FP + FN); 0 where nothing is matched, so also for two empty images."""
    return ratio(tp, n_true + n_predicted - tp)


def mean_segmentation_accuracy(tps: Sequence[int], n_true: int, n_predicted: int) -> float:
    """mSA: the mean of SA over the thresholds.

    Summed up by numpy as elf does, so that both are equal to the last bit.
    """
    return float(np.mean([segmentation_accuracy(tp, n_true, n_predicted) for tp in tps]))


def boundary_tolerant_msa(of: Counts) -> float | None:
    """MSA without the pixels within one pixel of a true boundary.

    Returns:
        A value in [0, 1]; None where these pixels are all that there is of the objects.
    """
    inside = of.interior
    if inside is None:
        return None
    if (of.n_true or of.n_predicted) and not (inside.n_true or inside.n_predicted):
        return None
    return mean_segmentation_accuracy(inside.true_positives, inside.n_true, inside.n_predicted)


def aggregated_jaccard_index(match: Match) -> float:
    """AJI of Kumar et al. 2017 (IEEE TMI 36(7), Algorithm 1).

    Each true object joins the prediction of highest IoU (the first of equals, which may
    serve several); unused predictions and true objects without overlap count in the union.

    Returns:
        A value in [0, 1]; 0 where there is nothing on either side.
    """
    first = np.flatnonzero(np.diff(match.true_index, prepend=-1))  # pairs are in order of these
    highest = np.maximum.reduceat(match.iou, first) if first.size else match.iou
    pairs_of_each = np.diff(first, append=len(match.true_index))
    best = np.flatnonzero(match.iou == np.repeat(highest, pairs_of_each))
    pair = best[np.flatnonzero(np.diff(match.true_index[best], prepend=-1))]
    joined_predicted = match.predicted_index[pair]
    intersection = int(match.intersection[pair].sum())
    union = int(match.true.areas.sum() + match.predicted.areas[joined_predicted].sum())
    union -= intersection
    unused = np.ones(len(match.predicted), bool)
    unused[joined_predicted] = False
    return ratio(intersection, union + int(match.predicted.areas[unused].sum()))


def _sum_of_iou(matched: NDArray[np.float64]) -> float:
    """The sum of the IoUs of matched pairs.

    Those at exactly 0.5 are added by their number: stored scores were summed up in this
    order, and another one differs in the last bit.
    """
    above = matched[matched > MATCH_IOU]
    return float(above.sum()) + MATCH_IOU * (len(matched) - len(above))


def ratio(part: float, whole: float) -> float:
    """The quotient of two counts, and 0 where nothing is in it (elf's convention)."""
    return part / whole if part > 0 else 0.0


def pooled_accuracies(scores: Iterable[tuple[Sequence[int], int, int]]) -> list[float]:
    """SA pooled over a data set: counts are added up over all images, then divided once.

    Large, crowded images weigh more than in the mean over images, which stands beside it.

    Args:
        scores: for each image (true positives per threshold, n_true, n_predicted).

    Returns:
        SA at each threshold; empty for no images.
    """
    rows = list(scores)
    n_true = sum(row[1] for row in rows)
    n_predicted = sum(row[2] for row in rows)
    totals = (sum(column) for column in zip(*(row[0] for row in rows), strict=True))
    return [segmentation_accuracy(tp, n_true, n_predicted) for tp in totals]


def object_rows(match: Match) -> dict[str, dict[str, list[Any]]]:
    """Per object: id, area (pixels), best IoU with any object of the other image, border.

    Recall by size and kinds of error need no pixels later. Columns, not rows, to be short
    as JSON.
    """
    best = {"true": np.zeros(len(match.true)), "predicted": np.zeros(len(match.predicted))}
    np.maximum.at(best["true"], match.true_index, match.iou)
    np.maximum.at(best["predicted"], match.predicted_index, match.iou)
    return {
        side: {
            "id": objects.ids.tolist(),
            "area": objects.areas.tolist(),
            "best_iou": np.round(best[side], 4).tolist(),
            "border": objects.border.astype(int).tolist(),
        }
        for side, objects in (("true", match.true), ("predicted", match.predicted))
    }


def _sa(place: int) -> Callable[[Counts], float]:
    return lambda of: segmentation_accuracy(of.true_positives[place], of.n_true, of.n_predicted)


_OURS = (
    Metric(
        "msa", "mSA",
        lambda of: mean_segmentation_accuracy(of.true_positives, of.n_true, of.n_predicted),
    ),
    *(
        Metric(f"sa{percent}", f"SA{percent}", _sa(place))
        for place, percent in enumerate(range(50, 100, 5))
    ),
    Metric("precision", "precision at 0.5", lambda of: ratio(of.matched, of.n_predicted)),
    Metric("recall", "recall at 0.5", lambda of: ratio(of.matched, of.n_true)),
    Metric("f1", "F1 at 0.5", lambda of: ratio(2 * of.matched, of.n_true + of.n_predicted)),
    Metric(
        "pq", "panoptic quality", lambda of: ratio(2 * of.iou_sum, of.n_true + of.n_predicted)
    ),
    Metric("sq", "segmentation quality", lambda of: ratio(of.iou_sum, of.matched)),
    Metric(
        "rq", "recognition quality", lambda of: ratio(2 * of.matched, of.n_true + of.n_predicted)
    ),
    Metric("aji", "aggregated Jaccard index", lambda of: aggregated_jaccard_index(of.match)),
    Metric(
        "mean_matched_iou", "mean IoU of the matched",
        lambda of: of.iou_sum / of.matched if of.matched else None,
    ),
)  # fmt: skip
_OF_VERSION = frozenset(metric.name for metric in _OURS)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *_OURS,
        Metric("msa_tolerant", "boundary-tolerant mSA", boundary_tolerant_msa, optional=True),
        # A new metric: a line here, its function in a file of its own.
    )
}
"""The registry of metrics: name -> metric. What `metric=` takes, and scores hold, in this order.

Scores that are stored already lack a metric that is added; `action=evaluate` makes them again from
the stored predictions.
"""

MSA = METRICS["msa"]
"""The metric of the study, and the one that methods are ranked by unless another is chosen."""


def required() -> list[str]:
    """The names of the metrics that every stored score has."""
    return [name for name, metric in METRICS.items() if not metric.optional]


def metrics_version() -> Any:
    """What scores depend on: `VERSION`, and the versions of metrics that were added to it."""
    added = {name: METRICS[name].version for name in required() if name not in _OF_VERSION}
    return {"": VERSION, **added} if added else VERSION


def find_metric(name: str) -> Metric:
    """The metric of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in METRICS:
        raise UsageError(
            f"there is no metric '{name}'.{nearest(name, METRICS)} Metrics: {', '.join(METRICS)}."
        )
    return METRICS[name]
