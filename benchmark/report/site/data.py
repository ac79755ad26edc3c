"""What the pages show: rows, runs and scores of images as plain values, with safe strings.

Templates escape HTML and `script` escapes script files; control characters are removed here.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.errors import BenchmarkError
from benchmark.report import escape, text
from benchmark.report.frame import MODALITIES, NOT_REPORTED, SKIPPED
from benchmark.report.marks import MARKS, RUN_MARKS, marks_of_run
from benchmark.report.results import RunResult
from benchmark.report.tables.table import Table, all_notes
from benchmark.scoring.metrics import METRICS, MSA, Metric
from benchmark.scoring.protocol import words_of
from benchmark.store.store import SHORT, RunStore

_ENVIRONMENT = (
    "code",
    "python",
    "packages",
    "system",
    "processor",
    "cores",
    "device",
    "gpu",
    "threads",
)
_COUNTS = ("matched", "missed", "spurious", "split", "merged")


def plain(value: Any) -> Any:
    """Convert a value to JSON types: without control characters in strings, NaN as None."""
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
    """Write a script file that calls a function of the site with a value.

    `fetch` can't read files of a page that is opened without a server. The text is safe
    between script tags, too.
    """
    text = json.dumps(plain(value), separators=(",", ":"), allow_nan=False)  # ASCII alone
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return f"{call}({text});\n".encode()


def rows(
    frame: pd.DataFrame, pages: Mapping[str, str], metric: Metric = MSA
) -> list[dict[str, Any]]:
    """Convert the frame to the rows of a table, the best of each data set first, controls last.

    Args:
        frame: see `benchmark.report.frame`.
        pages: run id -> its page; rows of other runs have none.
        metric: whose scores they are.
    """
    ordered = frame.assign(
        place=frame["modality"].map({name: i for i, name in enumerate(MODALITIES)})
    ).sort_values(
        ["place", "data_label", "data", "control", "score", "method"],
        ascending=[True, True, True, True, not metric.higher_is_better, True],
    )
    return [_row(row, pages) for row in ordered.to_dict("records")]


def _row(row: Mapping[Any, Any], pages: Mapping[str, str]) -> dict[str, Any]:
    texts = {str(k): escape.plain(v) for k, v in row.items() if isinstance(v, str)}
    number = None if pd.isna(row["score"]) else float(row["score"])
    low, high = (
        None if pd.isna(row[key]) else float(row[key]) for key in ("score_low", "score_high")
    )
    known = None if pd.isna(row["in_domain"]) else bool(row["in_domain"])
    return texts | {
        "modality_label": MODALITIES[row["modality"]],
        "score": number,
        "shown": _shown(row["status"], number),
        "low": low,
        "high": high,
        "interval": _interval(row, low, high),
        "images": None if pd.isna(row["images"]) else int(row["images"]),
        "groups": None if pd.isna(row["groups"]) else int(row["groups"]),
        "seconds": None if pd.isna(row["seconds"]) else float(row["seconds"]),
        "memory": None if pd.isna(row["memory"]) else float(row["memory"]) / 2**20,
        "in_domain": {None: "unknown", True: "in", False: "out"}[known],
        "marks": _marks(row),
        "control": bool(row["control"]),
        "partial": str(row["status"]).startswith("partial"),
        "complete": row["status"] == "complete",
        "page": pages.get(row["result"], "published.html" if row["source"] == "published" else ""),
    }


def _selection(result: RunResult) -> dict[str, str]:
    """What chose the run's parameters, for its page; empty where they were given by hand."""
    chosen = result.selection
    if chosen is None:
        return {}

    def count(images: int, groups: int) -> str:
        return f"{text.counted(images, 'image')} of {text.counted(groups, 'group')}"

    trained = ", on which the weights may have been trained" if chosen["trained"] else ""
    return {
        "Images that chose": count(chosen["images"], chosen["groups"])
        + f", split {chosen['split']} of {chosen['data']}{trained}",
        "Of these tested": count(chosen["tested_images"], chosen["tested_groups"]),
        "Left out as tested": count(chosen["left_out_images"], chosen["left_out_groups"]),
        "Grid": chosen["grid"],
        "Metric": chosen["metric"],
        "Rule": chosen["rule"],
        "Promised": f"{chosen['promised']:+.3f}",
        "Search": chosen["search"][:SHORT],
    }


def _marks(row: Mapping[Any, Any]) -> list[dict[str, str]]:
    """The marks of a run, for a page."""
    return [
        {"name": name, "words": MARKS[name].words, "meaning": MARKS[name].meaning}
        for name in RUN_MARKS
        if row[name]
    ]


def _shown(status: str, number: float | None) -> str:
    if number is not None:
        return f"{number:.3f}"
    return status if status in (NOT_REPORTED, SKIPPED) else text.MISSING


def _interval(row: Mapping[Any, Any], low: float | None, high: float | None) -> str:
    if low is None and (pd.isna(row["groups"]) or pd.isna(row["score"])):
        return ""
    groups = 0 if pd.isna(row["groups"]) else int(row["groups"])
    low, high = (np.nan if end is None else end for end in (low, high))
    return text.interval(low, high, groups, between=" – ")  # noqa: RUF001 (a range)


