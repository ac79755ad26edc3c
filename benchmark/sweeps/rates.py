"""Seconds per image as measured: in stored runs, or else in a table of this repository."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from benchmark.choices import CHECKOUT
from benchmark.sweeps.state import DEMO, RunState

TABLE = CHECKOUT / "results" / "baselines" / "rates.csv"
"""Rates of models of this repository, each with its source."""


class Measured(NamedTuple):
    """A line of the table.

    Attributes:
        model: as its YAML says, whose parameters it was measured with.
        demo: whether it was measured with the demonstration weights.
        device: type of the device; empty where no rate is known.
        seconds: of one image; None where that is not known.
        kept: bytes that the cache of embeddings keeps of an image, of 512 x 512 pixels; None
            where that is not known.
        source: where it was measured, for people.
    """

    model: str
    demo: bool
    device: str
    seconds: float | None
    kept: float | None
    source: str


def read_table(path: Path = TABLE) -> list[Measured]:
    """Read the table; nothing where there is none."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Measured(
                row["model"],
                row["weights"] == DEMO,
                row["device"],
                float(row["seconds"]) if row["seconds"] else None,
                float(row["kept_mb"]) * 1e6 if row["kept_mb"] else None,
                row["source"],
            )
            for row in csv.DictReader(file)
        ]


class Rate(NamedTuple):
    """How long a model takes for an image.

    Attributes:
        seconds: of one image.
        device: type of the device.
        source: what it was measured on, for people.
    """

    seconds: float
    device: str
    source: str


class Rates:
    """The rates that are known, those of stored runs before those of a table.

    Args:
        states: of runs, also of those without a rate.
        table: rates that were measured elsewhere.
    """

    def __init__(self, states: Iterable[RunState], table: Sequence[Measured] = ()) -> None:
        self._equal: _Seen = {}
        self._alike: _Seen = {}
        for state in states:
            if state.rate is not None:
                for seen, method in ((self._equal, _named(state)), (self._alike, _method(state))):
                    seen.setdefault(method, {}).setdefault(state.device, []).append(state.rate)
        self._table: dict[_Method, dict[str, Rate]] = {}
        for line in table:
            if line.seconds is not None:
                rate = Rate(line.seconds, line.device, line.source)
                self._table.setdefault((line.model, line.demo), {})[line.device] = rate

    def of(self, state: RunState, device: str = "auto") -> Rate | None:
        """The rate of a run: its own, or that of its model on other data, or the table's.

        Runs of equal parameters, tiles and scale come before those of the same YAML.

        Args:
            state: of the run.
            device: where it is to run; of `auto` the one where the model is fastest.

        Returns:
            None where nobody measured it. The table is of models as their YAMLs have them.
        """
        if state.rate is not None and device in ("auto", state.device):
            return Rate(state.rate, state.device, "this run")
        for known in (
            _means(self._equal.get(_named(state), {})),
            _means(self._alike.get(_method(state), {})),
            self._table.get(_named(state), {}),
        ):
            found = _fastest(known) if device == "auto" else known.get(device)
            if found is not None:
                return found
        return None


def _means(seen: Mapping[str, Sequence[float]]) -> dict[str, Rate]:
    return {
        device: Rate(mean(rates), device, f"{len(rates)} stored run{'s'[: len(rates) > 1]}")
        for device, rates in seen.items()
    }


def _fastest(rates: Mapping[str, Rate]) -> Rate | None:
    return min(rates.values(), key=lambda rate: rate.seconds, default=None)


_Method = tuple[str, bool]
"""The name of a model, with or without what differs from its YAML, and whether its weights are demo
ones."""

_Seen = dict[_Method, dict[str, list[float]]]
"""Of methods, and devices, the rates of stored runs."""


def _named(state: RunState) -> _Method:
    return state.model, state.demo


def _method(state: RunState) -> _Method:
    return re.split(r" \(|, tuned", state.model, maxsplit=1)[0], state.demo


def remaining_hours(states: Iterable[RunState]) -> tuple[dict[str, float], list[RunState]]:
    """Estimate what remains from the rates so far.

    A run without a rate takes the mean rate of its model on other data, on the fastest device.

    Returns:
        Hours for each device, and the runs whose rate or size is unknown.
    """
    states = list(states)
    rates = Rates(states)
    hours: dict[str, float] = {}
    unknown = []
    for state in states:
        if not state.remaining:
            if state.samples is None and state.state == "to do":
                unknown.append(state)
            continue
        rate = rates.of(state)
        if rate is None:
            unknown.append(state)
            continue
        hours[rate.device] = hours.get(rate.device, 0.0) + state.remaining * rate.seconds / 3600
    return hours, unknown
