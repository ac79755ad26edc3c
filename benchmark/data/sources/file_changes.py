"""Whether files that were read once are still what they were, without listing them by a loader."""

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
from benchmark.store.files import path_of_id

FOLDERS = "/"
"""In place of a suffix: the names of a folder's folders."""


def watched(files: Iterable[Path]) -> Any:
    """What lies in the folders of some files, beside them too: one that is added counts.

    Returns:
        JSON-able: the folders, each with the suffix that matters in it, and a digest of what
        is there now.
    """
    folders = sorted({(str(file.parent), file.suffix) for file in files})
    # Of folders side by side (a folder per volume, say), another one may be added.
    above = Counter(Path(folder).parent for folder in {folder for folder, _ in folders})
    places = folders + sorted((str(up), FOLDERS) for up, many in above.items() if many > 1)
    return look({"places": [list(place) for place in places], "seen": ""})


def look(known: Any) -> Any:
    """Look at the same places again; what was known where one of them is gone."""
    seen = []
    for folder, suffix in known["places"]:
        try:
            with os.scandir(folder) as entries:
                seen.append(
                    [folder, suffix, sorted(_told(e) for e in entries if _counts(e, suffix))]
                )
        except OSError:
            return known
    return {"places": known["places"], "seen": json_digest(seen)}


def contents(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """A digest of each file's content, wherever the folder is by now.

    None of a file that is gone, or that lies elsewhere: a manifest may name whatever it likes.
    """
    found = {}
    for name in names:
        with suppress(OSError, StoreError):
            found[name] = hashlib.sha256(path_of_id(folder, name).read_bytes()).hexdigest()
    return found


def _counts(entry: os.DirEntry[str], suffix: str) -> bool:
    if entry.name.startswith("."):
        return False
    return entry.is_dir() if suffix == FOLDERS else Path(entry.name).suffix == suffix


def _told(entry: os.DirEntry[str]) -> list[Any]:
    """Name, and of a file size and time of change; what is in a zarr folder is not looked at."""
    if entry.is_dir():
        return [entry.name]
    try:
        stat = entry.stat()
    except FileNotFoundError:  # a link to nothing
        return [entry.name]
    return [entry.name, stat.st_size, stat.st_mtime_ns]