def site_table(table: Table, most: int = 20) -> dict[str, Any]:
    """Convert a table to what `parts.plain_table` shows: texts, and the first rows.

    Args:
        table: its cells are not escaped for HTML; templates do that.
        most: how many rows are shown.
    """
    return dict(
        plain(
            {
                "title": table.title,
                "columns": [
                    {"header": column.header, "right": column.right} for column in table.columns
                ],
                "rows": [[cell.text for cell in row] for row in table.rows[:most]],
                "more": max(0, len(table.rows) - most),
                "file": f"{table.name}.csv",
                "notes": all_notes(table),
            }
        )
    )


def spread(result: RunResult) -> dict[str, float] | None:
    """Summarise the scores of a run's images by quantiles and mean; None without scores."""
    values = result.values.dropna().to_numpy(float)
    if not len(values):
        return None
    names = ("least", "quarter", "median", "three_quarters", "most")
    points = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
    return {**dict(zip(names, points, strict=True)), "mean": float(values.mean()), "n": len(values)}


def shown_names(results: Sequence[RunResult]) -> list[str]:
    """What a page calls each run on its data set: with what distinguishes equal methods.

    That is the protocol, and the beginning of the labels' digest, where there are several.
    """
    names = [result.method for result in results]
    for key, before in (("protocol", ""), ("truth", "labels ")):
        values = [str(getattr(result, key)) for result in results]
        if len(set(values)) > 1:
            names = [f"{name}, {before}{of}" for name, of in zip(names, values, strict=True)]
    return names


def distributions(results: Sequence[RunResult], shown: Sequence[str]) -> dict[str, Any]:
    """Collect the scores of every image: one list of ids, and per run one number for each.

    Args:
        results: runs on one data set.
        shown: ids of the samples in the gallery.
    """
    ids = sorted(set().union(*(result.scores.index for result in results)))
    position = {name: place for place, name in enumerate(ids)}
    return {
        "ids": ids,
        "shown": [position.get(name) for name in shown],
        "runs": [
            {
                "name": name,
                "control": result.control,
                "status": result.status,
                "values": _rounded(result.values.reindex(ids)),
            }
            for name, result in zip(shown_names(results), results, strict=True)
        ],
    }


def _rounded(values: pd.Series[float]) -> list[float | None]:
    rounded = values.astype(float).round(4)
    return rounded.astype(object).where(rounded.notna(), None).tolist()


def run_facts(result: RunResult) -> dict[str, Any]:
    """Collect what a run's page shows: what it is, how it was made, how to repeat it.

    Only its scores where the run's folder is no longer there (`described` is None).
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
        "marks": _marks(marks_of_run(result)),
        "selection": _selection(result),
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


def without_folders(value: Any) -> Any:
    """Replace the folders of absolute paths in every text below a value."""
    if isinstance(value, str):
        return escape.without_folders(value)
    if isinstance(value, Mapping):
        return {key: without_folders(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_folders(each) for each in value]
    return value


def data_card(results: Sequence[RunResult]) -> dict[str, Any] | None:
    """Collect what a page shows of a data set, by the first run that describes it; no paths."""
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
    """Whether a card allows to redistribute the images: `yes`, `no`, `unknown`.

    YAML 1.1 reads a bare `yes` as a boolean.
    """
    value = str(card.get("redistribute")).lower()
    return {"true": "yes", "yes": "yes", "false": "no", "no": "no"}.get(value, "unknown")


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
    """List the different environments that attempts ran in, with their counts; no host names."""
    different: dict[str, dict[str, Any]] = {}
    for attempt in attempts:
        environment = {key: attempt.get(key) for key in _ENVIRONMENT}
        key = json.dumps(environment, sort_keys=True)
        different.setdefault(key, environment | {"times": 0})["times"] += 1
    return list(different.values())


def command(described: Mapping[str, Any], protocol: str) -> str:
    """Write the shell command that repeats a run.

    Where the model's weights are a user's file, its digest replaces its path.
    """
    name, _, variant = str(described["model"]).partition(" (")
    weights = described.get("weights") or {}
    altered = [item for item in variant.removesuffix(")").split(", ") if "=" in item]
    chosen = [override for override in altered if override.partition("=")[0] != "weights"]
    if weights:
        # Of several, the first are the model's own; those of nested models are among the others.
        name_of_own = (weights.get("parts") or [weights["name"]])[0]
        own = weights.get("mark") == "user"
        digest = next(iter(weights.get("digests", {}).values()), "")
        chosen.append(f"weights={f'<file with {digest}>' if own else name_of_own}")
    overrides = [f"model={described.get('config') or name}"]
    overrides += [*(f"model.{override}" for override in chosen)]
    overrides += [*_data_overrides(described), *words_of(protocol)]
    identity = described["identity"]
    overrides += [f"seed={identity['seed']}", f"device={identity['device']}"]
    return " ".join(["python -m benchmark", *map(shlex.quote, overrides)])


def is_own(card: Mapping[str, Any]) -> bool:
    """Whether a card is of a user's own files."""
    return "images" in card and "loader" not in card


def _data_overrides(described: Mapping[str, Any]) -> list[str]:
    card = described.get("data_card") or {}
    overrides = [f"data={described['data']}", f"data.split={described['split']}"]
    if is_own(card):
        places = [
            f"data.{key}={_hydra(without_folders(card[key]) if key != 'group' else card[key])}"
            for key in ("images", "labels", "group")
            if card.get(key) is not None
        ]
        name = f"data.name={_hydra(described['data'])}"
        overrides = ["data=folder", name, *places, overrides[1]]
    return overrides


def _hydra(value: Any) -> str:
    """Quote a value for Hydra's grammar unless it consists of plain characters."""
    text = str(value)
    if text and all(letter.isalnum() or letter in "_-./*" for letter in text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
