"""Folders that belong to others too: what is ours in them, and how it is removed or replaced.

Nothing is removed but what a marker, a list, or a name of exactly our form says is ours.
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
    sweep_temporaries,
    sync_folder,
    temporary_name,
    write_whole,
)

LIST = ".report-files.json"
"""The list of a report's files, in its folder."""

MARKER = "CACHEDIR.TAG"
_MARKER_TEXT = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"  # by which programs of backups skip a folder
    b"# A cache or temporary folder of the cell segmentation benchmark. It may be deleted.\n"
)
_NAMED = 3  # files that a message names

KnownBy = Sequence[tuple[str, str]]
"""How reports of versions that wrote no list are recognised: pairs of the beginning of names, and
a pattern of files. The first pair whose beginning fits decides about a name."""


def write_marker(folder: Path) -> None:
    """Write the marker that makes a folder, with all that is in it, ours."""
    (folder / MARKER).write_bytes(_MARKER_TEXT)


def has_marker(folder: Path) -> bool:
    """Whether a folder has our marker."""
    try:
        return (folder / MARKER).read_bytes() == _MARKER_TEXT
    except OSError:
        return False


@contextmanager
def staging_path(folder: Path) -> Iterator[Path]:
    """A path in a marked temporary folder beside `folder`, to build there what is renamed to it.

    At the end the temporary folder is removed, as are those that killed processes left.

    Args:
        folder: what is to be made or replaced; the folder above it is made.

    Yields:
        A path of the same name that does not exist.

    Raises:
        StoreError: the disk is full, the folder read-only, ...
    """
    stage = folder.with_name(temporary_name(folder.name))
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        for stale in folder.parent.glob(f".{glob.escape(folder.name)}.*-*{TEMPORARY}"):
            with contextlib.suppress(FileNotFoundError):  # another process was quicker
                # One with this process's number is of an earlier process.
                if stale == stage or is_abandoned(stale):
                    _remove_stage(stale)
        stage.mkdir()
        write_marker(stage)
    try:
        yield stage / folder.name
    finally:
        _remove_stage(stage)


def _remove_stage(stage: Path) -> None:
    if has_marker(stage):
        for child in stage.iterdir():  # the marker last: a kill in between leaves it ours
            if child.name != MARKER:
                shutil.rmtree(child, ignore_errors=True)
        shutil.rmtree(stage, ignore_errors=True)
    else:  # of one that was killed before it could mark it; anything in it is not ours
        with contextlib.suppress(OSError):
            stage.rmdir()


@contextmanager
def replaced(folder: Path, known_by: KnownBy) -> Iterator[Path]:
    """A folder in which a report is built, whose files then take the place of an earlier one's.

    Of an earlier report those files are removed that its list names; all others stay. Whatever
    stops the building, the earlier report is untouched. Then file after file is renamed, and
    only at the end those are removed that there are no more of. Killed meanwhile, it leaves
    every file listed, and the next report replaces them.

    Args:
        folder: of the report.
        known_by: how reports without a list are recognised; the files in them that the new
            one has as well are replaced, all others are kept, with a message.

    Yields:
        An empty folder.

    Raises:
        StoreError: it can't be written, its list is damaged, or a file that is not ours would
            have to be replaced.
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
    sweep_temporaries(folder, below=False)  # half a list, of one that was killed
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
    """Rename what was not renamed before, remove what is old, list what is left."""
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
    """The names that a report without a list has as well."""
    holds = {pattern: any(folder.glob(pattern)) for _, pattern in known_by}
    return {
        name
        for name in names
        if next((holds[pattern] for start, pattern in known_by if name.startswith(start)), False)
    }


def _is_free(folder: Path, name: str, ours: Collection[str]) -> bool:
    """Whether a file of that name is ours or not there, and no link leads out of the folder."""
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
    """The names on a report's list; None where there is none.

    Raises:
        StoreError: it can't be read, or a name leads out of the folder.
    """
    path = folder / LIST
    try:
        names = json.loads(path.read_bytes())["files"]
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
