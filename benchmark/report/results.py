"""One run as the report sees it: what was run, and one row of numbers per sample."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from benchmark.adapter import NO_PARAMETERS, find_class
from benchmark.console import Steps, note
from benchmark.errors import StoreError
from benchmark.garbage_collection import collection_paused
from benchmark.report.framing import framing_sentences
from benchmark.report.selected import key_of_selection, name_of_selection
from benchmark.report.training import trained_on
from benchmark.scoring.metrics import (
    METRICS,
    MSA,
    Metric,
    metrics_version,
    pooled_accuracies,
    required,
)
from benchmark.scoring.protocol import THRESHOLD_GRIDS, Protocol, Protocols
from benchmark.stats import bootstrap_interval, interval_caution
from benchmark.store.digest import json_digest
from benchmark.store.identity import identity_target, written
from benchmark.store.record import Record
from benchmark.store.shapes import Selection
from benchmark.store.store import SHORT, RunStore


@dataclass(frozen=True, eq=False)
class RunResult:
    """A run, with its scores where there are labels.

    Attributes:
        run_id: the run's identity (hexadecimal); the first 12 characters are its short name.
        path: the run's folder.
        model: the model's name, and in brackets the parameters that differ from its YAML.
        data: the data set's name.
        split: test, val or all.
        protocol: name of the protocol that the scores follow.
        expected: samples in the data set (of that split).
        failed: samples that ended in an error.
        mixed: the run was made in several attempts of differing code or environment.
        edited: the code of its adapter, one of the user's own, was edited between its predictions
            or after them.
        scores: one row per scored sample, indexed by sample id, in ascending order: group,
            n_true, n_predicted, true_positives (tuple, one per threshold), both_empty,
            seconds (with every stage computed), memory and device_memory (peaks, bytes),
            `stage.<name>` (seconds), `peak.<name>` (the stage's peak on the device, else of the
            host), and each metric (msa, sa50, ...; NaN where undefined or
            excluded).
        control: its score is known beforehand; it is shown, but never marked as best.
        weights: how a table shows its weights; empty for a model without.
        mark: `verified`, `user` or `demo`; empty for a model without weights.
        lost: why the published study's own images can't be had; empty where they can.
        images_id: the beginning of the images' digest: rows of other images are not compared.
        config: the name of the model's YAML.
        altered: its parameters, weights aside, are not those of our YAML of that name.
        data_label: the data set's name as people write it.
        modality: of the data set; empty or `unknown` where a user's own data has none.
        trained_on: names of the data sets that the weights were trained on; None where that
            is unknown, or where there are no weights.
        score_key: what the scores, and the rows of objects, are stored under.
        metric: that it is ranked and drawn by.
        truth: the beginning of the digest of the labels that it is scored against.
        present: whether these are the labels that its data set has now, as far as the run knows.
        prepared: the folder of the prepared data that has them.
        known: how many images the data set has, where its card says so.
        unlabelled: how many of the samples have no labels, and so no score.
        unscored: how many stored predictions have no score.
        family: of the methods that resemble it: `family` of the model's YAML, else its weights by
            their digests, else its adapter.
        family_label: the family as people read it.
        warnings: what is odd about the data set's files, as found when it was prepared.
        channels: `3 of 4`, where a model uses fewer channels than images have; else empty.
        framing: how images were tiled or scaled, or shrunk by the model, as sentences.
        gone: how many of the scored samples have no stored prediction any more.
        uncounted: the card says that nobody knows how many: a part of them may look complete.
        selection: what chose its parameters; None where they were given by hand. A run may have a
            result of each kind.
    """

    run_id: str
    path: Path
    model: str
    data: str
    split: str
    protocol: str
    expected: int
    failed: int
    mixed: bool
    scores: pd.DataFrame
    control: bool = False
    weights: str = ""
    mark: str = ""
    lost: str = ""
    images_id: str = ""
    config: str = ""
    altered: bool = False
    data_label: str = ""
    modality: str = ""
    trained_on: frozenset[str] | None = None
    score_key: str = ""
    metric: Metric = MSA
    edited: bool = False
    truth: str = ""
    present: bool = True
    prepared: str = ""
    known: int | None = None
    unlabelled: int = 0
    unscored: int = 0
    family: str = ""
    family_label: str = ""
    warnings: tuple[str, ...] = ()
    channels: str = ""
    framing: tuple[str, ...] = ()
    gone: int = 0
    uncounted: bool = False
    selection: Selection | None = None

    @property
    def key(self) -> str:
        """What no other result has: the run, what its scores depend on, and what chose it."""
        return " ".join(filter(None, [self.run_id, self.score_key, self.selection_id]))

    @property
    def selection_id(self) -> str:
        """The beginning of the digest of what chose its parameters, or nothing."""
        return "" if self.selection is None else json_digest(self.selection)[:6]

    @property
    def seen(self) -> bool:
        """Whether images chose its parameters that are tested, or that weights may know."""
        chosen = self.selection
        return chosen is not None and (chosen["tested_images"] > 0 or chosen["trained"])

    @property
    def method_key(self) -> str:
        """The YAML that describes it, with how it was tuned; empty where its parameters differ."""
        if self.altered:
            return ""
        return self.config if self.selection is None else key_of_selection(self.selection)

    @property
    def values(self) -> pd.Series[float]:
        """The metric of each scored sample; NaN where undefined or excluded."""
        return self.scores[self.metric.name]

    @property
    def method(self) -> str:
        """What tables call it: only published weights stand under the model's name alone."""
        weights = {"user": self.weights, "demo": "demo"}.get(self.mark, "")
        return self.model if weights in self.model else f"{self.model} ({weights})"

    @property
    def labelled(self) -> str:
        """`10 of 100`: how many samples have labels; empty where all have."""
        labelled = self.expected - self.unlabelled
        return f"{labelled} of {self.expected}" if self.unlabelled else ""

    @property
    def in_domain(self) -> bool | None:
        """Whether the weights were trained on data of this set; None where nobody knows."""
        return None if self.trained_on is None else self.data.casefold() in self.trained_on

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """What the run comes to: means over images, their intervals, time and memory.

        Returns:
            images (that the mean of the metric is over) and their groups; both_empty images, and
            how many of them are excluded; score (the metric), msa and sa50 with _low and _high,
            the latter two with _caution (why the interval may be too narrow, else empty);
            sa50_pooled and msa_pooled (counts added up over images first); seconds (median per
            image), memory (the highest peak of the host). NaN where undefined.
        """
        scores = self.scores
        counted = scores[self.values.notna()]
        counts = zip(scores["true_positives"], scores["n_true"], scores["n_predicted"], strict=True)
        pooled = pooled_accuracies(counts)
        both_empty = scores["both_empty"].astype(bool)
        numbers: dict[str, Any] = {
            "images": len(counted),
            "groups": counted["group"].nunique(),
            "both_empty": int(both_empty.sum()),
            "excluded": int((both_empty & self.values.isna()).sum()),
            "sa50_pooled": pooled[0] if pooled else np.nan,
            "msa_pooled": float(np.mean(pooled)) if pooled else np.nan,
            "seconds": float(scores["seconds"].astype(float).median()),
            "memory": float(scores["memory"].max()) if "memory" in scores else np.nan,
        }
        for metric in dict.fromkeys(("msa", "sa50", self.metric.name)):
            defined = scores[scores[metric].notna()]
            values = defined[metric].astype(float)
            groups = defined["group"].tolist()
            low, high = bootstrap_interval(values.to_numpy(), groups) or (np.nan, np.nan)
            mean = float(values.mean())
            numbers |= {metric: mean, f"{metric}_low": low, f"{metric}_high": high}
            worst = 0.0 if METRICS[metric].higher_is_better else None
            numbers[f"{metric}_caution"] = interval_caution(values.to_numpy(), groups, low, worst)
        ends = ("", "_low", "_high")
        return numbers | {f"score{end}": numbers[f"{self.metric.name}{end}"] for end in ends}

    @cached_property
    def comparisons(self) -> WeakKeyDictionary[RunResult, Any]:
        """What is known of its comparison with other results, by `benchmark.report.comparison`."""
        return WeakKeyDictionary()

    @property
    def status(self) -> str:
        """`complete`, or `partial (10 of 197)`, with the number of failed samples.

        `partial (25 of 172 known)` where all prepared images are done, but images that the card
        counts were not there. A sample without labels is done when it is predicted.
        """
        done = len(self.scores) + min(self.unscored, self.unlabelled)
        if done == self.expected:
            fewer = self.known is not None and done < self.known
            return f"partial ({done} of {self.known} known)" if fewer else "complete"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"partial ({done} of {self.expected}{failed})"


