"""Tables, figure and overlays of all stored runs."""

from __future__ import annotations

from pathlib import Path

from benchmark.console import say
from benchmark.errors import DONE, UsageError
from benchmark.job import Job
from benchmark.report.results import load_results
from benchmark.report.write import show, write_report


def perform(job: Job) -> int:
    """Report every run that is scored under the chosen protocol.

    Raises:
        UsageError: there is none.
    """
    results = load_results(job.runs, job.protocol)
    if not results:
        raise UsageError(
            f"no run in {job.runs} is scored under protocol '{job.protocol.name}'. Run something "
            f"first, or score stored predictions with action=evaluate protocol={job.protocol.name}."
        )
    show(results)
    folder = write_report(results, Path(job.settings.results) / "reports" / job.protocol.name)
    say(f"written to {folder}")
    return DONE
