"""Predictions of a stored run, such as one that was made in another environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from benchmark.errors import ModelError, UsageError
from benchmark.store.store import RunStore
from benchmark.types import Image, Labels, Sample


class StoredRun:
    """Returns for each sample what a run has stored of it.

    Args:
        run: the folder of the run, `results/runs/<name>`.

    Raises:
        UsageError: there is no run.
    """

    version: ClassVar[int] = 1

    def __init__(self, run: str) -> None:
        self._store, _ = _opened(run)
        self._records = self._store.records()
        self._sample = ""

    @classmethod
    def identity(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        """What the run is, in place of where it lies."""
        return {"run": _opened(parameters["run"])[1]}

    def attend(self, sample: Sample) -> None:
        """Take the sample that comes next: a prediction is found by its name."""
        self._sample = sample.id

    def predict(self, image: Image) -> Labels:
        """The labels of the sample last attended to, H x W.

        Raises:
            ModelError: the run has none of this sample, or of an image of another size.
            BenchmarkError: they can't be read.
        """
        record = self._records.get(self._sample)
        if record is None or record.status != "done":
            raise ModelError(
                f"run {self._store.path.name} has no prediction of sample '{self._sample}'. "
                "Complete that run first: repeat its command."
            )
        labels = self._store.prediction(record)
        if labels.shape != image.shape[:2]:
            raise ModelError(
                f"run {self._store.path.name} has a prediction of {labels.shape[0]} x "
                f"{labels.shape[1]} pixels for sample '{self._sample}', whose image has "
                f"{image.shape[0]} x {image.shape[1]}. It is of another data set."
            )
        return labels


def _opened(run: str) -> tuple[RunStore, dict[str, Any]]:
    """A run, and its identity."""
    store = RunStore(Path(run).expanduser())
    described = store.describe() if store.path.is_dir() else None
    if described is None:
        raise UsageError(
            f"model.source_options.run is '{run}', which is not the folder of a stored run. "
            "action=status lists them; they lie in results/runs."
        )
    return store, dict(described["identity"])
