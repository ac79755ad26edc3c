"""A prepared data set: found where it was prepared before, or prepared now."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.console import note
from benchmark.data.build import build
from benchmark.data.prepared import PreparedData, read_fingerprint
from benchmark.data.sources.base import SPLITS, Source
from benchmark.errors import DataError, UsageError
from benchmark.store.digest import canonical_json, json_digest
from benchmark.store.identity import identity_target
from benchmark.store.lease import Lease
from benchmark.store.names import safe_name
from benchmark.workers import Workers, default_workers

VERSION = 3
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
    workers: int | None = None,
    expect: Mapping[str, str] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PreparedData:
    """The prepared data set; prepared now if it was not before, or if its source changed.

    Once a public data set is prepared, its download may be deleted. The user's own images have to
    stay: they are looked up each time, so that one that was changed or added is seen.

    Args:
        name: the data set's name.
        source: where its raw images come from.
        recipe: what is done to each.
        parameters: the source's parameters; with its fingerprint, the split and the recipe
            they name the folder, but for those that the source calls `circumstances`.
        datasets: the folder of all data sets.
        split: which samples the caller wants.
        allowed_failures: how many of n images may be unreadable; those are kept in the
            manifest with the reason. More than that, and nothing is prepared.
        workers: processes that prepare; None: one per core.
        expect: the digests `images` and `labels` of the test split, where they are pinned.
        on_progress: called with (images done, images in all).

    Raises:
        DataError: files that don't pair, too many unreadable images, or other digests than
            expected.
        UsageError: there is no such split.
        StoreError: the disk is full or read-only.
    """
    home, key = _place(name, source, recipe, parameters, datasets, split)
    folder = _found(home, key, source)
    if folder is None:
        lease = Lease(home / f".lease-{key}", timeout=300)
        lease.acquire(
            wait=True, on_wait=lambda holder: note(f"waiting for {holder}, which prepares {name}")
        )
        crew = Workers(workers or default_workers(), "benchmark.data.build")
        try:
            if getattr(source, "slow", False):
                crew.start()
            raws = source.items(split)
            fingerprint = source.fingerprint()
            folder = home / f"{key}-{json_digest(fingerprint)[:8]}"
            if not folder.is_dir():
                build(
                    name,
                    raws,
                    recipe,
                    folder,
                    fingerprint=fingerprint,
                    workers=crew,
                    allowed_failures=allowed_failures,
                    on_progress=on_progress,
                )
        finally:
            crew.close()
            lease.release()
    data = PreparedData(folder, name, split)
    if expect and split == "test":
        _refuse_other(data, expect)
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
    """The data set if it was prepared before, asked for as by `prepare`; else None."""
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
    """The folder of everything prepared of a data set, and the beginning of names in it."""
    if split not in SPLITS:
        raise UsageError(f"data.split is '{split}'; it must be one of: {', '.join(SPLITS)}.")
    circumstances = getattr(source, "circumstances", ())
    content = {key: value for key, value in parameters.items() if key not in circumstances}
    if "_target_" in content:
        content["_target_"] = identity_target(type(source), content["_target_"])
    if content.get("root"):  # the same folder, however it is spelled
        # os.path's own, as pathlib's raises where `~` begins no home.
        content["root"] = str(Path(os.path.expanduser(content["root"])).resolve())  # noqa: PTH111
    key = json_digest([VERSION, content, list(recipe), split])[:16]
    return datasets / safe_name(name) / "prepared", key


def _found(home: Path, key: str, source: Source) -> Path | None:
    """The folder prepared from what the source still holds, or from files now deleted."""
    for folder in home.glob(f"{key}-*"):
        known = read_fingerprint(folder)
        if canonical_json(source.fingerprint(known)) == canonical_json(known):
            return folder
    return None


def _refuse_other(data: PreparedData, expect: Mapping[str, str]) -> None:
    found = {"images": data.images_digest(), "labels": data.labels_digest()}
    for kind, digest in expect.items():
        if found[kind] != digest:
            raise DataError(
                f"data '{data.name}': its {kind} are not those that were published: digest "
                f"{found[kind]}, expected {digest}. Its source, its parameters or its recipe "
                "has changed: restore them, or score what is there with data.expect=null."
            )
