"""Select the images of a split: steps on a source's list, before any image is read."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark.data.sources.base import Raw, abbreviated
from benchmark.data.transforms import parse_step
from benchmark.errors import DataError, UsageError
from benchmark.store.files import disk_errors, inside, parse_json, write_whole


@dataclass(frozen=True)
class Place:
    """Where a data set keeps its lists.

    Attributes:
        downloads: the folder of its raw files.
        lists: the folder of its split lists.
        used: the lists that a step used.
    """

    downloads: Path
    lists: Path
    used: list[Path] = field(default_factory=list)


Items = list[Raw]
Split = dict[str, list[str]]


def first(items: Items, place: Place, count: int) -> Items:
    """The first few."""
    return items[: _number(count)]


def last(items: Items, place: Place, count: int) -> Items:
    """The last few."""
    return items[max(0, len(items) - _number(count)) :]


def skip(items: Items, place: Place, count: int) -> Items:
    """All but the first few."""
    return items[_number(count) :]


def _number(count: int) -> int:
    if count < 0:
        raise ValueError(f"{count} is not a valid number of images")
    return count


def limit(items: Items, place: Place, count: int, rule: str) -> Items:
    """Limit the number of images.

    Source: `limiter` of `_process_images` in micro-sam's scripts/apg_experiments/util.py.

    Args:
        items: the images.
        place: unused.
        count: the number of images.
        rule: `exact`: the first `count` are taken. `off_by_one`: the next one is taken too and
            ends the data set, unless the recipe leaves it out: then all images are taken.

    Raises:
        ValueError: an unknown rule.
    """
    if rule not in ("off_by_one", "exact"):
        raise ValueError(f"rule is '{rule}'; it must be off_by_one or exact")
    if rule == "exact":
        return items[:count]
    return [replace(item, closing=index == count) for index, item in enumerate(items)]


def first_per(items: Items, place: Place, pattern: str, count: int) -> Items:
    """The first few of each kind; the kind is the first bracket of a pattern in the name.

    Raises:
        DataError: the pattern does not match a name.
    """
    seen: Counter[str] = Counter()
    kept = []
    for item in items:
        found = re.search(pattern, item.name)
        if not found:
            raise DataError(f"'{item.name}' does not match '{pattern}' ({item.files}).")
        kind = found[1 if found.re.groups else 0]
        seen[kind] += 1
        if seen[kind] <= count:
            kept.append(item)
    return kept


def leave_out(
    items: Items, place: Place, names: Sequence[str] = (), pattern: str | None = None
) -> Items:
    """All but the named ones and those whose name a pattern matches."""
    out = {item.name for item in items if pattern is not None and re.search(pattern, item.name)}
    return [item for item in items if item.name not in out.union(names)]


def ordered_by(items: Items, place: Place, file: str, list: str, key: str) -> Items:
    """The images on a list in a JSON file of the download, in its order.

    Args:
        items: the images.
        place: where the downloads are.
        file: the JSON file, in the data set's folder.
        list: the key of the list.
        key: the key of the file name in each element.

    Raises:
        ValueError: the file is not named below that folder.
        DataError: the file has no such list.
    """
    path = place.downloads / inside(file, "the data set's folder")
    try:
        names = [Path(element[key]).stem for element in parse_json(path.read_text())[list]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: its list '{list}' can't be read ({error!r}).") from error
    by_name = {item.name: item for item in items}
    return [by_name[name] for name in dict.fromkeys(names) if name in by_name]


def volumes(items: Items, place: Place, cut: int, part: str) -> Items:
    """Whole volumes: the first ones until `cut` slices are reached are val, the others test.

    One volume at least is left for test.

    Raises:
        ValueError: an unknown part.
    """
    if part not in ("val", "test"):
        raise ValueError(f"part is '{part}'; it must be val or test")
    by_volume: defaultdict[str, Items] = defaultdict(list)
    for item in items:
        by_volume[item.volume].append(item)
    whole = [*by_volume.values()]
    val: Items = []
    while len(whole) > 1 and len(val) < cut:
        val += whole.pop(0)
    return val if part == "val" else [item for volume in whole for item in volume]


def seeded(
    items: Items, place: Place, part: str, test: float = 0.0, val: float = 0.0, seed: int = 0
) -> Items:
    """One part of a seeded split by group, in the order of names; see `seeded_split`.

    Raises:
        ValueError: an unknown part.
        DataError: the split's list knows other images.
    """
    if part not in ("val", "test"):
        raise ValueError(f"part is '{part}'; it must be val or test")
    groups = {item.name: item.group for item in items}
    chosen = set(seeded_split(groups, place.lists, test=test, val=val, seed=seed)[part])
    place.used.append(list_of(place.lists, test=test, val=val, seed=seed))
    # The loaders' own random splits, read one after the other, come in a random order.
    return sorted((item for item in items if item.name in chosen), key=lambda item: item.name)


SIMPLE: Mapping[str, Callable[..., Items]] = {f.__name__: f for f in (first, last, skip)}
STEPS: Mapping[str, Callable[..., Items]] = {
    **SIMPLE,
    **{f.__name__: f for f in (limit, first_per, leave_out, ordered_by, volumes, seeded)},
}


def select(items: Items, steps: Sequence[Mapping[str, Any]], place: Place) -> Items:
    """Apply the steps in order.

    Args:
        items: the images (or one for each file, where steps are applied to files).
        steps: each a mapping of one name to its arguments, `first`, `last` and `skip` to a
            number; a step with the additional key `when: false` is left out.
        place: the folders of lists.

    Raises:
        UsageError: an unknown step, or wrong arguments.
        DataError: a step can't be applied to these images.
    """
    for step in steps:
        name, arguments, wanted = parse_step(step, STEPS, "data.splits")
        if not wanted:
            continue
        named = {"count": arguments} if name in SIMPLE else arguments or {}
        try:
            items = STEPS[name](items, place, **named)
        except (TypeError, ValueError, re.error) as error:
            raise UsageError(f"data.splits: step '{name}': {error}.") from error
    double = [name for name, times in Counter(item.name for item in items).items() if times > 1]
    if double:
        raise DataError(
            f"several images have the same name: {abbreviated(double)}. Raise data.name_parts."
        )
    return items


def seeded_split(
    groups: Mapping[str, str], lists: Path, *, test: float, val: float, seed: int
) -> Split:
    """Return the names in each part: `val`, `test` and `train` (the remaining ones).

    Groups are ordered by the SHA-256 of seed and group name, which does not depend on any
    library's version; whole groups then fill val and test until these have their share of the
    images. If the shares add up to 1, the remaining images belong to test.

    Args:
        groups: name of each image -> its group.
        lists: the data set's folder; the list is stored there, and used if it exists.
        test: share of the images, 0 to 1.
        val: likewise.
        seed: seed of the split.

    Raises:
        ValueError: invalid shares.
        DataError: the stored list lacks some of these images.
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
    """Return the path of a split's list."""
    return lists / f"split_seed{seed}_val{val:g}_test{test:g}.json"


def _draw(groups: Mapping[str, str], test: float, val: float, seed: int) -> Split:
    def place(group: str) -> str:
        return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()

    split: Split = {"val": [], "test": [], "train": []}
    wanted = {"val": val * len(groups), "test": test * len(groups)}
    rest = "test" if test + val > 1 - 1e-9 else "train"
    for group in sorted(set(groups.values()), key=place):
        # Half an image too few is nearer to the share than a whole group too many.
        part = next((p for p in wanted if len(split[p]) < wanted[p] - 0.5), rest)
        split[part] += [name for name, its in groups.items() if its == group]
    return {part: sorted(names) for part, names in split.items()}


def _read(path: Path) -> Split:
    try:
        content = parse_json(path.read_text())
        split: Split = {part: content[part] for part in ("val", "test", "train")}
        if not all(isinstance(name, str) for names in split.values() for name in names):
            raise TypeError("not all are names")
        return split
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} can't be read ({error!r}). Remove it to split again.") from error
