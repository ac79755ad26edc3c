"""The choice that a job asks for: the search is resumed where images are missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.choices import config_folders
from benchmark.console import note
from benchmark.data.prepared import PreparedData
from benchmark.errors import BenchmarkError, UsageError
from benchmark.job import Job
from benchmark.scoring.metrics import find_metric
from benchmark.store.files import disk_errors
from benchmark.tuning import figures
from benchmark.tuning.grid import Grid, find_grid
from benchmark.tuning.images import choosing_images
from benchmark.tuning.search import Search
from benchmark.tuning.selection import Selection


class NothingChosenError(BenchmarkError):
    """Too many images failed, so that nothing is chosen; the same command resumes."""


@dataclass(frozen=True)
class Made:
    """A choice that was made.

    Attributes:
        selection: the choice.
        search: the digest of its search.
        folder: what was written: the choice, its table and figures, and the model's YAML.
        failed: how many images failed.
    """

    selection: Selection
    search: str
    folder: Path
    failed: int


def check_tunable(job: Job) -> None:
    """Refuse models and options that no search is possible with; nothing is read for it.

    Raises:
        UsageError: an option is invalid, or the model can't be tuned.
    """
    if job.info.sees_truth or job.attends:
        raise UsageError(
            f"model '{job.model_name}' can't be tuned: it is given more than images to predict "
            "from."
        )
    find_metric(job.settings.tune.metric)
    grid_of(job)
    folds, limit = job.settings.tune.folds, job.settings.tune.limit
    if limit is not None and limit < 1:
        raise UsageError(f"tune.limit is {limit}; it must be 1 or more.")
    if folds is not None and folds < 2:
        raise UsageError(f"tune.folds is {folds}; it must be 2 or more.")


def grid_of(job: Job) -> Grid:
    """The grid that a job asks for.

    Raises:
        UsageError: there is none for the model.
    """
    return find_grid(
        job.settings.tune.grid,
        job.adapter,
        job.parameters,
        model=str(job.settings.model["name"]),
        folders=config_folders(),
    )


def make_choice(job: Job, tested: PreparedData | None, *, wait: bool) -> Made:
    """Predict and score what is missing of a search, choose, and write the choice.

    Args:
        job: of the images that choose.
        tested: the images that results are reported on; None: nobody knows them.
        wait: for another process that works on the search.

    Raises:
        UsageError: no image can choose.
        NothingChosenError: more images fail than errors.max_failures allows.
        SkippedError: the model can't run here.
    """
    metric = find_metric(job.settings.tune.metric)
    search = Search(job, grid_of(job))
    images = choosing_images(job, tested)
    for line in images.remarks():
        note(line)
    failed = search.run(images.entries, wait=wait)
    if len(failed) > job.allowed_failures(len(images.entries)):
        sample, why = next(iter(failed.items()))
        raise NothingChosenError(
            f"{len(failed)} of {len(images.entries)} images failed, e.g. '{sample}': {why}. "
            "Nothing is chosen; running the same command again resumes, and errors.max_failures "
            "allows more."
        )
    scores = search.scores(images.entries, metric)
    if not scores.groups:
        raise UsageError(
            f"no image can choose: {metric.title} is undefined on all {len(images.entries)} for a "
            "point."
        )
    selection = Selection.of(job, search.grid, scores, metric, images)
    folder = selection.write(search.folder, search.digest)
    with disk_errors(folder):
        figures.draw(selection, folder)
    return Made(selection, search.digest, folder, len(failed))
