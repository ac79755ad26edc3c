"""A prepared data set: a folder of images, labels and a manifest, verified when it is read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.data.formats.images import read_image, read_labels
from benchmark.data.remarks import Remark, sentence, sentences
from benchmark.errors import DataError
from benchmark.store.digest import array_digest, json_digest
from benchmark.store.files import disk_errors, parse_json, path_of_id
from benchmark.store.names import doubles, is_safe
from benchmark.types import Image, Labels, Sample

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True)
class Entry:
    """One sample of the manifest.

    Attributes:
        id: safe and unique.
        original: its name in the source.
        group: its cluster, as named in the source.
        split: `test` or `val`.
        image_digest: of the decoded image; None for a sample that could not be prepared.
        labels_digest: of the decoded labels; None likewise, and for an image without labels.
        shape: of the image.
        dtype: of the image.
        objects: how many are annotated.
        error: why it could not be prepared, else None.
        remarks: what is odd about its files (`benchmark.data.remarks`).
        file: the user's own file with the same pixels, as an absolute path; empty if there is
            none, or in manifests of version 0.1.
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
    remarks: tuple[Remark, ...] = ()
    file: str = ""

    @property
    def is_unlabelled(self) -> bool:
        """Whether it was prepared, and has no labels: it is predicted, and not scored."""
        return self.error is None and self.labels_digest is None


@dataclass(frozen=True)
class LeftOut:
    """An image that the recipe left out (too few objects, say).

    Attributes:
        original: its name in the source.
        split: `test` or `val`.
        step: of the recipe that left nothing of it; not stored.
    """

    original: str
    split: str
    step: str = field(default="", compare=False)


