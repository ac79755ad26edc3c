"""Every kind of file that the benchmark stores, and what reads it after an edit."""

import os
import time

from helpers.mutations import (
    FILES,
    UNSEEN,
    damaged,
    is_covered,
    leave_files,
    mutations,
    read_all,
)
from helpers.runs import SAMPLES, do, drawn, make_job

from benchmark.actions.export import perform as export
from benchmark.errors import BenchmarkError
from benchmark.scoring.metrics import MSA
from benchmark.store import journal
from benchmark.store.skipped import SkippedModel, read_skipped, record_skipped
from benchmark.store.store import RunStore
from benchmark.tuning.grid import find_grid
from benchmark.tuning.images import choosing_images
from benchmark.tuning.search import Search
from benchmark.tuning.selection import Selection
from benchmark.verify import verify

EXPORTED = "exported"
GRID = {"sigma": [0, 1]}
OTSU = "models.otsu.OtsuWatershed"


def make(root):
    """Make below a folder: two runs, a search, an export, and a model that could not run.

    Returns:
        The name of the run that gets odd.
    """
    odd, whole = _job(root), _job(root, level=1.3)
    do(odd)
    do(whole)
    leave_files(odd.store.path)
    search(root)
    export(_export(root))
    record_skipped(odd.runs, SkippedModel("sam3", "drawn", "", "", "paper", "no weights"))
    for path in root.rglob("lease/*.json"):
        os.utime(path, (time.time() - 3600,) * 2)  # one that is damaged is waited for while new
    return odd.store.path.name


def _job(root, level=1.0, **changes):
    return make_job(root, level=level, **changes)


def _export(root):
    job = _job(root)
    job.settings.output = str(root / EXPORTED)
    return job


def search(root):
    """Choose parameters as `action=tune` does."""
    data = drawn(val_per_style=2) | {"split": "val"}
    job = make_job(root, target=OTSU, data=data)
    grid = find_grid(GRID, job.adapter, job.parameters, model="otsu", folders=[])
    found = Search(job, grid)
    images = choosing_images(job, None)
    assert found.run(images.entries, wait=False) == {}
    # An edited journal may also have rows of other samples, which choose nothing.
    assert found.rows().keys() >= {entry.id for entry in images.entries}
    selection = Selection.of(job, grid, found.scores(images.entries, MSA), MSA, images)
    selection.write(found.folder, found.digest)


def edits(root, odd):
    """Every edit: what kind of file, which file, what, and the content after it."""
    places = {f"results/runs/{odd}/{pattern}": mutations for pattern in FILES} | {
        f"results/runs/{odd}/predictions/*.tif": damaged,
        "results/runs/*.skipped.json": mutations,
        "results/tuning/*/search.json": mutations,
        "results/tuning/*/images/*.jsonl": mutations,
        "results/tuning/*/lease/*.json": mutations,
        "results/tuning/*/*/choice.json": mutations,
        "datasets/*/prepared/*/manifest.jsonl": mutations,
        "datasets/*/prepared/.lease-*/*.json": mutations,
        f"{EXPORTED}/.export-files.json": mutations,
    }
    for pattern, edit in places.items():
        # Of files alike one.
        for file in sorted(root.glob(pattern))[:1]:
            for what, content in edit(file.read_bytes()):
                yield pattern, file.relative_to(root), what, content


def read(root, odd, pattern, what, whole):
    """Read everything after an edit; an AssertionError if something is lost or passes unnoticed.

    Args:
        root: the folder.
        odd: the name of the run that may be odd.
        pattern: of the edited file.
        what: of it was edited.
        whole: its content before.
    """
    runs = root / "results" / "runs"
    journal._warn.cache_clear()
    name = pattern.removeprefix(f"results/runs/{odd}/")
    (content,) = [path.read_bytes() for path in sorted(root.glob(pattern))[:1]]
    if pattern.startswith("results/runs"):
        shown, left_out = read_all(runs, odd)
        (other,) = {store.path.name for store in RunStore.all(runs)} - {odd}
        assert other in shown and shown | left_out == {odd, other}, "a run is not reported"
        faults = verify(RunStore(runs / odd), full=True, workers=1).faults
        if name in UNSEEN:
            assert faults or not is_covered(name, what, content, whole), "check finds nothing"
        read_skipped(runs)
        _again(lambda: _resumed(root))
    elif pattern.startswith("results/tuning"):
        _again(lambda: search(root))
    elif pattern.startswith(EXPORTED):
        _again(lambda: export(_export(root)))
    else:
        _again(lambda: _resumed(root))
        _again(lambda: search(root))


def _again(act):
    """Do something again; an error of ours is a message that is not empty."""
    try:
        act()
    except BenchmarkError as error:
        assert str(error), "an error without a message"


def _resumed(root):
    job = _job(root, overwrite="errors")
    outcome = do(job)
    assert outcome.complete, f"the run is not complete: {outcome}"
    assert job.store.completed() >= {*SAMPLES}, "samples are lost"
    records = job.store.records().values()
    assert all(job.store.holds(record) for record in records if record.sample in SAMPLES)
    assert job.store.scores(job.score_key).keys() >= {*SAMPLES}, "scores are lost"
