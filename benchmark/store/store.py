"""A run on disk: what was predicted, what it scored, and who works on it.

    <run>/run.json                    what the run is (its identity) and how it is called
    <run>/attempts/<writer>.jsonl     what produced the records: code, packages, machine
    <run>/records/<writer>.jsonl      one line per sample predicted, or failed
    <run>/predictions/<sample>.tif    label images
    <run>/scores/<key>/<writer>.jsonl one line per sample scored; the key stands for the
                                      labels, the protocol and the version of the metrics,
    <run>/scores/<key>/basis.json     which this file spells out
    <run>/objects/<key>/...           per object: id, area, best IoU, touches the border
    <run>/lease/                      who works on it, or on which shard

A prediction belongs to the run; a score belongs to a prediction, labels and a protocol.
So a changed truth or policy scores stored predictions anew and repeats no inference.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.console import note
from benchmark.errors import StoreError
from benchmark.store.digest import array_digest
from benchmark.store.files import (
    disk_errors,
    path_of_id,
    refuse_link_out,
    sweep_temporaries,
    write_whole,
)
from benchmark.store.identity import DESCRIBED, read_stored
from benchmark.store.journal import Journal
from benchmark.store.names import is_safe, safe_name
from benchmark.store.provenance import differ
from benchmark.store.record import NEEDED, Record, latest
from benchmark.store.shard import WHOLE, Shard
from benchmark.store.shard_lease import ShardLease
from benchmark.store.tiff import read_tiff, tiff_bytes
from benchmark.types import Labels

Row = dict[str, Any]

SHORT = 12  # digits of a run id that people see


class RunStore:
    """A run's folder, for reading; `writing()` gives the right to add to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records = Journal(path / "records", NEEDED["records"])
        self._attempts = Journal(path / "attempts", NEEDED["attempts"])

    @classmethod
    def locate(cls, runs: Path, run_id: str, label: str) -> RunStore:
        """The folder of a run: `<label>-<short id>`, under whatever label it was begun."""
        short = run_id[:SHORT]
        existing = sorted(runs.glob(f"*-{short}"))
        return cls(existing[0] if existing else path_of_id(runs, f"{safe_name(label)}-{short}"))

    @classmethod
    def all(cls, runs: Path) -> list[RunStore]:
        """Every run under a folder, by name."""
        return [cls(found.parent) for found in sorted(runs.glob("*/run.json"))]

    @classmethod
    def readable(cls, runs: Path) -> Iterator[tuple[RunStore, dict[str, Any]]]:
        """Every run and what it is; a warning names each whose run.json is damaged."""
        for store in cls.all(runs):
            try:
                described = store.describe()
            except StoreError as error:
                note(f"warning: {error}")
            else:
                if described is not None:  # somebody has just moved it away
                    yield store, described

    def describe(self) -> dict[str, Any] | None:
        """What the run is, as written when it was begun or last worked on; None before that.

        Raises:
            StoreError: run.json is damaged.
        """
        path = self.path / "run.json"
        return read_stored(path, self.path, DESCRIBED) if path.exists() else None

    def records(self) -> dict[str, Record]:
        """The record that counts for each sample: the one of the highest attempt."""
        rows = latest(self._records.rows())
        return {sample: Record.of_row(row) for sample, row in rows.items()}

    def completed(self) -> set[str]:
        """Ids of the samples whose prediction is stored."""
        return {sample for sample, record in self.records().items() if record.status == "done"}

    def attempts(self) -> list[dict[str, Any]]:
        """What each attempt that added a record ran with."""
        return list(self._attempts.rows())

    def is_mixed(self) -> bool:
        """Whether attempts differ in code, packages, machine or threads."""
        return differ(attempt["with"] for attempt in self.attempts())

    def prediction(self, record: Record) -> Labels:
        """A stored label image, verified.

        Raises:
            StoreError: it is missing, unreadable, or not the one that was recorded.
        """
        path = path_of_id(self.path / "predictions", record.sample, ".tif")
        try:
            labels: Labels = read_tiff(path)
        except Exception as error:  # a damaged TIFF raises whatever its decoder happens to
            raise StoreError(f"{path} can't be read: {error}. {_REDO}") from error
        if array_digest(labels) != record.prediction:
            raise StoreError(f"{path} is not the prediction that was recorded. {_REDO}")
        return labels

    def holds(self, record: Record) -> bool:
        """Whether the label image that a record tells of is there and whole."""
        try:
            self.prediction(record)
        except StoreError:
            return False
        return True

    def scores(
        self, key: str, records: Mapping[str, Record] | None = None
    ) -> dict[str, dict[str, Any]]:
        """The score rows under a key that belong to the stored predictions, by sample.

        Args:
            key: stands for labels, protocol and version of the metrics.
            records: as `records()` gave them; read again where not given.
        """
        return self._belonging("scores", key, records)

    def objects(
        self, key: str, records: Mapping[str, Record] | None = None
    ) -> dict[str, dict[str, Any]]:
        """The rows of objects under a key that belong to the stored predictions, by sample."""
        return self._belonging("objects", key, records)

    def _belonging(
        self, kind: str, key: str, records: Mapping[str, Record] | None
    ) -> dict[str, dict[str, Any]]:
        known = self.records() if records is None else records
        current = {sample: record.prediction for sample, record in known.items()}
        return latest(
            row
            for row in Journal(path_of_id(self.path / kind, key), NEEDED[kind]).rows()
            if current.get(row["sample"]) == row["prediction"]
        )

    def score_bases(self) -> dict[str, dict[str, Any]]:
        """What the scores under each key depend on; the newest last.

        Raises:
            StoreError: a basis.json is damaged.
        """
        needed = ("labels", "protocol", "metrics", "written")
        found = self.path.glob("scores/*/basis.json")
        # A folder of another name, `... copy` say, is somebody else's.
        ours = (path for path in found if is_safe(path.parent.name))
        bases = {path.parent.name: read_stored(path, path.parent, needed) for path in ours}
        return dict(sorted(bases.items(), key=lambda item: str(item[1]["written"])))

    @contextlib.contextmanager
    def writing(
        self,
        description: dict[str, Any],
        attempt: Callable[[], dict[str, Any]],
        *,
        shard: Shard = WHOLE,
        wait: bool = False,
        timeout: float = 300.0,
        on_wait: Callable[[str], None] = lambda holder: None,
    ) -> Iterator[RunWriter]:
        """Work on the run, or on a shard of it, alone.

        Args:
            description: becomes run.json with the first record; what the run is called, its
                truth and where its data lie may have changed since.
            attempt: describes what this attempt runs with; asked at the first record.
            shard: the part to work on; others may work on other parts meanwhile.
            wait: wait for another living process instead of giving up.
            timeout: seconds after which a silent holder on another host is taken for dead.
            on_wait: told who holds the run, once, before waiting.

        Raises:
            RunHeldError: another process works on it, or on a part that overlaps.
            StoreError: the folder can't be written, run.json is damaged, or a link leads out of it.
        """
        self._refuse_links_out()
        self.describe()  # a damaged run is refused before anything is worked out for it
        lease = ShardLease(self.path / "lease", shard, timeout)
        lease.acquire(wait, on_wait)
        try:
            with disk_errors(self.path):
                (self.path / "predictions").mkdir(exist_ok=True)
                sweep_temporaries(self.path)
            folders = [self._records.folder, self._attempts.folder]
            folders += [f for kind in ("scores", "objects") for f in (self.path / kind).glob("*")]
            for folder in folders:
                Journal(folder).repair(shard.may_repair)
            if self.describe() not in (None, description):
                # The same run under another name or with another truth, or its data lie elsewhere.
                write_whole(self.path / "run.json", _described(description))
            yield RunWriter(self, lease, shard, description, attempt)
        finally:
            lease.release()

    def _refuse_links_out(self) -> None:
        """Refuse folders and journals that are links: what is written there is not the run's."""
        for place, folders, files in os.walk(self.path):
            for name in (*folders, *(file for file in files if file.endswith(".jsonl"))):
                refuse_link_out(Path(place, name), self.path)


