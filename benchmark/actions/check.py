"""Verify the prepared data, the model's weights and every stored prediction."""

from __future__ import annotations

from benchmark.console import Steps, complain, say
from benchmark.errors import DONE, PARTIAL, BenchmarkError
from benchmark.job import Job
from benchmark.store.store import RunStore


def perform(job: Job) -> int:
    """Read everything and compare it with its digests.

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
    faults = []
    for store in RunStore.all(job.runs):
        found: list[str] = []
        try:
            store.describe()
            records = [r for r in store.records().values() if r.status == "done"]
        except BenchmarkError as error:
            faults.append(str(error))
            continue
        with Steps(f"checking {store.path.name}", len(records)) as steps:
            for record in records:
                try:
                    store.prediction(record)
                except BenchmarkError as error:
                    found.append(str(error))
                steps.advance(record.sample)
        say(f"run {store.path.name}: {len(records)} predictions, {len(found)} faulty")
        faults += found
    return faults
