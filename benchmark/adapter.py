"""What a model needs and offers: its class, parameters, requirements, weights and device."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from benchmark.errors import BenchmarkError, ModelError, SkippedError, UsageError
from benchmark.settings import Settings
from benchmark.store.provenance import library_versions
from benchmark.types import Segmenter, Weights, WeightsChoice

OURS = ("models.", "benchmark.data.sources.", "benchmark.data.torch_em.")
"""Where this repository's own adapters and sources are."""

_SCALARS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def is_ours(target: str) -> bool:
    """Whether a `_target_` is of this repository; its module is light, and known to be harmless."""
    return target.startswith(OURS)


def find_class(target: str) -> type:
    """The class of a dotted name; its module is imported, nothing is instantiated.

    Raises:
        UsageError: there is none.
    """
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the _target_ {target} can't be imported ({error}). It is the dotted name of a "
            "class in a module that Python finds (PYTHONPATH)."
        ) from error
    if not isinstance(found, type):
        raise UsageError(f"the _target_ {target} is not a class.")
    return found


def check_parameters(adapter: type, parameters: Mapping[str, Any], model: str) -> None:
    """Compare plain parameters with the annotations of the class, before anything runs.

    Raises:
        UsageError: one is unknown, missing, of the wrong type, or no finite number.
    """
    try:
        accepted = inspect.signature(adapter)
        hints = typing.get_type_hints(getattr(adapter, "__init__"))  # noqa: B009
    except (ValueError, TypeError, NameError):  # not to be had of every foreign class
        return
    try:
        accepted.bind(**parameters)
    except TypeError as error:
        raise UsageError(f"model '{model}': {error} of {adapter.__name__}{accepted}.") from error
    for name, value in parameters.items():
        allowed = _scalars(hints.get(name))
        if allowed and type(value) not in allowed and not (float in allowed and type(value) is int):
            wanted = " or ".join(_SCALARS.get(kind, "null") for kind in allowed)
            raise UsageError(f"model.{name} is {value!r}; it must be {wanted}.")
        if isinstance(value, float) and not math.isfinite(value):  # what JSON can't keep
            raise UsageError(f"model.{name} is {value!r}; it must be a finite number.")


def _scalars(hint: Any) -> tuple[type, ...]:
    """The plain types that an annotation allows; none where it allows anything else."""
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    kinds = typing.get_args(hint) if is_union else (hint,)
    return kinds if all(kind in _SCALARS or kind is type(None) for kind in kinds) else ()


def checked_segmenter(build: Callable[[], Any], model: str) -> Segmenter:
    """What an adapter's class builds, with its errors explained for people.

    Raises:
        BenchmarkError: it can't be built, or has no `predict`.
    """
    try:
        segmenter = build()
    except BenchmarkError:
        raise
    except ImportError as error:
        raise ModelError(
            f"model '{model}' needs a library that is not installed: {error}."
        ) from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"model '{model}': {error}.") from error
    if not isinstance(segmenter, Segmenter):
        raise ModelError(f"model '{model}': {type(segmenter).__name__} has no predict(image).")
    return segmenter


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


def choose_device(wanted: str, offered: Sequence[str], model: str) -> str:
    """The device type to run on.

    Args:
        wanted: `auto`, `cpu`, `cuda` or `mps`.
        offered: where the model can run, best first.
        model: its name, for the message.

    Raises:
        UsageError: the model can't run there, or the machine has no such device.
    """
    if wanted == "auto":
        return next((device for device in offered if _is_there(device)), "cpu")
    if wanted not in offered:
        raise UsageError(f"model '{model}' runs on {', '.join(offered)}, not on {wanted}.")
    if not _is_there(wanted):
        raise UsageError(f"device={wanted}: this machine (or its torch) has no such device.")
    return wanted


def _is_there(device: str) -> bool:
    if device == "cpu":
        return True
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    available = torch.cuda.is_available if device == "cuda" else torch.backends.mps.is_available
    return bool(available())