class RunWriter:
    """Adds to a run while its lease is held. Made by `RunStore.writing`."""

    def __init__(
        self,
        store: RunStore,
        lease: ShardLease,
        shard: Shard,
        description: dict[str, Any],
        attempt: Callable[[], dict[str, Any]],
    ) -> None:
        self._store = store
        self._lease = lease
        self._description = description
        self._attempt: Callable[[], dict[str, Any]] | None = attempt
        self._before = store.records()
        self._name = safe_name(
            f"{shard.prefix}{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
            f"-{socket.gethostname()}-{os.getpid()}"
        )

    def append(self, record: Record, prediction: Labels | None = None) -> None:
        """Store a record, and before it the prediction that it tells of.

        Raises:
            StoreError: disk full, read-only, or another process took the run over.
        """
        self._still_mine()
        if self._attempt is not None:
            # Only now: a run whose model can't even be built must not be created.
            if self._store.describe() is None:
                write_whole(self._store.path / "run.json", _described(self._description))
            self._store._attempts.append(
                self._name, {"writer": self._name, "with": self._attempt()}
            )
            self._attempt = None
        if prediction is not None:
            before = self._before.get(record.sample)
            if before and before.prediction not in (None, record.prediction):
                # Killed between the next two steps, the old record would vouch for a new file.
                withdrawn = Record(record.sample, "error", record.attempt, error=_WITHDRAWN)
                self._store._records.append(self._name, asdict(withdrawn))
            path = path_of_id(self._store.path / "predictions", record.sample, ".tif")
            write_whole(path, tiff_bytes(prediction))
        self._store._records.append(self._name, asdict(record))

    def append_scores(
        self, key: str, basis: dict[str, Any], scored: Sequence[tuple[Row, str]]
    ) -> None:
        """Store what predictions scored: the objects first, so that a score has its objects.

        Args:
            key: stands for the basis.
            basis: labels, protocol and version of the metrics; kept beside the scores.
            scored: of each prediction the row (`sample`, `prediction`, its digest, and the
                numbers), and the line of its objects, which names these two as well.

        Raises:
            StoreError: as `append`.
        """
        self._still_mine()
        folder = path_of_id(self._store.path / "scores", key)
        if not (folder / "basis.json").exists():
            with disk_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
            written = {"written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
            write_whole(folder / "basis.json", json.dumps(basis | written, indent=1).encode())
        objects = Journal(path_of_id(self._store.path / "objects", key))
        objects.append(self._name, *(line for _, line in scored))
        Journal(folder).append(self._name, *(row for row, _ in scored))

    def _still_mine(self) -> None:
        if self._lease.lost:
            raise StoreError(
                f"another process took over the run in {self._store.path} (or its folder was "
                "removed); this one stops. What was stored stays valid."
            )


_REDO = "Predict it again with overwrite=errors, or all of them with overwrite=all."
_WITHDRAWN = "the run stopped while this prediction was being replaced; do it with overwrite=errors"


def _described(description: dict[str, Any]) -> bytes:
    return json.dumps(description, indent=1).encode()
