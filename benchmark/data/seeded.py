"""A split that is the same for everybody: seeded, by group, and kept as a list."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from benchmark.data.sources.base import abbreviated
from benchmark.errors import DataError
from benchmark.store.files import disk_errors, write_whole

Split = dict[str, list[str]]


def seeded_split(
    groups: Mapping[str, str], lists: Path, *, test: float, val: float, seed: int
) -> Split:
    """The names in each part: `val`, `test` and `train` (what is in neither).

    Groups are put in the order of the SHA-256 of seed and group name, which needs no
    library to stay as it is; whole groups then fill val and test until these have their
    share of the images. What is left when the shares add up to 1 is test's.

    Args:
        groups: name of each image -> its group.
        lists: the data set's folder; the list is kept there, and holds once it is there.
        test: share of the images, 0 to 1.
        val: likewise.
        seed: another seed, another split.

    Raises:
        ValueError: shares that are none.
        DataError: the list that is kept knows other images than these.
        StoreError: the list can't be written.
    """
    if min(test, val) < 0 or test + val > 1 + 1e-9:
        raise ValueError(f"test is {test}, val is {val}: shares of the images, 1 in all at most")
    path = list_of(lists, test=test, val=val, seed=seed)
    if path.exists():
        split = _read(path)
        unknown = groups.keys() - {name for names in split.values() for name in names}
        if unknown:
            raise DataError(
                f"{path} does not list these images: {abbreviated(unknown)}. It was made from "
                "another selection of the data set; remove it to split the present one."
            )
        return {part: [n for n in names if n in groups] for part, names in split.items()}
    split = _draw(groups, test, val, seed)
    with disk_errors(path):
        lists.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(split, indent=1) + "\n").encode())
    return split


def list_of(lists: Path, *, test: float, val: float, seed: int) -> Path:
    """Where a split is kept."""
    return lists / f"split_seed{seed}_val{val:g}_test{test:g}.json"


def _draw(groups: Mapping[str, str], test: float, val: float, seed: int) -> Split:
    def place(group: str) -> str:
        return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()

    split: Split = {"val": [], "test": [], "train": []}
    wanted = {"val": val * len(groups), "test": test * len(groups)}
    rest = "test" if test + val > 1 - 1e-9 else "train"
    for group in sorted(set(groups.values()), key=place):
        # Half an image short is nearer than a whole group too many.
        part = next((p for p in wanted if len(split[p]) < wanted[p] - 0.5), rest)
        split[part] += [name for name, its in groups.items() if its == group]
    return {part: sorted(names) for part, names in split.items()}


def _read(path: Path) -> Split:
    try:
        content = json.loads(path.read_text())
        split: Split = {part: content[part] for part in ("val", "test", "train")}
        if not all(isinstance(name, str) for names in split.values() for name in names):
            raise TypeError("not all are names")
        return split
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} can't be read ({error!r}). Remove it to split again.") from error
