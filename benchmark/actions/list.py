"""What can be chosen, and what is missing to run it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from rich.table import Table
from rich.text import Text

from benchmark.adapter import (
    AdapterInfo,
    choose_weights,
    find_class,
    is_ours,
    missing_libraries,
)
from benchmark.choices import choices, config_folders, file_of
from benchmark.console import complain, note, out, printable
from benchmark.data.sources.torch_em import cache
from benchmark.errors import DONE, USAGE, BenchmarkError, UsageError
from benchmark.job import Job
from benchmark.own_yaml import read_yaml
from benchmark.settings import MISSING, Settings
from benchmark.store.provenance import library_versions
from benchmark.types import WeightsAbout


def perform(job: Job) -> int:
    """Print a table of models, and one of data sets and protocols; nothing is run.

    The classes of others are not imported.
    """
    models = _table("model", "what it is", "library", "weights", "licence", "device")
    wanting: list[str] = []
    broken: list[str] = []
    for name, description, content in _entries("model", broken):
        target = str(content.get("_target_", ""))
        if target and not is_ours(target):
            wanting.append(f"{name}: not known, as action=list does not import {target}")
            _row(models, name, description, "not imported")
            continue
        try:
            adapter = find_class(target)
            info = AdapterInfo.of(adapter)
            weights = _weights(adapter, content, job.settings)
        except BenchmarkError as error:
            wanting.append(f"{name}: {error}")
            _row(models, name, description, "can't be found")
            continue
        missing = missing_libraries(adapter)
        library = "missing" if missing else _installed(info)
        states = [f"{w.name}: {w.mark if w.state == 'here' else 'not here'}" for w in weights]
        licences = [f"{w.licence}" for w in weights]
        devices = ", ".join(info.devices)
        _row(models, name, description, library, "\n".join(states), "\n".join(licences), devices)
        needed = _to_give(content, "model")
        needed += [f"library: {missing}"] if missing else []
        needed += [f"weights {w.name}: {w.state}" for w in weights if w.state != "here"]
        wanting += [f"{name}: {what}" for what in needed]
    out.print(models)
    data = _table("data", "what it is", "modality", "licence", "missing to run it")
    for name, description, content in _entries("data", broken):
        about = (str(content.get(key, "unknown")) for key in ("modality", "licence"))
        missing = "; ".join(_to_give(content, "data")) or _to_fetch(name, content)
        _row(data, name, description, *about, missing)
    protocols = _table("protocol", "what it is")
    for name, description, _ in _entries("protocol", broken):
        _row(protocols, name, description)
    out.print(data)
    out.print(protocols)
    if wanting:
        note("to run a model:")
        for line in wanting:
            note(f"  {line}")
    for fault in broken:
        complain(fault)
    return USAGE if broken else DONE


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
    if "loader" not in content:
        return "nothing"
    root = os.environ.get("BENCHMARK_DATA")
    folder = (Path(root) if root else cache()) / str(content.get("folder", name))
    access = str(content.get("access", "download"))
    if folder.is_dir():
        return "nothing"
    return "nothing (downloaded at the first run)" if access == "download" else f"files: {access}"


def _table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(printable(cell)) for cell in cells))
