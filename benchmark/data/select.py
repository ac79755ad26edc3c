"""Which of a source's images belong to a split: steps on a list, before any is read."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark.data.seeded import list_of, seeded_split
from benchmark.data.sources.base import Raw, abbreviated
from benchmark.data.transforms import parse_step
from benchmark.errors import DataError, UsageError
from benchmark.store.files import inside


@dataclass(frozen=True)
class Place:
    """Where a data set keeps its lists.

    Attributes:
        downloads: the folder of its raw files.
        lists: the folder of its own split lists.
        used: those that a step went by.
    """

    downloads: Path
    lists: Path
    used: list[Path] = field(default_factory=list)


Items = list[Raw]


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
    """At most so many images.

    Source: `limiter` of `_process_images` in micro-sam's scripts/apg_experiments/util.py.

    Args:
        items: the images.
        place: unused.
        count: how many.
        rule: `exact`: the first `count` are looked at. `off_by_one`: the one after them is
            too; where it is kept it is the last, and where the recipe leaves it out, so that
            it never says stop, all images are looked at.

    Raises:
        ValueError: another rule.
    """
    if rule not in ("off_by_one", "exact"):
        raise ValueError(f"rule is '{rule}'; it must be off_by_one or exact")
    if rule == "exact":
        return items[:count]
    return [replace(item, closing=index == count) for index, item in enumerate(items)]


def first_per(items: Items, place: Place, pattern: str, count: int) -> Items:
    """The first few of each kind; the kind is what a pattern's first bracket finds in a name.

    Raises:
        DataError: a name that the pattern does not match.
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
    """All but those named, and those whose name a pattern matches."""
    out = {item.name for item in items if pattern is not None and re.search(pattern, item.name)}
    return [item for item in items if item.name not in out.union(names)]


def ordered_by(items: Items, place: Place, file: str, list: str, key: str) -> Items:
    """In the order of a list in a JSON file of the download, and only those on it.

    Args:
        items: the images.
        place: where the downloads are.
        file: the JSON file, in the data set's folder.
        list: the entry that is the list.
        key: what in each of its elements is a file name.

    Raises:
        ValueError: the file is not named below that folder.
        DataError: the file has no such list.
    """
    path = place.downloads / inside(file, "the data set's folder")
    try:
        names = [Path(element[key]).stem for element in json.loads(path.read_text())[list]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: its list '{list}' can't be read ({error!r}).") from error
    by_name = {item.name: item for item in items}
    return [by_name[name] for name in dict.fromkeys(names) if name in by_name]


def volumes(items: Items, place: Place, cut: int, part: str) -> Items:
    """Whole volumes: the first ones until `cut` slices are reached are val, the others test.

    One volume at least is left for test.

    Raises:
        ValueError: another part.
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
    """One part of a seeded split by group, in the order of names; see `benchmark.data.seeded`.

    Raises:
        ValueError: another part.
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
    """Do the steps in order.

    Args:
        items: the images (or, where steps are done to files, one for each file).
        steps: each a mapping of one name to its arguments, `first`, `last` and `skip` to a
            number; beside it may stand `when: false`, and the step is left out.
        place: where lists are found and kept.

    Raises:
        UsageError: a step that does not exist, or arguments that don't fit it.
        DataError: a step can't be done to these images.
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
