"""Tables, figures and pages: of stored runs, of the study's numbers, or of both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmark.actions.formats import HTML, JSON
from benchmark.console import note, say, say_json
from benchmark.errors import DONE, UsageError
from benchmark.failures import grouped
from benchmark.job import Job
from benchmark.paper.report import beside, published_report, study_options
from benchmark.report.assemble import Report, assemble
from benchmark.report.options import ReportOptions, check_names, check_pairs, check_truth, titled
from benchmark.report.results import RunResult, gather
from benchmark.report.tables.formats import json_object
from benchmark.report.write import exact_tables, show_report, write_study, writing_reports
from benchmark.scoring.metrics import MSA, Metric
from benchmark.scoring.protocol import words_of
from benchmark.settings import Settings, Source
from benchmark.store.names import safe_name
from benchmark.store.skipped import SkippedModel, read_skipped


def perform(job: Job) -> int:
    """Report what was asked for, and say what is left out and why.

    Raises:
        UsageError: no run is scored under the chosen protocol, or under any.
    """
    settings = job.settings
    # Beside the study's numbers are those of its protocol, unless another is chosen.
    reported = job.reported if settings.source is Source.runs else job.protocol
    results: list[RunResult] = []
    skipped: list[SkippedModel] = []
    left_out: dict[str, str] = {}
    if settings.source is not Source.published:
        results, left_out = gather(job.runs, reported, job.metric)
        skipped = read_skipped(job.runs)
        for line in grouped(left_out, "run"):
            note(f"left out: {line}")
    if settings.source is not Source.runs and job.metric is not MSA:
        raise UsageError(
            f"the study reports {MSA.title} alone; metric={job.metric.name} needs source=runs."
        )
    if settings.source is Source.runs and not results:
        words = " ".join(words_of(job.protocol.name))
        under = f" under protocol '{job.protocol.name}'" if job.narrowed else ""
        raise UsageError(
            f"no run in {job.runs} is scored{under}. Run something first, or score stored "
            f"predictions with action=evaluate {words}."
        )
    options = _options(settings, job.metric)
    if results or skipped:
        report = assemble(results, skipped, left_out, options)
        if settings.source is Source.both:
            report = beside(report, with_demo=settings.with_demo)
    else:
        report = published_report(options)
    _check_comparison(settings, report)
    if settings.format == JSON:
        say_json([json_object(table) for table in exact_tables(report)])
    else:
        show_report(report)
    protocols = sorted({result.protocol for result in results}) or [job.protocol.name]
    name = {
        Source.runs: protocols[0] if len(protocols) == 1 else "all-protocols",
        Source.published: "published",
        Source.both: f"{job.protocol.name}-and-published",
    }[settings.source]
    name += "" if job.metric is MSA else f"-{job.metric.name}"
    folder = Path(settings.results) / "reports" / safe_name(name)
    with writing_reports(settings):
        html, private = settings.format == HTML, settings.gallery.private
        write_study(report, folder, html=html, private=private)
    (note if settings.format == JSON else say)(f"written to {folder}")
    return DONE


def _options(settings: Settings, metric: Metric) -> ReportOptions:
    """The study's options, with those of the command line in their place."""
    wanted, comparison = settings.study_ranks, settings.comparison
    if settings.tieless is not None:
        note("tieless is called study_ranks now; the old name works until version 0.3")
        wanted = settings.tieless if wanted is None else wanted
    with_study = settings.source is not Source.runs
    options = study_options(study_ranks=with_study if wanted is None else wanted)
    options = replace(options, metric=metric, truth=settings.truth or "")
    if comparison.reference is not None:
        options = replace(options, reference=comparison.reference)
    pairs = comparison.pairs_of_names()
    if pairs is not None:
        options = replace(options, pairs=pairs, pairs_title=titled(pairs))
    return options


def _check_comparison(settings: Settings, report: Report) -> None:
    """Refuse a method named in `comparison` that the report has no result of.

    Raises:
        UsageError: there is none, before anything is written.
    """
    check_truth(settings.truth, report.cells["data"])
    comparison, named = settings.comparison, {}
    if comparison.reference is not None:
        named["comparison.reference"] = [comparison.reference]
    pairs = comparison.pairs_of_names() or []
    named["comparison.pairs"] = [name for pair in pairs for name in pair]
    check_names(report.cells, named)
    check_pairs(report.cells, pairs)
    if pairs and report.cells["data"].nunique() < 2:
        note(
            "comparison.pairs counts wins over data sets, and there is one alone; runs_verdict and "
            "runs_tests_pairs compare the methods on it"
        )
