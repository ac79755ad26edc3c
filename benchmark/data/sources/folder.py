"""Sources: the user's own folders, the image packaged with stardist, drawn images."""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.data.formats.images import FOLDERS, planes_along, read_image, read_labels
from benchmark.data.formats.planes import EACH, Planes
from benchmark.data.sources.base import Raw, abbreviated, file_times, only
from benchmark.errors import DataError, UsageError
from benchmark.types import Image, Labels

READER_VERSION = 2
"""Raised when one's own files are read in another way; they are then prepared again."""

DRAWING_VERSION = 1
"""Raised when `benchmark.data.sources.synthetic` draws other pictures from the same seed."""


@dataclass
class FolderSource:
    """The user's own images and labels, paired by the stem of their file names.

    Args:
        images: a folder or a glob pattern (`**` looks into folders below).
        labels: the same for the label images.
        root: what relative patterns start from; the working directory where not given.
        group: a regular expression searched in each image's file name; its first bracket
            (or the whole match) is the group. Not given: every image is its own group.
        use_channels: numbers from 0, or names, of the channels that make the images, in this
            order; None: all.
        z: the slice that is read of a stack: `max` or `mean` of all, its number from 0, or
            `slices`, each of which is then an image of its own. None: images have one.
        t: the same for time points, where `frames` makes each an image of its own.
        scene: number from 0, or name, of the image in files of several. None: files have one.
        channels: names of the channels, for `use_channels` and files that have none.
    """

    images: str
    labels: str
    root: str | None = None
    group: str | None = None
    use_channels: Any = None
    z: int | str | None = None
    t: int | str | None = None
    scene: int | str | None = None
    channels: Any = None

    def __post_init__(self) -> None:
        """Check the choice of planes.

        Raises:
            UsageError: it is invalid.
        """
        names = self.channels if isinstance(self.channels, list | tuple) else ()
        checked = Planes.checked(self.use_channels, self.z, self.t, self.scene)
        self._planes = replace(checked, names=tuple(map(str, names)))

    @property
    def circumstances(self) -> tuple[str, ...]:
        """Options that shape nothing: those not given, and names that no choice refers to."""
        chosen = self._planes.use_channels or ()
        unused = [key for key in ("use_channels", "z", "t", "scene") if getattr(self, key) is None]
        named = any(isinstance(one, str) for one in chosen)
        return (*unused, *([] if named else ["channels"]))

    def items(self, split: str) -> list[Raw]:
        """Pair the files.

        Raises:
            DataError: two files with one stem, a file without its partner, or one that is its own
                label image.
            UsageError: nothing found; the regular expression is invalid, or does not match a name.
        """
        only(split, ["test"])
        images = by_stem(find_files(self.images, self.root, "data.images"), "data.images")
        labels = by_stem(find_files(self.labels, self.root, "data.labels"), "data.labels")
        alone = [("label image", images[s]) for s in images.keys() - labels.keys()]
        alone += [("image", labels[s]) for s in labels.keys() - images.keys()]
        if alone:
            listed = abbreviated(f"{path} has no {partner}" for partner, path in alone)
            raise DataError(f"images and labels are paired by file name without suffix: {listed}.")
        same = [f"{images[s]} is {labels[s]}" for s in images if images[s].samefile(labels[s])]
        if same:
            raise DataError(
                f"data.images and data.labels name one file: {abbreviated(same)}. "
                "Give the folder or the pattern of each."
            )
        raws = [
            Raw(
                name=stem,
                group=self._group(images[stem]),
                split="test",
                files=f"{images[stem]}, {labels[stem]}",
                read=partial(read_files, images[stem], labels[stem]),
            )
            for stem in sorted(images)
        ]
        return [sample for raw in raws for sample in _samples(raw, images[raw.name], self._planes)]

    def fingerprint(self, known: Any = None) -> Any:
        """Names, sizes and times of change of all files, and how they are read."""
        paths = find_files(self.images, self.root, "data.images")
        files = file_times([*paths, *find_files(self.labels, self.root, "data.labels")])
        return [["reader", READER_VERSION], *files]

    def _group(self, path: Path) -> str:
        if self.group is None:
            return stem_of(path)
        try:
            found = re.search(self.group, _as_text(path.name))
        except re.error as error:
            raise UsageError(
                f"data.group='{self.group}' is not a valid regular expression: {error}."
            ) from error
        group: str | None = found and found[1 if found.re.groups else 0]
        if not group:  # an empty group would hold all images
            raise UsageError(f"data.group='{self.group}' does not match the file name {path.name}.")
        return group


@dataclass
class PackagedNuclei:
    """The real fluorescence image that stardist packages, with its annotation.

    Data Science Bowl 2018 (Caicedo et al. 2019), 512 x 512, 125 nuclei. It is read as a
    file of the installed package: importing stardist would cost seconds.
    """

    def items(self, split: str) -> list[Raw]:
        """The one image.

        Raises:
            DataError: stardist is not installed.
        """
        only(split, ["test"])
        image, mask = self._files()
        return [
            Raw(
                name="dsb2018_nuclei",
                group="dsb2018_nuclei",
                split="test",
                files=f"{image}, {mask}",
                read=partial(read_files, image, mask),
            )
        ]

    def fingerprint(self, known: Any = None) -> Any:
        """Sizes of the two files; what is in them is pinned in the data set's YAML."""
        return [path.stat().st_size for path in self._files()]

    def _files(self) -> tuple[Path, Path]:
        spec = importlib.util.find_spec("stardist")
        for place in (spec and spec.submodule_search_locations) or ():
            folder = Path(place) / "data" / "images"
            image, mask = folder / "img2d.tif", folder / "mask2d.tif"
            if image.is_file() and mask.is_file():
                return image, mask
        raise DataError("nuclei_demo is packaged with stardist. Install it: pip install stardist.")