def load_result(
    store: RunStore,
    key: str,
    protocol: str,
    switches: Mapping[str, Any] = MappingProxyType({}),
    metric: Metric = MSA,
    selection: Selection | None = None,
) -> RunResult | None:
    """The run with the scores under one key, if there are any; None before the run has begun.

    None also for untrained weights, which only tests make: their scores are no result.

    Args:
        store: the run.
        key: of the scores.
        protocol: its name.
        switches: of the protocol; without them a parameter that follows one passes as unaltered.
        metric: that it is ranked by.
        selection: what chose its parameters, if that is the result that is meant.

    Raises:
        StoreError: run.json is damaged.
    """
    described = store.describe()
    weights = (described or {}).get("weights") or {}
    if described is None or weights.get("mark") == "untrained":
        return None
    records = store.records()
    basis = store.score_bases().get(key, {})
    labels = str(basis.get("labels") or "")
    present = described.get("labels") in (None, labels) or not labels
    names = store.data_names(key, basis, described)
    card = names.get("data_card") or {}
    config = described.get("config") or described["model"].partition(" (")[0]
    scored = store.scores(key, records)
    predicted = {sample for sample, record in records.items() if record.status == "done"}
    family, family_label = _family(described)
    identity = described["identity"]
    if selection is not None:  # another method than its YAML's only where something else differs
        parameters = identity["parameters"] | selection["default"]
        identity = identity | {"parameters": parameters}
    rows = [
        {
            **_metrics(row, store),
            **{name: row[name] for name in ("sample", "group", "n_true", "n_predicted")},
            "true_positives": tuple(row["true_positives"]),
            "both_empty": row["both_empty"],
            **_cost(records[sample]),
        }
        for sample, row in sorted(scored.items())
    ]
    scores = pd.DataFrame(rows, columns=None if rows else ["sample", *_COLUMNS])
    return RunResult(
        run_id=described["run_id"],
        path=store.path,
        model=(
            described["model"]
            if selection is None
            else name_of_selection(selection, str(names["data"]))
        ),
        data=names["data"],
        split=names.get("split", described["split"]),
        protocol=protocol,
        expected=described["samples"],
        failed=sum(record.status == "error" for record in records.values()),
        mixed=store.is_mixed(),
        scores=_numeric(scores.set_index("sample")),
        control=described["control"],
        weights=weights.get("label", ""),
        mark=weights.get("mark", ""),
        images_id=described["identity"]["images"][:6],
        lost=_lost(card, names.get("split", described["split"])),
        config=config,
        altered=is_altered(config, identity, switches),
        data_label=str(card.get("title") or ""),
        modality=str(card.get("modality") or ""),
        trained_on=_trained_on(weights, names["data"]) if _carded(weights) else None,
        score_key=key,
        metric=metric,
        truth=labels[:6],
        present=present,
        prepared=str(names.get("prepared") or ""),
        known=known_images(card, names.get("split", described["split"]), protocol),
        uncounted=_count(card, names.get("split", described["split"]), protocol) == UNKNOWN,
        edited=store.is_edited(),
        unlabelled=names.get("unlabelled", 0),
        unscored=len(predicted - scored.keys()),
        family=family,
        family_label=family_label,
        warnings=tuple(names.get("warnings") or ()),
        channels=_used_channels(records.values()),
        framing=framing_sentences(records.values()),
        gone=len(scored.keys() - store.prediction_files()),
        selection=selection,
    )


