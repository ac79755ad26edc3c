"""A grid of parameters predicted and scored on validation images, resumed image by image."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from benchmark.adapter import predict_each
from benchmark.background import prefetch
from benchmark.console import Steps, note
from benchmark.data.prepared import Entry
from benchmark.errors import BenchmarkError, StoreError
from benchmark.job import Job
from benchmark.run import describe_error, seed_everything
from benchmark.scoring.interior import match_interior
from benchmark.scoring.match import match
from benchmark.scoring.metrics import Metric, find_metric, required, score
from benchmark.settings import Action, Overwrite
from benchmark.store.digest import array_digest, json_digest
from benchmark.store.files import disk_errors, path_of_id, write_whole
from benchmark.store.journal import Journal
from benchmark.store.lease import Lease
from benchmark.store.plain import text_of
from benchmark.store.shapes import Count
from benchmark.tuning.grid import Grid
from benchmark.types import Image, Labels, Sample, Segmenter, check_labels

_WRITER = "scores"  # one file: the lease lets one process write
_READ_AHEAD = 2


class SearchRow(TypedDict):
    """A line of the journal: the scores of all points on one image.

    Attributes:
        sample: its id.
        group: its group.
        points: of each point the number of its label image; equal ones have one number.
        metrics: name -> a value for each distinct label image.
    """

    sample: str
    group: str
    points: list[Count]
    metrics: dict[str, list[float | None]]


@dataclass(frozen=True)
class Scores:
    """What a choice is made from.

    Attributes:
        values: images x points.
        groups: of each image.
        undefined: images that are left out, as the metric is undefined for a point.
    """

    values: NDArray[np.float64]
    groups: Sequence[str]
    undefined: int


class Search:
    """The scores of a grid on the validation images of a job, stored in a folder of their own.

    The folder belongs to the model, its parameters, the images, the protocol and the points; the
    number of images, the metric and the rule may change, and nothing is predicted again for them
    (but for a metric that is optional, if it was not the one that chose before).

    Args:
        job: the model and the images.
        grid: the points.
    """

    def __init__(self, job: Job, grid: Grid) -> None:
        self._job, self.grid = job, grid
        self._metric = find_metric(job.settings.tune.metric)
        # An edited adapter of one's own begins another search.
        basis = {
            "run": job.identity,
            "code": job.adapter_code,
            "scores": job.score_basis,
            "points": [*grid.points],
        }
        self._description = {"model": job.model_name, "data": job.data.name, **basis}
        self.digest = json_digest(basis)
        tuning = Path(job.settings.results) / "tuning"
        self.folder = path_of_id(tuning, f"{job.label}-{self.digest[:16]}")
        self._journal = Journal(self.folder / "images", SearchRow)

    def run(self, entries: Sequence[Entry], *, wait: bool) -> dict[str, str]:
        """Predict and score all points on the images that are not stored yet.

        Args:
            entries: labelled images.
            wait: for another process that works on the search.

        Returns:
            Of each image that failed the reason. No further image begins once more have failed
            than errors.max_failures allows.

        Raises:
            RunHeldError: another process works on the search.
            StoreError: it can't be written.
            BenchmarkError: the model can't be built.
        """
        settings = self._job.settings
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        lease = Lease(self.folder / "lease", settings.lease.timeout)
        lease.acquire(wait, lambda holder: note(f"waiting for {holder}"))
        try:
            self._journal.repair()
            text = json.dumps(self._description, indent=1)
            write_whole(self.folder / "search.json", f"{text}\n".encode())
            again = settings.overwrite is Overwrite.all and settings.action is Action.tune
            stored = {} if again else self.rows()
            return self._predict([entry for entry in entries if entry.id not in stored], lease)
        finally:
            lease.release()

    def _predict(self, missing: Sequence[Entry], lease: Lease) -> dict[str, str]:
        failed: dict[str, str] = {}
        allowed = self._job.allowed_failures(len(missing))
        if not missing:
            return failed
        segmenter = self._job.load_model()
        with (
            Steps(f"tuning {self._job.model_name} on {self._job.data.name}", len(missing)) as steps,
            closing(prefetch(self._job.data.read, missing, _READ_AHEAD)) as samples,
        ):
            for entry, reading in samples:
                try:
                    row = self._row(segmenter, reading.result())
                except BenchmarkError as error:
                    failed[entry.id] = text_of(error)
                except (Exception, SystemExit) as error:  # a model may raise anything
                    failed[entry.id] = describe_error(error)
                else:
                    if lease.lost:
                        raise StoreError(f"another process took over the search in {self.folder}.")
                    self._journal.append(_WRITER, row)
                if entry.id in failed:
                    note(f"sample '{entry.id}' failed: {failed[entry.id]}")
                    if len(failed) > allowed:
                        break
                steps.advance(entry.id)
        return failed

    def _row(self, segmenter: Segmenter, sample: Sample) -> dict[str, Any]:
        """Predict and score all points on one image; equal label images are scored once."""
        assert sample.labels is not None
        job, numbers = self._job, dict[str, int]()
        points, metrics = [], {name: list[float | None]() for name in self._metrics}
        for labels in self._predictions(segmenter, sample):
            digest = array_digest(labels)
            if digest not in numbers:
                numbers[digest] = len(numbers)
                pair = sample.labels, labels
                interior = match_interior(*pair) if self._metric.optional else None
                found = score(match(*pair), job.protocol, interior).metrics
                for name, values in metrics.items():
                    values.append(found[name])
            points.append(numbers[digest])
        if len(points) != len(self.grid.points):
            raise ValueError(f"{len(points)} predictions of {len(self.grid.points)} settings")
        return {"sample": sample.id, "group": sample.group, "points": points, "metrics": metrics}

    def _predictions(self, segmenter: Segmenter, sample: Sample) -> Iterator[Labels]:
        """Yield the label image of each point; every one starts from the seed of its image."""
        job, image = self._job, sample.image
        each = predict_each(segmenter, image, self._settings(), job.load_model)
        while True:
            seed_everything(job.settings.seed, sample.id)
            labels = next(each, None)
            if labels is None:
                return
            yield self._checked(labels, image, sample.id)

    def _settings(self) -> list[Mapping[str, Any]]:
        """The points as settings; the default is what the segmenter was built with."""
        return [{}, *self.grid.points[1:]]

    def _checked(self, labels: Labels, image: Image, sample: str) -> Labels:
        return check_labels(labels, image, model=self._job.model_name, of=f"sample '{sample}'")

    def rows(self) -> dict[str, SearchRow]:
        """What is stored: sample -> its last complete line."""
        rows: dict[str, Any] = {row["sample"]: row for row in self._journal.rows()}
        return {sample: row for sample, row in rows.items() if self._is_whole(row)}

    def _is_whole(self, row: SearchRow) -> bool:
        """Whether a line has a value for each metric that it has to have, and each point."""
        count = max(row["points"], default=-1) + 1
        columns = [row["metrics"].get(name, ()) for name in self._metrics]
        return len(row["points"]) == len(self.grid.points) and all(
            len(column) == count for column in columns
        )

    @property
    def _metrics(self) -> list[str]:
        """The metrics of a line: an optional one costs time, and is there only if it decides."""
        return list(dict.fromkeys([*required(), self._metric.name]))

    def scores(self, entries: Sequence[Entry], metric: Metric) -> Scores:
        """The scores of all points on those of these images that are stored; higher is better."""
        rows = self.rows()
        stored = [rows[entry.id] for entry in entries if entry.id in rows]
        # None becomes NaN.
        values = np.array(
            [
                np.array(row["metrics"][metric.name], float)[row["points"]] * metric.sign
                for row in stored
            ]
        ).reshape(len(stored), len(self.grid.points))
        defined = ~np.isnan(values).any(1)
        groups = [row["group"] for row, kept in zip(stored, defined, strict=True) if kept]
        return Scores(values[defined], groups, int((~defined).sum()))
