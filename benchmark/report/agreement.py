"""What methods say of images without labels: their objects, and how well they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from benchmark.console import Steps
from benchmark.data.prepared import Entry
from benchmark.errors import BenchmarkError
from benchmark.report import escape
from benchmark.report.pictures import prepared_of
from benchmark.report.results import RunResult
from benchmark.scoring.match import match
from benchmark.scoring.metrics import mean_segmentation_accuracy, true_positives
from benchmark.scoring.protocol import THRESHOLD_GRIDS
from benchmark.stats import agreement as statistics
from benchmark.store.names import safe_names
from benchmark.store.record import Record
from benchmark.store.store import RunStore
from benchmark.types import Labels
from benchmark.workers import side_by_side

Floats = NDArray[np.float64]

WRONG_TOGETHER = (
    "All methods may be wrong together: agreement is not accuracy, and no mSA against a truth. In "
    "a trial on three data sets with hidden labels the best method was first on none of them "
    "(results/baselines/agreement_trial.txt). Label some images to know."
)

_THRESHOLDS = THRESHOLD_GRIDS["exact"]


@dataclass(frozen=True, eq=False)
class PredictedObjects:
    """The objects that a run predicted on one image.

    Attributes:
        areas: pixels of each object.
        coverage: share of the image that is in an object.
    """

    areas: NDArray[np.int64]
    coverage: float


@dataclass(frozen=True, eq=False)
class Agreement:
    """The runs on one set of images, some of which have no labels.

    Attributes:
        data: the data set's name.
        label: the same as people write it.
        results: the runs, without controls.
        compared: those of them that are compared with each other: on the most images.
        samples: ids of the images that all of these predicted.
        values: mSA between the compared runs, samples x runs x runs; see
            `benchmark.stats.agreement`.
        objects: of each run in `results`, sample -> what it predicted there.
        entries: what the manifest of the prepared data says of the samples, where it is there.
    """

    data: str
    label: str
    results: Sequence[RunResult]
    compared: Sequence[RunResult]
    samples: Sequence[str]
    values: Floats
    objects: Sequence[dict[str, PredictedObjects]]
    entries: dict[str, Entry]

    @property
    def families(self) -> list[str]:
        """The family of each compared run."""
        return [result.family for result in self.compared]

    @property
    def may_rank(self) -> bool:
        """Whether there are families enough for a ranking."""
        return len(set(self.families)) >= statistics.FEWEST_FAMILIES

    @property
    def matrix(self) -> Floats:
        """Mean mSA between the compared runs."""
        return statistics.mean_matrix(self.values)

    @property
    def cross_family(self) -> Floats:
        """Cross-family agreement, samples x compared runs."""
        return statistics.cross_family(self.values, self.families)

    @property
    def groups(self) -> list[str]:
        """The group of each sample; the sample itself where that is not known any more."""
        return [self.entries[s].group if s in self.entries else s for s in self.samples]

    def to_label_first(self) -> list[tuple[str, float]]:
        """The images without labels and their agreement, the least first.

        Images on which all runs found nothing have no agreement, and are not among them.
        """
        found = statistics.agreement_of_samples(self.values, self.families)
        pairs = sorted(zip(self.samples, found.tolist(), strict=True), key=lambda pair: pair[1])
        return [
            (sample, value)
            for sample, value in pairs
            if value == value and (sample not in self.entries or self.entries[sample].is_unlabelled)
        ]


def agreements(results: Sequence[RunResult]) -> list[Agreement]:
    """Compare the runs on each set of images some of which have no labels.

    Args:
        results: the runs of a report.

    Raises:
        StoreError: a process that compares them was killed.
    """
    sets: dict[tuple[str, str, str], dict[str, RunResult]] = {}
    for result in results:
        if result.unlabelled and result.present and not result.control:
            key = (result.data, result.split, result.images_id)
            sets.setdefault(key, {}).setdefault(result.run_id, result)
    return [_agreement(sorted(runs.values(), key=_order)) for runs in sets.values()]


def names_of(results: Sequence[RunResult]) -> list[str]:
    """What runs on the same images are called; with their id where two share a name."""
    shared = Counter(result.method for result in results)
    return [
        escape.plain(r.method) + (f" #{r.run_id[:6]}" if shared[r.method] > 1 else "")
        for r in results
    ]


def stems_of(agreements: Sequence[Agreement]) -> list[str]:
    """What the names of files about each end with: its data set, told apart by its images."""
    alone = Counter(one.data for one in agreements)
    names = [
        one.data if alone[one.data] == 1 else f"{one.data} {one.results[0].images_id}"
        for one in agreements
    ]
    safe = safe_names(names)
    return [safe[name] for name in names]


def _order(result: RunResult) -> tuple[str, str]:
    return result.method, result.run_id


def _agreement(results: Sequence[RunResult]) -> Agreement:
    stores = [RunStore(result.path) for result in results]
    records = [
        {sample: record for sample, record in store.records().items() if record.status == "done"}
        for store in stores
    ]
    most = max(map(len, records))
    compared = [place for place, own in enumerate(records) if len(own) == most]
    everything = sorted(set().union(*records))
    tasks = [
        _Task(
            tuple(
                (store, own[sample]) if sample in own else None
                for store, own in zip(stores, records, strict=True)
            ),
            tuple(compared),
        )
        for sample in everything
    ]
    values, objects = [], [dict[str, PredictedObjects]() for _ in results]
    samples = []
    with Steps(f"comparing predictions on {results[0].data}", len(tasks)) as steps:
        for sample, found in zip(everything, side_by_side(_compare, tasks, __name__), strict=True):
            for own, predicted in zip(objects, found.objects, strict=True):
                if predicted is not None:
                    own[sample] = predicted
            if found.values is not None:
                samples.append(sample)
                values.append(found.values)
            steps.advance(sample)
    shape = (0, len(compared), len(compared))
    return Agreement(
        results[0].data,
        results[0].data_label or results[0].data,
        results,
        [results[place] for place in compared],
        samples,
        np.stack(values) if values else np.empty(shape),
        objects,
        _entries(results),
    )


@dataclass(frozen=True)
class _Task:
    """One image: where each run has its prediction, and which runs are compared."""

    predictions: tuple[tuple[RunStore, Record] | None, ...]
    compared: tuple[int, ...]


@dataclass(frozen=True)
class _Found:
    objects: tuple[PredictedObjects | None, ...]
    values: Floats | None


def _compare(task: _Task) -> _Found:
    labels = [_read(place) for place in task.predictions]
    objects = tuple(None if each is None else _objects(each) for each in labels)
    some = [labels[place] for place in task.compared]
    whole = [each for each in some if each is not None]
    return _Found(objects, _between(whole) if len(whole) == len(some) else None)


def _read(place: tuple[RunStore, Record] | None) -> Labels | None:
    """The prediction; None where there is none, or it is damaged, which `action=check` reports."""
    try:
        return None if place is None else place[0].prediction(place[1])
    except BenchmarkError:
        return None


def _objects(labels: Labels) -> PredictedObjects:
    ids, areas = np.unique(labels, return_counts=True)
    own = areas[ids > 0]
    return PredictedObjects(own, float(own.sum() / labels.size) if labels.size else 0.0)


def _between(labels: Sequence[Labels]) -> Floats:
    """MSA between label images of one image, each with each."""
    values = np.full((len(labels), len(labels)), np.nan)
    for i, j in combinations(range(len(labels)), 2):
        values[i, j] = values[j, i] = agreement_of(labels[i], labels[j])
    return values


def agreement_of(a: Labels, b: Labels) -> float:
    """MSA between two label images, in either order the same; NaN where both are empty."""
    found = match(a, b)
    n_a, n_b = len(found.true), len(found.predicted)
    if n_a == n_b == 0:
        return float("nan")
    return mean_segmentation_accuracy(true_positives(found, _THRESHOLDS), n_a, n_b)


def _entries(results: Sequence[RunResult]) -> dict[str, Entry]:
    for result in results:
        try:
            return {entry.id: entry for entry in prepared_of(result).entries}
        except BenchmarkError:
            continue
    return {}