def _family(described: Mapping[str, Any]) -> tuple[str, str]:
    """What groups a run with those that resemble it, and what people call that."""
    weights, target = described.get("weights") or {}, described["identity"]["target"]
    if described.get("family"):
        return f"family {described['family']}", described["family"]
    if weights:
        # By the files: weights of one's own may be a copy of published ones.
        digests = weights.get("digests") or {}
        called = weights.get("name") or "weights without a name"
        return f"weights {json_digest(sorted(map(str, digests.values())))}", called
    return f"adapter {target}", target.rpartition(".")[2]


def _metrics(row: Mapping[str, Any], store: RunStore) -> dict[str, float | None]:
    """The numbers of an image.

    Raises:
        StoreError: they are not those that scores of this version have.
    """
    numbers: dict[str, float | None] = row["metrics"]
    lacking = set(required()) - numbers.keys()
    if lacking or len(row["true_positives"]) != len(THRESHOLD_GRIDS["exact"]):
        raise StoreError(
            f"{store.path}: the score of sample '{row['sample']}' is damaged. Score the stored "
            "predictions again with action=evaluate."
        )
    return dict.fromkeys(METRICS) | numbers


def _used_channels(records: Iterable[Record]) -> str:
    """How many of how many channels were used, of the image with the most unused ones."""
    counts = [
        [len(kept) if isinstance(kept := record.details.get(key), list) else 0 for key in _CHANNELS]
        for record in records
    ]
    used, unused = max(counts, key=lambda pair: pair[1], default=(0, 0))
    return f"{used} of {used + unused}" if unused else ""


