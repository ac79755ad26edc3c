"""A record (one line of a run's journal), and which of several records of a sample counts."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import msgspec

from benchmark.profiling import highest


class Record(msgspec.Struct, frozen=True):
    """The outcome of one sample: one line of the journal.

    Attributes:
        sample: the sample's id.
        status: `done` or `error`.
        attempt: 1 for the first try at this sample; the highest counts.
        prediction: digest of the stored label image (None for an error).
        seconds: wall time of `predict`.
        stages: seconds of its stages, where the adapter reports them; of a cached stage the
            seconds of its computation.
        cached: the stages that were cached, with the seconds that fetching took instead.
        memory: peak of the prediction in bytes: `host`, and `device` where there is one.
        stage_memory: the same by stage, where the adapter reports it; of a cached stage the peak
            of its computation.
        warm_up: the first prediction after the model was loaded; no run-time table counts it.
        details: what else the adapter reports (`batch_size`, `reproducible`, ...).
        error: the reason (None for done).
        traceback: where a model raised it, for its author.
    """

    sample: str
    status: str
    attempt: int
    prediction: str | None = None
    seconds: float | None = None
    stages: dict[str, float] = {}
    memory: dict[str, int] = {}
    warm_up: bool = False
    details: dict[str, Any] = {}
    error: str | None = None
    traceback: str | None = None
    cached: dict[str, float] = {}
    stage_memory: dict[str, dict[str, int]] = {}

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> Record:
        """Convert a row of the journal; unknown keys (of a newer version) are ignored."""
        if row.keys() <= _NAMES:
            return cls(**row)
        return cls(**{name: row[name] for name in _NAMES if name in row})

    @property
    def computed_seconds(self) -> float | None:
        """Seconds of the prediction if no stage had been cached, for tables of run time."""
        if self.seconds is None:
            return None
        saved = (self.stages.get(stage, took) - took for stage, took in self.cached.items())
        return self.seconds + sum(saved)

    @property
    def computed_memory(self) -> dict[str, int]:
        """Peak memory of the prediction if no stage had been cached."""
        return functools.reduce(highest, self.stage_memory.values(), self.memory)


_NAMES = frozenset(Record.__struct_fields__)


def latest(rows: Iterator[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return by sample the row that counts.

    It is the one of the highest attempt. Two folders of one run that were merged may have equal
    attempts: one that is done counts before one that failed, else the last one read.
    """

    def rank(row: dict[str, Any]) -> tuple[int, bool]:
        return row.get("attempt", 0), row.get("status") != "error"

    latest: dict[str, dict[str, Any]] = {}
    for row in rows:
        before = latest.get(row["sample"])
        if before is None or rank(row) >= rank(before):
            latest[row["sample"]] = row
    return latest
