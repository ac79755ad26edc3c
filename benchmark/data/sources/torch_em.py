"""Public data sets: torch_em's loader lists the files, the YAML says how they are read."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from benchmark.data.formats.containers import Reading, read_pair, slices
from benchmark.data.select import Place, select
from benchmark.data.sources.base import Raw, only
from benchmark.data.sources.fetch import Found, Request, fetch
from benchmark.data.sources.file_changes import content_digests, snapshot, snapshot_again
from benchmark.data.sources.pairs import check_pairs
from benchmark.errors import DataError, UsageError
from benchmark.store.digest import json_digest
from benchmark.store.files import inside


@dataclass
class TorchEmSource:
    """A data set that torch_em has a loader for; `configs/data/base/torch_em.yaml` has the keys.

    Args:
        name: the data set's.
        loader: dotted name of a function that returns paths.
        folder: of this data set, in the root: what torch_em calls `path`.
        splits: `test` and `val`, each with `calls` (keyword arguments of each call of the
            loader), `files` (steps on the files of each call) and `take` (steps on the images
            of all calls); see `benchmark.data.select`.
        read: how its files are read, see `benchmark.data.formats.containers.Reading`.
        lists: where its split lists are kept.
        root: the folder of all downloads; None: one in the user's cache.
        group: a regular expression searched in an image's path below its folder (and in
            what a slice adds to it, `_z0012`); its first bracket is the group. None, or no
            match: the file, with all its slices, is its own group.
        name_parts: how many of a path's last parts name a sample.
        pairing: `names`: image and label file names must agree; `order`: as the loader pairs.
        access: `download`, `account`, `form`, `kaggle` or `manual`.
        by_hand: what a person has to fetch where access is not `download`.
        download: whether it may be downloaded.
        natural_order: sort the files, which the loader returns as the file system lists them.
    """

    # How files are obtained does not change their content; the content of lists is fingerprinted.
    circumstances: ClassVar = ("access", "by_hand", "download", "lists")
    # Prepared data are found by it, wherever the class lies.
    identity_target: ClassVar = "benchmark.data.torch_em.TorchEmSource"
    slow: ClassVar = True  # its loader takes seconds to import

    name: str
    loader: str
    folder: str
    splits: Mapping[str, Mapping[str, Any]]
    read: Mapping[str, Any]
    lists: str
    root: str | None = None
    group: str | None = None
    name_parts: int = 1
    pairing: str = "names"
    access: str = "download"
    by_hand: str | None = None
    download: bool = True
    natural_order: bool = False
    _files: list[Path] = field(default_factory=list, init=False, repr=False)
    _used_lists: list[Path] = field(default_factory=list, init=False, repr=False)
    _answers: dict[str, Found] = field(default_factory=dict, init=False, repr=False)

    def items(self, split: str) -> list[Raw]:
        """The images of a split; they are fetched where they are missing.

        `all` holds an image once that is in both splits.

        Raises:
            UsageError: no such split; a step that does not exist.
            SkippedError: a person has to fetch the data, or there is no way to.
            DataError: files are missing, damaged, or don't pair.
        """
        has = [part for part in ("test", "val") if self.splits.get(part)]
        parts = only(split, has)
        self._files, self._used_lists, self._answers = [], [], {}
        items = [raw for part in parts for raw in self._part(part)]
        once: dict[tuple[str, str], Raw] = {}
        for raw in items:
            once.setdefault((raw.name, raw.files), raw)
        names = Counter(raw.name for raw in once.values())
        return [
            replace(raw, name=f"{raw.split}_{raw.name}") if names[raw.name] > 1 else raw
            for raw in once.values()
        ]

    def fingerprint(self, known: Any = None) -> Any:
        """State of the folders with the loader's files (`known` if they are gone), and of lists."""
        if known is None:
            seen, lists = snapshot(self._files), {path.name for path in self._used_lists}
        else:
            seen, lists = snapshot_again(known), known["lists"]
        return seen | {"lists": content_digests(self._lists, lists)}

    def reads(self, folder: Path, names: Iterable[str]) -> bool:
        """Whether a folder is, or is in, that of the data set."""
        return folder.resolve().is_relative_to(self._folder.resolve())

    @property
    def _folder(self) -> Path:
        below = _inside("source.folder", self.folder, "data.root")
        return (Path(self.root).expanduser().absolute() if self.root else cache()) / below

    @property
    def _lists(self) -> Path:
        # The YAML builds it from the folder of all data sets and the name.
        _inside("name", self.name, "the folder of all data sets, where its split lists are kept")
        return Path(self.lists)

    def _part(self, part: str) -> list[Raw]:
        rules = self.splits[part]
        unknown = rules.keys() - {"calls", "files", "take"}
        if unknown:
            raise UsageError(f"data.splits.{part} has no '{min(unknown)}': calls, files, take.")
        reading = self._reading()
        place = Place(self._folder, self._lists, self._used_lists)
        images: list[Raw] = []
        calls = rules.get("calls") or [{}]
        asked = json_digest(calls)  # mostly the same for both splits, and the loader takes seconds
        if asked not in self._answers:
            self._answers[asked] = self._found(calls)
        for call in self._answers[asked]:
            files = select(self._pairs(call, part, reading), rules.get("files") or [], place)
            images += [image for file in files for image in self._images(file, reading)]
        return select(images, rules.get("take") or [], place)

    def _reading(self) -> Reading:
        has = [key.name for key in fields(Reading)]
        unknown = self.read.keys() - has
        if unknown:
            raise UsageError(f"data.read has no '{min(unknown)}': {', '.join(has)}.")
        try:
            return Reading(**self.read)
        except TypeError as error:
            raise UsageError(f"data.read: {error}.") from error

    def _found(self, calls: Sequence[Mapping[str, Any]]) -> Found:
        if self._folder.name != self.folder or "/" in self.folder:
            raise UsageError(f"data.folder is '{self.folder}'; it must be a name.")
        return fetch(
            Request(
                name=self.name,
                loader=self.loader,
                calls=calls,
                root=self._folder.parent,
                folder=self.folder,
                access=self.access,
                by_hand=self.by_hand,
                download=self.download,
                natural_order=self.natural_order,
            )
        )

    def _pairs(
        self, call: tuple[list[Path], list[Path] | None], part: str, reading: Reading
    ) -> list[Raw]:
        """One item for each file that the loader found, or pair of files."""
        images, labels = call
        if labels is not None:
            check_pairs(self.name, images, labels, by_order=self.pairing == "order")
        self._files += [*images, *(labels or [])]
        return [
            Raw(
                name=self._name(image),
                group=self._group(image),
                split=part,
                files=str(image) if labels is None else f"{image}, {truth}",
                read=partial(read_pair, image, truth, reading, None),
                volume=str(image) if reading.sliced else "",
            )
            for image, truth in zip(images, labels or images, strict=True)
        ]

    def _images(self, file: Raw, reading: Reading) -> list[Raw]:
        """The images in a file: itself, or its slices."""
        if not reading.sliced:
            return [file]
        image, labels = file.read.args[:2]  # type: ignore[attr-defined]
        try:
            count = slices(image, reading)
            truths = slices(labels, reading, of="labels")
            if truths != count:
                raise DataError(f"{file.files}: {count} slices, and labels of {truths}.")
        except DataError as error:
            raise DataError(f"data '{self.name}', volume '{file.name}': {error}") from error
        return [
            replace(
                file,
                name=f"{file.name}_z{index:04d}",
                group=self._group(image, f"_z{index:04d}"),
                files=f"{file.files}, slice {index}",
                read=partial(read_pair, image, labels, reading, index),
            )
            for index in range(count)
        ]

    def _name(self, path: Path) -> str:
        """The last parts of a path, without suffix and blanks."""
        parts = [*path.parts[-self.name_parts : -1], path.stem.removesuffix(".ome")]
        return re.sub(r"\s+", "_", "-".join(parts)) if self.name_parts > 1 else parts[-1]

    def _group(self, path: Path, slice_name: str = "") -> str:
        if self.group is None:
            return self._name(path)
        try:
            below = path.relative_to(self._folder).as_posix()
            found = re.search(self.group, below + slice_name)
        except re.error as error:
            raise UsageError(
                f"data.group='{self.group}' is not a valid regular expression: {error}."
            ) from error
        return (found and found[1 if found.re.groups else 0]) or self._name(path)


def _inside(key: str, path: str, folder: str) -> Path:
    try:
        return inside(path, folder)
    except ValueError as error:
        raise UsageError(f"data.{key}: {error}.") from error


def access_needed(config: Mapping[str, Any]) -> str | None:
    """How the files of a public data set come here, as its `access` says.

    Args:
        config: of a data set, with its `folder` and `root`.

    Returns:
        None if its folder is there, and for any other data set.
    """
    if "loader" not in config:
        return None
    root = Path(str(config["root"])) if config["root"] else cache()
    return (
        None if (root / str(config["folder"])).is_dir() else str(config.get("access", "download"))
    )


def cache() -> Path:
    """Return the default folder of downloads."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cell-segmentation-benchmark" / "data"