_CHANNELS = ("used_channels", "unused_channels")


def _cost(record: Record) -> dict[str, float | None]:
    """Time and memory of a prediction."""
    peak = record.computed_memory
    memory = {"memory": peak.get("host"), "device_memory": peak.get("device")}
    # Where it ran on a device, that is the memory which may not suffice.
    peaks = {s: m.get("device", m.get("host")) for s, m in record.stage_memory.items()}
    memory |= {f"peak.{stage}": bytes_ for stage, bytes_ in peaks.items()}
    if record.warm_up:  # it compiles and caches: no time to compare
        return {"seconds": None, **memory}
    stages = {f"stage.{name}": seconds for name, seconds in record.stages.items()}
    return {"seconds": record.computed_seconds, **memory, **stages}


def _carded(weights: Mapping[str, Any]) -> bool:
    return weights.get("mark") in ("verified", "demo")


def _trained_on(weights: Mapping[str, Any], data: str) -> frozenset[str] | None:
    """What the weights of a run were trained on; of several, one that is unknown leaves it open.

    But where one of them was trained on this data set, that is known.
    """
    each = [trained_on(name) for name in weights.get("parts") or [weights["name"]]]
    known = frozenset[str]().union(*(names for names in each if names is not None))
    return known if None not in each or data.casefold() in known else None


def known_images(card: Mapping[str, Any], split: str, protocol: str) -> int | None:
    """How many images a split has by its card."""
    count = _count(card, split, protocol)
    return count if isinstance(count, int) else None


def _count(card: Mapping[str, Any], split: str, protocol: str) -> Any:
    """What the card says of it, if anything: the study's preparation is that of `paper`."""
    return (card.get("known_images") or {}).get(split) if protocol == "paper" else None


UNKNOWN = "unknown"
"""What a card says of the images of a split if nobody knows how many there are."""


def _lost(card: Mapping[str, Any], split: str) -> str:
    """Why a split's images are not the study's own."""
    reasons = card.get("not_recoverable") or {}
    return str(reasons.get(split) or (reasons and split == "all" and min(reasons.values())) or "")


def load_results(runs: Path, protocol: Protocol) -> list[RunResult]:
    """Every run that can be reported under a protocol."""
    return gather(runs, protocol)[0]


def gather(
    runs: Path, protocol: Protocol | Protocols, metric: Metric = MSA
) -> tuple[list[RunResult], dict[str, str]]:
    """Every run that can be reported under a protocol, or under any, and why each other can't.

    A run gives a result for each protocol that it is scored under, and for each truth: it may be
    scored against several label images of the same images. Of the truths under one name of a data
    set and one protocol one is present: the one whose digest run.json has, else the newest.

    Returns:
        The results, and folder name -> reason.
    """
    results: list[RunResult] = []
    left_out: dict[str, str] = {}
    stores = RunStore.all(runs)
    with Steps("reading runs", len(stores)) as steps, collection_paused():
        for store in stores:
            try:
                found = _reported(store, protocol, metric)
            except StoreError as error:
                note(f"warning: {error}")
                found = "a file of it is damaged"
            if isinstance(found, str):
                left_out[store.path.name] = found
            else:
                results += found
            steps.advance(store.path.name)
    results = _named_alike(results)
    copies = _copies(results)
    return [result for result in results if result.path.name not in copies], left_out | copies


def _named_alike(results: Sequence[RunResult]) -> list[RunResult]:
    """Give the results of one way of tuning one name, on however many images each was tuned."""
    images: dict[tuple[str, ...], set[int]] = {}

    def way(chosen: Selection, data: str) -> tuple[str, ...]:
        return (chosen["model"], key_of_selection(chosen), chosen["split"], of(chosen, data))

    def of(chosen: Selection, data: str) -> str:
        return "" if chosen["data"] == data else chosen["data"]

    for result in results:
        if result.selection is not None:
            numbers = images.setdefault(way(result.selection, result.data), set())
            numbers.add(result.selection["images"])
    return [
        result
        if (chosen := result.selection) is None
        else replace(
            result,
            model=name_of_selection(chosen, result.data, images[way(chosen, result.data)]),
        )
        for result in results
    ]


def _copies(results: Sequence[RunResult]) -> dict[str, str]:
    """The folders that hold a run which another folder holds too -> why they are left out.

    The run's own folder is the one whose name ends with its id.
    """
    folders: dict[str, set[str]] = {}
    for result in results:
        folders.setdefault(result.run_id, set()).add(result.path.name)
    copies: dict[str, str] = {}
    for run_id, names in folders.items():
        own = [name for name in names if name.endswith(f"-{run_id[:SHORT]}")]
        if len(names) > 1 and len(own) == 1:
            copies |= dict.fromkeys(names - {own[0]}, f"it is a copy of {own[0]}")
    return copies


