"""A journal: a folder of JSON lines, to which each writer appends in a file of its own.

Nothing is ever rewritten, so a process killed at any moment can at worst leave its last
line unfinished. Readers take the union of all files and pass over such a line.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmark.console import note
from benchmark.errors import StoreError
from benchmark.store import shapes
from benchmark.store.digest import canonical_json
from benchmark.store.files import disk_errors, path_of_id, read_file, sync_folder
from benchmark.store.names import is_safe

_BLOCK = 1 << 16  # bytes that are searched at a time for the last end of line


class Journal:
    """The rows of one kind in a run.

    Args:
        folder: holds `<writer>.jsonl` files; made by the first append.
        shape: the type of a row, as in `benchmark.store.shapes`; one that does not fit is damaged.
    """

    def __init__(self, folder: Path, shape: Any = dict[str, Any]) -> None:
        self.folder = folder
        self._shape = shape

    def append(self, writer: str, *rows: dict[str, Any] | str) -> None:
        """Add rows and flush them to the disk, once for all of them.

        Args:
            writer: names the file; nobody else may append under the same name.
            rows: JSON-able, or already a line of canonical JSON.

        Raises:
            StoreError: it could not be written; the file is as it was before.
        """
        path = path_of_id(self.folder, writer, ".jsonl")
        texts = (row if isinstance(row, str) else canonical_json(row) for row in rows)
        lines = "".join(f"{text}\n" for text in texts).encode()
        with disk_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            is_new = not path.exists()
            with path.open("ab", buffering=0) as file:
                before = file.seek(0, os.SEEK_END)
                try:
                    if file.write(lines) != len(lines):
                        raise OSError("the disk took only a part of the lines")
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(before)
                    raise
            if is_new:
                sync_folder(self.folder)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield every complete row, file by file in the order of their names; see `written`."""
        return (row for _, row in self.written())

    def written(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield every complete row with its writer.

        A damaged line in the middle of a file is passed over with a warning, and so is one of a
        sample whose id is no safe name: the sample counts as not done.

        Raises:
            StoreError: a file can't be read.
        """
        read = shapes.quick_reader(self._shape)  # not kept: worker processes get journals
        for path in sorted(self.folder.glob("*.jsonl")):
            writer = path.stem
            for number, line in enumerate(_lines(path)[0], start=1):
                row = read(line)  # without keys that no reader knows
                if row is None or not _is_safe(row["sample"]):
                    row = self._row(line)
                if row is None:
                    _warn(path, number)
                else:
                    yield writer, row

    def damage(self) -> Iterator[str]:
        """Yield a sentence for each damaged line, and for each unfinished one at the end of a file.

        Raises:
            StoreError: a file can't be read.
        """
        for path in sorted(self.folder.glob("*.jsonl")):
            lines, end = _lines(path)
            for number, line in enumerate(lines, start=1):
                if self._row(line) is None:
                    yield (
                        f"{path}, line {number}, is damaged: what it recorded is lost. Repeat the "
                        "command that made it, which does it again, and remove the line."
                    )
            if end:
                yield (
                    f"{path} ends in an unfinished line: what it recorded is lost. The next run "
                    "does it again, and cuts the line off."
                )

    def writers(self) -> set[str]:
        """Return who has added rows."""
        return {path.stem for path in self.folder.glob("*.jsonl")}

    def _row(self, line: bytes) -> dict[str, Any] | None:
        """Return the row in a line; None if it is damaged, or of a sample without a safe name."""
        row = _parsed(line)
        if row is None or shapes.misfit(row, self._shape) is not None:
            return None
        return row if is_safe(row.get("sample", "none")) else None

    def repair(self, mine: Callable[[str], bool] = lambda writer: True) -> None:
        """Cut off unfinished last lines. Requires the right to write to these files.

        Args:
            mine: whether a writer's file may be repaired; others may be in use.

        Raises:
            StoreError: a file can't be repaired.
        """
        for path in filter(lambda path: mine(path.stem), self.folder.glob("*.jsonl")):
            with disk_errors(path):
                whole = _end_of_lines(path)
                if whole < path.stat().st_size:
                    os.truncate(path, whole)


def _lines(path: Path) -> tuple[list[bytes], bytes]:
    """Return the lines of a file, and what stands after the last end of line.

    Raises:
        StoreError: it can't be read.
    """
    try:
        *lines, end = read_file(path).split(b"\n")
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}.") from error
    return lines, end


_is_safe = functools.lru_cache(1 << 16)(is_safe)  # each sample has a line in several journals


def _end_of_lines(path: Path) -> int:
    """Return the offset after the last complete line; searched backwards, as files are large."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - _BLOCK)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            end = begin
    return 0


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the row in a line; None if the line is damaged."""
    try:
        row = shapes.parse(line.decode())  # of bytes, json guesses the encoding each time
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


@functools.cache  # a run reads its journals several times
def _warn(path: Path, number: int) -> None:
    note(
        f"warning: {path}, line {number}, is damaged and was skipped: what it recorded of "
        "counts as not done, and the next run does it again"
    )
