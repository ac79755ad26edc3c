"""Score the stored predictions again, without a model; or check the scores against elf's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from benchmark.console import Steps, complain, note, say
from benchmark.data.prepared import Entry
from benchmark.errors import DONE, PARTIAL, UsageError
from benchmark.job import Job
from benchmark.match import match
from benchmark.metrics import score
from benchmark.provenance import describe_attempt
from benchmark.record import Record
from benchmark.report.results import load_result
from benchmark.report.write import show
from benchmark.scoring import score_row
from benchmark.types import Labels, Sample


def perform(job: Job) -> int:
    """Score every stored prediction of the run.

    Returns:
        0 if every requested sample has a stored prediction (and, with a reference, equal
        numbers), else 1.

    Raises:
        UsageError: there is no such run yet.
    """
    stored = job.store.records()
    entries = [e for e in job.requested if e.id in stored and stored[e.id].status == "done"]
    if not entries:
        raise UsageError(
            f"no prediction of model '{job.model_name}' on data '{job.data.name}' is stored in "
            f"{job.runs}. Run it first, with the same words and action=run."
        )
    equal = _compare_with_elf(job, entries) if job.settings.reference else _rescore(job, entries)
    missing = len(job.requested) - len(entries)
    if missing:
        note(f"{missing} of {len(job.requested)} requested samples have no stored prediction")
    return DONE if equal and not missing else PARTIAL


def _rescore(job: Job, entries: list[Entry]) -> bool:
    before = job.store.scores(job.score_key)
    with job.store.writing(
        job.store.describe() or job.describe(),  # it may have been made in another environment
        partial(describe_attempt, job.device, job.settings.threads),
        wait=job.settings.lease.wait,
        timeout=job.settings.lease.timeout,
    ) as writer:
        for sample, labels, record in _stored(job, entries, "scoring"):
            row, objects = score_row(sample, labels, str(record.prediction), job.protocol)
            old = before.get(sample.id, {})
            row["attempt"] = old.get("attempt", 0) + 1
            writer.append_score(job.score_key, job.score_basis, row, objects)
    result = load_result(job.store, job.score_key, job.protocol.name)
    if result is not None:
        show([result])
    return True


def _compare_with_elf(job: Job, entries: list[Entry]) -> bool:
    from benchmark.reference import elf_numbers

    different = 0
    protocol = replace(job.protocol, both_empty="zero")  # elf knows no excluded images
    for sample, labels, record in _stored(job, entries, "comparing with elf"):
        ours = score(match(sample.labels, labels), protocol)
        accuracies = tuple(v for k, v in ours.metrics.items() if k.startswith("sa"))
        theirs = elf_numbers(sample.labels, labels, protocol.thresholds)
        if (ours.metrics["msa"], accuracies) != theirs:
            different += 1
            complain(
                f"sample '{sample.id}' (prediction {str(record.prediction)[:12]}): mSA ours "
                f"{ours.metrics['msa']!r}, elf's {theirs[0]!r}; SA ours {accuracies}, "
                f"elf's {theirs[1]}"
            )
    say(
        f"{len(entries)} samples scored with elf: mSA and SA at {len(job.protocol.thresholds)} "
        + (
            f"thresholds DIFFER in {different}."
            if different
            else "thresholds equal to the last bit."
        )
    )
    return different == 0


def _stored(job: Job, entries: list[Entry], doing: str) -> Iterator[tuple[Sample, Labels, Record]]:
    records = job.store.records()
    with Steps(f"{doing} {job.model_name} on {job.data.name}", len(entries)) as steps:
        for entry in entries:
            record = records[entry.id]
            yield job.data.read(entry), job.store.prediction(record), record
            steps.advance(entry.id)