@dataclass(frozen=True)
class Manifest:
    """The manifest of a prepared folder.

    Attributes:
        entries: its samples, in the order of preparation.
        left_out: images of the source that the recipe left out.
        fingerprint: of the source it was prepared from.
        remarks: what is odd about the files as a whole.
    """

    entries: Sequence[Entry]
    left_out: Sequence[LeftOut]
    fingerprint: Any
    remarks: Sequence[Remark] = ()

    def write(self, folder: Path) -> None:
        """Write the manifest: one JSON object per line, the last with the digest of the others.

        Raises:
            StoreError: the disk is full.
        """
        digest = hashlib.sha256()
        path = folder / MANIFEST
        with disk_errors(path), path.open("w", encoding="utf-8") as file:
            for line in self._lines():
                text = json.dumps(line, sort_keys=True) + "\n"
                digest.update(text.encode())
                file.write(text)
            file.write(json.dumps({"digest": digest.hexdigest()}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> Iterator[dict[str, Any]]:
        yield {"source": self.fingerprint}
        for image in self.left_out:
            yield {"left_out": {"original": image.original, "split": image.split}}
        yield from ({"remark": list(remark)} for remark in self.remarks)
        for entry in self.entries:
            yield {"sample": {k: v for k, v in vars(entry).items() if v or k != "remarks"}}

    @staticmethod
    def read(folder: Path) -> Manifest:
        """Read the manifest.

        Raises:
            DataError: it is missing or damaged.
        """
        path = folder / MANIFEST
        try:
            content, newline, seal = path.read_text("utf-8").rstrip("\n").rpartition("\n")
            digest = hashlib.sha256(f"{content}{newline}".encode()).hexdigest()
            if parse_json(seal) != {"digest": digest}:
                raise ValueError("it was changed or cut off")
            lines = [parse_json(line) for line in content.splitlines()]
            samples = [line["sample"] for line in lines if "sample" in line]
            unsafe = [row["id"] for row in samples if not is_safe(row["id"])]
            if unsafe:
                raise ValueError(f"{ascii(unsafe[0])[:80]} is unsafe as the name of a file")
            double = doubles(row["id"] for row in samples)
            if double:
                raise ValueError(f"several samples have the id {double[0]}")
            return Manifest(
                [
                    Entry(
                        **{
                            **row,
                            "shape": tuple(row["shape"]),
                            "remarks": _remarks(row.get("remarks", ())),
                        }
                    )
                    for row in samples
                ],
                [LeftOut(**line["left_out"]) for line in lines if "left_out" in line],
                lines[0]["source"],
                _remarks(line["remark"] for line in lines if "remark" in line),
            )
        except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
            raise DataError(
                f"{path} can't be read ({error}). Remove {folder} to prepare it again."
            ) from error


def _remarks(stored: Iterable[Any]) -> tuple[Remark, ...]:
    """Return remarks as they were written.

    Raises:
        ValueError, TypeError: they are not.
    """
    found = tuple(Remark(*pair) for pair in stored)
    if not all(isinstance(text, str) for pair in found for text in pair):
        raise ValueError("a remark is not text")
    return found


def read_fingerprint(folder: Path) -> Any:
    """Return the fingerprint of the source; only the first line of the manifest is read.

    Raises:
        DataError: it can't be read.
    """
    path = folder / MANIFEST
    try:
        with path.open(encoding="utf-8") as file:
            return parse_json(file.readline())["source"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path} can't be read ({error}). Remove {folder} to prepare it again."
        ) from error


class PreparedData:
    """The samples of one split.

    Args:
        folder: made by `benchmark.data.prepare`.
        name: the data set's name, for messages.
        split: `test`, `val` or `all`: what the folder was prepared for.

    Raises:
        DataError: the manifest can't be read.
    """

    def __init__(self, folder: Path, name: str, split: str) -> None:
        self.folder = folder
        self.name = name
        self.split = split
        self.manifest = Manifest.read(folder)
        self.entries = list(self.manifest.entries)

    @property
    def warnings(self) -> list[str]:
        """What is odd about its files, as sentences."""
        on_images = dict.fromkeys(
            (entry.original, remark) for entry in self.entries for remark in entry.remarks
        )
        images = len({entry.original for entry in self.entries})
        return [
            *(sentence(remark) for remark in self.manifest.remarks),
            *sentences(on_images, images),
        ]

    def images_digest(self) -> str:
        """Digest of all images with their ids, on which predictions depend."""
        return json_digest([[entry.id, entry.image_digest] for entry in self.entries])

    @property
    def unlabelled(self) -> list[Entry]:
        """The samples without labels."""
        return [entry for entry in self.entries if entry.is_unlabelled]

    def labels_digest(self) -> str | None:
        """Digest of all label images with ids and groups, on which scores depend.

        None where there are none. It changes when further images get labels; the digest of the
        images does not.
        """
        if self.unlabelled and all(entry.labels_digest is None for entry in self.entries):
            return None
        return json_digest([[e.id, e.labels_digest, e.group] for e in self.entries])

    def read(self, entry: Entry) -> Sample:
        """Read a sample and verify its digests; one without labels has None in their place.

        Raises:
            DataError: it could not be prepared, or its files are missing or were changed.
        """
        image = self._verified(entry, "images")
        labels = None if entry.is_unlabelled else self._verified(entry, "labels")
        return Sample(entry.id, image, labels, entry.group)

    def truth(self, entry: Entry) -> Labels:
        """Read and verify only the labels of a sample that has some, for scoring.

        Raises:
            DataError: as `read`.
        """
        return self._verified(entry, "labels")

    def path(self, entry: Entry, kind: str) -> Path:
        """Return the file of a sample's `images` or `labels`.

        Raises:
            StoreError: its id is unsafe, or the file is a link out of the folder.
        """
        return path_of_id(self.folder / kind, entry.id, ".tif")

    def _verified(self, entry: Entry, kind: str) -> Image:
        return read_verified(self.folder, self.name, entry, kind)


def read_verified(folder: Path, name: str, entry: Entry, kind: str) -> Image:
    """Read and verify the image or the labels of a sample.

    Args:
        folder: of the prepared data.
        name: the data set's, for messages.
        entry: the sample.
        kind: `images` or `labels`.

    Raises:
        DataError: it could not be prepared, or its file is missing or was changed.
    """
    origin = f"data '{name}', sample '{entry.id}'"
    remedy = f"Remove {folder} to prepare it again."
    if entry.error is not None:
        raise DataError(f"{origin}: {entry.error}")
    path = path_of_id(folder / kind, entry.id, ".tif")
    read, expected = {
        "images": (partial(read_image, as_stored=True), entry.image_digest),
        "labels": (partial(read_labels, whole_floats=True), entry.labels_digest),
    }[kind]
    try:
        array = read(path)
    except DataError as error:
        raise DataError(f"{origin}: {error} {remedy}") from error
    if array_digest(array) != expected:
        raise DataError(f"{origin}: {path} was changed after preparation. {remedy}")
    return array


def describe_data(data: PreparedData, config: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the data for run.json; the description may differ between attempts.

    Args:
        data: the samples.
        config: the data set's configuration; without its source it is stored as the data card.
            Its root is left out, as it may come from the environment.
    """
    return {
        "data": data.name,
        "split": data.split,
        "samples": len(data.entries),
        "prepared": str(data.folder),
        "labels": data.labels_digest(),
        "unlabelled": len(data.unlabelled),
        **({"warnings": data.warnings} if data.warnings else {}),
        "data_card": {key: value for key, value in config.items() if key not in _NOT_STORED},
    }


_NOT_STORED = ("source", "root")
