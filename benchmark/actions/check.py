"""Verify the prepared data, the model's weights and every stored run."""

from __future__ import annotations

from benchmark.console import Steps, complain, note, say
from benchmark.errors import DONE, PARTIAL, BenchmarkError
from benchmark.job import Job
from benchmark.store.shard_lease import holders
from benchmark.store.store import RunStore
from benchmark.verify import verify


def perform(job: Job) -> int:
    """Read everything and compare it with its digests; see `benchmark.verify` for runs.

    Returns:
        0 if all is as it was written, else 1.
    """
    faults = _check_data(job) + _check_weights(job) + _check_runs(job)
    for fault in faults:
        complain(fault)
    return PARTIAL if faults else DONE


def _check_data(job: Job) -> list[str]:
    faults = []
    with Steps(f"checking {job.data.name}", len(job.data.entries)) as steps:
        for entry in job.data.entries:
            try:
                job.data.read(entry)
            except BenchmarkError as error:
                faults.append(str(error))
            steps.advance(entry.id)
    for warning in job.data.warnings:
        say(f"data '{job.data.name}': {warning}")
    say(f"data '{job.data.name}': {len(job.data.entries)} samples, {len(faults)} faulty")
    return faults


def _check_weights(job: Job) -> list[str]:
    """Compare the weights with their digests, where they are here; none are downloaded."""
    choice = job.weights_choice
    if choice is None:
        return []
    about = choice.about()
    if about.state != "here":
        say(f"weights '{about.name}': not here; {about.state}")
        return []
    try:
        say(f"weights '{choice.fetch().label}': as they should be")
    except BenchmarkError as error:
        return [str(error)]
    return []


def _check_runs(job: Job) -> list[str]:
    faults: list[str] = []
    full = job.settings.check is not None
    stores = RunStore.all(job.runs)
    with Steps("checking runs", len(stores)) as steps:
        for store in stores:
            faults += _check_run(job, store, full=full)
            steps.advance(store.path.name)
    return faults


def _check_run(job: Job, store: RunStore, *, full: bool) -> list[str]:
    name = store.path.name
    working = holders(store.path / "lease", job.settings.lease.timeout)
    if working:
        return [f"run {name}: not checked, as {working[0].who} works on it."]
    found = verify(store, [job.data], full=full, workers=job.settings.workers)
    again = f", {found.rescored} scored again" if full else ""
    say(
        f"run {name}: {found.predictions} of {found.samples} samples predicted, {found.scores} "
        f"scores{again}, {len(found.faults)} faulty"
    )
    unchecked = f"run {name}: not compared with prepared data, which are not here: "
    unchecked += ", ".join(found.unchecked)
    faults = [f"run {name}: {fault}" for fault in found.faults]
    if found.unchecked and full:  # less than was asked for
        return [*faults, f"{unchecked}."]
    if found.unchecked:
        note(unchecked)
    return faults
