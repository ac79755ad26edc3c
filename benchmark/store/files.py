"""Atomic writes, safe paths, and names of temporary files."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.errors import StoreError
from benchmark.store.machine import process_start, short_digest
from benchmark.store.names import is_safe

TEMPORARY = ".tmp"
_LONGEST_NAME = 255  # bytes of a file's name, on the file systems in use
_TEMPORARY_NAME = re.compile(rf"\..+\.([0-9a-f]{{8}})-([0-9]+){re.escape(TEMPORARY)}")
_FORGOTTEN = 24 * 3600.0  # seconds after which a temporary file of another machine is abandoned


def path_of_id(folder: Path, identifier: object, suffix: str = "") -> Path:
    """Return the path of the file or folder that is stored under an id, directly in `folder`.

    Ids of samples, runs and cards are read from files that may come from anybody. Every path that
    is built from one is built here.

    Args:
        folder: the folder that contains it.
        identifier: the id; letters, digits, `_`, `-` and `.`, as `names.safe_names` makes them.
        suffix: the suffix of the file's name.

    Raises:
        StoreError: the id is unsafe as a file's name, or the path is a link out of the folder.
    """
    if not is_safe(identifier, _LONGEST_NAME - len(suffix)):
        raise StoreError(
            f"the id {ascii(identifier)[:80]} can't be the name of a file in {folder}: ids have "
            "letters, digits, '_', '-' and '.' only. Whatever named it is damaged, or not to be "
            "trusted; remove it."
        )
    path = folder / f"{identifier}{suffix}"
    refuse_link_out(path, folder)
    return path


def inside(path: str, folder: str) -> Path:
    """Return a path from a configuration that has to lie below a folder, as a relative path.

    Args:
        path: as written.
        folder: what a message calls the folder.

    Raises:
        ValueError: it leads out of that folder, or is the folder itself.
    """
    below = Path(path)
    if below.is_absolute() or ".." in below.parts or not below.parts or "\0" in path:
        raise ValueError(f"{path!a} is not a path below {folder}")
    return below


def refuse_special(path: Path) -> None:
    """Refuse a pipe, a device or a socket, which can be read without end or never.

    Raises:
        OSError: `path` is one, or a link to one.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "not a file, but a pipe or a device", str(path))


def read_file(path: Path) -> bytes:
    """Read a file that may come from anybody.

    Raises:
        OSError: it can't be read, or is a pipe or a device.
    """
    refuse_special(path)
    return path.read_bytes()


def parse_json(content: str | bytes) -> Any:
    """Parse JSON that may come from anybody.

    Raises:
        ValueError: it is not valid, or nested too deeply.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def refuse_link_out(path: Path, folder: Path) -> None:
    """Refuse a link that leads out of a folder; the folder itself may be one, to another disk.

    Raises:
        StoreError: `path` is such a link.
    """
    if path.is_symlink():
        # Not `resolve`, which raises where links go round in a circle.
        target, home = (Path(os.path.realpath(place)) for place in (path, folder))
        if not target.is_relative_to(home):
            raise StoreError(
                f"{path} is a link to {target}, out of {folder}. Nothing is read or written there: "
                "put what it should hold in its place, or remove the link."
            )


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Convert an OSError (a full or a read-only disk, say) into a StoreError with a remedy.

    Raises:
        StoreError: any OSError inside.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"can't write {path}: {error.strerror or error}. What was stored before stays valid; "
            "make room (or the folder writable) and run the same command again."
        ) from error


def require_space(folder: Path, needed: float, purpose: str, remedy: str) -> None:
    """Refuse to begin what will not fit on a disk.

    Args:
        folder: where it will be written; it exists.
        needed: bytes.
        purpose: what needs them, for the message ("the prepared images").
        remedy: how to write it elsewhere ("datasets=<folder>").

    Raises:
        StoreError: less is free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"{folder}: {purpose} will need about {needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB "
            f"are free. Make room, or choose another place: {remedy}."
        )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, and rename it.

    Raises:
        StoreError: the disk is full, the folder read-only, ...
    """
    temporary = path.with_name(temporary_name(path.name))
    with disk_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and flush it to the disk: for a folder that is renamed once complete.

    Raises:
        StoreError: the disk is full, the folder read-only, ...
    """
    with disk_errors(path), path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder, so that a rename in it survives a power cut; no effect on Windows."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
                raise
        finally:
            os.close(descriptor)


def temporary_name(name: str) -> str:
    """Return a hidden name that is unique to this process; it identifies host and process."""
    return f".{name}.{short_digest()}-{os.getpid()}{TEMPORARY}"


def sweep_temporaries(folder: Path, below: bool = True) -> None:
    """Remove the temporary files that killed processes left behind.

    Args:
        folder: the folder to search.
        below: search its subfolders as well.
    """
    for stray in folder.rglob(f".*{TEMPORARY}") if below else folder.glob(f".*{TEMPORARY}"):
        with contextlib.suppress(FileNotFoundError):
            if stray.is_file() and is_abandoned(stray):
                stray.unlink()


def is_abandoned(path: Path) -> bool:
    """Whether a path has a name from `temporary_name` and the process that made it has ended.

    Processes that work on other shards of the run write their own temporary files meanwhile. A
    process on another machine can't be looked up: its files are abandoned after a day.

    Raises:
        FileNotFoundError: there is no such path.
    """
    found = _TEMPORARY_NAME.fullmatch(path.name)
    if found is None:
        return False
    host, process = found.groups()
    if host != short_digest():
        return time.time() - path.stat().st_mtime > _FORGOTTEN
    return process_start(int(process)) is None
