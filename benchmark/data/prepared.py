"""A prepared data set: a folder of images, labels and a manifest, verified when read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmark.data.read import read_image, read_labels
from benchmark.digest import array_digest, json_digest
from benchmark.errors import DataError, UsageError
from benchmark.types import Sample

SPLITS = ("test", "val", "all")


@dataclass(frozen=True)
class Entry:
    """One line of the manifest.

    Attributes:
        id: safe and unique.
        original: the name it had in its source.
        group: its cluster, as named in the source.
        split: `test` or `val`.
        image_digest: of the decoded image; None for a sample that could not be prepared.
        labels_digest: of the decoded labels; None likewise.
        shape: of the image.
        dtype: of the image.
        objects: how many are annotated.
        error: why it could not be prepared, else None.
    """

    id: str
    original: str
    group: str
    split: str
    image_digest: str | None = None
    labels_digest: str | None = None
    shape: tuple[int, ...] = ()
    dtype: str = ""
    objects: int = 0
    error: str | None = None


class PreparedData:
    """The samples of one split.

    Args:
        folder: made by `benchmark.data.prepare`.
        name: the data set's name, for messages.
        split: `test`, `val` or `all`.

    Raises:
        DataError: the manifest can't be read.
        UsageError: there is no such split, or it is empty.
    """

    def __init__(self, folder: Path, name: str, split: str) -> None:
        self.folder = folder
        self.name = name
        self.split = split
        if split not in SPLITS:
            raise UsageError(f"data.split is '{split}'; it must be one of: {', '.join(SPLITS)}.")
        everything = read_manifest(folder / "manifest.jsonl")
        self.entries = [entry for entry in everything if split in (entry.split, "all")]
        if not self.entries:
            has = sorted({entry.split for entry in everything})
            raise UsageError(f"data '{name}' has no split '{split}'; it has: {', '.join(has)}.")

    def images_digest(self) -> str:
        """What predictions depend on: every id with its image."""
        return json_digest([[entry.id, entry.image_digest] for entry in self.entries])

    def labels_digest(self) -> str:
        """What scores depend on: every id with its labels, and the group it counts in."""
        return json_digest([[e.id, e.labels_digest, e.group] for e in self.entries])

    def read(self, entry: Entry) -> Sample:
        """Read a sample and verify that it is the one that was prepared.

        Raises:
            DataError: it could not be prepared, or its files are missing or were changed.
        """
        told = f"data '{self.name}', sample '{entry.id}'"
        if entry.error is not None:
            raise DataError(f"{told}: {entry.error}")
        image_path, labels_path = (
            self.folder / kind / f"{entry.id}.tif" for kind in ("images", "labels")
        )
        try:
            image, labels = read_image(image_path), read_labels(labels_path)
        except DataError as error:
            raise DataError(f"{told}: {error} {self._remedy()}") from error
        for path, array, expected in (
            (image_path, image, entry.image_digest),
            (labels_path, labels, entry.labels_digest),
        ):
            if array_digest(array) != expected:
                raise DataError(f"{told}: {path} was changed after preparation. {self._remedy()}")
        return Sample(entry.id, image, labels, entry.group)

    def _remedy(self) -> str:
        return f"Remove {self.folder} to have it prepared anew."


def read_manifest(path: Path) -> list[Entry]:
    """The entries, in the order of preparation.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        *rows, seal = [json.loads(line) for line in path.read_text().splitlines()]
        if seal != {"digest": json_digest(rows)}:
            raise ValueError("it was changed or cut off")
        return [Entry(**{**row, "shape": tuple(row["shape"])}) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path} can't be read ({error}). Remove {path.parent} to have it prepared anew."
        ) from error


def manifest_text(entries: Iterable[Entry]) -> str:
    """The manifest as it is written: one JSON object per line, the last with their digest."""
    rows = [vars(entry) for entry in entries]
    lines = [*rows, {"digest": json_digest(rows)}]
    return "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
