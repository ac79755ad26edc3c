"""Raw images -> a folder of prepared ones: streamed, by several processes, complete or absent."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.geometry import Step
from benchmark.data.prepared import Entry, LeftOut, Manifest
from benchmark.data.sources.base import Raw, abbreviated
from benchmark.data.transforms import apply
from benchmark.errors import DataError, StoreError
from benchmark.store.digest import array_digest
from benchmark.store.files import disk_errors, path_of_id, sync_folder, write_synced
from benchmark.store.names import doubles, safe_name, safe_names
from benchmark.store.owned import staging_path
from benchmark.store.tiff import tiff_bytes
from benchmark.types import Image, Labels
from benchmark.workers import WORTH_WORKERS, Workers

CHUNK, SLICES = 16, 64
"""Files, or slices of a volume, that a worker gets at a time."""

Recipe = Sequence[Mapping[str, Any]]
Outcomes = Generator[list[Entry | LeftOut], None, None]


@dataclass(frozen=True)
class Task:
    """Some images for one worker.

    Attributes:
        raws: with the safe form of each one's name.
        recipe: what is done to each.
        folder: where they go.
    """

    raws: tuple[tuple[Raw, str], ...]
    recipe: Recipe
    folder: Path


def build(
    name: str,
    raws: Sequence[Raw],
    recipe: Recipe,
    folder: Path,
    *,
    fingerprint: Any,
    workers: Workers,
    allowed_failures: Callable[[int], int],
    on_progress: Callable[[int, int], None],
) -> None:
    """Prepare images in a temporary folder, and rename it once it is complete.

    Args:
        name: the data set's name, for messages.
        raws: the images, in order.
        recipe: what is done to each.
        folder: what the temporary folder becomes.
        fingerprint: of the source; stored with the manifest.
        workers: the processes that prepare; of one, all is done in this one.
        allowed_failures: how many of n images may be unreadable.
        on_progress: called with (images done, images in all).

    Raises:
        DataError: too many unreadable images, or two samples of one id.
        StoreError: the disk is full or read-only, or too small for what is to come.
    """
    # A folder of its own process: a killed preparation's workers may still write into theirs.
    with staging_path(folder) as building:
        with disk_errors(folder):
            for kind in ("images", "labels"):
                (building / kind).mkdir(parents=True)
        entries: list[Entry] = []
        left_out: list[LeftOut] = []
        # Closed, so that no worker writes on into a folder that is removed.
        with closing(_outcomes(raws, recipe, building, workers, on_progress)) as outcomes:
            for outcome in outcomes:
                entries += [entry for entry in outcome if isinstance(entry, Entry)]
                left_out += [entry for entry in outcome if isinstance(entry, LeftOut)]
        looked_at = len({entry.original for entry in entries}) + len(left_out)
        _refuse_failures(name, entries, looked_at, allowed_failures(looked_at))
        if not entries:
            raise DataError(f"data '{name}': its source and recipe leave no sample.")
        double = doubles(entry.id for entry in entries)
        if double:
            raise DataError(
                f"data '{name}': its recipe makes two samples of one id: {abbreviated(double)}."
            )
        Manifest(entries, left_out, fingerprint).write(building)
        with disk_errors(folder):
            building.rename(folder)
            sync_folder(folder.parent)


def _outcomes(
    raws: Sequence[Raw],
    recipe: Recipe,
    folder: Path,
    workers: Workers,
    on_progress: Callable[[int, int], None],
) -> Outcomes:
    """What became of the images, in their order, up to the one that closes the data set."""
    ids = safe_names(raw.name for raw in raws)
    ends = [index for index, raw in enumerate(raws) if raw.closing]
    on_progress(0, ends[0] + 1 if ends else len(raws))
    edges = [0, *(index + 1 for index in ends), len(raws)]
    parallel = workers.count > 1 and len(raws) >= WORTH_WORKERS
    done = 0
    for start, stop in pairwise(edges):
        part = raws[start:stop]
        total = len(raws) if start else stop
        last: list[Entry | LeftOut] = []
        tasks = [
            Task(tuple((raw, ids[raw.name]) for raw in some_raws), recipe, folder)
            for some_raws in (_chunks(part) if parallel else ([raw] for raw in part))
        ]
        alone = (perform(task) for task in tasks)
        with closing(workers.outcomes(perform, tasks) if parallel else alone) as outcomes:
            for task, outcome in zip(tasks, outcomes, strict=True):
                yield outcome
                if not done:
                    _refuse_small_disk(folder, len(task.raws), total)
                done += len(task.raws)
                on_progress(done, total)
                last = outcome
        if (
            part
            and part[-1].closing
            and any(isinstance(entry, Entry) and entry.original == part[-1].name for entry in last)
        ):
            return


def _chunks(raws: Sequence[Raw]) -> Iterator[list[Raw]]:
    """Neighbouring images: slices of one volume, or a few files."""
    for volume, group in groupby(raws, key=lambda raw: raw.volume):
        items = list(group)
        size = SLICES if volume else CHUNK
        yield from (items[k : k + size] for k in range(0, len(items), size))


def perform(task: Task) -> list[Entry | LeftOut]:
    """Prepare some images; what can't be prepared is an entry with the reason."""
    return [
        outcome
        for raw, safe in task.raws
        for outcome in _prepare_one(raw, safe, task.recipe, task.folder)
    ]


