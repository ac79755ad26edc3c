"""A program that calls a loader of torch_em and writes the list of files it found.

torch_em takes seconds and most of a gigabyte to import, and its imports change global state
(Hydra's, threads). In a process of its own none of that affects the process that runs a model.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from benchmark.parent import end_with_parent
from benchmark.store.files import require_space

ROOM = 3
"""An archive, what is in it, and what a loader converts it to: times the size of a download."""


def main(request: Path, answer: Path) -> None:
    """Read a request, call the loader, write the answer.

    Args:
        request: a JSON file: `loader` (dotted name of a function), `path` (the data set's
            folder), `calls` (keyword arguments of each call), `download`, `natural_order`,
            `unpack` (whether archives may be unpacked there).
        answer: where to write `{"calls": [[images, labels or null], ...]}`, or
            `{"error": type, "message": text}`.
    """
    end_with_parent(os.getppid())
    asked = json.loads(request.read_text())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # mostly about missing checksums
            found: dict[str, Any] = {"calls": call(**asked)}
    except Exception as error:
        found = {"error": type(error).__name__, "message": str(error)}
    answer.write_text(json.dumps(found))


def call(
    loader: str,
    path: str,
    calls: Sequence[Mapping[str, Any]],
    download: bool,
    natural_order: bool = False,
    unpack: bool = True,
) -> list[list[Any]]:
    """Return the files of each call: images (or containers), and labels (or None)."""
    guard_archives()
    if not unpack:
        forbid_unpacking()
    if not download:
        forbid_downloads()
    # Some loaders replace letters in whole paths ("x" by "y", to get from images to labels):
    # they get a relative path, so that the user's own folders are not part of it.
    parent = Path(path).parent
    os.chdir(parent)
    module, _, name = loader.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    util = importlib.import_module("torch_em.data.datasets.util")
    guard_downloads(util)
    found = []
    for arguments in calls:
        returned = function(path=Path(path).name, download=download, **arguments)
        images, labels = returned if isinstance(returned, tuple) else (returned, None)
        pair = [_files(images, parent), None if labels is None else _files(labels, parent)]
        if natural_order:
            from natsort import natsorted

            pair = [natsorted(files) if files is not None else None for files in pair]
        found.append(pair)
    return found


def _files(returned: Any, parent: Path) -> list[str]:
    """Return a list of files unchanged; of a folder, its files in natural order."""
    from natsort import natsorted

    if isinstance(returned, str):
        files = natsorted(Path(parent, returned).iterdir())
        return [str(file) for file in files if file.is_file()]
    return [str(Path(parent, file)) for file in returned]


def guard_archives() -> None:
    """Refuse archives whose members would land outside of the folder they are unpacked to.

    zipfile would unpack such a member inside, under another name: the result of a manipulated
    archive is not the data set.
    """
    unzip, untar = zipfile.ZipFile.extractall, tarfile.TarFile.extractall

    def extract_zip(archive: zipfile.ZipFile, *args: Any, **kwargs: Any) -> None:
        for member in archive.namelist():
            _refuse_escape(member, archive.filename)
        unzip(archive, *args, **kwargs)

    def extract_tar(archive: tarfile.TarFile, *args: Any, **kwargs: Any) -> None:
        for member in archive.getnames():
            _refuse_escape(member, archive.name)
        untar(archive, *args, **{**kwargs, "filter": "data"})

    zipfile.ZipFile.extractall = extract_zip  # type: ignore[assignment]
    tarfile.TarFile.extractall = extract_tar  # type: ignore[assignment]
    # For single members. The filter refuses links, too, that lead out of the folder.
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)


def _refuse_escape(member: str, archive: Any) -> None:
    path = PureWindowsPath(member)  # takes both separators, and knows drives
    if path.anchor or ".." in path.parts:
        raise ValueError(
            f"the archive {archive} has a member '{member}' that would leave its folder: "
            "nothing was unpacked. Is it the file that was published?"
        )


def forbid_unpacking() -> None:
    """Refuse to unpack archives in place, where a killed process would leave half of one."""

    def refuse(archive: Any, *args: Any, **kwargs: Any) -> None:
        name = archive.filename if isinstance(archive, zipfile.ZipFile) else archive.name
        raise RuntimeError(f"{name} is not unpacked yet")

    for kind in (zipfile.ZipFile, tarfile.TarFile):
        for method in ("extract", "extractall"):
            setattr(kind, method, refuse)


def forbid_downloads() -> None:
    """Disable host lookup: some loaders download even with `download=False`."""

    def refuse(host: Any, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"it is not complete: its loader would download from {host}")

    socket.getaddrinfo = refuse  # type: ignore[assignment]


def guard_downloads(util: Any) -> None:
    """Print the size of each download, and refuse it if the disk is too small."""
    plain = util.download_source

    def checked(path: Any, url: str, download: bool, *args: Any, **kwargs: Any) -> None:
        if download and not Path(path).exists():
            _require_space_for_download(Path(path), url)
        plain(path, url, download, *args, **kwargs)

    util.download_source = checked


def _require_space_for_download(path: Path, url: str) -> None:
    import requests

    try:
        answer = requests.head(url, allow_redirects=True, timeout=30)
        size = int(answer.headers.get("Content-Length", 0)) if answer.ok else 0
    except (requests.RequestException, ValueError):
        return  # the download itself will fail, with a message
    if not size:
        return
    print(
        f"{url}: {size / 1e9:.2f} GB; unpacked and converted about {ROOM} times that.",
        file=sys.stderr,
    )
    purpose = f"{url}, unpacked and converted,"
    require_space(path.parent, ROOM * size, purpose, "data.root=<folder>")


if __name__ == "__main__":
    sys.stdout = sys.stderr  # progress and notes of the loaders
    main(Path(sys.argv[1]), Path(sys.argv[2]))
