"""What the pages show: cells, runs and per-image scores as plain values, every string made safe.

Autoescaping guards HTML and `script` guards the script files; here control characters go.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.errors import BenchmarkError
from benchmark.report import escape
from benchmark.report.frame import MODALITIES, NOT_REPORTED, SKIPPED
from benchmark.report.results import RunResult
from benchmark.scoring.metrics import METRICS, MSA, Metric
from benchmark.scoring.protocol import words_of
from benchmark.store.store import RunStore

NO_NUMBER = "n/a"

_TOLD = ("code", "python", "packages", "system", "processor", "cores", "device", "gpu", "threads")
_COUNTS = ("matched", "missed", "spurious", "split", "merged")


def plain(value: Any) -> Any:
    """A JSON-able value with every string in it free of control characters, NaN as None."""
    if isinstance(value, str):
        return escape.plain(value)
    if isinstance(value, Mapping):
        return {escape.plain(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return escape.plain(str(value))


def script(call: str, value: Any) -> bytes:
    """A script file that hands a value to a function of ours: `fetch` can't read files.

    Escaped so that it would do no harm between script tags either.
    """
    told = json.dumps(plain(value), separators=(",", ":"), allow_nan=False)  # ASCII alone
    for letter in "<>&":
        told = told.replace(letter, f"\\u{ord(letter):04x}")
    return f"{call}({told});\n".encode()


def rows(
    cells: pd.DataFrame, pages: Mapping[str, str], metric: Metric = MSA
) -> list[dict[str, Any]]:
    """The cells as a table shows them, the best of each data set first, controls last.

    Args:
        cells: see `benchmark.report.frame`.
        pages: run id -> its page; cells of other runs have none.
        metric: whose scores they are.
    """
    ordered = cells.assign(
        place=cells["modality"].map({name: i for i, name in enumerate(MODALITIES)})
    ).sort_values(
        ["place", "data_label", "data", "control", "score", "method"],
        ascending=[True, True, True, True, not metric.higher_is_better, True],
    )
    return [_row(cell, pages) for cell in ordered.to_dict("records")]


def _row(cell: Mapping[Any, Any], pages: Mapping[str, str]) -> dict[str, Any]:
    texts = {str(k): escape.plain(v) for k, v in cell.items() if isinstance(v, str)}
    number = None if pd.isna(cell["score"]) else float(cell["score"])
    low, high = (
        None if pd.isna(cell[key]) else float(cell[key]) for key in ("score_low", "score_high")
    )
    known = None if pd.isna(cell["in_domain"]) else bool(cell["in_domain"])
    return texts | {
        "modality_label": MODALITIES[cell["modality"]],
        "score": number,
        "shown": _shown(cell["status"], number),
        "low": low,
        "high": high,
        "interval": _interval(cell, low, high),
        "images": None if pd.isna(cell["images"]) else int(cell["images"]),
        "groups": None if pd.isna(cell["groups"]) else int(cell["groups"]),
        "seconds": None if pd.isna(cell["seconds"]) else float(cell["seconds"]),
        "memory": None if pd.isna(cell["memory"]) else float(cell["memory"]) / 2**20,
        "in_domain": {None: "unknown", True: "in", False: "out"}[known],
        "mixed": bool(cell["mixed"]),
        "control": bool(cell["control"]),
        "partial": str(cell["status"]).startswith("partial"),
        "complete": cell["status"] == "complete",
        "page": pages.get(
            cell["run_id"], "published.html" if cell["source"] == "published" else ""
        ),
    }


def _shown(status: str, number: float | None) -> str:
    if number is not None:
        return f"{number:.3f}"
    return status if status in (NOT_REPORTED, SKIPPED) else NO_NUMBER


def _interval(cell: Mapping[Any, Any], low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"{low:.3f} – {high:.3f}"  # noqa: RUF001 (a range)
    if pd.isna(cell["groups"]) or pd.isna(cell["score"]):
        return ""
    groups = int(cell["groups"])
    return f"{NO_NUMBER} ({groups} group{'' if groups == 1 else 's'})"


def spread(result: RunResult) -> dict[str, float] | None:
    """Where the scores of a run's images lie, in numbers; None where there are none."""
    values = result.values.dropna().to_numpy(float)
    if not len(values):
        return None
    names = ("least", "quarter", "median", "three_quarters", "most")
    points = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
    return {**dict(zip(names, points, strict=True)), "mean": float(values.mean()), "n": len(values)}


def distributions(results: Sequence[RunResult], shown: Sequence[str]) -> dict[str, Any]:
    """The scores of every image, in arrays: one list of ids, and per run a number for each.

    Args:
        results: runs on one data set.
        shown: ids of the samples that the gallery has.
    """
    ids = sorted(set().union(*(result.scores.index for result in results)))
    position = {name: place for place, name in enumerate(ids)}
    return {
        "ids": ids,
        "shown": [position.get(name) for name in shown],
        "runs": [
            {
                "name": result.method,
                "control": result.control,
                "status": result.status,
                "values": _rounded(result.values.reindex(ids)),
            }
            for result in results
        ],
    }


