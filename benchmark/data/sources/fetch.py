"""Download and unpack public data sets; a folder holds all of a data set or nothing of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.console import note
from benchmark.errors import DataError, SkippedError
from benchmark.store.files import disk_errors
from benchmark.store.lease import Lease
from benchmark.store.owned import staging_path, sweep_killed

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")

Found = list[tuple[list[Path], list[Path] | None]]
"""For each call of a loader: images (or containers), and labels (or None)."""


@dataclass(frozen=True)
class Request:
    """What to ask of a loader.

    Attributes:
        name: the data set's, for messages.
        loader: dotted name of a function of torch_em that returns paths.
        calls: keyword arguments of each call.
        root: the folder of all downloads.
        folder: of this data set, in the root.
        access: `download`, or another way to get it.
        by_hand: what that person has to do; `{folder}` stands for the data set's folder.
        download: whether it may be downloaded.
        natural_order: whether files are sorted, since the loader leaves them as found.
    """

    name: str
    loader: str
    calls: Sequence[Mapping[str, Any]]
    root: Path
    folder: str
    access: str
    by_hand: str | None
    download: bool
    natural_order: bool

    @property
    def target(self) -> Path:
        """The data set's folder."""
        return self.root / self.folder


def fetch(request: Request) -> Found:
    """Return the files that the loader lists.

    What is missing is downloaded (or unpacked, if a person put archives there) in a temporary
    folder, and moved once it is complete.

    Raises:
        SkippedError: a person has to get them first, or there is no way to download them.
        DataError: an archive or a file is damaged.
    """
    reasons: list[str] = []
    place = request.root / f".lease-{request.folder}"
    note(f"looking for {request.name} in {request.target}, by its loader in torch_em")
    if request.target.is_dir() and not _only_archives(request.target):
        found = _try(request, request.target, download=False, reasons=reasons)
        if found:
            sweep_killed(request.target, place)
            return found
    if not request.root.is_dir() and not _may_download(request.access):
        raise SkippedError(_by_hand(request, reasons))
    with disk_errors(request.root):
        request.root.mkdir(parents=True, exist_ok=True)
    lease = Lease(place, timeout=300)
    lease.acquire(
        wait=True,
        on_wait=lambda holder: note(f"waiting for {holder}, which fetches {request.name}"),
    )
    try:
        return _fetch_beside(request, reasons)
    finally:
        lease.release()


def _fetch_beside(request: Request, reasons: list[str]) -> Found:
    download = request.download and _may_download(request.access)
    archives = _archives(request.target)
    if not (download or archives):
        raise SkippedError(_by_hand(request, reasons))
    with staging_path(request.target) as stage:
        if archives:
            # Some loaders take a folder that exists for a complete data set.
            stage.mkdir()
            for archive in archives:
                (stage / archive.name).symlink_to(archive.resolve())
        if download and not archives:
            note(f"fetching {request.name} into {request.target}")
        found = _try(request, stage, download=download, reasons=reasons)
        if not found:
            raise SkippedError(_by_hand(request, reasons))
        with disk_errors(request.target):
            _move_in(stage, request)
        return [
            (
                _moved(images, stage, request),
                None if labels is None else _moved(labels, stage, request),
            )
            for images, labels in found
        ]


def _may_download(access: str) -> bool:
    """Whether a program may fetch it: anybody may, or this user has Kaggle's key."""
    if access == "kaggle":
        key = Path.home() / ".kaggle" / "kaggle.json"
        return key.exists() or any(f"KAGGLE_{word}" in os.environ for word in ("KEY", "API_TOKEN"))
    return access == "download"


def _moved(files: Sequence[Path], stage: Path, request: Request) -> list[Path]:
    return [request.target / file.relative_to(stage) for file in files]


def _move_in(stage: Path, request: Request) -> None:
    """Move new files into the data set's folder; report the files that were replaced."""
    target = request.target
    names = (f".replaced-{target.name}-{number}" for number in itertools.count(1))
    aside = next(place for name in names if not (place := target.with_name(name)).exists())
    moved = _move(stage, target, aside)
    if moved:
        note(
            f"{target} held {moved} files of another size than the published ones (a "
            f"download that was cut off?): these were kept in {aside}, which may be removed"
        )


