"""Choose a model's parameters on validation images."""

from __future__ import annotations

import shlex

from benchmark.console import complain, note, out, say
from benchmark.errors import DONE, PARTIAL, SkippedError, UsageError
from benchmark.job import Job
from benchmark.report.tables import formats
from benchmark.store.shard import WHOLE
from benchmark.tuning.choose import NothingChosenError, check_tunable, make_choice
from benchmark.tuning.images import is_own


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
    check_tunable(job)
    try:
        job.check_ready()
        # Of one's own images nobody knows which will be tested.
        tested = None if is_own(job) else job.of_split("test").data
        made = make_choice(job, tested, wait=job.settings.lease.wait)
    except SkippedError as reason:
        note(f"skipped: {reason}")
        return PARTIAL
    except NothingChosenError as reason:
        complain(str(reason))
        return PARTIAL
    selection, folder = made.selection, made.folder
    out.print(formats.console(selection.table()))
    say(f"chosen: {' '.join(map(shlex.quote, selection.overrides())) or 'the default'}")
    note(
        f"stored in {folder}; --config-dir {shlex.quote(str(folder))} model={selection.model} uses "
        "it"
    )
    return PARTIAL if made.failed else DONE