def _rounded(values: pd.Series[float]) -> list[float | None]:
    rounded = values.astype(float).round(4)
    return rounded.astype(object).where(rounded.notna(), None).tolist()


def run_facts(result: RunResult) -> dict[str, Any]:
    """All that a run's page tells: what it is, what made it, how to make it again.

    Where the run's folder is gone, its scores alone (`described` is None).
    """
    store = RunStore(result.path)
    try:
        described, attempts = store.describe(), store.attempts()
    except BenchmarkError:
        described, attempts = None, []
    facts = {
        "name": result.path.name,
        "run_id": result.run_id,
        "method": result.method,
        "data": result.data,
        "data_label": result.data_label or result.data,
        "split": result.split,
        "protocol": result.protocol,
        "status": result.status,
        "mixed": result.mixed,
        "control": result.control,
        "lost": result.lost,
        "mark": result.mark,
        "metrics": _means(result.scores),
        "counts": _totals(result.scores),
        "failures": _failures(store) if result.failed else [],
        "described": None,
        "attempts": _grouped([attempt["with"] for attempt in attempts]),
    }
    if described:
        facts["described"] = {
            "identity": described["identity"],
            "weights": described.get("weights"),
            "command": command(described, result.protocol),
        }
    return dict(plain(facts))


def data_card(results: Sequence[RunResult]) -> dict[str, Any] | None:
    """What a page tells of a data set, by the first run that knows; none of its files' places."""
    for result in results:
        try:
            described = RunStore(result.path).describe()
        except BenchmarkError:
            continue
        if described:
            return dict(plain(_card(described.get("data_card") or {})))
    return None


def _card(card: Mapping[str, Any]) -> dict[str, Any]:
    channels = card.get("channels") or []
    citation = str(card.get("citation") or "")
    return {
        "channels": [channels] if isinstance(channels, str) else channels,
        "licence": card.get("licence") or "unknown",
        "redistribute": redistribute(card),
        "citation": "" if citation in ("none", "unknown") else citation,
        "notes": card.get("notes") or [],
        "quirks": card.get("quirks") or {},
    }


def redistribute(card: Mapping[str, Any]) -> str:
    """Whether a card says that images may be passed on: `yes`, `no`, `unknown`.

    YAML 1.1 reads a bare `yes` as a boolean.
    """
    said = card.get("redistribute", "unknown")
    return {"True": "yes", "False": "no"}.get(str(said), str(said))


def _means(scores: pd.DataFrame) -> list[dict[str, Any]]:
    found = [name for name in METRICS if name in scores]
    means = scores[found].astype(float).mean()
    return [{"name": METRICS[name].title, "value": float(means[name])} for name in found]


def _totals(scores: pd.DataFrame) -> dict[str, int]:
    found = [name for name in _COUNTS if name in scores]
    return {name: int(scores[name].sum()) for name in found}


def _failures(store: RunStore) -> list[dict[str, Any]]:
    try:
        records = store.records()
    except BenchmarkError:
        return []
    return [
        {"sample": record.sample, "error": record.error}
        for record in records.values()
        if record.status == "error"
    ]


def _grouped(attempts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The environments that the attempts ran in, each told once. No host is named."""
    different: dict[str, dict[str, Any]] = {}
    for attempt in attempts:
        told = {key: attempt.get(key) for key in _TOLD}
        different.setdefault(json.dumps(told, sort_keys=True), told | {"times": 0})["times"] += 1
    return list(different.values())


def command(described: Mapping[str, Any], protocol: str) -> str:
    """The words that repeat a run, for a shell.

    Where the model's weights are a file of one's own, its digest stands in place of its path.
    """
    name, _, variant = str(described["model"]).partition(" (")
    weights = described.get("weights") or {}
    altered = [word for word in variant.removesuffix(")").split(", ") if "=" in word]
    chosen = [word for word in altered if word.partition("=")[0] != "weights"]
    if weights:
        own = weights.get("mark") == "user"
        digest = next(iter(weights.get("digests", {}).values()), "")
        chosen.append(f"weights={f'<file with {digest}>' if own else weights['name']}")
    words = [f"model={described.get('config') or name}", *(f"model.{word}" for word in chosen)]
    words += [*_data_words(described), *words_of(protocol)]
    identity = described["identity"]
    words += [f"seed={identity['seed']}", f"device={identity['device']}"]
    return " ".join(["python -m benchmark", *map(shlex.quote, words)])


def _data_words(described: Mapping[str, Any]) -> list[str]:
    card = described.get("data_card") or {}
    words = [f"data={described['data']}", f"data.split={described['split']}"]
    if "images" in card and "loader" not in card:  # a folder of one's own
        places = [f"data.{key}={_hydra(card[key])}" for key in ("images", "labels", "group")
                  if card.get(key) is not None]  # fmt: skip
        words = ["data=folder", f"data.name={_hydra(described['data'])}", *places, words[1]]
    return words


def _hydra(value: Any) -> str:
    """A value as Hydra's grammar takes it: quoted where it has more than plain letters."""
    text = str(value)
    if text and all(letter.isalnum() or letter in "_-./*" for letter in text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
