"""The interface of a source of raw images, and helpers that sources share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmark.errors import UsageError
from benchmark.types import Image, Labels

SPLITS = ("test", "val", "all")


@dataclass(frozen=True)
class Raw:
    """One image of a source, not yet read. It goes to another process: `read` must pickle.

    Attributes:
        name: unique in the source, as found (a file's stem).
        group: the volume, slide or movie it belongs to, as found.
        split: `test` or `val`.
        files: its files, for messages.
        read: returns (image, labels), labels None where there are none; raises DataError.
        volume: the file it is a slice of; one process reads all slices of a volume.
        closing: if the recipe keeps this image, those after it are left out.
        labelled: whether it has labels.
        file: the user's own file that is this image alone, if there is one.
    """

    name: str
    group: str
    split: str
    files: str
    read: Callable[[], tuple[Image, Labels | None]]
    volume: str = ""
    closing: bool = False
    labelled: bool = True
    file: str = ""


class Source(Protocol):
    """A source of raw images."""

    def items(self, split: str) -> list[Raw]:
        """The images of a split, in a fixed order.

        Args:
            split: `test`, `val`, or `all` of both.

        Raises:
            UsageError: it has no such split.
        """
        ...

    def fingerprint(self, known: Any = None) -> Any:
        """Return a JSON-able value that changes whenever what would be read may have changed.

        Args:
            known: an earlier fingerprint. A source that learns its files only by listing its
                items looks at the files named here, and returns `known` if they are gone.
        """
        ...


def only(split: str, has: Iterable[str]) -> list[str]:
    """Return the splits that a choice means.

    Raises:
        UsageError: no such split.
    """
    known = list(has)
    if split == "all":
        return known
    if split not in known:
        raise UsageError(f"this data set has no split '{split}'; it has: {', '.join(known)}.")
    return [split]


def abbreviated(texts: Iterable[str], most: int = 5) -> str:
    """Join the first few of many texts, and say how many more there are."""
    everything = sorted(texts)
    more = f"; and {len(everything) - most} more" if len(everything) > most else ""
    return "; ".join(everything[:most]) + more


def file_times(paths: Iterable[Path]) -> list[list[Any]]:
    """Return path, size and modification time of each file.

    Of a folder they are those of all files in it, of a link to nothing its own.
    """
    return [[str(path.resolve()), *_size_and_time(path)] for path in paths]


def _size_and_time(path: Path) -> list[int]:
    if not path.exists():
        return [path.lstat().st_size, path.lstat().st_mtime_ns]
    inside = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else []
    stats = [one.stat() for one in (path, *inside)]
    return [sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)]