def _reported(
    store: RunStore, protocol: Protocol | Protocols, metric: Metric
) -> list[RunResult] | str:
    """A run's results, one for each protocol and truth; or why there is none.

    One without any score where the data set has unlabelled images.
    """
    bases = store.score_bases()
    scored = scores_by_protocol(bases, protocol)
    if not scored and (store.describe() or {}).get("unlabelled", 0) > 0:
        scored = [(protocol if isinstance(protocol, Protocol) else protocol.known[0], UNSCORED)]
    if scored:
        loaded = (
            load_result(store, key, under.name, asdict(under), metric, selection)
            for under, key in scored
            for selection in store.selections_of(bases.get(key, {}))
        )
        found = [result for result in loaded if result is not None]
        return _with_present(found) or "its weights were never trained"
    if not bases:
        return "nothing of it is scored yet"
    wanted = f"'{protocol.name}'" if isinstance(protocol, Protocol) else "one that is known"
    return (
        f"it is scored under another protocol or by another version of the metrics, not under "
        f"{wanted}; action=evaluate scores it again"
    )


UNSCORED = "unscored"
"""Stands in place of a key of scores where there are none."""


def scores_by_protocol(
    bases: Mapping[str, Mapping[str, Any]], protocol: Protocol | Protocols
) -> list[tuple[Protocol, str]]:
    """The scores of a run that reports show: their protocol and key, one for each truth.

    Args:
        bases: of the run's scores, the newest last.
        protocol: that they are under, or every one that they may be under.
    """
    # Of equal labels under another switch of the data set the newest.
    newest: dict[tuple[str, Any], tuple[Protocol, str]] = {}
    for key, basis in bases.items():
        under = protocol.of(basis["protocol"])
        if under is not None and basis["metrics"] == metrics_version():
            newest[under.name, basis["labels"]] = under, key
    return list(newest.values())


def _with_present(results: Sequence[RunResult]) -> list[RunResult]:
    """The results of a run; of each protocol and each name of a data set one is present."""

    def name(result: RunResult) -> tuple[str, str]:
        return result.protocol, result.data

    named = {name(result): result.score_key for result in results}  # the newest
    named |= {name(result): result.score_key for result in results if result.present}
    return [replace(one, present=one.score_key == named[name(one)]) for one in results]


_COLUMNS = (
    "group",
    "n_true",
    "n_predicted",
    "true_positives",
    "both_empty",
    "seconds",
    "memory",
    *METRICS,
)


def _numeric(scores: pd.DataFrame) -> pd.DataFrame:
    """Undefined metrics as NaN: a column of nothing but None would not be numbers."""
    others = {"group", "true_positives", "both_empty"}
    numbers = [column for column in scores.columns if column not in others]
    return scores.astype(dict.fromkeys(numbers, float))


def metric_of(results: Sequence[RunResult]) -> Metric:
    """The metric that runs of one report are ranked by."""
    return results[0].metric if results else MSA


def summary_of(result: RunResult) -> dict[str, str]:
    """What a sweep's summary says of a run."""
    means = {name: result.scores[name].mean() for name in ("msa", "sa50")}
    scores = {name: f"{value:.3f}" if value == value else "n/a" for name, value in means.items()}
    status = result.status + (", edited" if result.edited else "")
    status += ", predictions gone" if result.gone else ""
    return {"model": result.method, "data": result.data, "status": status, **scores}


def is_altered(config: str, identity: Mapping[str, Any], switches: Mapping[str, Any]) -> bool:
    """Whether it is another method than the YAML of that name in this repository describes.

    Weights are compared elsewhere.

    Args:
        config: the name of the model's YAML.
        identity: of the run.
        switches: of the protocol it is reported under, which the YAML may leave a value to.
    """
    if identity.get("framing"):
        return True
    ours = written("model", config)
    target = str(ours.get("_target_", ""))
    if not target or identity_target(find_class(target), target) != identity["target"]:
        return True
    ran = identity["parameters"]
    for name, value in ours.items():
        follows = _SWITCH.fullmatch(str(value))
        expected = switches.get(follows[1], ran.get(name)) if follows else value
        if name not in (*NO_PARAMETERS, "weights") and ran.get(name, expected) != expected:
            return True
    return False


_SWITCH = re.compile(r"\$\{protocol\.(\w+)\}")
