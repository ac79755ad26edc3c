"""Arrays kept on disk by what made them, so that nothing is computed twice: a cache of one size.

An entry is an `.npz` file, whose format has checksums: one that is damaged is a miss. It comes by
renaming, so that processes may share a cache and be killed; nobody holds a lock. Its time of
change is that of its last use: the longest unused goes first when room is needed.

All entries are in a marked folder of the cache's own, and nothing is removed but files with names
of exactly the form that is written there: the user may name a folder that holds other files.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.background import BackgroundWorker
from benchmark.console import note
from benchmark.errors import StoreError
from benchmark.store.files import temporary_name
from benchmark.store.owned import has_marker, staging_path, write_marker

PLACE = "BENCHMARK_CACHE"
"""Environment variable: the folder that holds the cache's own; else one in the user's cache."""

OWN = "embeddings-v1"
"""Name of the cache's own folder."""

_NAME = re.compile(r"[0-9a-f]{32,64}\.npz|\.[0-9a-f]{32,64}\.npz\.[0-9a-f]{8}-[0-9]+\.tmp")
_SHELF = re.compile(r"[0-9a-f]{2}")

_WAITING = 2  # entries that may wait to be written
_LOOK = 0.01  # of its size: what is written between two looks at what all processes wrote
_AFTER = 0.95  # of its size: what is left once room was made
_SPARE = 1 << 30  # bytes that stay free on the disk


class Entry(NamedTuple):
    """What is kept.

    Attributes:
        arrays: by name; they come back with the same values, and the same order in memory, on
            which the choice of a library's algorithm can depend.
        details: JSON-able.
    """

    arrays: Mapping[str, NDArray[Any]]
    details: Mapping[str, Any]


class Cache:
    """Entries on disk. It may fail in any way a disk can: then nothing is kept, with a message.

    Args:
        place: the folder in which the cache's own is made when it is needed.
        size: bytes that the entries may take; written beside each other, processes may exceed it
            by a hundredth each.
    """

    def __init__(self, place: Path, size: int) -> None:
        self.folder, self.size = place / OWN, size
        self._behind: BackgroundWorker[None] = BackgroundWorker(_WAITING)
        self._unseen = float("inf")  # bytes written since the last look

    def get(self, key: str) -> Entry | None:
        """An entry; None where there is none, or it is damaged.

        Args:
            key: 32 to 64 hexadecimal digits.
        """
        path = self._path(key)
        if not has_marker(self.folder):
            return None
        try:
            entry = _unpacked(path)
        except FileNotFoundError:
            return None
        except Exception as error:  # zipfile and numpy raise what they like on damaged files
            note(f"cache: {path} is damaged and made again ({type(error).__name__}: {error})")
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):  # taken away meanwhile, or not ours to touch
            os.utime(path)
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry; it is written beside what comes next."""
        self._behind.give(lambda: self._write(self._path(key), entry))

    def finish(self) -> None:
        """Wait until all is written."""
        self._behind.finish()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npz"

    def _write(self, path: Path, entry: Entry) -> None:
        temporary = path.with_name(temporary_name(path.name))
        try:
            if not self._is_own():
                _warn(
                    f"cache: {self.folder} was not made by the cache: {_WITHOUT}. Remove or rename "
                    f"it, or name another folder by {PLACE}."
                )
                return
            content = _packed(entry)
            if len(content) > self.size or not self._has_room(len(content)):
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)  # not flushed: what a power cut damages is made again
            with contextlib.suppress(FileNotFoundError):  # another process made room with it
                temporary.replace(path)
        except (OSError, MemoryError, StoreError) as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            cause = error.__cause__ if isinstance(error, StoreError) else error
            why = getattr(cause, "strerror", None) or str(error) or "out of memory"
            _warn(f"cache: {self.folder} can't be written ({why}): {_WITHOUT}")

    def _is_own(self) -> bool:
        """Whether the folder is the cache's own; it is made where it is not there."""
        if has_marker(self.folder):
            return True
        if not (self.folder.exists() and any(self.folder.iterdir())):
            with staging_path(self.folder) as new:
                new.mkdir()
                write_marker(new)  # before it has its name: other processes never see it unmarked
                with contextlib.suppress(OSError):  # another process was quicker
                    new.rename(self.folder)
        return has_marker(self.folder)

    def _has_room(self, more: int) -> bool:
        """Whether so many bytes may be written; room is made for them where it is needed."""
        self._unseen += more
        if self._unseen > _LOOK * self.size:
            self._make_room(more)
            self._unseen = 0.0
        if shutil.disk_usage(self.folder).free < more + _SPARE:
            _warn(f"cache: the disk of {self.folder} is nearly full: {_WITHOUT}")
            return False
        return True

    def _make_room(self, more: int) -> None:
        """Take away the longest unused; what killed writers left behind is among them."""
        found = []
        for shelf in self.folder.iterdir():
            if not _SHELF.fullmatch(shelf.name) or shelf.is_symlink() or not shelf.is_dir():
                continue
            with contextlib.suppress(FileNotFoundError), os.scandir(shelf) as files:
                for file in files:
                    if not _is_entry(file, shelf.name):
                        continue
                    with contextlib.suppress(FileNotFoundError):  # by another process, just now
                        stat = file.stat()
                        found.append((stat.st_mtime_ns, stat.st_size, file.path))
        total = more + sum(size for _, size, _ in found)
        if total > self.size:
            for _, size, path in sorted(found):
                Path(path).unlink(missing_ok=True)
                total -= size
                if total <= _AFTER * self.size:
                    break


def _is_entry(file: os.DirEntry[str], shelf: str) -> bool:
    """Whether a file has a name that `_write` gives to one on this shelf, temporaries included."""
    fits = _NAME.fullmatch(file.name) is not None and file.name.lstrip(".").startswith(shelf)
    return fits and file.is_file(follow_symlinks=False)


@functools.cache
def _warn(text: str) -> None:
    note(text)


_WITHOUT = "nothing more is kept, and what is not there is computed"


@functools.cache
def _cache(place: Path, size: int) -> Cache:
    return Cache(place, size)


def open_cache(size: int) -> Cache | None:
    """The cache of this user, one in a process; None for a size of 0."""
    own = os.environ.get(PLACE)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(own) if own else Path(base, "cell-segmentation-benchmark", "embeddings")
    return _cache(folder, size) if size else None


def _packed(entry: Entry) -> bytes:
    orders = {
        name: sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
        for name, array in entry.arrays.items()
    }
    laid_out = {name: array.transpose(orders[name]) for name, array in entry.arrays.items()}
    details = json.dumps({"told": entry.details, "orders": orders})
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **laid_out, told=np.array(details))
    return buffer.getvalue()


def _unpacked(path: Path) -> Entry:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
        known = json.loads(str(found["told"]))
        arrays = {
            name: found[name].transpose(np.argsort(order))
            for name, order in known["orders"].items()
        }
    return Entry(arrays, known["told"])
