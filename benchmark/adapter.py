"""An adapter's class: found by its name, its parameters checked, nothing instantiated."""

from __future__ import annotations

import importlib
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from benchmark.errors import BenchmarkError, ModelError, UsageError
from benchmark.types import Segmenter

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
