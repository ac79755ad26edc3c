"""One stored prediction with everything that an exported file may say about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmark.console import UNPRINTABLE
from benchmark.data.prepared import Entry, PreparedData
from benchmark.errors import StoreError
from benchmark.store.record import Record
from benchmark.store.store import RunStore
from benchmark.types import Labels, Sample

_LONGEST = 200  # bytes of a name, so that a suffix fits as well


@dataclass(frozen=True, eq=False)
class Predicted:
    """A sample and its stored prediction, read when they are asked for.

    Attributes:
        name: what its files are called, without suffix: as its image, where that is possible.
        entry: what the manifest says of the sample.
        data: the prepared data set.
        store: the run.
        record: of the prediction; None where none is stored.
        losses: what the format can't hold -> how often; shown once at the end.
    """

    name: str
    entry: Entry
    data: PreparedData
    store: RunStore
    record: Record | None
    losses: Counter[str] = field(default_factory=Counter)

    @cached_property
    def labels(self) -> Labels:
        """The predicted label image, H x W integers, verified.

        Raises:
            StoreError: it is missing, or not the one that was recorded.
        """
        if self.record is None:
            raise StoreError(f"{self.store.path} holds no prediction of '{self.entry.id}'")
        return self.store.prediction(self.record)

    @cached_property
    def sample(self) -> Sample:
        """The image as the model saw it, and the truth; verified.

        Raises:
            DataError: they are missing, or were changed after preparation.
        """
        return self.data.read(self.entry)

    @property
    def truth(self) -> Labels | None:
        """The true label image; None for a sample without one."""
        return self.sample.labels

    @property
    def image_file(self) -> Path:
        """The file of the image: the user's own, where it still exists; else the prepared one."""
        own = Path(self.entry.file)
        return own if self.entry.file and own.is_file() else self.data.path(self.entry, "images")


def export_names(entries: Iterable[Entry]) -> dict[str, str]:
    """Return for each sample id the name of its exported files, without suffix.

    It is the original name, as in the source. Several samples cut from one image, and a name that
    can't be a file's name on every system, keep their id.
    """
    entries = list(entries)
    samples = Counter(entry.original for entry in entries)
    return {
        entry.id: entry.original
        if samples[entry.original] == 1 and _is_file_name(entry.original)
        else entry.id
        for entry in entries
    }


def _is_file_name(name: str) -> bool:
    safe = not (UNPRINTABLE.search(name) or set(name) & {"/", "\\"} or name.startswith("."))
    return safe and 0 < len(name.encode("utf-8", "surrogatepass")) <= _LONGEST
