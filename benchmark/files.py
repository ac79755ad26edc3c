"""Writing to disk so that a file is either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from benchmark.errors import StoreError

TEMPORARY = ".tmp"


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says of a full or read-only disk into one clear message.

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


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, and rename it.

    Raises:
        StoreError: the disk is full, the folder read-only, ...
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
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
    """Make a rename in a folder outlast a power cut; does nothing where systems can't."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
                raise
        finally:
            os.close(descriptor)


def sweep_temporaries(folder: Path) -> None:
    """Remove what killed writers left behind under temporary names, in folders below too."""
    for stray in folder.rglob(f".*{TEMPORARY}"):
        # The name ends in its writer's process id. One that lives may still be at it: a
        # report is written without a lease.
        if not Path("/proc", stray.name.split(".")[-2]).exists():
            stray.unlink(missing_ok=True)
