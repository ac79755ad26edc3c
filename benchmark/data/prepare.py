"""Prepare a data set: find it if it was prepared before, or build a folder of it now.

A folder is built from a stream of images by several processes; it is complete or does not exist.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.console import note
from benchmark.data.prepared import Entry, LeftOut, Manifest, PreparedData, read_fingerprint
from benchmark.data.remarks import Remark, collected
from benchmark.data.sources.base import SPLITS, Raw, Source, abbreviated
from benchmark.data.transforms import Step, apply, emptying_step, steps_that_need_labels
from benchmark.errors import DataError, UsageError
from benchmark.store.digest import array_digest, canonical_json, json_digest
from benchmark.store.files import disk_errors, path_of_id, require_space, sync_folder, write_synced
from benchmark.store.identity import identity_target
from benchmark.store.lease import Lease
from benchmark.store.names import doubles, safe_name, safe_names
from benchmark.store.owned import staging_path, sweep_killed
from benchmark.store.tiff import tiff_bytes
from benchmark.types import Image, Labels
from benchmark.workers import WORTH_WORKERS, Workers, default_workers

VERSION = 3
"""Raised when preparation changes what it writes; older folders are then ignored."""

CHUNK, SLICES = 16, 64
"""Numbers of files, and of slices of a volume, in a task of a worker."""

Recipe = Sequence[Mapping[str, Any]]
Outcomes = Generator[list[Entry | LeftOut], None, None]


@dataclass(frozen=True)
class Task:
    """Images for one worker.

    Attributes:
        raws: the images, each with the safe form of its name.
        recipe: the steps applied to each.
        folder: the folder to write to.
    """

    raws: tuple[tuple[Raw, str], ...]
    recipe: Recipe
    folder: Path


def prepare(
    name: str,
    source: Source,
    recipe: Sequence[Mapping[str, Any]],
    *,
    parameters: Mapping[str, Any],
    datasets: Path,
    split: str,
    allowed_failures: Callable[[int], int],
    workers: int | None = None,
    expect: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PreparedData:
    """Return the prepared data set; prepare it if it was not prepared, or if its source changed.

    Once a public data set is prepared, its download may be deleted. The user's own images have to
    stay: they are looked up each time, so that changes are noticed.

    Args:
        name: the data set's name.
        source: the source of its raw images.
        recipe: the steps applied to each.
        parameters: the source's parameters; with its fingerprint, the split and the recipe
            they determine the folder's name, except those in the source's `circumstances`, and
            those with a value of its `as_before`.
        datasets: the folder of all data sets.
        split: `test`, `val` or `all`.
        allowed_failures: how many of n images may be unreadable; the manifest names them
            with the reason. If there are more, nothing is prepared.
        workers: number of processes; None: one per core.
        expect: the digests `images` and `labels` of the test split, if they are pinned.
        on_progress: called with (images done, images in all).

    Raises:
        DataError: files that don't pair, too many unreadable images, or other digests than
            expected.
        UsageError: there is no such split; a step of the recipe needs labels that are missing.
        StoreError: the disk is full or read-only.
    """
    home, key = _place(name, source, recipe, parameters, datasets, split)
    folder = _found(home, key, source)
    place = home / f".lease-{key}"
    if folder is not None:
        sweep_killed(folder, place)
    else:
        lease = Lease(place, timeout=300)
        lease.acquire(
            wait=True, on_wait=lambda holder: note(f"waiting for {holder}, which prepares {name}")
        )
        processes = Workers(workers or default_workers(), __name__)
        try:
            if getattr(source, "slow", False):
                processes.start()
            with collected() as remarks:
                raws = source.items(split)
            fingerprint = source.fingerprint()
            folder = home / f"{key}-{json_digest(fingerprint)[:8]}"
            if not folder.is_dir():
                _build(
                    name,
                    raws,
                    recipe,
                    folder,
                    fingerprint=fingerprint,
                    workers=processes,
                    allowed_failures=allowed_failures,
                    on_progress=on_progress,
                    remarks=remarks,
                )
                for warning in PreparedData(folder, name, split).warnings:
                    note(f"data '{name}': {warning}")
        finally:
            processes.close()
            lease.release()
    data = PreparedData(folder, name, split)
    if expect and split == "test":
        _refuse_other_digests(data, expect)
    return data


def find(
    name: str,
    source: Source,
    recipe: Sequence[Mapping[str, Any]],
    *,
    parameters: Mapping[str, Any],
    datasets: Path,
    split: str,
) -> PreparedData | None:
    """Return the data set if it was prepared before (arguments as of `prepare`); else None."""
    folder = _found(*_place(name, source, recipe, parameters, datasets, split), source)
    return PreparedData(folder, name, split) if folder else None


def _place(
    name: str,
    source: Source,
    recipe: Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any],
    datasets: Path,
    split: str,
) -> tuple[Path, str]:
    """Return the folder of a data set's prepared folders, and the prefix of their names."""
    if split not in SPLITS:
        raise UsageError(f"data.split is '{split}'; it must be one of: {', '.join(SPLITS)}.")
    circumstances = getattr(source, "circumstances", ())
    before = getattr(source, "as_before", {})
    content = {
        key: value
        for key, value in parameters.items()
        if key not in circumstances and not (key in before and before[key] == value)
    }
    if "_target_" in content:
        content["_target_"] = identity_target(type(source), content["_target_"])
    if content.get("root"):  # the same folder, regardless of spelling
        # os.path's own, as pathlib's raises where `~` begins no home.
        content["root"] = str(Path(os.path.expanduser(content["root"])).resolve())  # noqa: PTH111
    key = json_digest([VERSION, content, list(recipe), split])[:16]
    return datasets / safe_name(name) / "prepared", key


