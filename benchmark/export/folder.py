"""A folder that exported files are written into, and that may hold files of its owner.

A list of names and digests says which files are exported ones. A file that is not on it, or that
was changed since, is never replaced; nothing is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmark.errors import StoreError, UsageError
from benchmark.store.files import (
    disk_errors,
    parse_json,
    sweep_temporaries,
    sync_folder,
    write_synced,
    write_whole,
)
from benchmark.store.names import doubles
from benchmark.store.owned import staging_path

LIST = ".export-files.json"
"""Name of the file that lists the exported files, in their folder."""

_NAMED = 3  # files named in a message

Listed = dict[str, tuple[str, list[str]]]
"""Name -> the run it was exported from, and the SHA-256 of its content; of two contents while the
one replaces the other."""


class ExportFolder:
    """The folder.

    Args:
        folder: it need not exist; it may be a link to a folder on another disk.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))

    def check(self, names: Sequence[str]) -> None:
        """Check that files of these names may be written.

        Raises:
            UsageError: two of them are the same on some systems, or the folder is a file.
            StoreError: one would replace a file that was not exported, or that was changed since.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"output={self.folder} is a file; give a folder.")
        double = doubles(names)
        if double:
            clash = [name for name in names if name.casefold() == double[0]]
            raise UsageError(
                f"two samples would be exported to one file: {' and '.join(clash)} (names that "
                "differ in case alone are the same on some systems). Rename one of the images."
            )
        listed = self._listed()
        present = [name for name in names if os.path.lexists(self.folder / name)]
        foreign = [name for name in present if name not in listed or not self._is_file(name)]
        if foreign:
            raise StoreError(
                f"{self.folder} holds files that were not exported, and that this command would "
                f"replace: {_some(foreign)}. Move them away, or choose another output=<folder>."
            )
        changed = [name for name in present if self._digest(name) not in listed[name][1]]
        if changed:
            raise StoreError(
                f"{self.folder} holds exported files that were changed since, and that this "
                f"command would replace: {_some(changed)}. Move them away, or choose another "
                "output=<folder>."
            )

    def write(self, files: Iterable[tuple[str, bytes]], run: str) -> list[str]:
        """Write files: all of them, or none if one can't be made.

        They are made in a temporary folder and then renamed one by one.

        Args:
            files: name and content of each.
            run: the name of the run that they come from, for the list.

        Returns:
            The names of the files.

        Raises:
            UsageError, StoreError: as `check`; the folder can't be written.
        """
        existed = self.folder.exists()
        try:
            with staging_path(self.folder / "export") as stage:
                with disk_errors(self.folder):
                    stage.mkdir()
                    sweep_temporaries(self.folder, below=False)
                new: Listed = {}
                for name, content in files:
                    write_synced(stage / name, content)
                    new[name] = run, [hashlib.sha256(content).hexdigest()]
                self.check(list(new))
                self._put_in_place(stage, new)
        finally:
            if not existed:
                with contextlib.suppress(OSError):  # not empty
                    self.folder.rmdir()
        return list(new)

    def of_other_runs(self, run: str) -> list[str]:
        """The exported files in the folder that come from other runs than this one."""
        listed = self._listed().items()
        return [name for name, (other, _) in listed if other != run and self._is_file(name)]

    def _put_in_place(self, stage: Path, new: Listed) -> None:
        before = self._listed()
        # If the process is killed meanwhile, every file has one of the two digests.
        during = {
            name: (run, [*before.get(name, ("", []))[1], *digests])
            for name, (run, digests) in new.items()
        }
        self._write_list(before | during)
        with disk_errors(self.folder):
            for name in new:
                (stage / name).replace(self.folder / name)
            sync_folder(self.folder)
        self._write_list(before | new)

    def _is_file(self, name: str) -> bool:
        path = self.folder / name
        return path.is_file() and not path.is_symlink()

    def _digest(self, name: str) -> str:
        return hashlib.sha256((self.folder / name).read_bytes()).hexdigest()

    def _listed(self) -> Listed:
        path = self.folder / LIST
        try:
            content = parse_json(path.read_bytes())["files"]
            return {
                str(name): (str(each["run"]), [str(digest) for digest in each["sha256"]])
                for name, each in content.items()
            }
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{path}, the list of exported files, is damaged ({error}). Nothing was replaced. "
                "Choose another output=<folder>."
            ) from error

    def _write_list(self, listed: Mapping[str, tuple[str, list[str]]]) -> None:
        files = {n: {"run": run, "sha256": digests} for n, (run, digests) in sorted(listed.items())}
        write_whole(self.folder / LIST, (json.dumps({"files": files}, indent=1) + "\n").encode())


def _some(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
