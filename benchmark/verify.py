"""Whether a stored run is whole: its files compared with each other, and with the prepared data.

It finds damage, losses and edits. It finds no forgery: whoever rewrites every file of a run
consistently, digests included, has made another run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.data.prepared import Entry, PreparedData
from benchmark.errors import BenchmarkError, StoreError
from benchmark.rescore import StoredPrediction, score_stored
from benchmark.scoring.metrics import METRICS, implied_metrics, metrics_version, required
from benchmark.scoring.protocol import SCORING, THRESHOLD_GRIDS, Protocol
from benchmark.scoring.score import score_key
from benchmark.store.identity import read_stored, run_id
from benchmark.store.journal import Journal
from benchmark.store.names import is_safe
from benchmark.store.record import Record, latest
from benchmark.store.shapes import ROWS, Basis
from benchmark.store.store import SHORT, RunStore

EVALUATE = "Score the stored predictions again with action=evaluate."
_REPEAT = "Repeat the command that made the run."
_TOLERANCE = 1e-9  # the last digits of a sum may differ between processors

Row = Mapping[str, Any]


@dataclass
class Verified:
    """What was found.

    Attributes:
        samples: of the run, by run.json.
        predictions: that records say are done.
        scores: of these predictions, under all truths and protocols.
        rescored: how many of them were made again.
        faults: what is damaged, lost or contradictory, in sentences.
        unchecked: what could not be compared with the prepared data, as it is not here.
    """

    samples: int = 0
    predictions: int = 0
    scores: int = 0
    rescored: int = 0
    faults: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)


def verify(
    store: RunStore,
    data: Sequence[PreparedData] = (),
    *,
    full: bool = False,
    workers: int | None = None,
) -> Verified:
    """Compare the files of a run with each other, and with its prepared data where that is here.

    Args:
        store: the run; no process works on it.
        data: prepared data that may be the run's, besides those that its files name.
        full: score the stored predictions again, in memory, and compare the scores.
        workers: processes for that; None: one per core.
    """
    found = Verified()
    try:
        described = store.describe()
        found.faults += _damage(store)
        records = store.records()
    except StoreError as error:
        found.faults.append(str(error))
        return found
    if described is None:  # it was just moved away
        return found
    done = {sample: record for sample, record in records.items() if record.status == "done"}
    found.samples, found.predictions = described["samples"], len(done)
    found.faults += _description(store, described)
    found.faults += _records(store, records)
    found.faults += _predictions(store, done)
    candidates = [*_named(store, described), *data]
    images = _first(candidates, "images_digest", described["identity"]["images"])
    if images is None:
        found.unchecked.append("the number and names of its samples")
    else:
        found.faults += _samples(described, records, images)
    scored: set[str] = set()
    for key in _keys(store):
        try:
            basis = read_stored(store.path / "scores" / key / "basis.json", Basis)
        except StoreError as error:
            found.faults.append(_lost_basis(store, key, error))
            continue
        scores = store.scores(key, records)
        scored |= scores.keys()
        found.scores += len(scores)
        truth = _first(candidates, "labels_digest", basis["labels"])
        lacking = _lacking(done, scores, truth, store.data_names(key, basis, described))
        found.faults += _scores(store, key, basis, records, scores, lacking)
        if basis["metrics"] != metrics_version():
            continue  # no report shows them
        if truth is None:
            found.unchecked.append(f"its scores under {_about(basis)}")
            continue
        found.faults += _groups(scores, truth)
        if full:
            found.faults += _rescored(store, key, basis, done, truth, workers)
            found.rescored += len(scores)
    if lacking := _lacking(done, scored, None, described):
        found.faults.append(f"{_some(lacking, 'prediction')} without a score. {EVALUATE}")
    return found


def _damage(store: RunStore) -> Iterator[str]:
    """Damaged lines, and small files that can't be read."""
    for kind in ("records", "attempts"):
        yield from Journal(store.path / kind, ROWS[kind]).damage()
    for key in _keys(store):
        for kind in ("scores", "objects"):
            yield from Journal(store.path / kind / key, ROWS[kind]).damage()
    try:
        store.selections()
    except StoreError as error:
        yield str(error)
    path = store.path / "adapter.json"
    if path.exists() and store.requested_code() is None:
        yield f"{path} is damaged. {_REPEAT}"
    for key in _keys(store):
        path = store.path / "scores" / key / "names.json"
        if path.exists() and store.names(key) is None:
            yield (
                f"{path} is damaged: reports call the data set as run.json does. Repeat the "
                "command of that data set, and remove the file."
            )


def _description(store: RunStore, described: Row) -> Iterator[str]:
    """The identity hashed again, and compared with the run id and the folder's name."""
    path = store.path / "run.json"
    if run_id(described["identity"]) != described["run_id"]:
        yield f"{path}: the identity is not the one that the run id was made of. {_REPEAT}"
    if not store.path.name.endswith(f"-{described['run_id'][:SHORT]}"):
        yield (
            f"{path}: the folder's name does not end with the beginning of the run id, "
            f"{described['run_id'][:SHORT]}; it is a copy, was renamed, or its run.json is another."
        )
    config, model = described.get("config"), described["model"]
    named = config is None or model == config or model.startswith(f"{config} (")
    if not (named and store.is_sealed()):
        yield f"{path} was edited: what it says of the run may be wrong. {_REPEAT}"