def _move(stage: Path, target: Path, aside: Path) -> int:
    """Move new files; existing ones stay, except those of another size, which go to `aside`.

    Returns:
        The number of files moved to `aside`.
    """
    if not target.exists():
        stage.rename(target)
        return 0
    moved = 0
    for child in sorted(stage.iterdir()):
        place = target / child.name
        if child.is_symlink():
            continue
        if not place.exists():
            child.rename(place)
        elif child.is_dir() and place.is_dir():
            moved += _move(child, place, aside / child.name)
        elif child.is_file() and place.is_file() and child.stat().st_size != place.stat().st_size:
            aside.mkdir(parents=True, exist_ok=True)
            place.rename(aside / child.name)
            child.rename(place)
            moved += 1
    return moved


def _try(request: Request, path: Path, *, download: bool, reasons: list[str]) -> Found | None:
    """Call the loader; return None if it found nothing, and append the reason to `reasons`."""
    with _no_empty_folders(path):
        answer = ask(request, path, download)
        if "error" in answer:
            reasons.append(f"{answer['error']}: {answer['message']}".strip())
            if "would leave its folder" in answer["message"]:
                raise DataError(f"data '{request.name}': {answer['message']}")
            if answer["error"] in ("ModuleNotFoundError", "ImportError"):
                raise SkippedError(_library(request, answer["message"]))
            return None
        found = [
            ([Path(f) for f in images], None if labels is None else [Path(f) for f in labels])
            for images, labels in answer["calls"]
        ]
        if not all(images for images, _ in found):
            reasons.append(f"{path}: its loader found no image there")
            return None
        return found


def ask(request: Request, path: Path, download: bool) -> dict[str, Any]:
    """Call the loader in a process of its own; see `benchmark.data.sources.loader`.

    In the data set's own folder nothing is unpacked: half of it would pass for all of it.

    Raises:
        DataError: that process was killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        request_file, answer_file = Path(folder, "request.json"), Path(folder, "answer.json")
        request_file.write_text(
            json.dumps(
                {
                    "loader": request.loader,
                    "path": str(path),
                    "calls": [dict(arguments) for arguments in request.calls],
                    "download": download,
                    "natural_order": request.natural_order,
                    "unpack": path != request.target,
                }
            )
        )
        # -P: the working directory may be the checkout, whose `datasets` is not a package.
        command = [sys.executable, "-P", "-m", "benchmark.data.sources.loader"]
        done = subprocess.run(
            [*command, request_file, answer_file],
            stdin=subprocess.DEVNULL,
            stdout=2,  # the loaders' output is not part of ours
            check=False,
        )
        if not answer_file.exists():
            raise DataError(
                f"data '{request.name}': its loader, {request.loader}, ended with status "
                f"{done.returncode}; its output is above."
            )
        answer: dict[str, Any] = json.loads(answer_file.read_text())
        return answer


@contextlib.contextmanager
def _no_empty_folders(path: Path) -> Iterator[None]:
    """Remove folders that a loader left empty: it would take them for the data set."""
    before = {Path(place) for place, _, _ in os.walk(path)} if path.is_dir() else set()
    try:
        yield
    finally:
        for place, _, _ in os.walk(path, topdown=False):
            if Path(place) not in before:
                with contextlib.suppress(OSError):  # not empty
                    Path(place).rmdir()


def _archives(folder: Path) -> list[Path]:
    """Return the archives directly in a folder."""
    if not folder.is_dir():
        return []
    return sorted(f for f in folder.iterdir() if f.is_file() and f.suffix.lower() in ARCHIVES)


def _only_archives(folder: Path) -> bool:
    """Whether nothing in a folder was unpacked yet; hidden files don't count."""
    children = [child for child in folder.iterdir() if not child.name.startswith(".")]
    return len(children) == len(_archives(folder)) > 0


def _by_hand(request: Request, reasons: Sequence[str]) -> str:
    """Return what a person has to do, and what went wrong."""
    if request.access != "download":
        steps = (request.by_hand or "Fetch it by hand.").replace("{folder}", str(request.target))
        why = {"account": "needs an account", "form": "is given out by a form"}
        needs = why.get(request.access, "has to be fetched by hand")
        if request.access == "kaggle":
            needs = "is fetched from Kaggle with a key of your own"
        message = f"data '{request.name}' {needs}: {steps.strip()}"
    elif not request.download:
        message = f"data '{request.name}' is not in {request.target}, and data.download=false."
    else:
        message = (
            f"data '{request.name}' can't be downloaded into {request.target}. Run this command "
            "on a machine that has network, and copy that folder from there (it is torch_em's "
            f"own, filled by {request.loader.rpartition('.')[0]})."
        )
    return f"{message} ({reasons[-1]})" if reasons else message


def _library(request: Request, message: str) -> str:
    return (
        f"data '{request.name}' is read through torch_em: pip install -e '.[datasets]' ({message})."
    )
