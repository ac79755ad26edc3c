"""Score the stored predictions again, without a model; or check the scores against elf's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import chain, islice

from benchmark.background import BackgroundWorker
from benchmark.console import Steps, complain, note, say
from benchmark.data.prepared import Entry, describe_data
from benchmark.errors import DONE, PARTIAL, UsageError
from benchmark.job import Job
from benchmark.report.results import load_result
from benchmark.report.write import show
from benchmark.rescore import Scored, differences_from_elf, scored, stored
from benchmark.store.provenance import describe_attempt

BATCH = 16
"""Samples whose scores are written at once; a killed evaluation is simply done again."""


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
            f"{job.runs}. Run it first, with the same overrides and action=run."
        )
    equal = _compare_with_elf(job, entries) if job.settings.reference else _rescore(job, entries)
    missing = len(job.requested) - len(entries)
    if missing:
        note(f"{missing} of {len(job.requested)} requested samples have no stored prediction")
    return DONE if equal and not missing else PARTIAL


def _rescore(job: Job, entries: list[Entry]) -> bool:
    before = job.store.scores(job.score_key)
    # It may have been made in another environment; the truth is the one it is scored against now.
    made = job.store.describe() or job.describe()
    with job.store.writing(
        made | describe_data(job.data, job.settings.data),
        partial(describe_attempt, job.device, job.settings.threads),
        wait=job.settings.lease.wait,
        timeout=job.settings.lease.timeout,
    ) as writer:
        samples = stored(job.data, job.store, entries)
        with (
            Steps(f"scoring {job.model_name} on {job.data.name}", len(entries)) as steps,
            closing(scored(samples, job.protocol, job.settings.workers)) as outcomes,
            BackgroundWorker[list[Scored]](1) as behind,  # nobody waits for the disk
        ):

            def write(some: list[Scored]) -> list[Scored]:
                writer.append_scores(job.score_key, job.score_basis, some)
                return some

            def tell(written: Iterable[list[Scored]]) -> None:
                for row, _ in chain.from_iterable(written):
                    steps.advance(row["sample"])

            for some in _batches(outcomes, BATCH):
                for row, _ in some:
                    row["attempt"] = before.get(row["sample"], {}).get("attempt", 0) + 1
                tell(behind.give(partial(write, some)))
            tell(behind.finish())
    result = load_result(job.store, job.score_key, job.protocol.name, metric=job.metric)
    if result is not None:
        show([result])
    return True


def _compare_with_elf(job: Job, entries: list[Entry]) -> bool:
    different = 0
    samples = stored(job.data, job.store, entries)
    with (
        Steps(f"comparing with elf {job.model_name} on {job.data.name}", len(entries)) as steps,
        closing(differences_from_elf(samples, job.protocol, job.settings.workers)) as outcomes,
    ):
        for entry, difference in zip(entries, outcomes, strict=True):
            if difference:
                different += 1
                complain(difference)
            steps.advance(entry.id)
    say(
        f"{len(entries)} samples scored with elf: mSA and SA at {len(job.protocol.thresholds)} "
        + (
            f"thresholds DIFFER in {different}."
            if different
            else "thresholds equal to the last bit."
        )
    )
    return different == 0


def _batches(outcomes: Iterable[Scored], size: int) -> Iterator[list[Scored]]:
    outcomes = iter(outcomes)
    while batch := list(islice(outcomes, size)):
        yield batch
