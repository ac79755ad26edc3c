"""Choose a model's parameters on validation images."""

from __future__ import annotations

import shlex

from benchmark.choices import config_folders
from benchmark.console import complain, note, out, say
from benchmark.data.prepared import Entry
from benchmark.errors import DONE, PARTIAL, SkippedError, UsageError
from benchmark.job import Job
from benchmark.report.tables import formats
from benchmark.scoring.metrics import find_metric
from benchmark.store.shard import WHOLE
from benchmark.tuning.grid import find_grid
from benchmark.tuning.search import Search
from benchmark.tuning.selection import Selection


def perform(job: Job) -> int:
    """Predict and score the grid on the images, choose, and write the choice.

    Returns:
        0 if every image was predicted at every point, else 1; 1 also where the model can't run
        here.

    Raises:
        UsageError: an option is invalid, the model can't be tuned, or no image can choose.
    """
    if job.shard != WHOLE or job.settings.shards > 1:
        raise UsageError("action=tune has no shards; all images choose together.")
    if job.info.sees_truth or job.attends:
        raise UsageError(
            f"model '{job.model_name}' can't be tuned: it is given more than images to predict "
            "from."
        )
    metric = find_metric(job.settings.tune.metric)
    grid = find_grid(
        job.settings.tune.grid,
        job.adapter,
        job.parameters,
        model=str(job.settings.model["name"]),
        folders=config_folders(),
    )
    try:
        job.check_ready()
    except SkippedError as reason:
        note(f"skipped: {reason}")
        return PARTIAL
    entries = labelled(job)
    search = Search(job, grid)
    failed = search.run(entries)
    if len(failed) > job.allowed_failures(len(entries)):
        sample, why = next(iter(failed.items()))
        complain(
            f"{len(failed)} of {len(entries)} images failed, e.g. '{sample}': {why}. Nothing is "
            "chosen; running the same command again resumes, and errors.max_failures allows more."
        )
        return PARTIAL
    scores = search.scores(entries, metric)
    if not scores.groups:
        raise UsageError(
            f"no image can choose: {metric.title} is undefined on all {len(entries)} for a point."
        )
    selection = Selection.of(job, grid, scores, metric)
    out.print(formats.console(selection.table()))
    folder = selection.write(search.folder)
    say(f"chosen: {' '.join(map(shlex.quote, selection.overrides())) or 'the default'}")
    note(
        f"stored in {folder}; --config-dir {shlex.quote(str(folder))} model={selection.model} uses "
        "it"
    )
    return PARTIAL if failed else DONE


def labelled(job: Job) -> list[Entry]:
    """The images that choose: of those asked for the labelled ones.

    Raises:
        UsageError: the limit is none, or no image has labels.
    """
    limit = job.settings.tune.limit
    if limit is not None and limit < 1:
        raise UsageError(f"tune.limit is {limit}; it must be 1 or more.")
    wanted = job.requested[:limit]
    entries = [entry for entry in wanted if not entry.is_unlabelled]
    if not entries:
        raise UsageError(f"no image of data '{job.data.name}' that was asked for has labels.")
    if len(entries) < len(wanted):
        note(
            f"{len(wanted) - len(entries)} of {len(wanted)} images have no labels and can't choose"
        )
    return entries
