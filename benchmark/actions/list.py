"""What can be chosen, and what is missing to run it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import OmegaConf
from rich.table import Table
from rich.text import Text

from benchmark.adapter import find_class
from benchmark.choices import choices, config_folders
from benchmark.console import note, out, printable
from benchmark.errors import DONE, BenchmarkError
from benchmark.job import Job
from benchmark.provenance import library_versions
from benchmark.readiness import choose_weights, library_obstacle
from benchmark.settings import MISSING, Settings
from benchmark.types import WeightsAbout


def perform(job: Job) -> int:
    """Print a table of models, and one of data sets and protocols; nothing is imported or asked."""
    models = _table("model", "what it is", "library", "weights", "licence", "device")
    wanting = []
    for name, told, content in _entries("model"):
        try:
            adapter = find_class(str(content.get("_target_", "")))
            weights = _weights(adapter, content, job.settings)
        except BenchmarkError as error:
            wanting.append(f"{name}: {error}")
            _row(models, name, told, "can't be found")
            continue
        missing = library_obstacle(adapter)
        library = "missing" if missing else _installed(adapter)
        states = [f"{w.name}: {w.mark if w.state == 'here' else 'not here'}" for w in weights]
        licences = [f"{w.licence}" for w in weights]
        devices = ", ".join(getattr(adapter, "devices", ("cpu",)))
        _row(models, name, told, library, "\n".join(states), "\n".join(licences), devices)
        needed = _to_give(content, "model")
        needed += [f"library: {missing}"] if missing else []
        needed += [f"weights {w.name}: {w.state}" for w in weights if w.state != "here"]
        wanting += [f"{name}: {what}" for what in needed]
    out.print(models)
    for group in ("data", "protocol"):
        table = _table(group, "what it is", "missing to run it")
        for name, told, content in _entries(group):
            _row(table, name, told, "; ".join(_to_give(content, group)) or "nothing")
        out.print(table)
    if wanting:
        note("to run a model:")
        for line in wanting:
            note(f"  {line}")
    return DONE


def _entries(group: str) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    """Each choice of a group: name, description and what its YAML holds."""
    folders = config_folders()
    for name, told in choices(group, folders).items():
        places = (folder / group / f"{name}.yaml" for folder in folders)
        path = next(place for place in places if place.exists())
        yield name, told, dict(OmegaConf.to_container(OmegaConf.load(path)))  # type: ignore[arg-type]


def _weights(adapter: type, content: Mapping[str, Any], settings: Settings) -> list[WeightsAbout]:
    """What there is to say of the weights in a model's YAML; of each, where it maps several."""
    named = content.get("weights", MISSING)
    names = list(named.values()) if isinstance(named, Mapping) else [named]
    if MISSING in names:
        return []
    choices = (choose_weights(adapter, name, settings) for name in dict.fromkeys(names))
    return [choice.about() for choice in choices if choice is not None]


def _installed(adapter: type) -> str:
    """The adapter's libraries with their versions; one may be absent that is no requirement."""
    versions = library_versions(getattr(adapter, "libraries", ()))
    return ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())


def _to_give(content: Mapping[str, Any], group: str) -> list[str]:
    return [f"{group}.{key}=..." for key, value in content.items() if value == MISSING]


def _table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(printable(cell)) for cell in cells))
