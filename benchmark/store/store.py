"""A run on disk: its description, records, predictions, scores and leases.

    <run>/run.json                    the run's identity and names, with a seal: their digest
    <run>/attempts/<writer>.jsonl     what produced the records: code, packages, machine
    <run>/adapter.json                digests of the adapter's code when the run was last asked for,
                                      if they were not those of its predictions
    <run>/records/<writer>.jsonl      one line per sample predicted, or failed
    <run>/predictions/<sample>.tif    label images
    <run>/scores/<key>/<writer>.jsonl one line per sample scored; the key stands for the
                                      labels, the protocol and the version of the metrics,
    <run>/scores/<key>/basis.json     which this file spells out
    <run>/scores/<key>/names.json     what the data set with these labels was called, where they
                                      are not those of run.json
    <run>/objects/<key>/...           per object: id, area, best IoU, touches the border
    <run>/stages/<key>/...            per true object: what each stage of the method has of it
    <run>/selections/<digest>.json    what chose the run's parameters, if something did
    <run>/lease/                      who works on it, or on which shard

A prediction belongs to the run; a score belongs to a prediction, labels and a protocol.
So with another truth or protocol stored predictions are scored again, without inference.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmark.console import note
from benchmark.errors import StoreError
from benchmark.store.code_digest import CodeDigests, is_code
from benchmark.store.digest import array_digest, json_digest
from benchmark.store.files import (
    disk_errors,
    path_of_id,
    refuse_link_out,
    sweep_temporaries,
    write_whole,
)
from benchmark.store.identity import read_stored
from benchmark.store.journal import Journal
from benchmark.store.names import is_safe, safe_name
from benchmark.store.provenance import differ
from benchmark.store.record import Record, latest
from benchmark.store.shapes import (
    ROWS,
    AdapterCode,
    Basis,
    Description,
    Names,
    Selected,
    Selection,
)
from benchmark.store.shard import WHOLE, Shard
from benchmark.store.shard_lease import ShardLease
from benchmark.store.tiff import read_tiff, tiff_bytes
from benchmark.types import Labels

Row = dict[str, Any]

SHORT = 12
"""Digits of a run id that people see."""

NAMES = ("data", "split", "prepared", "unlabelled", "data_card", "warnings")
"""The entries of run.json that belong to the labels: names of their data set, and its card."""


class RunStore:
    """A run's folder, for reading; `writing()` gives the right to add to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records = Journal(path / "records", ROWS["records"])
        self._attempts = Journal(path / "attempts", ROWS["attempts"])

    @classmethod
    def locate(cls, runs: Path, run_id: str, label: str) -> RunStore:
        """Return the folder `<label>-<short id>` of a run, or an existing one of another label."""
        short = run_id[:SHORT]
        existing = sorted(runs.glob(f"*-{short}"))
        return cls(existing[0] if existing else path_of_id(runs, f"{safe_name(label)}-{short}"))

    @classmethod
    def all(cls, runs: Path) -> list[RunStore]:
        """Return every run in a folder, by name; those that lost their run.json as well."""
        described = {path.parent for path in runs.glob("*/run.json")}
        begun = {path.parent for path in runs.glob("*/records") if _is_run_name(path.parent.name)}
        return [cls(path) for path in sorted(described | begun)]

    @classmethod
    def readable(cls, runs: Path) -> Iterator[tuple[RunStore, dict[str, Any]]]:
        """Yield every run and its description; a warning names each without a readable one."""
        for store in cls.all(runs):
            try:
                described = store.describe()
            except StoreError as error:
                note(f"warning: {error}")
            else:
                if described is not None:  # else it was just moved away
                    yield store, described

    def describe(self) -> dict[str, Any] | None:
        """Return the content of run.json; None if the run has not begun.

        Raises:
            StoreError: run.json is damaged, or missing though there are records.
        """
        return self._described()[0] if self._has_begun() else None

    def is_sealed(self) -> bool:
        """Whether run.json is as it was written; True also before version 0.2, without a seal.

        Raises:
            StoreError: as `describe`.
        """
        return self._described()[1] if self._has_begun() else True

    def _described(self) -> tuple[dict[str, Any], bool]:
        content = read_stored(self.path / "run.json", Description)
        seal = content.pop(_SEAL, None)
        return content, seal is None or seal == _seal(content)

    def readable_description(self) -> dict[str, Any] | None:
        """Return the content of run.json; None if there is none, or if it is damaged."""
        try:
            return self.describe()
        except StoreError:
            return None

    def records(self) -> dict[str, Record]:
        """Return by sample the record that counts: the one of the highest attempt."""
        rows = latest(self._records.rows())
        return {sample: Record.of_row(row) for sample, row in rows.items()}

    def completed(self) -> set[str]:
        """Return the ids of the samples whose prediction is stored."""
        return {sample for sample, record in self.records().items() if record.status == "done"}

    def attempts(self) -> list[dict[str, Any]]:
        """Return the environment of each attempt that added a record."""
        return list(self._attempts.rows())

    def is_mixed(self) -> bool:
        """Whether attempts differ in code, packages, machine or threads."""
        return differ(attempt["with"] for attempt in self.attempts())

    def adapter_codes(self) -> list[CodeDigests]:
        """Return the different digests of the adapter's code that made the stored predictions.

        Attempts without digests, and those whose predictions were all replaced, do not count.
        """
        codes = self._codes_by_writer()
        if not codes:
            return []
        rows = (row | {"writer": writer} for writer, row in self._records.written())
        writers = {row["writer"] for row in latest(rows).values() if row["status"] == "done"}
        return _different(code for writer, code in codes if writer in writers)

    def requested_code(self) -> CodeDigests | None:
        """Return the digests of the adapter's code that the run was last asked for with.

        None if they are not kept, as they were those of the predictions.
        """
        path = self.path / "adapter.json"
        try:
            files = read_stored(path, AdapterCode)["files"] if path.exists() else None
        except StoreError:  # the next action writes it again
            return None
        return files if is_code(files) else None

    def is_edited(self) -> bool:
        """Whether the adapter's code was edited between predictions, or after them."""
        requested = self.requested_code()
        besides = [] if requested is None else [requested]
        if len(_different([*(code for _, code in self._codes_by_writer()), *besides])) < 2:
            return False  # without reading the records
        return len(_different([*self.adapter_codes(), *besides])) > 1

    def knows_code(self, code: CodeDigests | None) -> bool:
        """Whether `is_edited` is right for the adapter's present code; True if it has no digests.

        Args:
            code: the digests of the present code.
        """
        kept, made = self.requested_code(), self.adapter_codes()
        if code is None or kept == code or not made:
            return True
        return _different([*made, *([kept] if kept else [])]) == [code]

    def _codes_by_writer(self) -> list[tuple[str, CodeDigests]]:
        attempts = ((writer, row["with"]) for writer, row in self._attempts.written())
        return [
            (writer, attempt["adapter"])
            for writer, attempt in attempts
            if isinstance(attempt, dict) and is_code(attempt.get("adapter"))
        ]

    def prediction_files(self) -> set[str]:
        """Return the ids of the samples that a label image is there for; none is read."""
        return {path.stem for path in (self.path / "predictions").glob("*.tif")}

    def prediction(self, record: Record) -> Labels:
        """Read and verify a stored label image.

        Raises:
            StoreError: it is missing, unreadable, or not the one that was recorded.
        """
        path = self.prediction_path(record.sample)
        try:
            labels: Labels = read_tiff(path)
        except Exception as error:  # the decoder of a damaged TIFF may raise anything
            raise StoreError(f"{path} can't be read: {error}. {_REDO}") from error
        if array_digest(labels) != record.prediction:
            raise StoreError(f"{path} is not the prediction that was recorded. {_REDO}")
        return labels

    def prediction_path(self, sample: str) -> Path:
        """Return the file of a sample's label image.

        Raises:
            StoreError: the id is unsafe, or the file is a link out of the folder.
        """
        return path_of_id(self.path / "predictions", sample, ".tif")

    def holds(self, record: Record) -> bool:
        """Whether the label image of a record exists and is the one recorded."""
        try:
            self.prediction(record)
        except StoreError:
            return False
        return True

    def scores(
        self, key: str, records: Mapping[str, Record] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Return by sample the rows of scores under a key that belong to the stored predictions.

        Args:
            key: stands for labels, protocol and version of the metrics.
            records: as returned by `records()`; read again if None.
        """
        return self._belonging("scores", key, records)

    def objects(
        self, key: str, records: Mapping[str, Record] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Return the rows of objects, likewise."""
        return self._belonging("objects", key, records)

    def stages(
        self, key: str, records: Mapping[str, Record] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Return the rows of what the stages have of each object, likewise."""
        return self._belonging("stages", key, records)

    def _belonging(
        self, kind: str, key: str, records: Mapping[str, Record] | None
    ) -> dict[str, dict[str, Any]]:
        journal = Journal(path_of_id(self.path / kind, key), ROWS[kind])
        if not journal.writers():
            return {}  # without reading the records
        known = self.records() if records is None else records
        current = {sample: record.prediction for sample, record in known.items()}
        return latest(
            row for row in journal.rows() if current.get(row["sample"]) == row["prediction"]
        )

    def score_bases(self) -> dict[str, dict[str, Any]]:
        """Return what the scores under each key depend on; the newest last.

        Raises:
            StoreError: a basis.json is damaged.
        """
        found = self.path.glob("scores/*/basis.json")
        # A folder with another name (a copy, say) is not ours.
        ours = (path for path in found if is_safe(path.parent.name))
        bases = {path.parent.name: read_stored(path, Basis) for path in ours}
        return dict(sorted(bases.items(), key=lambda item: str(item[1]["written"])))

    def selections(self) -> list[Selected]:
        """Return what the run's parameters were chosen by, in the order of file names.

        None of it where they were only ever given by hand.

        Raises:
            StoreError: a file is damaged, or was edited.
        """
        found: list[Selected] = []
        for path in sorted((self.path / "selections").glob("*.json")):
            content: Any = read_stored(path, Selected)
            if _selected_name(content) != path.name:
                raise StoreError(
                    f"{path} is not what was stored: it was edited, or renamed. Move it away, and "
                    "repeat the command with tuned= that made the run."
                )
            found.append(content)
        return found

    def selections_of(self, basis: Mapping[str, Any]) -> list[Selection | None]:
        """Return what the scores of a basis were asked for by; None stands for "by hand".

        Args:
            basis: of scores.

        Raises:
            StoreError: as `selections`.
        """
        found = [
            each["selection"]
            for each in self.selections()
            if each["labels"] == basis.get("labels") and each["protocol"] == basis.get("protocol")
        ]
        by_hand = not found or None in found
        chosen = (each for each in found if each is not None)
        return [*([None] if by_hand else []), *chosen]

    def names(self, key: str) -> dict[str, Any] | None:
        """Return what the data set was called that the scores under a key are of.

        None where run.json has it, or it was not kept (before version 0.2), or is damaged.
        """
        path = path_of_id(self.path / "scores", key) / "names.json"
        with contextlib.suppress(StoreError):
            return read_stored(path, Names) if path.exists() else None
        return None

    def data_names(
        self, key: str, basis: Mapping[str, Any], described: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return what the data set is called that scores are of, and how many lack labels.

        Args:
            key: of the scores.
            basis: theirs.
            described: the content of run.json, which has it unless other labels came since.
        """
        own = described.get("labels") == str(basis.get("labels") or "")
        return described if own else self.names(key) or described

    def _keep_names(self, description: Mapping[str, Any]) -> None:
        """Keep what run.json calls the data set beside its scores, before other labels replace it.

        Names are no part of the basis, so that a new name changes no key.
        """
        names = {key: description[key] for key in NAMES if key in description}
        for key, basis in self.score_bases().items():
            if basis["labels"] == description.get("labels"):
                path = path_of_id(self.path / "scores", key) / "names.json"
                write_whole(path, json.dumps(names, indent=1).encode())

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
        """Acquire the right to work on the run, or on a shard of it.

        Args:
            description: written to run.json with the first record, or now if there are records
                and it differs: the names, the truth and the places of the data may have
                changed, and the file may be damaged or lost.
            attempt: describes what this attempt runs with; called at the first record.
            shard: the shard to work on; others may work on other shards meanwhile.
            wait: wait for another living process instead of giving up.
            timeout: seconds after which a silent holder on another system is considered dead.
            on_wait: called once with a description of the holder, before waiting.

        Raises:
            RunHeldError: another process works on it, or on a shard that this one excludes.
            StoreError: the folder can't be written, or a link leads out of it.
        """
        self._refuse_links_out()
        lease = ShardLease(self.path / "lease", shard, timeout)
        lease.acquire(wait, on_wait)
        try:
            with disk_errors(self.path):
                (self.path / "predictions").mkdir(exist_ok=True)
                sweep_temporaries(self.path)
            folders = [self._records.folder, self._attempts.folder]
            folders += [f for kind in _OF_KEYS for f in (self.path / kind).glob("*")]
            for folder in folders:
                Journal(folder).repair(shard.may_repair)
            before = self.readable_description()
            if self._has_begun() and (before != description or not self.is_sealed()):
                if before is not None and before.get("labels") != description.get("labels"):
                    self._keep_names(before)
                write_whole(self.path / "run.json", _described(description))
            yield RunWriter(self, lease, shard, description, attempt)
        finally:
            lease.release()

    def _has_begun(self) -> bool:
        records = self._records.folder.glob("*.jsonl")
        return (self.path / "run.json").exists() or any(records)

    def _refuse_links_out(self) -> None:
        """Refuse folders and journals that are links out of the run."""
        for place, folders, files in os.walk(self.path):
            for name in (*folders, *(file for file in files if file.endswith(".jsonl"))):
                refuse_link_out(Path(place, name), self.path)


class RunWriter:
    """Adds to a run while its lease is held; created by `RunStore.writing`."""

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
        """Store a record, and before it its prediction.

        Raises:
            StoreError: disk full, read-only, or another process took the run over.
        """
        self._still_mine()
        if self._attempt is not None:
            # Not before: a run whose model can't be built must not be created.
            if self._store.readable_description() is None:
                write_whole(self._store.path / "run.json", _described(self._description))
            self._store._attempts.append(
                self._name, {"writer": self._name, "with": self._attempt()}
            )
            self._attempt = None
        if prediction is not None:
            before = self._before.get(record.sample)
            if before and before.prediction not in (None, record.prediction):
                # If the process is killed after the next step, the old record is of another file.
                withdrawn = Record(record.sample, "error", record.attempt, error=_WITHDRAWN)
                self._store._records.append(self._name, msgspec.structs.asdict(withdrawn))
            path = self._store.prediction_path(record.sample)
            write_whole(path, tiff_bytes(prediction))
        self._store._records.append(self._name, msgspec.structs.asdict(record))

    def append_scores(
        self, key: str, basis: dict[str, Any], scored: Sequence[tuple[Row, str]]
    ) -> None:
        """Store scores of predictions; their objects first, so that every score has its objects.

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
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self.restore_basis(key, basis)
        objects = Journal(path_of_id(self._store.path / "objects", key))
        objects.append(self._name, *(line for _, line in scored))
        Journal(folder).append(self._name, *(row for row, _ in scored))

    def append_stages(self, key: str, row: Row) -> None:
        """Store what the stages have of each object of a sample.

        Args:
            key: of its score.
            row: as `benchmark.store.shapes.StageRow`.

        Raises:
            StoreError: as `append`.
        """
        self._still_mine()
        Journal(path_of_id(self._store.path / "stages", key)).append(self._name, row)

    def restore_basis(self, key: str, basis: dict[str, Any]) -> None:
        """Write the basis.json of stored scores if it is missing, damaged or another one.

        Args:
            key: stands for the basis; nothing is done if nothing is stored under it.
            basis: as of `append_scores`.

        Raises:
            StoreError: as `append`.
        """
        folder = path_of_id(self._store.path / "scores", key)
        if not folder.is_dir():
            return
        path = folder / "basis.json"
        with contextlib.suppress(StoreError):
            if basis.items() <= read_stored(path, Basis).items():
                return
        self._still_mine()
        written = {"written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        write_whole(path, json.dumps(basis | written, indent=1).encode())

    def keep_requested_code(self, code: CodeDigests) -> None:
        """Keep the digests of the adapter's present code if other code made predictions.

        A report, which imports no adapter, marks the run by them.

        Args:
            code: the digests.

        Raises:
            StoreError: as `append`.
        """
        if self._store.knows_code(code):
            return
        self._still_mine()
        write_whole(self._store.path / "adapter.json", json.dumps({"files": code}).encode())

    def keep_selection(self, basis: Mapping[str, Any], selection: Selection | None) -> None:
        """Keep what the run's parameters were chosen by, beside the scores.

        A run whose parameters are given by hand has no such file, until something chooses them.

        Args:
            basis: of the scores.
            selection: None if the parameters were given by hand, or are the default.

        Raises:
            StoreError: as `append`.
        """
        folder = self._store.path / "selections"
        of_scores = {key: basis[key] for key in ("protocol", "labels")}
        by_hand = {**of_scores, "selection": None}
        begun = any(folder.glob("*.json"))
        if selection is None:
            wanted = [by_hand] if begun else []
        else:
            was_by_hand = not begun and bool(self._before)
            is_default = selection["chosen"] == selection["default"]
            wanted = [by_hand] if was_by_hand or is_default else []
            wanted += [{**of_scores, "selection": selection}]
        for each in wanted:
            path = folder / _selected_name(each)
            if not path.exists():
                self._still_mine()
                with disk_errors(folder):
                    folder.mkdir(parents=True, exist_ok=True)
                write_whole(path, json.dumps(each, indent=1).encode())

    def _still_mine(self) -> None:
        if self._lease.lost:
            raise StoreError(
                f"another process took over the run in {self._store.path} (or its folder was "
                "removed); this one stops. What was stored stays valid."
            )


_OF_KEYS = ("scores", "objects", "stages")
"""The folders with a journal for each key of scores."""

_REDO = "Predict it again with overwrite=errors, or all of them with overwrite=all."
_WITHDRAWN = "the run stopped while this prediction was being replaced; do it with overwrite=errors"


def _different(codes: Iterable[CodeDigests]) -> list[CodeDigests]:
    return list({json_digest(code): code for code in codes}.values())


def _selected_name(content: Mapping[str, Any]) -> str:
    """Return the name of a file of selections, by which an edit is noticed."""
    return f"{json_digest(json.loads(json.dumps(content)))[:16]}.json"


def _is_run_name(name: str) -> bool:
    return re.fullmatch(rf".+-[0-9a-f]{{{SHORT}}}", name) is not None


def _described(description: dict[str, Any]) -> bytes:
    written = json.loads(json.dumps(description))  # as it will be read
    return json.dumps(description | {_SEAL: _seal(written)}, indent=1).encode()


def _seal(content: dict[str, Any]) -> str:
    """Return the digest by which an edit of run.json is noticed."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


_SEAL = "seal"
