"""Check by file names that two lists of image and label files pair."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmark.data.sources.base import abbreviated
from benchmark.errors import DataError


def check_pairs(
    name: str, images: Sequence[Path], labels: Sequence[Path], *, by_order: bool
) -> None:
    """Refuse lists that don't pair: a missing file would shift all after it.

    Either the names of each pair are equal, or they are equal without the common prefix and suffix
    ("_img", "_mask") of the names in a folder.

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
        (keys_in_folders(images, False), keys_in_folders(labels, False)),
        (keys_in_folders(images, True), keys_in_folders(labels, True)),
    ]
    if any(of_images == of_labels and _tell(of_images) for of_images, of_labels in ways):
        return
    # Report by the comparison that leaves the fewest files without a partner.
    unpaired = min((_alone(images, labels, *keys) for keys in ways), key=len)
    raise DataError(
        f"data '{name}': {len(images)} images and {len(labels)} label images don't pair by their "
        f"names: {abbreviated(unpaired)}. Correct the files; or, if the loader's order can be "
        "trusted and their numbers agree, set data.pairing=order."
    )


def _tell(keys: Sequence[str]) -> bool:
    """Whether keys are unique (with a folder for each image, all may be called "raw")."""
    return len(set(keys)) == len(keys)


def _alone(
    images: Sequence[Path],
    labels: Sequence[Path],
    image_keys: Sequence[str],
    label_keys: Sequence[str],
) -> list[str]:
    """Return the files without a partner, or else the first pair that does not match."""
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


def keys_in_folders(paths: Sequence[Path], with_folders: bool) -> list[str]:
    """Return what distinguishes each file from those in its folder and in other folders.

    A folder with one image distinguishes it, as images may have the same name in every folder.
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
        for file, own in zip(files, of_file, strict=True):
            place = f"{of_folder[folder]}/" if folder in of_folder else among
            keys[file] = f"{place}{own}".strip("/")
    return [keys[path] for path in paths]


def _differences(names: Sequence[str]) -> list[str]:
    """Return the names without their common prefix and suffix."""
    if len(names) < 2:
        return [""] * len(names)
    start = _in_common(names)
    rest = [name[start:] for name in names]
    end = _in_common([name[::-1] for name in rest])
    return [name[: len(name) - end] for name in rest]


def _in_common(names: Sequence[str]) -> int:
    """Return the length of the common prefix; it ends before a number, never within one."""
    common = os.path.commonprefix(names)  # noqa: RUF071, of characters, not of folders
    goes_on = any(name[len(common) : len(common) + 1].isdigit() for name in names)
    return len(common.rstrip("0123456789")) if goes_on else len(common)