def _found(home: Path, key: str, source: Source) -> Path | None:
    """Return the folder prepared from the source's present files, or from files now deleted.

    What a data set is called changes nothing in it, so that it is also found under another name.
    """
    elsewhere = home.parent.parent.glob(f"*/{home.name}/{key}-*")
    for folder in (*home.glob(f"{key}-*"), *elsewhere):
        known = read_fingerprint(folder)
        if canonical_json(source.fingerprint(known)) == canonical_json(known):
            return folder
    return None


def _refuse_other_digests(data: PreparedData, expect: Mapping[str, str]) -> None:
    found = {"images": data.images_digest(), "labels": data.labels_digest()}
    for kind, digest in expect.items():
        if found[kind] != digest:
            raise DataError(
                f"data '{data.name}': its {kind} are not those that were published: digest "
                f"{found[kind]}, expected {digest}. Its source, its parameters or its recipe "
                "has changed: restore them, or score what is there with data.expect=null."
            )


def _build(
    name: str,
    raws: Sequence[Raw],
    recipe: Recipe,
    folder: Path,
    *,
    fingerprint: Any,
    workers: Workers,
    allowed_failures: Callable[[int], int],
    on_progress: Callable[[int, int], None],
    remarks: Sequence[Remark] = (),
) -> None:
    """Prepare images in a temporary folder, and rename it once it is complete.

    Args:
        name: the data set's name, for messages.
        raws: the images, in order.
        recipe: the steps applied to each.
        folder: the folder to create.
        fingerprint: of the source; stored in the manifest.
        workers: the processes; with one, this process does the work.
        allowed_failures: how many of n images may be unreadable.
        on_progress: called with (images done, images in all).
        remarks: what is odd about the source's files as a whole.

    Raises:
        DataError: too many unreadable images, or two samples of one id.
        UsageError: a step of the recipe needs labels that are missing.
        StoreError: the disk is full, read-only, or too small for all images.
    """
    _refuse_unlabelled(name, raws, recipe)
    # A folder of this process: the workers of a killed preparation may still write into theirs.
    with staging_path(folder) as building:
        with disk_errors(folder):
            for kind in ("images", "labels"):
                (building / kind).mkdir(parents=True)
        entries: list[Entry] = []
        left_out: list[LeftOut] = []
        # Closed, so that no worker writes into a folder that is being removed.
        with closing(_outcomes(raws, recipe, building, workers, on_progress)) as outcomes:
            for outcome in outcomes:
                entries += [entry for entry in outcome if isinstance(entry, Entry)]
                left_out += [entry for entry in outcome if isinstance(entry, LeftOut)]
        looked_at = len({entry.original for entry in entries}) + len(left_out)
        _refuse_failures(name, entries, looked_at, allowed_failures(looked_at))
        if not entries:
            raise _nothing_left(name, left_out)
        double = doubles(entry.id for entry in entries)
        if double:
            raise DataError(
                f"data '{name}': its recipe makes two samples of one id: {abbreviated(double)}."
            )
        Manifest(entries, left_out, fingerprint, remarks).write(building)
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
    """Yield the outcome of the images in order, up to the one that closes the data set."""
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
        alone = (_perform(task) for task in tasks)
        with closing(workers.outcomes(_perform, tasks) if parallel else alone) as outcomes:
            for task, outcome in zip(tasks, outcomes, strict=True):
                yield outcome
                if not done:
                    _require_space_for_rest(folder, len(task.raws), total)
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
    """Split into chunks of neighbouring images: slices of one volume, or a few files."""
    for volume, group in groupby(raws, key=lambda raw: raw.volume):
        items = list(group)
        size = SLICES if volume else CHUNK
        yield from (items[k : k + size] for k in range(0, len(items), size))


