"""Models that could not run here: kept among the runs, so that a report can give the reason."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark.console import note
from benchmark.store.files import disk_errors, read_file, write_whole
from benchmark.store.names import safe_name
from benchmark.store.shapes import parse

_SUFFIX = ".skipped.json"


@dataclass(frozen=True)
class SkippedModel:
    """A model that could not run here on a data set, and why.

    Attributes:
        model: the name of its YAML.
        data: the data set's name.
        title: the data set's name as people write it.
        modality: of the data set.
        protocol: the name of the protocol that was asked for.
        reason: for people.
    """

    model: str
    data: str
    title: str
    modality: str
    protocol: str
    reason: str


def record_skipped(runs: Path, skipped: SkippedModel) -> None:
    """Store it; a later one of the same model and data replaces it.

    Raises:
        StoreError: it can't be written.
    """
    with disk_errors(runs):
        runs.mkdir(parents=True, exist_ok=True)
    content = json.dumps(asdict(skipped), indent=1).encode()
    write_whole(_path(runs, skipped.model, skipped.data), content)


def remove_skipped(runs: Path, model: str, data: str) -> None:
    """Remove what `record_skipped` stored: the model runs here now."""
    with disk_errors(runs):
        _path(runs, model, data).unlink(missing_ok=True)


def read_skipped(runs: Path) -> list[SkippedModel]:
    """Read every stored one, sorted by name; a warning names each that is damaged."""
    skipped = []
    for path in sorted(runs.glob(f"*{_SUFFIX}")):
        try:
            content = parse(read_file(path).decode())
            if not all(isinstance(value, str) for value in content.values()):
                raise ValueError("not all of its values are strings")
            skipped.append(SkippedModel(**content))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            note(f"warning: {path} can't be read ({error}) and is left out. Remove it.")
    return skipped


def _path(runs: Path, model: str, data: str) -> Path:
    return runs / f"{safe_name(f'{model}-{data}')}{_SUFFIX}"
