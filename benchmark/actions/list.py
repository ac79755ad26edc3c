"""What can be chosen, and what is missing to run it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.text import Text

from benchmark.actions.formats import JSON
from benchmark.adapter import (
    AdapterInfo,
    choose_weights,
    find_adapter,
    group_of,
    is_ours,
    missing_libraries,
)
from benchmark.choices import choices, config_folders, file_of
from benchmark.console import complain, note, out, printable, say_json
from benchmark.data.sources.torch_em import access_needed
from benchmark.errors import DONE, USAGE, BenchmarkError, UsageError
from benchmark.fitted_table import FittedColumn, FittedTable
from benchmark.job import Job
from benchmark.own_yaml import read_yaml
from benchmark.settings import MISSING, Settings
from benchmark.store.provenance import library_versions
from benchmark.types import WeightsAbout


def perform(job: Job) -> int:
    """Print what can be chosen, a line each, or as JSON; nothing is run.

    The classes of others are not imported.
    """
    broken: list[str] = []
    models = [_model(*entry, job.settings) for entry in _entries("model", broken)]
    data = [
        {
            "data": name,
            "description": description,
            "modality": str(content.get("modality", "unknown")),
            "licence": str(content.get("licence", "unknown")),
            "missing": "; ".join(_to_give(content, "data")) or _to_fetch(name, content),
        }
        for name, description, content in _entries("data", broken)
    ]
    protocols = [
        {"protocol": name, "description": description}
        for name, description, _ in _entries("protocol", broken)
    ]
    if job.settings.format == JSON:
        say_json({"models": models, "data": data, "protocols": protocols})
    else:
        _show(models, data, protocols)
    for fault in broken:
        complain(fault)
    return USAGE if broken else DONE


def _model(
    name: str, description: str, content: Mapping[str, Any], settings: Settings
) -> dict[str, Any]:
    """What there is to say of a model; `missing`: kind -> what to do for each."""
    said: dict[str, Any] = {
        "model": name,
        "description": description,
        "library": "",
        "weights": [],
        "devices": [],
        "missing": {},
    }
    target = str(content.get("_target_", ""))
    if target and not is_ours(target):
        reason = f"not known, as action=list does not import {target}"
        return said | {"library": "not imported", "missing": {"import": [reason]}}
    try:
        adapter = find_adapter(target, content)
        info = AdapterInfo.of(adapter)
        weights = _weights(adapter, content, settings)
        nested = [_nested(parameter, content, settings) for parameter in info.models]
    except BenchmarkError as error:
        return said | {"library": "can't be found", "missing": {"class": [str(error)]}}
    missing = missing_libraries(adapter)
    needed = {
        "parameters": _to_give(content, "model"),
        "library": [f"library: {missing}"] if missing else [],
        "weights": [f"weights {w.name}: {w.state}" for w in weights if w.state != "here"],
    }
    for inner in nested:
        for what, lines in inner["missing"].items():
            needed[what] = [*needed.get(what, []), *lines]
    of_nested = [one for inner in nested for one in inner["weights"]]
    own = [
        {
            "name": w.name,
            "state": w.mark if w.state == "here" else "not here",
            "licence": str(w.licence),
        }
        for w in weights
    ]
    return said | {
        "library": "missing" if needed["library"] else _installed(info),
        "weights": [*own, *(one for one in of_nested if one not in own)],
        "devices": list(info.devices),
        "missing": {what: lines for what, lines in needed.items() if lines},
    }


def _nested(parameter: str, content: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """The same of the model that a parameter names.

    Raises:
        UsageError: there is none.
    """
    name, folders = str(content.get(parameter)), config_folders()
    own = group_of(parameter)
    group = own if name in choices(own, folders) else "model"
    return _model(name, "", _content(name, group, folders), settings)


def _show(
    models: Sequence[Mapping[str, Any]],
    data: Sequence[Mapping[str, str]],
    protocols: Sequence[Mapping[str, str]],
) -> None:
    """Print the tables, and what to do to run the models that lack something."""
    about = FittedColumn("what it is", shorten=True)
    rows = [
        (
            model["model"],
            model["description"],
            ", ".join(model["missing"]) or "nothing",
            _states(model["weights"]),
            model["library"],
            ", ".join(dict.fromkeys(w["licence"] for w in model["weights"])),
            ", ".join(model["devices"]),
        )
        for model in models
    ]
    heads = [
        FittedColumn("model"),
        about,
        FittedColumn("missing"),
        FittedColumn("weights", drop=3, shorten=True),
        FittedColumn("library", drop=2, shorten=True),
        FittedColumn("licence", drop=1, shorten=True),
        FittedColumn("device", drop=4),
    ]
    _print(heads, rows)
    heads = [
        FittedColumn("data"),
        about,
        FittedColumn("modality", drop=1),
        FittedColumn("licence", drop=2, shorten=True),
        FittedColumn("missing"),
    ]
    _print(heads, [tuple(each.values()) for each in data])
    _print([FittedColumn("protocol"), about], [tuple(each.values()) for each in protocols])
    wanting = [
        f"{model['model']}: {line}"
        for model in models
        for lines in model["missing"].values()
        for line in lines
    ]
    if wanting:
        note("to run a model:")
        for line in wanting:
            note(f"  {line}")


def _states(weights: Sequence[Mapping[str, str]]) -> str:
    """`a, b: not here; c: verified`."""
    states: dict[str, list[str]] = {}
    for one in weights:
        states.setdefault(one["state"], []).append(one["name"])
    return "; ".join(f"{', '.join(names)}: {state}" for state, names in states.items())


def _print(columns: Sequence[FittedColumn], rows: Sequence[Sequence[str]]) -> None:
    printed = [[Text(printable(" ".join(cell.split()))) for cell in row] for row in rows]
    out.print(FittedTable(columns, printed))


def _entries(group: str, broken: list[str]) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    """Each choice of a group: name, description and what its YAML holds.

    Args:
        group: `model`, `data` or `protocol`.
        broken: is given what is wrong with those that can't be read.
    """
    folders = config_folders()
    for name, description in choices(group, folders).items():
        try:
            yield name, description, _content(name, group, folders)
        except UsageError as error:
            broken.append(str(error))


def _content(name: str, group: str, folders: Sequence[Path]) -> Mapping[str, Any]:
    """What a choice's YAML holds, and below it what the YAMLs hold that it starts from.

    Raises:
        UsageError: it is no YAML of keys and values.
    """
    path = file_of(group, name, folders)
    content: Any = OmegaConf.to_container(read_yaml(path))
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds no keys with values; compare it with one of ours.")
    below = [word for word in content.pop("defaults", []) if word != "_self_"]
    under = (_content(word, group, folders) for word in below)
    return {key: value for part in (*under, content) for key, value in part.items()}


def _weights(adapter: type, content: Mapping[str, Any], settings: Settings) -> list[WeightsAbout]:
    """What there is to say of the weights in a model's YAML; of each, where it maps several."""
    named = content.get("weights", MISSING)
    names = list(named.values()) if isinstance(named, Mapping) else [named]
    if MISSING in names:
        return []
    choices = (choose_weights(adapter, name, settings) for name in dict.fromkeys(names))
    return [choice.about() for choice in choices if choice is not None]


def _installed(info: AdapterInfo) -> str:
    """The adapter's libraries with their versions; one may be absent that is no requirement."""
    versions = library_versions(info.libraries)
    return ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())


def _to_give(content: Mapping[str, Any], group: str) -> list[str]:
    return [f"{group}.{key}=..." for key, value in content.items() if value == MISSING]


def _to_fetch(name: str, content: Mapping[str, Any]) -> str:
    """What has to be fetched of a public data set; nothing where its folder is there."""
    root = os.environ.get("BENCHMARK_DATA")
    access = access_needed({"folder": name, **content, "root": root})
    if access is None:
        return "nothing"
    return access if access == "download" else f"files: {access}"
