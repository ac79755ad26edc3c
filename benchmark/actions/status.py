"""Which runs are complete, partial, failed, or being worked on."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from benchmark.console import note, out, printable
from benchmark.errors import DONE
from benchmark.job import Job
from benchmark.lease import describe_holder, is_held
from benchmark.store import RunStore


def perform(job: Job) -> int:
    """Print one line per run."""
    stores = RunStore.all(job.runs)
    if not stores:
        note(f"no runs in {job.runs}")
        return DONE
    table = Table("run", "model", "data", "samples", "done", "failed", "state")
    for store in stores:
        described = store.describe() or {}
        records = store.records().values()
        done = sum(record.status == "done" for record in records)
        lease = store.path / "lease"
        state = "complete" if done == described["samples"] else "partial"
        if is_held(lease, job.settings.lease.timeout):
            state = f"running: {describe_holder(lease)}"
        cells = (store.path.name, described["model"], described["data"])
        counts = (described["samples"], done, len(records) - done)
        table.add_row(*(Text(printable(str(cell))) for cell in (*cells, *counts, state)))
    out.print(table)
    return DONE
