"""Replacing and removing our files in folders that may hold files of others.

Only what a marker, a list of files or the exact form of a name identifies as ours is removed.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from benchmark.console import note
from benchmark.errors import StoreError
from benchmark.store.files import (
    TEMPORARY,
    disk_errors,
    is_abandoned,
    parse_json,
    sweep_temporaries,
    sync_folder,
    temporary_name,
    write_whole,
)

LIST = ".report-files.json"
"""Name of the file that lists a report's files, in its folder."""

MARKER = "CACHEDIR.TAG"
_MARKER_TEXT = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"  # backup programs skip a folder with it
    b"# A cache or temporary folder of the cell segmentation benchmark. It may be deleted.\n"
)
_NAMED = 3  # files named in a message

KnownBy = Sequence[tuple[str, str]]
"""How a report without a list (of an earlier version) is recognised: pairs of a prefix of names and
a pattern of files. The first pair whose prefix matches a name applies to it."""


def write_marker(folder: Path) -> None:
    """Write the marker file, which says that a folder with all its content may be deleted."""
    (folder / MARKER).write_bytes(_MARKER_TEXT)


def has_marker(folder: Path) -> bool:
    """Whether a folder has our marker."""
    try:
        return (folder / MARKER).read_bytes() == _MARKER_TEXT
    except OSError:
        return False


@contextmanager
def staging_path(folder: Path) -> Iterator[Path]:
    """Provide a path in a temporary folder next to `folder`, to build what is then renamed to it.

    The temporary folder has our marker. It is removed at the end, as are those that killed
    processes left.

    Args:
        folder: what is to be created or replaced; its parent is created.

    Yields:
        A path of the same name that does not exist.

    Raises:
        StoreError: the disk is full, the folder read-only, ...
    """
    stage = folder.with_name(temporary_name(folder.name))
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep_staging(folder)
        stage.mkdir()
        try:
            write_marker(stage)
        except OSError:  # the disk is full
            _remove_staging(stage)
            raise
    try:
        yield stage / folder.name
    finally:
        _remove_staging(stage)


def sweep_killed(folder: Path, lease: Path) -> None:
    """Remove what processes left that were killed after they had built a folder.

    Nobody builds it again, and so takes its lease, who would remove it.

    Args:
        folder: what was built by `staging_path`.
        lease: the folder of its lease.
    """
    with contextlib.suppress(OSError):  # of a read-only disk
        _sweep_staging(folder)
        sweep_temporaries(lease, below=False)


def _sweep_staging(folder: Path) -> None:
    mine = folder.with_name(temporary_name(folder.name))
    for stale in folder.parent.glob(f".{glob.escape(folder.name)}.*-*{TEMPORARY}"):
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            # One with this process's number is of an earlier process.
            if stale == mine or is_abandoned(stale):
                _remove_staging(stale)


def _remove_staging(stage: Path) -> None:
    if has_marker(stage):
        for child in stage.iterdir():  # the marker last, so that a killed removal can be completed
            if child.name != MARKER:
                shutil.rmtree(child, ignore_errors=True)
        shutil.rmtree(stage, ignore_errors=True)
    else:  # of a process that could not write all of the marker; anything else is not ours
        with contextlib.suppress(OSError):
            if _MARKER_TEXT.startswith((stage / MARKER).read_bytes()):
                (stage / MARKER).unlink()
        with contextlib.suppress(OSError):
            stage.rmdir()


@contextmanager
def replaced(folder: Path, known_by: KnownBy) -> Iterator[Path]:
    """Provide a folder in which a report is built; its files then replace those of an earlier one.

    Of an earlier report the files on its list are removed; all others stay. If building fails, the
    earlier report is unchanged. Then the files are renamed one by one, and files of the earlier
    report that the new one lacks are removed last. If the process is killed meanwhile, every file
    is on the list, and the next report replaces it.

    Args:
        folder: the report's folder.
        known_by: how reports without a list are recognised; of their files those that the new
            report has as well are replaced, all others are kept, with a message.

    Yields:
        An empty folder.

    Raises:
        StoreError: it can't be written, its list is damaged, or it would replace a file that no
            report wrote.
    """
    folder = folder.resolve()  # it may be a link to another disk
    with staging_path(folder) as new:
        with disk_errors(folder):
            new.mkdir()
        yield new
        with disk_errors(folder):
            _put_in_place(new, folder, known_by)


