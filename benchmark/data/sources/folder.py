"""Sources: the user's own folders, the image packaged with stardist, drawn images."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from benchmark.console import note
from benchmark.data.formats.cellpose_seg import SUFFIX as SEG_SUFFIX
from benchmark.data.formats.decoding import refuse_placeholder
from benchmark.data.formats.images import OPENERS, planes_along, read_image, read_labels
from benchmark.data.formats.labels import (
    LABEL_SUFFIXES,
    LabelFile,
    LabelOptions,
    label_files,
    read_label_file,
)
from benchmark.data.formats.planes import EACH, Planes
from benchmark.data.remarks import remark
from benchmark.data.sources.base import Raw, abbreviated, file_times, only
from benchmark.data.sources.layouts import (
    Pair,
    apart,
    find_files,
    is_read,
    near_misses,
    of_kind,
    pair,
)
from benchmark.errors import DataError, UsageError
from benchmark.types import Image, Labels

READER_VERSION = 2
"""Raised when one's own files are read in another way; they are then prepared again."""

DRAWING_VERSION = 1
"""Raised when `benchmark.data.sources.synthetic` draws other pictures from the same seed."""


_AS_IDS = LabelOptions()


@dataclass
class FolderSource:
    """The user's own images and labels, paired by their names (`benchmark.data.sources.layouts`).

    Args:
        images: a folder or a glob pattern (`**` looks into folders below).
        labels: the same for the labels, in any format of `benchmark.data.formats.labels`, of all
            images or of some; None: there are none.
        root: what relative patterns start from; the working directory where not given.
        group: a regular expression searched in each image's file name (with its folders, where
            several have one name); its first bracket (or the whole match) is the group. Not given:
            every image is its own group.
        use_channels: numbers from 0, or names, of the channels that make the images, in this
            order; None: all.
        z: the slice that is read of a stack: `max` or `mean` of all, its number from 0, or
            `slices`, each of which is then an image of its own. None: images have one.
        t: the same for time points, where `frames` makes each an image of its own.
        scene: number from 0, or name, of the image in files of several. None: files have one.
        channels: names of the channels, for `use_channels` and files that have none.
        labels_are: what the values of label images mean, and
        background: the value of their background; see `LabelOptions`.
    """

    # Values at which data prepared before the parameter existed is still found.
    as_before: ClassVar = {
        **dict.fromkeys(("use_channels", "z", "t", "scene", "labels_are")),
        "background": 0,
    }

    images: str
    labels: str | None = None
    root: str | None = None
    group: str | None = None
    use_channels: Any = None
    z: int | str | None = None
    t: int | str | None = None
    scene: int | str | None = None
    channels: Any = None
    labels_are: str | None = None
    background: int = 0

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
        """Names of channels shape nothing where none is chosen by its name."""
        by_name = any(isinstance(one, str) for one in self._planes.use_channels or ())
        return () if by_name else ("channels",)

    def items(self, split: str) -> list[Raw]:
        """Pair the files.

        Raises:
            DataError: two files with one stem, a label image without its image, or an image that
                is its own label image.
            UsageError: nothing found; the regular expression is invalid, or does not match a name.
        """
        only(split, ["test"])
        options = LabelOptions(self.labels_are, self.background)
        images, labels = self._files()
        for word, pattern in (("data.images", self.images), ("data.labels", self.labels)):
            near = near_misses(pattern, self.root, [*images, *labels]) if pattern else []
            if near:
                names = abbreviated(path.name for path in near)
                remark("near_misses", f"{word}='{pattern}' is not {names}")
        found = pair(images, label_files(labels))
        if found.alone:
            alone = abbreviated(f"{file} has no image" for file in found.alone)
            bare = [one.image for one in found.pairs if one.labels is None]
            free = f" Without labels: {abbreviated(map(str, bare))}." if bare else ""
            raise DataError(f"images and labels are paired {found.way}: {alone}.{free}")
        pairs = [(one.image, one.labels) for one in found.pairs if one.labels is not None]
        same = [f"{image} is {file}" for image, file in pairs if _same(image, file.path)]
        if same:
            raise DataError(
                f"data.images and data.labels name one file: {abbreviated(same)}. "
                "Give the folder or the pattern of each."
            )
        if found.is_guess and pairs:
            image, file = pairs[0]
            note(
                f"{len(pairs)} images and labels are paired {found.way}: {image.name} with "
                f"{file.path.name}, ..."
            )
        chosen = (self.use_channels, self.z, self.t, self.scene)
        whole = all(choice is None for choice in chosen)
        raws = [
            Raw(
                name=one.name,
                group=self._group(one),
                split="test",
                files=", ".join(str(file) for file in (one.image, one.labels) if file is not None),
                read=partial(read_files, one.image, one.labels, options),
                labelled=one.labels is not None,
                file=str(one.image.absolute()) if whole else "",
            )
            for one in found.pairs
        ]
        files = {one.name: one.image for one in found.pairs}
        return [sample for raw in raws for sample in _samples(raw, files[raw.name], self._planes)]

    def fingerprint(self, known: Any = None) -> Any:
        """Names, sizes and times of change of all files, and how they are read."""
        images, labels = self._files()
        return [["reader", READER_VERSION], *file_times([*images, *labels])]

    def reads(self, folder: Path, names: Iterable[str]) -> bool:
        """Whether it reads files of a folder, or would, if there were files of these names."""
        patterns = (self.images, self.labels)
        names = list(names)
        return any(is_read(pattern, self.root, folder, names) for pattern in patterns if pattern)

    def _files(self) -> tuple[list[Path], list[Path]]:
        """Return the files of images and of labels."""
        images = find_files(self.images, self.root, "data.images")
        if self.labels is None:
            return _images(images), []
        images, labels = apart(images, find_files(self.labels, self.root, "data.labels"))
        return _images(images), of_kind(labels, LABEL_SUFFIXES, "data.labels")

    def _group(self, found: Pair) -> str:
        if self.group is None:
            return found.name
        try:
            match = re.search(self.group, found.place)
        except re.error as error:
            raise UsageError(
                f"data.group='{self.group}' is not a valid regular expression: {error}."
            ) from error
        group: str | None = match and match[1 if match.re.groups else 0]
        if not group:  # an empty group would hold all images
            raise UsageError(
                f"data.group='{self.group}' does not match the file name {found.place}."
            )
        return group


