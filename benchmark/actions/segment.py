"""Segment images and export the label images: `action=run` and `action=export` in one."""

from __future__ import annotations

from benchmark.actions import run
from benchmark.actions.export import Export
from benchmark.job import Job


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
