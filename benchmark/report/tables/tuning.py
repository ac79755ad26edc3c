"""What was chosen on validation images, what it promised, and what it delivers, as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence

from benchmark.report import escape
from benchmark.report.tables.table import MISSING, Cell, Column, Table, number, words
from benchmark.report.text import counted, missing
from benchmark.report.tuned import TunedGain
from benchmark.scoring.metrics import METRICS
from benchmark.stats import FEWEST_GROUPS


def tuning_table(gains: Sequence[TunedGain]) -> Table | None:
    """A row for each tuned run; None where there is none."""
    if not gains:
        return None
    columns = [
        Column("method"), Column("data", drop=1), Column("promised", right=True),
        Column("at least", right=True, drop=2), Column("delivered", right=True),
        Column("95 % from", right=True, drop=3), Column("to", right=True, drop=4),
        Column("chosen", drop=5), Column("tested of those that chose", right=True, drop=6),
        Column("left out as tested", right=True, drop=7),
    ]  # fmt: skip
    notes = [
        "Promised: the gain of the best point over the default on the images that chose, and the "
        "lower end of its 95 % interval, which accounts for the choice. Delivered: the gain of "
        "what was chosen on the images tested, with the bootstrap interval of the paired "
        "difference. Above 0 is better.",
        *_absent(gains),
        *_not_honest(gains),
    ]
    several = len({gain.result.protocol for gain in gains}) > 1
    rows = [_row(gain, f", {gain.result.protocol}" if several else "") for gain in gains]
    return Table(
        "tuning", "Promised and delivered by tuning", columns, rows, notes,
        on_console=True,
    )  # fmt: skip


def _row(gain: TunedGain, protocol: str) -> list[Cell]:
    result, chosen = gain.result, gain.selection
    other = chosen["metric"] != result.metric.name
    of = (METRICS[chosen["metric"]].title,) if other and chosen["metric"] in METRICS else ()
    seen = ("seen",) if result.seen else ()
    few = missing(gain.groups, FEWEST_GROUPS) if gain.groups else MISSING
    lower = float("nan") if chosen["lower"] is None else chosen["lower"]
    return [
        words(escape.plain(result.method)),
        words(escape.plain(f"{result.data}{protocol}")),
        number(chosen["promised"], "+.3f", of),
        number(lower, "+.3f", missing=missing(chosen["groups"], 6)),
        number(gain.delivered, "+.3f", seen),
        *(number(end, "+.3f", missing=few) for end in (gain.low, gain.high)),
        words("the default" if gain.is_default else escape.plain(_changed(gain))),
        _count(chosen["tested_images"], chosen["tested_groups"]),
        _count(chosen["left_out_images"], chosen["left_out_groups"]),
    ]  # fmt: skip


def _count(images: int, groups: int) -> Cell:
    return Cell(f"{images} ({counted(groups, 'group')})" if images else "0", images)


def _changed(gain: TunedGain) -> str:
    default = gain.selection["default"]
    changed = {k: v for k, v in gain.selection["chosen"].items() if v != default.get(k)}
    return ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in changed.items()
    )


def _absent(gains: Sequence[TunedGain]) -> list[str]:
    """Which delivered gains need a run of the default parameters."""
    absent = [
        f"{escape.plain(gain.result.method)} on {escape.plain(gain.result.data)}"
        for gain in gains
        if gain.delivered != gain.delivered
    ]
    if not absent:
        return []
    return [
        f"Without a run of the default parameters nobody knows what is delivered: "
        f"{'; '.join(absent)}. The same command with tuned=false makes it."
    ]


def _not_honest(gains: Sequence[TunedGain]) -> list[str]:
    """Why scores of tuned runs are too good."""
    lines = []
    for gain in gains:
        chosen, why = gain.selection, []
        if chosen["tested_images"]:
            images = counted(chosen["images"], "image")
            why.append(
                f"{chosen['tested_images']} of the {images} that chose "
                f"({counted(chosen['tested_groups'], 'group')}) are tested, or of groups that are"
            )
        if chosen["trained"]:
            why.append("the weights may have been trained on the images that chose")
        if why:
            name = escape.plain(gain.result.method)
            data = f"{escape.plain(gain.result.data)} ({escape.plain(gain.result.protocol)})"
            lines.append(f"{name} on {data}: {'; '.join(why)}.")
    return lines
