"""Image and label files from two lists: whether they belong together, seen by their names."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmark.data.sources.base import some
from benchmark.errors import DataError


def check_pairs(
    name: str, images: Sequence[Path], labels: Sequence[Path], *, by_order: bool
) -> None:
    """Refuse lists that don't pair; a missing file would shift all after it.

    Either names are equal, pair by pair; or what those of one folder have in common at either
    end ("_img", "_mask") is no part of what they say, and the rest is equal.

    Args:
        name: the data set's.
        images: as a loader found them.
        labels: likewise, in the same order.
        by_order: trust the order; only their number is compared.

    Raises:
        DataError: with the files that have no partner.
    """
    if by_order and len(images) == len(labels):
        return
    ways = [
        ([path.stem for path in images], [path.stem for path in labels]),
        (_keys(images, False), _keys(labels, False)),
        (_keys(images, True), _keys(labels, True)),
    ]
    if any(of_images == of_labels and _tell(of_images) for of_images, of_labels in ways):
        return
    # The way that explains most of the files says best which don't pair.
    told = min((_alone(images, labels, *keys) for keys in ways), key=len)
    raise DataError(
        f"data '{name}': {len(images)} images and {len(labels)} label images don't pair by their "
        f"names: {some(told)}. Mend the files; or, if the loader's order can be trusted and "
        "their numbers agree, say data.pairing=order."
    )


def _tell(keys: Sequence[str]) -> bool:
    """Whether they tell the files apart (a folder for each image may call all of them "raw")."""
    return len(set(keys)) == len(keys)


def _alone(
    images: Sequence[Path],
    labels: Sequence[Path],
    image_keys: Sequence[str],
    label_keys: Sequence[str],
) -> list[str]:
    """What is wrong: files without a partner, or else the first pair that is none."""
    alone = [
        f"{path} has no {partner}"
        for partner, paths, keys, others in (
            ("label image", images, image_keys, set(label_keys)),
            ("image", labels, label_keys, set(image_keys)),
        )
        for path, key in zip(paths, keys, strict=True)
        if key not in others
    ]
    if alone:
        return alone
    pairs = zip(images, labels, image_keys, label_keys, strict=False)
    shifted = [f"{i} would be paired with {t}" for i, t, a, b in pairs if a != b]
    return shifted[:1] or [f"{images[-1]} or {labels[-1]} is there twice"]


def _keys(paths: Sequence[Path], with_folders: bool) -> list[str]:
    """What tells each file from its neighbours, and from those in other folders.

    A folder of one image is what tells it, for the image may be called as all others.
    """
    folders: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        folders[path.parent].append(path)
    telling = [f for f, files in folders.items() if with_folders or len(files) == 1]
    of_folder = dict(zip(telling, _differences([str(folder) for folder in telling]), strict=True))
    # Folder "10" is not file "10".
    among = "in a folder of many/" if 0 < len(telling) < len(folders) else ""
    keys: dict[Path, str] = {}
    for folder, files in folders.items():
        of_file = _differences([file.stem for file in files])
        for file, told in zip(files, of_file, strict=True):
            place = f"{of_folder[folder]}/" if folder in of_folder else among
            keys[file] = f"{place}{told}".strip("/")
    return [keys[path] for path in paths]


def _differences(names: Sequence[str]) -> list[str]:
    """The names without what all have in common at either end."""
    if len(names) < 2:
        return [""] * len(names)
    start = _in_common(names)
    rest = [name[start:] for name in names]
    end = _in_common([name[::-1] for name in rest])
    return [name[: len(name) - end] for name in rest]


def _in_common(names: Sequence[str]) -> int:
    """How many characters at the beginning all names share; no number is cut in two."""
    common = os.path.commonprefix(names)  # noqa: RUF071, of characters, not of folders
    goes_on = any(name[len(common) : len(common) + 1].isdigit() for name in names)
    return len(common.rstrip("0123456789")) if goes_on else len(common)