def _images(files: Sequence[Path]) -> list[Path]:
    """Return the files of images; Cellpose's `_seg.npy` is none."""
    return of_kind(files, tuple(OPENERS), "data.images", but=SEG_SUFFIX)


def _same(image: Path, labels: Path) -> bool:
    try:
        return image.samefile(labels)
    except OSError:  # a link to nothing
        return False


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
                read=partial(_read_packaged, image, mask),
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


def _read_packaged(image: Path, mask: Path) -> tuple[Image, Labels]:
    return read_image(image), read_labels(mask)


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
    read: Callable[..., tuple[Image, Labels | None]] = raw.read
    return [
        replace(raw, name=name, volume=volume, read=partial(read, planes=choice))
        for name, choice in choices
    ]


def read_files(
    image: Path,
    labels: LabelFile | None,
    options: LabelOptions = _AS_IDS,
    planes: Planes | None = None,
) -> tuple[Image, Labels | None]:
    """Read one image, and its labels if it has some.

    Args:
        image: its file.
        labels: the file of its labels, which may be a stack where a slice is chosen.
        options: what the values of label images mean.
        planes: which planes of the image's file make the image.

    Raises:
        DataError: one of them can't be read, or is not an image or labels.
    """
    refuse_placeholder(image)
    pixels = read_image(image, planes=planes)
    if labels is None:
        return pixels, None
    refuse_placeholder(labels.path)
    shape = pixels.shape[0], pixels.shape[1]
    return pixels, read_label_file(labels, shape, options, planes)
