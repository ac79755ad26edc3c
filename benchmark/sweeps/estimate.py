"""What jobs would take: images, hours of a device, disk space; nothing is prepared or loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

from benchmark.errors import BenchmarkError, NotImportedError
from benchmark.job import Job
from benchmark.report.results import known_images
from benchmark.sweeps.rates import Measured, Rate, Rates
from benchmark.sweeps.state import RunState, StoredRuns


@dataclass(frozen=True)
class Planned:
    """A job, and what it would take.

    Attributes:
        job: the job.
        state: how far its run is; `samples` as prepared, or else as the data set's card knows it.
        is_prepared: whether its images are prepared.
        rate: how long an image takes; None where nobody measured it.
        trouble: why the user's own images can't be prepared, as far as their names tell.
    """

    job: Job
    state: RunState
    is_prepared: bool
    rate: Rate | None
    trouble: str = ""

    @property
    def model(self) -> str:
        """The model's name, with what differs from its YAML."""
        return self.state.model

    @property
    def data(self) -> str:
        """The data set's name."""
        return self.state.data

    @property
    def hours(self) -> float | None:
        """Hours that remain; None where the number of images or the rate is unknown."""
        if self.state.is_complete:
            return 0.0
        if self.state.samples is None or self.rate is None:
            return None
        return self.state.remaining * self.rate.seconds / 3600


def planned(jobs: Iterable[Job], runs: StoredRuns, table: Sequence[Measured]) -> list[Planned]:
    """What each job would take.

    Args:
        jobs: all of one folder of runs.
        runs: the stored ones.
        table: rates that were measured elsewhere, for models without a stored run.
    """
    states = [(job, runs.of_job(job, ready=False)) for job in jobs]
    rates = Rates(runs.states(), table)  # those of the jobs are among them
    found = []
    for job, state in states:
        samples = state.samples if state.samples is not None else _samples_by_card(job)
        rate = rates.of(state, job.settings.device.name)
        sized = replace(state, samples=samples)
        is_prepared, trouble = _images_of_job(job)
        found.append(Planned(job, sized, is_prepared, rate, trouble))
    return found


def _images_of_job(job: Job) -> tuple[bool, str]:
    """Whether the images are prepared; if the user's own are not, why they can't be."""
    try:
        if job.prepared is not None:
            return True, ""
        if job.has_own_images:
            job.source.fingerprint()
    except NotImportedError:  # of which a plan has a line
        return False, ""
    except BenchmarkError as error:
        return False, str(error)
    return False, ""


def _samples_by_card(job: Job) -> int | None:
    """How many samples a job asks for, as far as the card of its data set knows that."""
    data = job.settings.data
    known = known_images(data, str(data["split"]), job.protocol.name)
    if known is None:
        return None
    return len(job.shard.take(range(known)[: job.settings.limit]))


class Kept(NamedTuple):
    """What the cache of embeddings keeps for one set of weights.

    Attributes:
        weights: their names.
        models: those that share it.
        bytes: of an image, of 512 x 512 pixels; None where nobody measured it.
        images: of all data sets whose number is known.
        largest: of these, of the largest data set.
    """

    weights: str
    models: tuple[str, ...]
    bytes: float | None
    images: int
    largest: int

    def gigabytes(self, images: int) -> float | None:
        """What so many images take; None where their number or size is unknown."""
        return None if self.bytes is None or not images else self.bytes * images / 1e9


def kept(jobs: Sequence[Planned], table: Sequence[Measured]) -> list[Kept]:
    """What the cache keeps for the jobs, by their weights; methods of the same weights share it."""
    sizes = {(line.model, line.demo): line.kept for line in table}

    def weights(each: Planned) -> str:
        try:
            choices = each.job.weights_choices
            caches = not each.job.not_imported and "cache" in each.job.info.parameters
        except BenchmarkError:
            return ""
        return ", ".join(choice.about().name for choice in choices) if caches else ""

    named = sorted(((weights(each), each) for each in jobs), key=lambda pair: pair[0])
    found = []
    for name, group in groupby(named, key=lambda pair: pair[0]):
        if not name:
            continue
        same = [each for _, each in group]
        models = tuple(dict.fromkeys(each.model for each in same))
        known = [sizes.get((each.model, each.state.demo)) for each in same]
        images = images_of(same)
        counts = [count for count in images.values() if count is not None]
        most = None if None in known else max(size for size in known if size is not None)
        found.append(Kept(name, models, most, sum(counts), max(counts, default=0)))
    return found


def images_of(jobs: Iterable[Planned]) -> Mapping[str, int | None]:
    """By data set the most images that one of its jobs asks for; None where that is not known."""
    found: dict[str, int | None] = {}
    for each in jobs:
        known = [n for n in (found.get(each.data), each.state.samples) if n is not None]
        found[each.data] = max(known, default=None)
    return found
