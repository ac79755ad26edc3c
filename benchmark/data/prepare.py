"""Raw -> prepared: one image in memory at a time, and a folder that is complete or absent."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.console import note
from benchmark.data.prepared import Entry, PreparedData, manifest_text
from benchmark.data.sources import Raw, Source, some
from benchmark.data.transforms import Step, apply
from benchmark.digest import array_digest, json_digest
from benchmark.errors import DataError
from benchmark.files import disk_errors, sync_folder, write_whole
from benchmark.lease import Lease
from benchmark.names import safe_name, safe_names
from benchmark.tiff import tiff_bytes
from benchmark.types import Image, Labels

VERSION = 2
"""Raised when preparation itself changes what it writes; older folders are then left alone."""


def prepare(
    name: str,
    source: Source,
    recipe: Sequence[Mapping[str, Any]],
    *,
    parameters: Mapping[str, Any],
    datasets: Path,
    split: str,
    allowed_failures: Callable[[int], int],
    expect: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PreparedData:
    """The prepared data set; prepared now if it was not before, or if its source changed.

    Args:
        name: the data set's name.
        source: where its raw images come from.
        recipe: what is done to each.
        parameters: the source's parameters; with its fingerprint and the recipe they name
            the folder.
        datasets: the folder of all data sets.
        split: which samples the caller wants.
        allowed_failures: how many of n images may be unreadable; those are kept in the
            manifest with the reason. More than that, and nothing is prepared.
        expect: the digests `images` and `labels` of the test split, where they are pinned.
        on_progress: called with (images done, images in all).

    Raises:
        DataError: files that don't pair, too many unreadable images, or other digests than
            expected.
        StoreError: the disk is full or read-only.
    """
    key = json_digest([VERSION, dict(parameters), source.fingerprint(), list(recipe)])[:16]
    home = datasets / safe_name(name) / "prepared"
    folder = home / key
    if not folder.is_dir():
        lease = Lease(home / f".lease-{key}", timeout=300)
        lease.acquire(
            wait=True, on_wait=lambda holder: note(f"waiting for {holder}, which prepares {name}")
        )
        try:
            if not folder.is_dir():
                _build(name, source, recipe, folder, allowed_failures, on_progress)
        finally:
            lease.release()
    data = PreparedData(folder, name, split)
    if expect and split == "test":
        found = {"images": data.images_digest(), "labels": data.labels_digest()}
        for kind, digest in expect.items():
            if found[kind] != digest:
                raise DataError(
                    f"data '{name}': its {kind} are not those that were published: digest "
                    f"{found[kind]}, expected {digest}. Its source, its parameters or its recipe "
                    "has changed: restore them, or score what is there with data.expect=null."
                )
    return data


def _build(
    name: str,
    source: Source,
    recipe: Sequence[Mapping[str, Any]],
    folder: Path,
    allowed_failures: Callable[[int], int],
    on_progress: Callable[[int, int], None],
) -> None:
    raws = source.items()
    ids = safe_names(raw.name for raw in raws)
    building = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(building, ignore_errors=True)  # of a preparation that was killed
    entries: list[Entry] = []
    with disk_errors(building):
        for kind in ("images", "labels"):
            (building / kind).mkdir(parents=True)
    try:
        for done, raw in enumerate(raws):
            on_progress(done, len(raws))
            entries += _prepare_one(raw, ids[raw.name], recipe, building)
        on_progress(len(raws), len(raws))
        _refuse_failures(name, entries, len(raws), allowed_failures(len(raws)))
        if not entries:
            raise DataError(f"data '{name}': its source and recipe leave no sample.")
        taken = Counter(entry.id.casefold() for entry in entries)
        double = [key for key, count in taken.items() if count > 1]
        if double:
            raise DataError(
                f"data '{name}': its recipe makes two samples of one id: {some(double)}."
            )
        write_whole(building / "manifest.jsonl", manifest_text(entries).encode())
        with disk_errors(folder):
            building.rename(folder)
            sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _prepare_one(
    raw: Raw, safe: str, recipe: Sequence[Mapping[str, Any]], folder: Path
) -> Iterator[Entry]:
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
    for suffix, one_image, one_labels in pieces:
        # The suffix may make a long name too long.
        yield _write(raw, safe_name(safe + suffix), one_image, one_labels, folder)


def _after(recipe: Sequence[Mapping[str, Any]], raw: Raw, image: Image, labels: Labels) -> Step:
    """Run the recipe; what is wrong with the image is said with the names of its files."""
    try:
        yield from apply(recipe, image, labels)
    except DataError as error:
        raise DataError(f"{raw.files}: {error}") from error


def _write(raw: Raw, sample: str, image: Image, labels: Labels, folder: Path) -> Entry:
    for kind, array in (("images", image), ("labels", labels)):
        write_whole(folder / kind / f"{sample}.tif", tiff_bytes(array))
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


def _refuse_failures(name: str, entries: Sequence[Entry], images: int, allowed: int) -> None:
    failed = [entry.error for entry in entries if entry.error is not None]
    if len(failed) > allowed:
        of = f"{len(failed)} of {images} images" if len(failed) > 1 else "one image"
        raise DataError(
            f"data '{name}': {of} can't be used: {some(failed)} "
            "Mend or remove the files, or go on without them: errors.max_failures="
            f"{len(failed)}."
        )