def _prepare_one(raw: Raw, safe: str, recipe: Recipe, folder: Path) -> Iterator[Entry | LeftOut]:
    try:
        image, labels = raw.read()
        if image.shape[:2] != labels.shape:
            height_width = " x ".join(map(str, labels.shape))
            raise DataError(
                f"{raw.files}: the image is {' x '.join(map(str, image.shape))}, its labels "
                f"are {height_width}: height and width must agree."
            )
        pieces = list(_after(recipe, raw, image, labels))
    except DataError as error:
        yield Entry(id=safe, original=raw.name, group=raw.group, split=raw.split, error=str(error))
        return
    if not pieces:
        yield LeftOut(raw.name, raw.split)
    for suffix, one_image, one_labels in pieces:
        # The suffix may make a long name too long.
        yield _write(raw, safe_name(safe + suffix), one_image, one_labels, folder)


def _after(recipe: Recipe, raw: Raw, image: Image, labels: Labels) -> Step:
    """Run the recipe; what is wrong with the image is said with the names of its files."""
    try:
        yield from apply(recipe, image, labels)
    except DataError as error:
        raise DataError(f"{raw.files}: {error}") from error


def _write(raw: Raw, sample: str, image: Image, labels: Labels, folder: Path) -> Entry:
    for kind, array in (("images", image), ("labels", labels)):
        write_synced(path_of_id(folder / kind, sample, ".tif"), tiff_bytes(array))
    return Entry(
        id=sample,
        original=raw.name,
        group=raw.group,
        split=raw.split,
        image_digest=array_digest(image),
        labels_digest=array_digest(labels),
        shape=image.shape,
        dtype=str(image.dtype),
        objects=int(np.count_nonzero(np.unique(labels))),
    )


def _refuse_failures(name: str, entries: Iterable[Entry], images: int, allowed: int) -> None:
    failed = [f"sample '{e.id}': {e.error}" for e in entries if e.error is not None]
    if len(failed) > allowed:
        of = f"{len(failed)} of {images} images" if len(failed) > 1 else "one image"
        raise DataError(
            f"data '{name}': {of} can't be used: {abbreviated(failed)} "
            "Correct or remove the files, or go on without them: errors.max_failures="
            f"{len(failed)}."
        )


def _refuse_small_disk(folder: Path, done: int, total: int) -> None:
    """Judge by the first images whether all will fit, before hours are spent."""
    written = sum(path.stat().st_size for path in folder.rglob("*.tif"))
    needed = written / done * (total - done)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"{folder.parent}: the prepared images will need about {needed / 1e9:.1f} GB more, "
            f"and {free / 1e9:.1f} GB are free. Make room, or keep them elsewhere: "
            "datasets=<folder>."
        )
