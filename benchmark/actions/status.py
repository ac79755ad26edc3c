"""Which runs are done, partial, failed, skipped or running; and what remains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from benchmark.actions.formats import JSON
from benchmark.console import note, out, printable, say, say_json
from benchmark.errors import DONE, StoreError
from benchmark.fitted_table import FittedColumn, FittedTable
from benchmark.garbage_collection import collection_paused
from benchmark.job import Job
from benchmark.scoring.protocol import Protocol, Protocols
from benchmark.sweeps.rates import remaining_hours
from benchmark.sweeps.state import RunState, StoredRuns


def perform(job: Job) -> int:
    """Print a line for each stored run, protocol and truth that it is scored under."""
    study = StoredRuns(job.runs, job.settings.lease.timeout)
    if not study.stores:
        note(f"no runs in {job.runs}")
        if job.settings.format != JSON:
            return DONE
    return show(readable(study, job.reported), job.settings.format)


def readable(study: StoredRuns, protocol: Protocol | Protocols) -> list[RunState]:
    """The states of the runs, one for each protocol and truth that they are scored under.

    A warning names each run that can't be read.
    """
    states: list[RunState] = []
    with collection_paused():  # rows of journals have no cycles
        for store in study.stores:
            try:
                states += study.rows_of(store, protocol)
            except StoreError as error:
                note(f"warning: {store.path.name} is left out: {error}")
    return states


def show(states: Sequence[RunState], form: str | None = None) -> int:
    """Print the table, the sums, and the reasons of what was skipped; its exit status.

    Args:
        states: of the runs.
        form: `json` prints the states alone, as a list of objects.
    """
    if form == JSON:
        say_json([_object(state) for state in states])
        return DONE
    columns = [
        FittedColumn("run", drop=3),
        FittedColumn("model"),
        FittedColumn("data"),
        FittedColumn("protocol", drop=1),
        FittedColumn("samples"),
        FittedColumn("done"),
        FittedColumn("scored", drop=2),
        FittedColumn("failed"),
        FittedColumn("state"),
        FittedColumn("s/image", drop=4),
    ]
    rows = []
    for state in states:
        name = state.store.path.name if state.store else ""
        samples = "?" if state.samples is None else state.samples
        scored = "" if state.scored is None else state.scored
        seconds = "" if state.rate is None else f"{state.rate:.3g}"
        names = (name, state.model, state.data, state.protocol)
        cells = (*names, samples, state.done, scored, state.failed, _told(state), seconds)
        rows.append([Text(printable(str(cell))) for cell in cells])
    out.print(FittedTable(columns, rows))
    counts = Counter(state.state for state in states)
    words = ("done", "running", "partial", "failed", "skipped", "to do")
    say(", ".join(f"{counts[word]} {word}" for word in words if counts[word]))
    hours, unknown = remaining_hours(states)
    for device, value in sorted(hours.items()):
        say(f"remaining: {_duration(value * 3600)} of {device}, at the rates seen so far")
    if unknown:
        models = ", ".join(sorted({state.model for state in unknown}))
        say(f"not counted: {len(unknown)} runs of {models}, of which no rate or size is known yet")
    for reason, many in Counter(s.unavailable for s in states if s.state == "skipped").items():
        which = ", ".join(sorted({s.model for s in states if s.unavailable == reason}))
        note(f"skipped: {many} of {which}: {reason}")
    return DONE


def _object(state: RunState) -> dict[str, Any]:
    """What a program reads of a state; None where something is not known."""
    return {
        "run": state.store.path.name if state.store else None,
        "model": state.model,
        "data": state.data,
        "protocol": state.protocol or None,
        "samples": state.samples,
        "done": state.done,
        "scored": state.scored,
        "failed": state.failed,
        "seconds_per_image": state.rate,
        "device": state.device or None,
        "state": state.state,
        "edited": state.edited,
        "unavailable": state.unavailable,
        "held_by": [holder.who for holder in state.holders],
    }


def _told(state: RunState) -> str:
    """The state, whether it is marked as edited, and who works on it."""
    told = [
        f"{holder.who.partition(' (')[0]}, for {_duration(holder.seconds)}"
        + (f", shard {holder.shard}" if holder.shard.count > 1 else "")
        for holder in state.holders
    ]
    return "; ".join([state.state, *(["edited"] if state.edited else []), *told])


def _duration(seconds: float) -> str:
    """`12 s`, `3.5 min` or `7.2 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