def _records(store: RunStore, records: Mapping[str, Record]) -> Iterator[str]:
    """What must stand beside each record, and must not stand without one."""
    written = Journal(store.path / "records", ROWS["records"]).written()
    counting = latest(row | {"writer": writer} for writer, row in written)
    attempts = Journal(store.path / "attempts", ROWS["attempts"])
    known = {writer for writer, _ in attempts.written()}
    for writer in sorted({row["writer"] for row in counting.values()} - known):
        yield (
            f"{attempts.folder / writer}.jsonl is missing or empty: what its predictions were made "
            "with is lost. Predict them again with overwrite=all."
        )
    if alone := store.prediction_files() - records.keys():
        where = store.path / "predictions"
        yield f"{where}: {_some(alone, 'prediction')} without a record. {_REPEAT}"
    for key in _keys(store):
        folder = store.path / "scores" / key
        rows = Journal(folder, ROWS["scores"]).rows()
        if alone := {row["sample"] for row in rows} - records.keys():
            yield f"{folder}: {_some(alone, 'score')} without a record. {_REPEAT}"


def _predictions(store: RunStore, done: Mapping[str, Record]) -> Iterator[str]:
    for record in done.values():
        try:
            store.prediction(record)
        except StoreError as error:
            yield str(error)


def _samples(described: Row, records: Mapping[str, Record], data: PreparedData) -> Iterator[str]:
    """The number and the names of the samples, against the manifest."""
    if described["samples"] != len(data.entries):
        yield (
            f"run.json says {described['samples']} samples, the manifest in {data.folder} "
            f"{len(data.entries)}. {_REPEAT}"
        )
    if strange := records.keys() - {entry.id for entry in data.entries}:
        yield f"{_some(strange, 'record')} of no sample in {data.folder}."


def _lacking(
    done: Collection[str], scored: Collection[str], truth: PreparedData | None, names: Row
) -> set[str]:
    """The predictions that lack a score; one on an image without labels lacks none.

    Args:
        done: the samples that are predicted.
        scored: those that have a score.
        truth: the labels; without them, samples count as unlabelled up to the number in `names`.
        names: what the run says of the data set with these labels.
    """
    lacking = set(done) - set(scored)
    if truth is not None:
        return lacking - {entry.id for entry in truth.unlabelled}
    return lacking if len(lacking) > names.get("unlabelled", 0) else set()


def _lost_basis(store: RunStore, key: str, error: StoreError) -> str:
    folder = store.path / "scores" / key
    if not folder.is_dir():
        return f"{folder} is missing, but the objects of its scores are there. {EVALUATE}"
    if not (folder / "basis.json").exists():
        return f"{folder / 'basis.json'} is missing: what these scores depend on is lost. {_REPEAT}"
    return str(error)


def _scores(
    store: RunStore,
    key: str,
    basis: Row,
    records: Mapping[str, Record],
    scores: Mapping[str, Row],
    lacking: Collection[str],
) -> Iterator[str]:
    """The scores under a key: all of them, with their objects, and without a contradiction."""
    folder = store.path / "scores" / key
    hashed = {name: value for name, value in basis.items() if name != "written"}
    if score_key(hashed) != key:
        yield f"{folder / 'basis.json'} is not the basis that the folder is named after. {_REPEAT}"
    if basis["metrics"] != metrics_version():
        return
    begun = scores or not Journal(folder).writers()  # else of predictions that were replaced
    if begun and lacking:
        yield f"{folder}: {_some(lacking, 'prediction')} without a score. {EVALUATE}"
    objects = store.objects(key, records)
    if bare := scores.keys() - objects.keys():
        where = store.path / "objects" / key
        yield f"{where}: {_some(bare, 'score')} without objects. {EVALUATE}"
    both_empty = basis["protocol"].get("both_empty")
    odd = {s: _contradiction(row, objects.get(s), both_empty) for s, row in scores.items()}
    if found := {sample: name for sample, name in odd.items() if name is not None}:
        yield (
            f"{folder}: {_some(found.keys(), 'score')} that does not follow from its counts and "
            f"objects, in {', '.join(sorted(set(found.values())))}. {EVALUATE}"
        )


def _contradiction(row: Row, objects: Row | None, both_empty: object) -> str | None:
    """Which entry of a score does not follow from its counts, or from its objects."""
    metrics: dict[str, float | None] = row["metrics"]
    empty = row["n_true"] == row["n_predicted"] == 0
    excluded = empty and both_empty == "exclude"
    if len(row["true_positives"]) != len(THRESHOLD_GRIDS["exact"]):
        return "true_positives"
    if lacking := set(required()) - metrics.keys():
        return sorted(lacking)[0]
    try:
        expected: dict[str, Any] = {
            **(dict.fromkeys(required()) if excluded else implied_metrics(row)),
            "both_empty": empty,
            "missed": row["n_true"] - row["metrics"]["matched"],
            "spurious": row["n_predicted"] - row["metrics"]["matched"],
        }
    except (KeyError, TypeError, ValueError, ArithmeticError):  # one is missing, null or odd
        return "metrics"
    if objects is not None:
        expected |= {f"n_{side}": len(objects[side]["id"]) for side in ("true", "predicted")}
    stored = {**row, **metrics}
    for name, value in expected.items():
        if not _equal(stored.get(name), value):
            return name
    return None