def _perform(task: Task) -> list[Entry | LeftOut]:
    """Prepare the images of a task; the entry of one that fails gives the reason."""
    return [
        outcome
        for raw, safe in task.raws
        for outcome in _prepare_one(raw, safe, task.recipe, task.folder)
    ]


_TURNED = (
    " One of the files has an Orientation (EXIF, or TIFF tag 274) by which it was turned. Save the "
    "image as it is shown and without that tag, and draw labels on it."
)


def _prepare_one(raw: Raw, safe: str, recipe: Recipe, folder: Path) -> Iterator[Entry | LeftOut]:
    try:
        with collected() as remarks:
            image, labels = raw.read()
        if labels is not None and image.shape[:2] != labels.shape:
            height_width = " x ".join(map(str, labels.shape))
            turned = any(found.kind == "turned" for found in remarks)
            raise DataError(
                f"{raw.files}: the image is {' x '.join(map(str, image.shape))}, its labels "
                f"are {height_width}: height and width must agree.{_TURNED if turned else ''}"
            )
        # Without labels the steps, none of which looks at them, get a blank label image: the
        # images, and so the run id, are the same before and after labels are added.
        seen = np.zeros(image.shape[:2], np.uint8) if labels is None else labels
        pieces = list(_after(recipe, raw, image, seen))
    except DataError as error:
        yield Entry(id=safe, original=raw.name, group=raw.group, split=raw.split, error=str(error))
        return
    if not pieces:
        yield LeftOut(raw.name, raw.split, emptying_step(recipe, image, seen))
    for suffix, one_image, one_labels in pieces:
        # The suffix may make a long name too long.
        kept = None if labels is None else one_labels
        # After a recipe the image is no longer the one in the file.
        file = raw.file if not recipe else ""
        entry = _write(raw, safe_name(safe + suffix), one_image, kept, folder)
        yield replace(entry, file=file, remarks=tuple(remarks))


def _after(recipe: Recipe, raw: Raw, image: Image, labels: Labels) -> Step:
    """Apply the recipe; errors name the image's files."""
    try:
        yield from apply(recipe, image, labels)
    except DataError as error:
        raise DataError(f"{raw.files}: {error}") from error


def _write(raw: Raw, sample: str, image: Image, labels: Labels | None, folder: Path) -> Entry:
    arrays = {"images": image} if labels is None else {"images": image, "labels": labels}
    for kind, array in arrays.items():
        write_synced(path_of_id(folder / kind, sample, ".tif"), tiff_bytes(array))
    return Entry(
        id=sample,
        original=raw.name,
        group=raw.group,
        split=raw.split,
        image_digest=array_digest(image),
        labels_digest=None if labels is None else array_digest(labels),
        shape=image.shape,
        dtype=str(image.dtype),
        objects=0 if labels is None else int(np.count_nonzero(np.unique(labels))),
    )


def _refuse_unlabelled(name: str, raws: Sequence[Raw], recipe: Recipe) -> None:
    """Refuse steps that look at labels where an image has none.

    Which images there are, and what they show, would depend on which labels are there.
    """
    unlabelled = [raw.name for raw in raws if not raw.labelled]
    steps = steps_that_need_labels(recipe) if unlabelled else []
    if steps:
        raise UsageError(
            f"data '{name}': its recipe looks at labels ({', '.join(steps)}), and "
            f"{len(unlabelled)} of {len(raws)} images have none, e.g. '{unlabelled[0]}'. Remove "
            "these steps from data.recipe, or give labels for every image."
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


def _nothing_left(name: str, left_out: Sequence[LeftOut]) -> DataError:
    """The error for a data set without any sample."""
    if not left_out:
        return DataError(f"data '{name}': its source found no image, so there is no sample.")
    steps = Counter(image.step for image in left_out)
    listed = ", ".join(f"{step} left out {many}" for step, many in steps.items())
    found = "one image" if len(left_out) == 1 else f"{len(left_out)} images"
    return DataError(
        f"data '{name}': its source found {found}, and its recipe leaves no sample: {listed}. "
        "Change data.recipe, or look whether these are the images and labels that you mean."
    )


def _require_space_for_rest(folder: Path, done: int, total: int) -> None:
    """Estimate from the first images whether all will fit, before hours are spent."""
    written = sum(path.stat().st_size for path in folder.rglob("*.tif"))
    needed = written / done * (total - done)
    require_space(folder, needed, "the other prepared images", "datasets=<folder>")
