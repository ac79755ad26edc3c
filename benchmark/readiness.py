"""What a model needs before it can run: its library, found by metadata, and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from benchmark.errors import SkippedError, UsageError
from benchmark.settings import Settings
from benchmark.store.provenance import library_versions
from benchmark.types import Weights, WeightsChoice


def missing_libraries(adapter: type) -> str | None:
    """What is missing to import an adapter's libraries, with the line that installs it.

    Args:
        adapter: its class; `requires` and `install` as told in `benchmark.types.Segmenter`.
    """
    wanting = [w for text in getattr(adapter, "requires", ()) if (w := _wanting(Requirement(text)))]
    if not wanting:
        return None
    install = getattr(adapter, "install", "")
    return f"{'; '.join(wanting)}." + (f" Install with: {install}" if install else "")


def _wanting(requirement: Requirement) -> str | None:
    version = library_versions([requirement.name])[requirement.name]
    if version is None:
        return f"{requirement} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement} is needed, {version} is installed"
    return None


def weights_of_modality(weights: Mapping[str, Any], modality: object) -> Any:
    """Of a mapping of modalities to weights the one that applies.

    Raises:
        UsageError: none does, and there is no `default`.
    """
    chosen = weights.get(str(modality), weights.get("default"))
    if chosen is None:
        raise UsageError(
            f"model.weights has none for modality '{modality}' and no 'default'; it has: "
            f"{', '.join(weights)}."
        )
    return chosen


def choose_weights(adapter: type, name: object, settings: Settings) -> WeightsChoice | None:
    """The weights that a name or path stands for; None for an adapter without any.

    Raises:
        UsageError: there are none of that name.
    """
    find = getattr(adapter, "find_weights", None)
    if find is None:
        return None
    folder = settings.weights_dir
    place = Path(folder).expanduser() if folder else None
    choice: WeightsChoice = find(str(name), place, settings.weights_unsafe)
    return choice


def fetch_weights(choice: WeightsChoice) -> Weights:
    """Download what is missing, verify all of it.

    Raises:
        SkippedError: they can't be had, with what to do.
        ModelError: a file is not what it should be.
    """
    obstacle = choice.obstacle()
    if obstacle:
        raise SkippedError(f"weights unavailable: {obstacle}")
    return choice.fetch()
