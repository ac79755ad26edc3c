"""Find a user's image and label files, and pair them, however their folders are laid out."""

from __future__ import annotations

import difflib
import fnmatch
import glob
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmark.data.formats.images import FOLDERS, OPENERS
from benchmark.data.formats.labels import LABEL_SUFFIXES, LabelFile
from benchmark.data.remarks import remark
from benchmark.data.sources.base import abbreviated
from benchmark.data.sources.pairs import keys_in_folders
from benchmark.errors import DataError, UsageError

IMAGE_WORDS = ("img", "image", "images", "im", "raw")
LABEL_WORDS = (
    "cp_masks", "masks", "mask", "seg", "segmentation", "labels", "label", "lbl", "gt",
    "ground_truth", "groundtruth", "annotations", "annotation", "instances", "instance", "rois",
    "roiset", "roi", "predictions", "prediction", "pred", "labelled", "labeled", "label_image",
    "object predictions", "object identities", "simple segmentation",
)  # fmt: skip
OTHER_WORDS = ("flows", "cp_flows", "outlines", "cp_outlines", "cp_output", "probabilities",
               "overlay")  # fmt: skip
"""Words before or after the name of a sample that say what a file is; the last are neither."""

_FORMATS = re.compile(r"\.(tiff?|png|jpe?g|ome)$", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """A sample's files.

    Attributes:
        name: unique among the samples.
        image: its image.
        labels: its labels; None if there are none.
        place: what its group is searched in: the file's name, or the path below the folder of all.
    """

    name: str
    image: Path
    labels: LabelFile | None
    place: str


# Finding files


def find_files(pattern: str, root: str | None, word: str) -> list[Path]:
    """Return the files of a folder or a glob pattern, sorted.

    A link to nothing counts as a file: reading it fails, and says so.

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
    literal, wild = _split(pattern, root)
    files = _glob(literal, wild)
    if files == [literal] and literal.is_symlink() and not literal.exists():
        raise UsageError(
            f"{word}='{pattern}' is a link to {literal.readlink()}, which does not exist."
        )
    if not files:
        where = f"data.root={root}" if root else f"the working directory, {Path.cwd()}"
        raise UsageError(
            f"{word}='{pattern}' matches no file (relative to {where}).{_hint(pattern, root)}"
        )
    return files


_TELL_NOTHING = {
    *("data", "image", "images", "img", "imgs", "input", "inputs", "png", "raw"),
    *("test", "tif", "tiff", "train", "val"),
}
"""Names of folders that say what kind of file lies there, and not what it shows."""


def folder_name(pattern: str, root: str | None, taken: Iterable[str]) -> str:
    """The name of the folder that images lie in, to call a data set by.

    Of `nuclei/images/*.tif` that is `nuclei`, as `images` tells nothing. A name that another data
    set has gets `_own` behind it: its published results are of other images.

    Args:
        pattern: as of `find_files`.
        root: likewise.
        taken: names of other data sets.

    Returns:
        The name; `folder` where no folder's name tells anything.
    """
    literal, wild = _split(pattern, root)
    place = (literal if wild.parts else literal.parent).resolve()
    names = (each.name for each in (place, *place.parents))
    name = next((n for n in names if n and n.casefold() not in _TELL_NOTHING), "folder")
    return f"{name}_own" if name.casefold() in {one.casefold() for one in taken} else name


def is_read(pattern: str, root: str | None, folder: Path, names: Iterable[str]) -> bool:
    """Whether `find_files` finds files of a folder, or would, if it had files of these names.

    Args:
        pattern: as of `find_files`.
        root: likewise.
        folder: the folder, which need not exist.
        names: of files in it.
    """
    folder = folder.resolve()
    literal, wild = _split(pattern, root)
    if any(path.resolve().parent == folder for path in _glob(literal, wild)):
        return True
    literal = literal.resolve()
    below = [path for name in names if (path := folder / name).is_relative_to(literal)]
    return any(_matches(path.relative_to(literal).parts, wild.parts) for path in below)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches a glob pattern part by part; `**` stands for any number of parts."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[k:], pattern[1:]) for k in range(len(parts) + 1))
    found = bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0])
    return found and _matches(parts[1:], pattern[1:])


def _full(pattern: str, root: str | None) -> Path:
    # os.path's own, as pathlib's raises where `~` begins no home.
    return Path(os.path.expanduser(root or "."), os.path.expanduser(pattern))  # noqa: PTH111


def _split(pattern: str, root: str | None) -> tuple[Path, Path]:
    """Return the part of a pattern that exists, and the rest."""
    full = _full(pattern, root)
    # Of pathlib again, `exists` raises where a name is too long or a folder closed.
    literal = next(p for p in (full, *full.parents) if os.path.lexists(p))
    if literal != full:
        return literal, full.relative_to(literal)
    return literal, Path("*" if full.is_dir() and not _is_image_folder(full) else "")


def _glob(literal: Path, wild: Path) -> list[Path]:
    # pathlib's own glob takes no absolute pattern.
    found = glob.glob(str(Path(glob.escape(str(literal))) / wild), recursive=True)  # noqa: PTH207
    return sorted(path for name in found if _is_file(path := Path(name)))


def _is_file(path: Path) -> bool:
    is_broken_link = path.is_symlink() and not path.exists()
    return path.is_file() or is_broken_link or _is_image_folder(path)


def _is_image_folder(path: Path) -> bool:
    """Whether a folder is one image (Zarr)."""
    return path.suffix.lower() in FOLDERS and path.is_dir()


def _hint(pattern: str, root: str | None) -> str:
    """What a pattern that matches no file may have meant."""
    near = near_misses(pattern, root, ())
    if near:
        return f" Nearly: {abbreviated(path.name for path in near)}."
    literal, wild = _split(pattern, root)
    if not wild.parts:
        return ""
    missing = wild.parts[0]
    if not glob.has_magic(missing):
        there = [path.name for path in literal.glob("*")] if literal.is_dir() else []
        close = difflib.get_close_matches(missing, there)
        nearly = f" Nearly: {abbreviated(close)}." if close else ""
        braces = " Braces have no meaning in patterns." if "{" in missing else ""
        return f" There is no '{missing}' in {literal.absolute()}.{nearly}{braces}"
    if _glob(literal, Path("*", *wild.parts)):
        given = Path(pattern).parts
        folder = given if literal == _full(pattern, root) else given[: -len(wild.parts)]
        below = Path(*folder, "*", *wild.parts)
        return f" There are files in folders below: try '{below}'."
    if "[" in pattern and _glob(literal, Path(re.sub(r"[\[\]]", "?", str(wild)))):
        return (
            " Brackets stand for one of the characters in them; write '?' in place of each bracket."
        )
    if "{" in pattern:
        return " Braces have no meaning in patterns."
    return ""


def near_misses(pattern: str, root: str | None, found: Iterable[Path]) -> list[Path]:
    """Return files that a pattern misses only by the spelling of their ending (.TIF, .tiff)."""
    literal, wild = _split(pattern, root)
    if _ENDING.search(wild.name) is None:
        return []
    taken, wanted = set(found), _lower_ending(wild.name)
    return [
        path
        for path in _glob(literal, wild.with_name("*"))
        if path not in taken and fnmatch.fnmatchcase(_lower_ending(path.name), wanted)
    ]


_ENDING = re.compile(r"(?:\.ome)?\.[^.*?\[\]]+$", re.IGNORECASE)


def _lower_ending(name: str) -> str:
    """Return a name with its ending as most people spell it."""
    return _ENDING.sub(lambda found: _spelled(found[0].lower()), name)


def _spelled(ending: str) -> str:
    return ending.replace(".tiff", ".tif").replace(".jpeg", ".jpg")


def of_kind(
    files: Sequence[Path], suffixes: Sequence[str], word: str, but: str | None = None
) -> list[Path]:
    """Return the files of some kinds, and remark on the others.

    Args:
        files: any.
        suffixes: the endings of the kinds, in lower case.
        word: the key of the configuration, for messages.
        but: an ending of names that are of another kind all the same.

    Raises:
        UsageError: none is.
    """
    kept = [
        path
        for path in files
        if path.suffix.lower() in suffixes and not (but and path.name.lower().endswith(but))
    ]
    others = Counter(path.suffix or "no ending" for path in files if path not in set(kept))
    listed = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
    if not kept:
        raise UsageError(
            f"{word} names files, but none that can be read ({listed}). Readable are "
            f"{', '.join(suffixes)}."
        )
    if others:
        remark("passed_over", f"{word}: {listed}")
    return kept


# Names


def stem_of(path: Path) -> str:
    """A file's name without its suffix; `.ome` counts as part of the suffix."""
    return as_text(path.stem.removesuffix(".ome"))


def as_text(name: str) -> str:
    """Normalise a file name, so that it can be compared and written everywhere.

    Accents are composed, as some systems store them separately; bytes that are not valid text
    become escapes.
    """
    return unicodedata.normalize("NFC", name).encode("utf-8", "backslashreplace").decode()


def _affixes(words: Iterable[str]) -> re.Pattern[str]:
    either = "|".join(sorted(words, key=len, reverse=True))
    return re.compile(rf"[ _.-](?:{either})$|^(?:{either})(?:[ _.-]|(?=\d))", re.IGNORECASE)


_ANY = _affixes([*IMAGE_WORDS, *LABEL_WORDS, *OTHER_WORDS])
_OF_LABELS = _affixes(LABEL_WORDS)
_OF_OTHERS = _affixes(OTHER_WORDS)


def core_of(stem: str) -> str:
    """Return a name without words for what a file is, and without endings of file formats."""
    while True:
        shorter = _FORMATS.sub("", _ANY.sub("", stem))
        if shorter == stem or not shorter:
            return stem
        stem = shorter


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


# Pairing


def apart(images: Sequence[Path], labels: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Return images and labels without the files that both patterns name.

    Where one pattern is narrower, its files are what it says they are; else their names decide
    (`a_masks.tif`, `a_seg.npy`).
    """
    both = set(images) & set(labels)
    if not both:
        return list(images), list(labels)
    if both == set(labels) and both != set(images):
        are_labels = both
    elif both == set(images) and both != set(labels):
        are_labels = set()
    else:
        are_labels = {path for path in both if _is_of_labels(path)}
        if not are_labels or are_labels == both:
            return list(images), list(labels)
    others = {path for path in both if _OF_OTHERS.search(_bare(path))}
    if others:
        remark("passed_over", f"{len(others)}, e.g. {min(others).name}")
    return (
        [path for path in images if path not in are_labels | others],
        [path for path in labels if path not in (both - are_labels) | others],
    )


def _is_of_labels(path: Path) -> bool:
    only_labels = set(LABEL_SUFFIXES) - set(OPENERS)
    return path.suffix.lower() in only_labels or bool(_OF_LABELS.search(_bare(path)))


def _bare(path: Path) -> str:
    """Return a file's name without endings of formats, in which words are looked for."""
    return _FORMATS.sub("", path.stem)


@dataclass(frozen=True)
class Pairing:
    """Images with their labels.

    Attributes:
        pairs: a sample each, sorted by name; images without labels among them.
        alone: labels without an image.
        way: how they were paired, for messages: `by ...`.
        is_guess: whether it is another way than by equal names.
    """

    pairs: list[Pair]
    alone: list[LabelFile]
    way: str
    is_guess: bool


class _Way(NamedTuple):
    """A way to pair.

    Attributes:
        how: for messages.
        keys: what is compared, for each path.
        one_by_one: whether a key depends on its path alone. If so, an image may lack its labels;
            else keys are compared only where all files pair.
    """

    how: str
    keys: Callable[[Sequence[Path]], list[str]]
    one_by_one: bool


_WAYS = (
    _Way("by file name without suffix", lambda paths: [stem_of(path) for path in paths], True),
    _Way(
        "by file name without words such as 'img' and 'masks'",
        lambda paths: [core_of(stem_of(path)) for path in paths],
        True,
    ),
    _Way("by folder", lambda paths: [str(path.parent) for path in paths], True),
    _Way(
        "by what differs between the file names of each side",
        lambda paths: keys_in_folders(paths, with_folders=False),
        False,
    ),
    _Way(
        "by what differs between the folders and file names of each side",
        lambda paths: keys_in_folders(paths, with_folders=True),
        False,
    ),
)
"""The first that pairs all files is taken, else the one that pairs the most."""


def pair(images: Sequence[Path], labels: Sequence[LabelFile]) -> Pairing:
    """Pair images with labels.

    Labels in a file of many images (COCO) that are not among these are left out, with a remark.

    Args:
        images: the image files.
        labels: where labels are.

    Raises:
        DataError: names are not unique.
    """
    named = [file.named for file in labels]
    best: tuple[_Way, dict[str, Path], dict[str, LabelFile]] | None = None
    most = -1
    for way in _WAYS:
        by_image = dict(zip(way.keys(images), images, strict=True))
        by_label = dict(zip(way.keys(named), labels, strict=True))
        if len(by_image) < len(images) or len(by_label) < len(labels) or "" in by_image:
            continue
        count = len(by_image.keys() & by_label.keys())
        is_whole = count == len(images) == len(labels)
        if count > most and (is_whole or way.one_by_one):
            best, most = (way, by_image, by_label), count
        if is_whole:
            break
    if best is None:
        by_stem(images, "data.images")
        by_stem(named, "data.labels")
        raise DataError("images and labels can't be paired by their names.")
    way, by_image, by_label = best
    alone = [by_label[key] for key in by_label.keys() - by_image.keys()]
    others = [file for file in alone if file.image is not None]
    if others and most:
        remark("no_partner", f"{len(others)}, e.g. {others[0].image}")
        alone = [file for file in alone if file.image is None]
    names = unique_names(list(by_image.values()), "data.images")
    pairs = [
        Pair(names[image][0], image, by_label.get(key), names[image][1])
        for key, image in by_image.items()
    ]
    is_guess = way is not _WAYS[0]
    return Pairing(sorted(pairs, key=lambda one: one.name), alone, way.how, is_guess)


def unique_names(images: Sequence[Path], word: str) -> dict[Path, tuple[str, str]]:
    """Return a unique name of each file, and the text that its group is searched in.

    Args:
        images: the files.
        word: the key of the configuration, for messages.

    Raises:
        DataError: two files in one folder have the same stem.
    """
    stems = [stem_of(path) for path in images]
    if len(set(stems)) == len(stems):
        return {p: (stem, as_text(p.name)) for p, stem in zip(images, stems, strict=True)}
    common = Path(os.path.commonpath([path.parent for path in images]))
    below = [path.relative_to(common) for path in images]
    folders = ["-".join(path.parts[:-1]) for path in below]
    alone = len(set(folders)) == len(folders)
    named = {
        path: (
            as_text(folder if alone else "-".join([*short.parts[:-1], stem])),
            as_text(short.as_posix()),
        )
        for path, short, folder, stem in zip(images, below, folders, stems, strict=True)
    }
    if len({name for name, _ in named.values()}) < len(images):
        by_stem(images, word)
    return named