def _put_in_place(new: Path, folder: Path, known_by: KnownBy) -> None:
    names = _files(new)
    if not folder.exists():
        _write_list(new, names)
        new.rename(folder)
        sync_folder(folder.parent)
        return
    sweep_temporaries(folder, below=False)  # an incomplete list of a killed process
    listed = _listed(folder)
    earlier = set() if listed is not None else _recognised(folder, names, known_by)
    old = earlier if listed is None else listed
    foreign = [name for name in names if not _is_free(folder, name, old)]
    if foreign:
        raise StoreError(
            f"{folder} holds files that no report wrote, and that this one would replace: "
            f"{_some(foreign)}. Move them away and run the same command again."
        )
    _write_list(folder, names | old)
    try:
        _move(new, folder, names, old)
    except KeyboardInterrupt:
        _move(new, folder, names, old)
        raise
    left = _files(folder) - names - {LIST}
    if earlier and left:
        note(
            f"{folder} holds {len(left)} files that are not of this report: {_some(left)}. They "
            "were kept: an earlier version wrote no list of its files. Remove what you don't need."
        )


def _move(new: Path, folder: Path, names: Collection[str], old: Collection[str]) -> None:
    """Rename the files not renamed before, remove the old ones, and write the list."""
    for name in sorted(names):
        if (new / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (new / name).replace(folder / name)
    gone = [folder / name for name in old if name not in names and _is_free(folder, name, old)]
    for path in gone:
        path.unlink(missing_ok=True)
    for place in sorted({p for path in gone for p in path.parents}, reverse=True):
        if folder in place.parents:
            with contextlib.suppress(OSError):  # not empty
                place.rmdir()
    _write_list(folder, names)


def _recognised(folder: Path, names: Collection[str], known_by: KnownBy) -> set[str]:
    """Return the names that a report without a list has as well."""
    holds = {pattern: any(folder.glob(pattern)) for _, pattern in known_by}
    return {
        name
        for name in names
        if next((holds[pattern] for start, pattern in known_by if name.startswith(start)), False)
    }


def _is_free(folder: Path, name: str, ours: Collection[str]) -> bool:
    """Whether a file is ours or does not exist, and no link leads out of the folder."""
    path = folder / name
    above = [place for place in path.parents if folder in place.parents]
    if any(place.is_symlink() or (place.exists() and not place.is_dir()) for place in above):
        return False
    if path.is_dir() and not path.is_symlink():
        return False
    return name in ours or not os.path.lexists(path)


def _files(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(folder).as_posix() for path in found}


def _write_list(folder: Path, names: Collection[str]) -> None:
    write_whole(folder / LIST, (json.dumps({"files": sorted(names)}, indent=1) + "\n").encode())


def _listed(folder: Path) -> set[str] | None:
    """Return the names on a report's list; None if it has no list.

    Raises:
        StoreError: it can't be read, or a name leads out of the folder.
    """
    path = folder / LIST
    try:
        names = parse_json(path.read_bytes())["files"]
        if not (isinstance(names, list) and all(map(_is_inside, names))):
            raise ValueError("not a list of names in this folder")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}, the list of the report's files, is damaged ({error}). Nothing was "
            f"replaced. Move {folder} away and run the same command again."
        ) from error
    return set(names)


def _is_inside(name: object) -> bool:
    if not isinstance(name, str) or "\\" in name or "\0" in name or name == LIST:
        return False
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _some(names: Collection[str]) -> str:
    shown = sorted(names)[:_NAMED]
    return ", ".join(shown) + (", ..." if len(names) > len(shown) else "")
