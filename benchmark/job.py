"""One model on one data set, as configured: what every action starts from."""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.console import Steps
from benchmark.data.prepare import prepare
from benchmark.data.prepared import Entry, PreparedData
from benchmark.device import choose_device
from benchmark.errors import BenchmarkError, ModelError, UsageError
from benchmark.identity import run_id, run_identity
from benchmark.protocol import Protocol
from benchmark.scoring import score_basis, score_key
from benchmark.settings import Settings
from benchmark.store import RunStore
from benchmark.types import Segmenter

Build = Callable[[Mapping[str, Any]], Any]

_SCALARS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Job:
    """A configuration, and what follows from it, worked out when first asked for.

    Attributes:
        settings: the resolved configuration; `model`, `data` and `protocol` are mappings.
        variant: the model's parameters given on the command line, for people ("sigma=2").
        build: makes an object of a mapping with a `_target_`.
    """

    settings: Settings
    variant: str
    build: Build

    @cached_property
    def protocol(self) -> Protocol:
        """How predictions are scored."""
        return Protocol(**self.settings.protocol)

    @cached_property
    def model_name(self) -> str:
        """The model's name, with what differs from its YAML in brackets."""
        name = str(self.settings.model["name"])
        return f"{name} ({self.variant})" if self.variant else name

    @cached_property
    def adapter(self) -> type:
        """The adapter's class; nothing is instantiated for it.

        Raises:
            UsageError: there is none of that name.
        """
        return find_class(str(self.settings.model["_target_"]))

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The model's parameters.

        Raises:
            UsageError: one is unknown or of the wrong type.
        """
        model = self.settings.model
        parameters = {k: v for k, v in model.items() if k not in ("name", "_target_")}
        _check_parameters(self.adapter, parameters, str(model["name"]))
        return parameters

    @cached_property
    def data(self) -> PreparedData:
        """The samples; prepared now where they are not yet."""
        config = dict(self.settings.data)
        source = self.build(config["source"])
        name = str(config["name"])
        with Steps(f"preparing {name}") as steps:
            return prepare(
                name,
                source,
                config.get("recipe") or [],
                parameters=config["source"],
                datasets=Path(self.settings.datasets),
                split=str(config["split"]),
                allowed_failures=self.allowed_failures,
                expect=config.get("expect"),
                on_progress=steps.show,
            )

    @cached_property
    def requested(self) -> list[Entry]:
        """The samples that were asked for: all of the split, or the first `limit`."""
        limit = self.settings.limit
        if limit is not None and limit < 1:
            raise UsageError(f"limit is {limit}; it must be 1 or more.")
        return self.data.entries[:limit]

    def allowed_failures(self, samples: int) -> int:
        """How many of so many samples may fail.

        Raises:
            UsageError: errors.max_failures is negative, or neither count nor fraction.
        """
        most = self.settings.errors.max_failures
        if most < 0 or (most > 1 and most != int(most)):
            raise UsageError(
                f"errors.max_failures is {most}; give a whole number, or a fraction below 1."
            )
        # 0.29 of 100 is 28.999... in floats.
        return int(most if most >= 1 else most * samples + 1e-9)

    @cached_property
    def device(self) -> str:
        """The device type that the model runs on."""
        offered = getattr(self.adapter, "devices", ("cpu",))
        return choose_device(self.settings.device.name, offered, self.model_name)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the run is; its hash is the run id."""
        return run_identity(
            self.adapter,
            str(self.settings.model["_target_"]),
            self.parameters,
            images=self.data.images_digest(),
            labels=self.data.labels_digest(),
            device=self.device,
            seed=self.settings.seed,
        )

    @cached_property
    def store(self) -> RunStore:
        """Where the run is, or will be."""
        label = f"{self.settings.model['name']}-{self.data.name}"
        return RunStore.locate(self.runs, run_id(self.identity), label)

    @property
    def runs(self) -> Path:
        """The folder of all runs."""
        return Path(self.settings.results) / "runs"

    @cached_property
    def score_basis(self) -> dict[str, Any]:
        """What the scores depend on besides the predictions."""
        return score_basis(self.protocol, self.data.labels_digest())

    @property
    def score_key(self) -> str:
        """The folder of the scores in the run."""
        return score_key(self.score_basis)

    def describe(self) -> dict[str, Any]:
        """What run.json says."""
        return {
            "run_id": run_id(self.identity),
            "model": self.model_name,
            "control": bool(getattr(self.adapter, "control", False)),
            "data": self.data.name,
            "split": self.data.split,
            "samples": len(self.data.entries),
            "prepared": str(self.data.folder),
            "data_card": {k: v for k, v in self.settings.data.items() if k not in ("source",)},
            "identity": self.identity,
        }

    def load_model(self) -> Segmenter:
        """Build the segmenter.

        Raises:
            BenchmarkError: it can't be built, or has no `predict`.
        """
        name = self.settings.model["name"]
        try:
            segmenter = self.build({"_target_": self.settings.model["_target_"], **self.parameters})
        except BenchmarkError:
            raise
        except ImportError as error:
            raise ModelError(
                f"model '{name}' needs a library that is not installed: {error}."
            ) from error
        except (ValueError, TypeError) as error:
            raise UsageError(f"model '{name}': {error}.") from error
        if not isinstance(segmenter, Segmenter):
            raise ModelError(f"model '{name}': {type(segmenter).__name__} has no predict(image).")
        return segmenter


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
            f"the model's _target_, {target}, can't be imported ({error}). It is the dotted "
            "name of a class in a module that Python finds (PYTHONPATH)."
        ) from error
    if not isinstance(found, type):
        raise UsageError(f"the model's _target_, {target}, is not a class.")
    return found


def _check_parameters(adapter: type, parameters: Mapping[str, Any], model: str) -> None:
    """Compare plain parameters with the annotations of the class, before anything runs."""
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


def _scalars(hint: Any) -> tuple[type, ...]:
    """The plain types that an annotation allows; none where it allows anything else."""
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    kinds = typing.get_args(hint) if is_union else (hint,)
    return kinds if all(kind in _SCALARS or kind is type(None) for kind in kinds) else ()