@dataclass
class SyntheticSource:
    """Drawn images of several styles; see `benchmark.data.sources.synthetic`.

    Args:
        styles: names of styles.
        per_style: images of each style in the test split.
        val_per_style: images of each style in the val split.
        size: height and width in pixels.
        seed: image k of a style is the same for the same seed, however many are drawn.
    """

    styles: list[str]
    per_style: int
    val_per_style: int
    size: int
    seed: int

    def items(self, split: str) -> list[Raw]:
        """The images to draw: test first, then val, which goes on counting.

        Raises:
            UsageError: no such split; what is no whole number.
        """
        for word in ("per_style", "val_per_style", "size", "seed"):
            number = getattr(self, word)
            if not isinstance(number, int):
                raise UsageError(f"data.source.{word} is {number!r}; it must be a whole number.")
        wanted = only(split, ["test", "val"])
        everything = [
            Raw(
                name=f"{style}_{index:03d}",
                group=f"{style}_{index:03d}",
                split="test" if index < self.per_style else "val",
                files=f"drawn, style {style}, number {index}",
                read=partial(_draw, style, index, self.seed, self.size),
            )
            for style in self.styles
            for index in range(self.per_style + self.val_per_style)
        ]
        return [raw for raw in everything if raw.split in wanted]

    def fingerprint(self, known: Any = None) -> Any:
        """The version of the drawing; all else is in the parameters."""
        return DRAWING_VERSION


def _draw(style: str, index: int, seed: int, size: int) -> tuple[Image, Labels]:
    from benchmark.data.sources.synthetic import draw

    try:
        return draw(style, index, seed, size)
    except (ValueError, TypeError) as error:
        raise UsageError(f"data.source: {error}.") from error


def _samples(raw: Raw, image: Path, planes: Planes) -> list[Raw]:
    """A file as the samples that it holds: one, or one for each slice or frame.

    Args:
        raw: the file, whose `read` takes `planes`.
        image: its image.
        planes: as chosen.
    """
    choices = [(raw.name, planes)]
    for axis, word in EACH.items():
        if getattr(planes, axis) != word:
            continue
        try:
            count = planes_along(image, planes, axis.upper())
        except DataError:  # reading it says so again, for this sample alone
            count = 1
        choices = [
            (f"{name}_{axis}{k:03d}", choice.at(axis, k, of=count))
            for name, choice in choices
            for k in range(count)
        ]
    volume = str(image) if len(choices) > 1 else raw.volume
    read: Callable[..., tuple[Image, Labels]] = raw.read
    return [
        replace(raw, name=name, volume=volume, read=partial(read, planes=choice))
        for name, choice in choices
    ]


def read_files(image: Path, labels: Path, planes: Planes | None = None) -> tuple[Image, Labels]:
    """Read one image and its label image.

    Args:
        image: its file.
        labels: the file of its label image, which may be a stack where a slice is chosen.
        planes: which planes of the image's file make the image.

    Raises:
        DataError: one of them can't be read, or is not an image or label image.
    """
    return read_image(image, planes=planes), read_labels(labels, planes=planes)


def find_files(pattern: str, root: str | None, word: str) -> list[Path]:
    """Return the files of a folder or a glob pattern, sorted.

    Args:
        pattern: a folder (all files in it) or a glob pattern. A path that exists
            is not a pattern, even with brackets.
        root: what a relative pattern starts from; None: the working directory.
        word: the key of the configuration, for messages.

    Raises:
        UsageError: it matches no file, or is empty.
    """
    if not pattern.strip():
        raise UsageError(f"{word} is empty; give a folder or a pattern.")
    # os.path's own, as pathlib's raises where `~` begins no home.
    full = Path(os.path.expanduser(root or "."), os.path.expanduser(pattern))  # noqa: PTH111
    # Of pathlib again, `exists` raises where a name is too long or a folder closed.
    literal = next(p for p in (full, *full.parents) if os.path.exists(p))  # noqa: PTH110
    if literal != full:
        wild = full.relative_to(literal)
    else:
        wild = Path("*" if full.is_dir() and not _is_image_folder(full) else "")
    # pathlib's own glob takes no absolute pattern.
    found = glob.glob(str(Path(glob.escape(str(literal))) / wild), recursive=True)  # noqa: PTH207
    files = sorted(path for path in map(Path, found) if path.is_file() or _is_image_folder(path))
    if not files:
        where = f"data.root={root}" if root else f"the working directory, {Path.cwd()}"
        raise UsageError(f"{word}='{pattern}' matches no file (relative to {where}).")
    return files


def _is_image_folder(path: Path) -> bool:
    """Whether a folder is one image (Zarr)."""
    return path.suffix.lower() in FOLDERS and path.is_dir()


def by_stem(files: Iterable[Path], word: str) -> dict[str, Path]:
    """The files by stem.

    Raises:
        DataError: two files have the same stem.
    """
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for path in files:
        found[stem_of(path)].append(path)
    double = [paths for paths in found.values() if len(paths) > 1]
    if double:
        listed = abbreviated(" and ".join(map(str, paths)) for paths in double)
        raise DataError(f"{word}: two files with one stem: {listed}. Name each sample once.")
    return {stem: paths[0] for stem, paths in found.items()}


def stem_of(path: Path) -> str:
    """A file's name without its suffix; `.ome` counts as part of the suffix."""
    return _as_text(path.stem.removesuffix(".ome"))


def _as_text(name: str) -> str:
    """Normalise a file name, so that it can be compared and written everywhere.

    Accents are composed, as some systems store them separately; bytes that are not valid text
    become escapes.
    """
    return unicodedata.normalize("NFC", name).encode("utf-8", "backslashreplace").decode()
