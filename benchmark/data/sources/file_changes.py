"""Detect changes among files that were read before, without asking a loader to list them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmark.errors import StoreError
from benchmark.store.digest import json_digest
from benchmark.store.files import path_of_id, read_file

FOLDERS = "/"
"""In place of a suffix: look at the names of subfolders."""


def snapshot(files: Iterable[Path]) -> Any:
    """Return the state of the folders of some files; a file that is added later changes it.

    Returns:
        JSON-able: the folders, each with the suffix that matters in it, and a digest of what
        they contain now.
    """
    folders = sorted({(str(file.parent), file.suffix) for file in files})
    # Of folders side by side (a folder per volume, say), another one may be added.
    above = Counter(Path(folder).parent for folder in {folder for folder, _ in folders})
    places = folders + sorted((str(up), FOLDERS) for up, many in above.items() if many > 1)
    return snapshot_again({"places": [list(place) for place in places], "seen": ""})


def snapshot_again(known: Any) -> Any:
    """Return the present state of the same folders; `known` itself if one of them is gone."""
    seen = []
    for folder, suffix in known["places"]:
        try:
            with os.scandir(folder) as found:
                states = sorted(_state(entry) for entry in found if _counts(entry, suffix))
            seen.append([folder, suffix, states])
        except OSError:
            return known
    return {"places": known["places"], "seen": json_digest(seen)}


def content_digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return a digest of the content of each file in a folder.

    Files that are gone, or that lie outside of the folder, are left out: the names come from a
    manifest, which may be a stranger's.
    """
    found = {}
    for name in names:
        with suppress(OSError, StoreError):
            found[name] = hashlib.sha256(read_file(path_of_id(folder, name))).hexdigest()
    return found


def _counts(entry: os.DirEntry[str], suffix: str) -> bool:
    if entry.name.startswith("."):
        return False
    return entry.is_dir() if suffix == FOLDERS else Path(entry.name).suffix == suffix


def _state(entry: os.DirEntry[str]) -> list[Any]:
    """Return the name, and of a file size and modification time; zarr folders are not opened."""
    if entry.is_dir():
        return [entry.name]
    try:
        stat = entry.stat()
    except FileNotFoundError:  # a link to nothing
        return [entry.name]
    return [entry.name, stat.st_size, stat.st_mtime_ns]
