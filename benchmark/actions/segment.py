"""Segment images and export the label images: `action=run` and `action=export` in one."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.actions import run
from benchmark.actions.export import Export
from benchmark.job import Job


def imports(job: Job) -> Sequence[str]:
    """Modules that it will want: a sweep has the next job import them ahead."""
    return run.imports(job)


def perform(job: Job) -> int:
    """Predict what is missing, as `action=run` does, then export what is stored.

    Returns:
        0 if every requested sample is predicted and exported, else 1.

    Raises:
        UsageError: the output is not allowed; nothing was predicted.
        StoreError: a file would be replaced that was not exported; nothing was predicted.
    """
    export = Export.of(job)
    status = run.perform(job)
    done = job.store.completed()
    entries = [entry for entry in job.requested if entry.id in done]
    return max(status, export.write(entries)) if entries else status
