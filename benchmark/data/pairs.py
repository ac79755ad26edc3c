"""Image and label files from two lists: whether they belong together, seen by their names."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmark.data.source import some
from benchmark.errors import DataError


def check_pairs(
    name: str, images: Sequence[Path], labels: Sequence[Path], *, by_order: bool
) -> None:
    """Refuse lists that don't pair; a missing file would shift all after it.

    What names of one folder have in common at both ends ("_img", "_mask") is no part of what
    they say; the rest has to be equal, pair by pair.

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
    image_keys, label_keys = _keys(images), _keys(labels)
    if image_keys == label_keys:
        return
    has = [set(label_keys), set(image_keys)]
    alone = [
        f"{path} has no label image"
        for k, path in zip(image_keys, images, strict=True)
        if k not in has[0]
    ]
    alone += [
        f"{path} has no image"
        for k, path in zip(label_keys, labels, strict=True)
        if k not in has[1]
    ]
    if not alone or len(images) == len(labels) == len(alone) / 2:
        pairs = zip(images, labels, image_keys, label_keys, strict=False)
        first = next(((i, t) for i, t, a, b in pairs if a != b), (images[-1], labels[-1]))
        alone = [f"{first[0]} would be paired with {first[1]}"]
    raise DataError(
        f"data '{name}': {len(images)} images and {len(labels)} label images don't pair by their "
        f"names: {some(alone)}. Mend the files; or, if the loader's order can be trusted and "
        "their numbers agree, say data.pairing=order."
    )


def _keys(paths: Sequence[Path]) -> list[str]:
    """What tells each file from its neighbours."""
    folders: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        folders[path.parent].append(path)
    alone = [folder for folder, files in folders.items() if len(files) == 1]
    of_folder = dict(zip(alone, _differences([str(folder) for folder in alone]), strict=True))
    keys: dict[Path, str] = {}
    for folder, files in folders.items():
        if folder in of_folder:  # a folder for each image: it is the folder that tells
            keys[files[0]] = of_folder[folder]
        else:
            told = _differences([file.stem for file in files])
            keys |= dict(zip(files, told, strict=True))
    return [keys[path] for path in paths]


def _differences(names: Sequence[str]) -> list[str]:
    """The names without what all have in common at either end."""
    if len(names) < 2:
        return [""] * len(names)
    start = len(os.path.commonprefix(names))  # noqa: RUF071, of characters, not folders
    rest = [name[start:] for name in names]
    end = len(os.path.commonprefix([name[::-1] for name in rest]))  # noqa: RUF071
    return [name[: len(name) - end] for name in rest]