def _groups(scores: Mapping[str, Row], data: PreparedData) -> Iterator[str]:
    """Group and number of true objects of each score, against the manifest."""
    entries = {entry.id: entry for entry in data.entries}
    found = {
        sample
        for sample, row in scores.items()
        if (entry := entries.get(sample))
        and (row["group"], row["n_true"]) != (entry.group, entry.objects)
    }
    if found:
        yield (
            f"{_some(found, 'score')} of another group, or number of true objects, than the "
            f"manifest in {data.folder} says. {EVALUATE}"
        )


def _rescored(
    store: RunStore,
    key: str,
    basis: Row,
    done: Mapping[str, Record],
    data: PreparedData,
    workers: int | None,
) -> Iterator[str]:
    """Every score under a key that is not the one of its prediction."""
    switches = basis["protocol"]
    try:
        protocol = Protocol(_about(basis), **{name: switches[name] for name in SCORING})
    except (KeyError, BenchmarkError) as error:
        yield f"{store.path / 'scores' / key / 'basis.json'} has no valid protocol: {error}"
        return
    stored, objects = store.scores(key), store.objects(key)
    entries = [entry for entry in data.entries if entry.id in stored and entry.id in done]
    predictions = [_stored(store, data, entry, done[entry.id]) for entry in entries]
    with closing(score_stored(predictions, protocol, workers)) as scored:
        for entry, again in zip(entries, scored, strict=True):
            if isinstance(again, str):
                yield again
                continue
            row, line = again
            if later := METRICS.keys() - set(required()) - stored[entry.id]["metrics"].keys():
                row["metrics"] = {k: v for k, v in row["metrics"].items() if k not in later}
            pairs = [(stored[entry.id], row)]
            if entry.id in objects:
                pairs.append((objects[entry.id], json.loads(line)))
            odd = [one for old, new in pairs for one in _differing(old, new)]
            if odd:
                yield (
                    f"{store.path / 'scores' / key}, sample '{entry.id}': scored again under "
                    f"{_about(basis)}, {'; '.join(odd[:3])}. {EVALUATE}"
                )


def _stored(store: RunStore, data: PreparedData, entry: Entry, record: Record) -> StoredPrediction:
    return StoredPrediction(data.folder, data.name, entry, store, record)


def _differing(stored: Any, again: Any, name: str = "") -> Iterator[str]:
    """Which entries of a stored row are not those of the row that was made again."""
    if isinstance(again, dict) and isinstance(stored, dict):
        for key, value in again.items():
            yield from _differing(stored.get(key), value, f"{name}.{key}" if name else key)
    elif isinstance(again, list) and isinstance(stored, list) and len(again) == len(stored):
        if not all(map(_equal, stored, again)):
            yield f"{name} differs"
    elif not _equal(stored, again):
        yield f"{name} is {again!r}, stored is {stored!r}"


def _equal(a: object, b: object) -> bool:
    if isinstance(a, float | int) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=_TOLERANCE)
    return a == b


def _keys(store: RunStore) -> list[str]:
    """The keys of all scores, and of objects without scores."""
    folders = (f for kind in ("scores", "objects") for f in (store.path / kind).glob("*"))
    return sorted({f.name for f in folders if f.is_dir() and is_safe(f.name)})


def _named(store: RunStore, described: Row) -> Iterator[PreparedData]:
    """The prepared data that the files of a run name, as far as they are here."""
    every = [described, *(store.names(key) or {} for key in _keys(store))]
    for names in every:
        data = _opened(str(names.get("prepared") or ""), str(names.get("data")))
        if data is not None:
            yield data


@cache
def _opened(folder: str, name: str) -> PreparedData | None:
    """Open prepared data; None if they are not here. Many runs are of the same."""
    try:
        return PreparedData(Path(folder), name, "") if Path(folder).is_absolute() else None
    except BenchmarkError:
        return None


def _first(data: Sequence[PreparedData], digest: str, wanted: object) -> PreparedData | None:
    return next((one for one in data if getattr(one, digest)() == wanted), None)


def _about(basis: Row) -> str:
    """A protocol by its switches, and the labels by the beginning of their digest."""
    switches = ", ".join(f"{name}={value}" for name, value in basis["protocol"].items())
    return f"{switches} with labels {str(basis['labels'])[:6]}"


def _some(samples: Collection[str], what: str) -> str:
    """`2 predictions (e.g. of sample 'a')`."""
    return f"{len(samples)} {what}{'s' * (len(samples) > 1)} (e.g. of sample '{min(samples)}')"
