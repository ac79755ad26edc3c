"""Tables, figures and pages: of stored runs, of the study's numbers, or of both."""

from __future__ import annotations

from pathlib import Path

from benchmark.console import note, say
from benchmark.errors import DONE, UsageError
from benchmark.job import Job
from benchmark.report.assemble import assemble
from benchmark.report.results import RunResult, gather
from benchmark.report.write import show_report, write_study, writing_reports
from benchmark.scoring.protocol import words_of
from benchmark.settings import Source
from benchmark.store.names import safe_name
from benchmark.store.skipped import SkippedModel, read_skipped


def perform(job: Job) -> int:
    """Report what was asked for, and say what is left out and why.

    Raises:
        UsageError: no run is scored under the chosen protocol.
    """
    settings = job.settings
    results: list[RunResult] = []
    skipped: list[SkippedModel] = []
    left_out: dict[str, str] = {}
    if settings.source is not Source.published:
        results, left_out = gather(job.runs, job.protocol)
        skipped = read_skipped(job.runs)
        for name, reason in left_out.items():
            note(f"left out: {name}, as {reason}")
    if settings.source is Source.runs and not results:
        words = " ".join(words_of(job.protocol.name))
        raise UsageError(
            f"no run in {job.runs} is scored under protocol '{job.protocol.name}'. Run something "
            f"first, or score stored predictions with action=evaluate {words}."
        )
    published = settings.source is not Source.runs
    tieless = published if settings.tieless is None else settings.tieless
    report = assemble(
        results,
        skipped,
        left_out,
        published=published,
        with_demo=settings.with_demo,
        tieless=tieless,
    )
    show_report(report)
    name = {
        Source.runs: job.protocol.name,
        Source.published: "published",
        Source.both: f"{job.protocol.name}-and-published",
    }[settings.source]
    folder = Path(settings.results) / "reports" / safe_name(name)
    with writing_reports(settings):
        html, private = settings.format is not None, settings.gallery.private
        write_study(report, folder, html=html, private=private)
    say(f"written to {folder}")
    return DONE
