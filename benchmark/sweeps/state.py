"""How far stored runs are, and what remains to do; it reads files and prepares nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

from benchmark.adapter import NO_PARAMETERS
from benchmark.console import note
from benchmark.data.prepared import PreparedData
from benchmark.errors import BenchmarkError, SkippedError, StoreError
from benchmark.job import Job
from benchmark.report.results import scores_by_protocol
from benchmark.report.selected import name_of_selection
from benchmark.scoring.protocol import Protocol, Protocols
from benchmark.store.digest import json_digest
from benchmark.store.identity import comparable, identity_target
from benchmark.store.record import Record
from benchmark.store.shapes import Selected
from benchmark.store.shard_lease import Holder, holders
from benchmark.store.store import RunStore
from benchmark.tuning.tuned import was_asked_for

DEVICE = ("device",)
DEMO = "demo"
"""The mark of demonstration weights."""


@dataclass(frozen=True)
class RunState:
    """How far one run is: a stored one, or one that a sweep asks for.

    Attributes:
        model: its name.
        data: the data set's name.
        samples: number requested; None if the data set is not prepared yet.
        done: number of these that are predicted and, for a job of a sweep, scored by its protocol
            where they have labels.
        failed: number of these that failed.
        store: its folder; None if there is none yet.
        holders: the processes that work on it.
        unavailable: the reason why it can't run here, else None.
        device: on which it runs or ran.
        rate: mean seconds per prediction; None before the first.
        edited: whether the adapter's code was edited between its predictions or after them.
        protocol: that the predictions are scored under; empty where none is.
        scored: number of the predictions that are scored under it; None where that is not asked.
        unlabelled: number of the samples without labels, and so without a score.
        repeated: whether another row is of the same run, and counts what remains of it.
        demo: whether its weights are demonstration weights, of a smaller network.
    """

    model: str
    data: str
    samples: int | None = None
    done: int = 0
    failed: int = 0
    store: RunStore | None = None
    holders: Sequence[Holder] = field(default_factory=tuple)
    unavailable: str | None = None
    device: str = ""
    rate: float | None = None
    edited: bool = False
    protocol: str = ""
    scored: int | None = None
    unlabelled: int = 0
    repeated: bool = False
    demo: bool = False

    @property
    def state(self) -> str:
        """`running`, `done`, `failed`, `partial`, `skipped` or `to do`."""
        if self.holders:
            return "running"
        if self.is_complete:
            return "done"
        if self.failed:
            return "failed"
        if self.unavailable:
            return "skipped"
        return "partial" if self.done else "to do"

    @property
    def is_complete(self) -> bool:
        """Whether every requested sample is done, and scored where it has labels."""
        if self.samples is None or self.done < self.samples:
            return False
        return self.scored is None or self.scored >= self.samples - self.unlabelled

    @property
    def remaining(self) -> int:
        """Number of samples still to do; failed ones are repeated only on request."""
        if self.samples is None or self.repeated or self.state == "skipped":
            return 0
        return max(0, self.samples - self.done - self.failed)


class StoredRuns:
    """The stored runs below a folder, found by identity or by name.

    Args:
        runs: the folder of all runs.
        timeout: seconds of silence after which a process on another host counts as dead.
    """

    def __init__(self, runs: Path, timeout: float) -> None:
        self._timeout = timeout
        self._by_identity: dict[str, list[RunStore]] = {}
        self._by_name: dict[tuple[Any, ...], list[RunStore]] = {}
        self.stores: list[RunStore] = []
        for store, described in RunStore.readable(runs):
            self.stores.append(store)
            key = json_digest(comparable(described["identity"], DEVICE))
            self._by_identity.setdefault(key, []).append(store)
            names = tuple(described[key] for key in ("model", "data", "split"))
            self._by_name.setdefault(names, []).append(store)

    def of_run(self, store: RunStore, records: Mapping[str, Record] | None = None) -> RunState:
        """The state of a stored run, over all samples of its data set.

        Args:
            store: the run.
            records: as returned by `store.records()`; read if None.
        """
        described = store.describe() or {}
        records = store.records() if records is None else records
        done = [record for record in records.values() if record.status == "done"]
        return RunState(
            described["model"],
            described["data"],
            described["samples"],
            len(done),
            len(records) - len(done),
            store,
            holders(store.path / "lease", self._timeout),
            device=described["identity"]["device"],
            rate=_rate(done),
            edited=store.is_edited(),
            demo=(described.get("weights") or {}).get("mark") == DEMO,
        )

    def states(self) -> Iterator[RunState]:
        """Yield the state of each stored run; a warning names one that can't be read."""
        for store in self.stores:
            try:
                yield self.of_run(store)
            except StoreError as error:
                note(f"warning: {store.path.name} is left out: {error}")

    def rows_of(self, store: RunStore, protocol: Protocol | Protocols) -> list[RunState]:
        """The state of a stored run for each protocol and truth that it is scored under.

        Args:
            store: the run.
            protocol: that is asked for, or every one.
        """
        records, described = store.records(), store.describe() or {}
        whole = self.of_run(store, records)
        try:
            bases = store.score_bases()
        except StoreError:  # a report names the file
            return [whole]
        found = []
        for scored_under, key in scores_by_protocol(bases, protocol):
            names = store.data_names(key, bases[key], described)
            found.append((str(names["data"]), scored_under.name, key, names.get("unlabelled", 0)))
        truths = Counter((data, under) for data, under, *_ in found)
        rows = []
        for data, under, key, unlabelled in found:
            shown = data
            if truths[data, under] > 1:  # labels that were replaced under one name
                shown = f"{data}, labels {str(bases[key]['labels'])[:6]}"
            scored = len(store.scores(key, records))
            of_key = replace(
                whole, data=shown, protocol=under, scored=scored, unlabelled=unlabelled
            )
            for chosen in store.selections_of(bases[key]):
                model = whole.model if chosen is None else name_of_selection(chosen, data)
                rows.append(replace(of_key, model=model))
        rows.sort(key=lambda row: (row.data, row.protocol))
        return [replace(row, repeated=place > 0) for place, row in enumerate(rows)] or [whole]

    def of_job(self, job: Job, *, ready: bool = True) -> RunState:
        """The state of the run that a job asks for; on any device if it names none.

        The runs of a class that the action must not import, and of weights whose digests nobody
        knows before they are fetched, are found by their names, their parameters and their images;
        those of parameters that were chosen, by what they keep of it.

        Args:
            job: the job.
            ready: whether to see if it can run here, for which the network may be asked.
        """
        found = self._of_job(job, ready)
        model = f"{found.model}, tuned" if job.settings.tuned else found.model
        demo = not job.not_imported and job.marks == {DEMO}
        return replace(found, model=model, protocol=job.protocol.name, demo=found.demo or demo)

    def _of_job(self, job: Job, ready: bool) -> RunState:
        model, data = job.model_name, str(job.settings.data["name"])
        unavailable = None
        try:
            if ready and not job.not_imported:
                job.check_ready()
        except SkippedError as reason:
            unavailable = str(reason)
        try:
            prepared = job.prepared
        except BenchmarkError:
            prepared = None
        split = str(job.settings.data["split"])
        named = [
            store
            for name in job.possible_names
            for store in self._by_name.get((name, data, split), [])
        ]
        if job.settings.tuned:
            named = self._tuned(job)
        elif job.not_imported:
            named = [store for store in named if _may_be(store, job, prepared)]
        if prepared is None and job.has_own_images:  # of which a folder's name says nothing
            return RunState(model, data, unavailable=unavailable)
        if prepared is None:  # perhaps no more
            states = [self.of_run(store) for store in named]
            return max(
                states,
                key=lambda state: state.done,
                default=RunState(model, data, unavailable=unavailable),
            )
        try:
            if job.not_imported or job.settings.tuned:
                found = named
            elif job.knows_weights:
                found, model = self._alike(job, prepared), job.name_on(prepared)
            else:
                found = [store for store in named if _may_be(store, job, prepared)]
        except BenchmarkError as error:
            return RunState(
                model, data, len(job.wanted(prepared)), unavailable=unavailable or str(error)
            )
        wanted = {entry.id for entry in job.wanted(prepared)}
        unlabelled = {entry.id for entry in prepared.unlabelled}
        score_key = job.score_key_on(prepared)
        device = job.settings.device.name
        states = []
        for store in found:
            stored = store.records()
            whole = self.of_run(store, stored)
            if device in ("auto", whole.device):
                records = {k: v for k, v in stored.items() if k in wanted}
                done = {k for k, v in records.items() if v.status == "done"}
                states.append(
                    RunState(
                        model,
                        data,
                        len(wanted),
                        len(done & (store.scores(score_key, stored).keys() | unlabelled)),
                        len(records) - len(done),
                        store,
                        whole.holders,
                        device=whole.device,
                        rate=whole.rate,
                        edited=whole.edited,
                        demo=whole.demo,
                    )
                )
        begun = max(states, key=lambda state: state.done, default=None)
        return begun or RunState(model, data, len(wanted), unavailable=unavailable)

    def _tuned(self, job: Job) -> list[RunStore]:
        """The runs whose parameters were chosen as a job asks for, on its data set and split."""
        return [
            store
            for (_, data, split), stores in self._by_name.items()
            if (data, split) == (job.settings.data["name"], job.settings.data["split"])
            for store in stores
            if any(
                was_asked_for(each["selection"], job)
                for each in _readable_selections(store)
                if each["selection"] is not None and job.protocol.made(each["protocol"])
            )
        ]

    def _alike(self, job: Job, prepared: PreparedData) -> list[RunStore]:
        """The runs with the identity that a job asks for, on any device."""
        key = json_digest(comparable(job.identity_on(prepared, ""), DEVICE))
        return self._by_identity.get(key, [])


def _may_be(store: RunStore, job: Job, prepared: PreparedData | None) -> bool:
    """Whether a run may be a job's, as far as that is known without class and weights."""
    ran, asked = (store.describe() or {})["identity"], job.settings
    target = str(asked.model["_target_"])
    if not job.not_imported:
        target = identity_target(job.adapter, target)
    same = ran["target"] == target and ran.get("seed") == asked.seed
    if prepared is not None:
        same = same and ran["images"] == prepared.images_digest()
    wanted = {k: v for k, v in asked.model.items() if k not in (*NO_PARAMETERS, "weights")}
    return same and all(ran["parameters"].get(k, v) == v for k, v in wanted.items())


def _readable_selections(store: RunStore) -> list[Selected]:
    """What chose a run's parameters; nothing where a file is damaged, which a report names."""
    try:
        return store.selections()
    except StoreError:
        return []


def _rate(done: Sequence[Any]) -> float | None:
    """Mean seconds per prediction; the first after loading counts only if there is no other."""
    seconds = [record.seconds for record in done if not record.warm_up and record.seconds]
    seconds = seconds or [record.seconds for record in done if record.seconds]
    return mean(seconds) if seconds else None
