"""What a model needs and offers: its class, parameters, requirements, weights and device."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import traceback
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from benchmark.errors import (
    BenchmarkError,
    ModelError,
    SkippedError,
    UsageError,
    import_problem,
)
from benchmark.settings import Device, Settings
from benchmark.store.digest import json_digest
from benchmark.store.provenance import library_versions
from benchmark.types import Image, Labels, Segmenter, Sharing, Weights, WeightsChoice

OURS = ("models.", "benchmark.data.sources.", "benchmark.data.torch_em.")
"""Where this repository's own adapters and sources are."""

NO_PARAMETERS = ("name", "_target_", "family")
"""Keys of a model's YAML that are not given to its adapter."""

_SCALARS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}

FindWeights = Callable[[str, Path | None, bool], WeightsChoice]


@dataclass(frozen=True)
class AdapterInfo:
    """What an adapter's class says about itself: the one description, read in one place.

    Each entry but the last two is the class attribute of the same name. None is required: a class
    with `predict` alone is an adapter. What its instances may offer besides is described by
    `benchmark.types.Attending`, `Sharing`, `Staged`, `Mapped` and `Tiled`.

    Attributes:
        version: raised when its results change on purpose.
        libraries: distributions whose versions shape its results.
        requires: what has to be installed, as requirements (`cellpose>=4`); else the model is
            skipped.
        install: the command that installs it, for that message.
        devices: where it can run, best first: `cuda`, `mps`, `cpu`.
        execution: parameters that shape no result (`batch_size`), left out of the run id.
        added: parameters that the adapter got after runs of it had been stored. At the
            constructor's default, under which it predicts as before, one is left out of the run id.
        input_size: length in pixels that the longer side of every image is scaled to; 0: images
            are not scaled. Much larger images are tiled or warned about (`benchmark.framing`).
        max_channels: the most channels of an image that it uses, of which there are the first ones;
            0: all, or unknown. Records and tables name those that are not used.
        control: whether its scores are known beforehand; no table marks it as best.
        sees_truth: whether its predictions depend on the labels, which are then part of the run
            id; for a class with `attend` (`benchmark.types.Attending`).
        find_weights: a static or class method, for an adapter with a parameter `weights`; it is
            built with a `Weights` in its place.
        models: parameters whose value is the name of a model, for an adapter that is built with
            that model's adapter in its place: of a YAML in `configs/model_<parameter>/`, or else in
            `configs/model/`. The parameter `<name>_options` maps that model's parameters to values.
            What the nested model requires, sees and is known by counts as the adapter's own.
        adapter_for: a class method that gives, of the parameters, the class to build, for one name
            of several adapters.
        chosen_by: the parameters that it looks at; no setting of a built adapter may name them.
        identity: a class method that gives what replaces the parameters in the run id, for
            parameters that are paths (the digest of the file, not its name).
        parameters: names of the constructor's parameters. One called `device` is given the type
            of the device, and one called `cache` the bytes that intermediate results may take on
            disk.
        as_before: the defaults of those that were `added`.
    """

    version: int | str = 1
    libraries: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    install: str = ""
    devices: tuple[str, ...] = ("cpu",)
    execution: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    input_size: int = 0
    max_channels: int = 0
    control: bool = False
    sees_truth: bool = False
    models: tuple[str, ...] = ()
    adapter_for: Callable[[Mapping[str, Any]], type] | None = None
    chosen_by: tuple[str, ...] = ()
    find_weights: FindWeights | None = None
    identity: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None
    parameters: tuple[str, ...] = ()
    as_before: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, adapter: type) -> AdapterInfo:
        """Read what a class says; nothing is instantiated.

        Raises:
            ModelError: an attribute has another type than is described above.
        """
        *declared, _, _ = fields(cls)
        said: dict[str, Any] = {}
        for entry in declared:
            default: Any = entry.default
            value = getattr(adapter, entry.name, default)
            wanted = _unlike(value, default, or_text=entry.name == "version")
            if wanted:
                raise ModelError(
                    f"{adapter.__name__}.{entry.name} is {value!r}; it must be {wanted}."
                )
            said[entry.name] = tuple(value) if isinstance(default, tuple) else value
        parameters = defaults(adapter)
        as_before = {name: parameters[name] for name in said["added"] if name in parameters}
        info = cls(**said, parameters=tuple(parameters), as_before=as_before)
        for device in info.devices:
            if device not in _DEVICES:
                raise ModelError(
                    f"{adapter.__name__}.devices has '{device}'; valid are {', '.join(_DEVICES)}."
                )
        for text in info.requires:
            try:
                Requirement(text)
            except InvalidRequirement as error:
                raise ModelError(f"{adapter.__name__}.requires has '{text}': {error}.") from error
        return info

    def around(self, nested: Iterable[AdapterInfo]) -> AdapterInfo:
        """The same of an adapter that is built with others in it."""
        every = [self, *nested]
        return replace(
            self,
            control=any(info.control for info in every),
            sees_truth=any(info.sees_truth for info in every),
        )

    def in_identity(
        self, target: str, parameters: Mapping[str, Any], weights: Weights | None
    ) -> dict[str, Any]:
        """What a run id depends on of an adapter.

        Args:
            target: the name that the class is known by, see `identity_target`.
            parameters: its resolved parameters.
            weights: the expected ones; their digests count, wherever they lie.
        """
        shaping = {
            name: value
            for name, value in parameters.items()
            if name not in self.execution
            and not (name in self.as_before and value == self.as_before[name])
        }
        if weights is not None:
            shaping["weights"] = dict(weights.digests)
        return {
            "target": target,
            "parameters": dict(self.identity(shaping) if self.identity else shaping),
            "version": self.version,
            "libraries": library_versions(self.libraries),
        }


@dataclass(frozen=True)
class PredictionInfo:
    """What an adapter says about its last prediction: attributes of the instance, all optional.

    Attributes:
        stages: seconds of each stage.
        cached: of these, the stages whose result was kept from an earlier call, with the seconds
            that fetching it took (`stages` has those of the computation).
        stage_memory: peak memory of each stage in bytes, of `host` and `device`
            (`benchmark.profiling.PeakMemory` measures them).
        details: what else its record contains (`batch_size`, ...).
    """

    stages: dict[str, float]
    cached: dict[str, float]
    stage_memory: dict[str, dict[str, int]]
    details: dict[str, Any]

    @classmethod
    def of(cls, segmenter: Segmenter) -> PredictionInfo:
        """Read what a segmenter says.

        Raises:
            ValueError, TypeError, AttributeError: seconds are not finite, or something is not of
                the type that is described above.
        """
        said = {entry.name: getattr(segmenter, entry.name, {}) for entry in fields(cls)}
        memory = {
            str(stage): {str(where): int(peak) for where, peak in peaks.items()}
            for stage, peaks in said["stage_memory"].items()
        }
        stages, cached = (_finite(kind, said[kind]) for kind in ("stages", "cached"))
        return cls(stages, cached, memory, dict(said["details"]))


def _finite(kind: str, said: Mapping[str, Any]) -> dict[str, float]:
    seconds = {str(name): float(value) for name, value in said.items()}
    if not all(map(math.isfinite, seconds.values())):
        raise ValueError(f"its {kind} are {seconds}, but seconds are finite")
    return seconds


def class_of(segmenter: Segmenter) -> type:
    """The class that describes a segmenter: its own, or that of the one within.

    `benchmark.framing.Framed` is a segmenter around another, and names its class.
    """
    found: type = getattr(segmenter, "described_by", type(segmenter))
    return found


_DEVICES = tuple(device.name for device in Device if device is not Device.auto)


def _unlike(value: Any, default: Any, or_text: bool) -> str | None:
    """What an attribute must be, if its value is something else than its default's kind."""
    if isinstance(default, tuple):
        is_plain = isinstance(value, Collection) and not isinstance(value, str)
        return None if is_plain and all(isinstance(v, str) for v in value) else "a tuple of strings"
    if default is None:
        return None if value is None or callable(value) else "a static or class method"
    kinds = (type(default), str) if or_text else (type(default),)
    return None if type(value) in kinds else " or ".join(_SCALARS[kind] for kind in kinds)


def defaults(adapter: type) -> dict[str, Any]:
    """The parameters of an adapter's constructor, and their defaults."""
    try:
        accepted = inspect.signature(adapter).parameters
    except (ValueError, TypeError):  # not to be had of every foreign class
        return {}
    return {name: parameter.default for name, parameter in accepted.items()}


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
    except (ModuleNotFoundError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the _target_ {target} can't be imported ({error}). It is the dotted name of a "
            "class in a module that Python finds (PYTHONPATH)."
        ) from error
    except Exception as error:  # of a module of one's own
        place = traceback.extract_tb(error.__traceback__)[-1]
        at = f" ({place.filename}, line {place.lineno})"
        where = "" if isinstance(error, SyntaxError) else at  # it names its place itself
        raise UsageError(
            f"the _target_ {target} can't be imported: {type(error).__name__}: {error}{where}."
        ) from error
    if not isinstance(found, type):
        raise UsageError(f"the _target_ {target} is not a class.")
    return found


def find_adapter(target: str, parameters: Mapping[str, Any]) -> type:
    """The class of an adapter by its dotted name and, for some names, its parameters.

    Raises:
        UsageError: there is none.
    """
    found = find_class(target)
    choose = AdapterInfo.of(found).adapter_for
    return found if choose is None else choose(parameters)


def group_of(parameter: str) -> str:
    """The group of configurations of what a nested model can be besides a model."""
    return f"model_{parameter}"


def options_of(parameter: str) -> str:
    """The name of the parameter with the options of a nested model."""
    return f"{parameter}_options"


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
    segmenter = checked_build(build, model)
    if not isinstance(segmenter, Segmenter):
        raise ModelError(f"model '{model}': {type(segmenter).__name__} has no predict(image).")
    return segmenter


def checked_build(build: Callable[[], Any], model: str) -> Any:
    """The same of a class whose instances are a part of an adapter, and need no `predict`.

    Raises:
        BenchmarkError: it can't be built.
    """
    try:
        return build()
    except BenchmarkError:
        raise
    except ImportError as error:
        raise ModelError(f"model '{model}' needs {import_problem(error)}.") from error
    except OSError as error:  # so torch calls a shared library that can't be loaded
        raise ModelError(f"model '{model}' can't be built: OSError: {error}.") from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"model '{model}': {error}.") from error


def predict_each(
    segmenter: Segmenter,
    image: Image,
    settings: Sequence[Mapping[str, Any]],
    build: Callable[[Mapping[str, Any]], Segmenter],
) -> Iterator[Labels]:
    """Segment one image under each of several settings.

    One that can (`benchmark.types.Sharing`) shares what the settings share. Of any other, a
    segmenter is built for each distinct setting, and predicts by itself.

    Args:
        segmenter: as configured.
        image: as `predict` takes it.
        settings: each a mapping of names of parameters to values. Parameters that it does not name
            have the value that the segmenter was built with.
        build: builds a segmenter of a setting, with weights that were fetched before
            (`benchmark.job.Job.load_model`).

    Yields:
        The label image of each setting, in order. Of equal ones it may be the same array, which
        is not to be written into.

    Raises:
        UsageError: a setting names a parameter that there is none of, or that shapes no result.
    """
    check_settings(class_of(segmenter), settings)
    if isinstance(segmenter, Sharing):
        yield from segmenter.predict_each(image, settings)
        return
    made: dict[str, Labels] = {}
    for setting in settings:
        key = json_digest(dict(setting))
        if key not in made:
            made[key] = (build(setting) if setting else segmenter).predict(image)
        yield made[key]


def varied(adapter: type) -> tuple[str, ...]:
    """The parameters that a setting may name: all that shape results, but weights.

    Weights and nested models can't be varied: they are what settings share.
    """
    info = AdapterInfo.of(adapter)
    shared = (*info.models, *info.chosen_by, *info.execution)
    fixed = ("weights", "device", "cache", *shared)
    return tuple(name for name in info.parameters if name not in fixed)


def check_settings(adapter: type, settings: Iterable[Mapping[str, Any]]) -> None:
    """Check that settings name no parameters but those that can be `varied`.

    Raises:
        UsageError: one names another.
    """
    can = varied(adapter)
    for name in dict.fromkeys(name for setting in settings for name in setting):
        if name not in can:
            raise UsageError(
                f"a setting of {adapter.__name__} names '{name}'; it can name: "
                f"{', '.join(can) or 'nothing, as there are no parameters'}."
            )


def missing_libraries(adapter: type) -> str | None:
    """What is missing to import an adapter's libraries, with the line that installs it.

    Args:
        adapter: its class.
    """
    info = AdapterInfo.of(adapter)
    wanting = [w for text in info.requires if (w := _wanting(Requirement(text)))]
    if not wanting:
        return None
    return f"{'; '.join(wanting)}." + (f" Install with: {info.install}" if info.install else "")


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
    find = AdapterInfo.of(adapter).find_weights
    if find is None:
        return None
    folder = settings.weights_dir
    place = Path(folder).expanduser() if folder else None
    return find(str(name), place, settings.weights_unsafe)


def fetch_weights(choice: WeightsChoice) -> Weights:
    """Download what is missing, verify all of it.

    Raises:
        SkippedError: they can't be had, with what to do.
        ModelError: a file is not what it should be.
    """
    unavailable_reason = choice.unavailable_reason()
    if unavailable_reason:
        raise SkippedError(f"weights unavailable: {unavailable_reason}")
    return choice.fetch()


def together(weights: Sequence[Weights]) -> Weights | None:
    """What tables call the weights of a model with others in it: by all names, the weakest mark.

    Args:
        weights: of the model, and of those in it; none twice in the result.
    """
    distinct: list[Weights] = []
    for each in weights:
        if each.digests not in [one.digests for one in distinct]:
            distinct.append(each)
    if len(distinct) < 2:
        return distinct[0] if distinct else None
    return Weights(
        name=" + ".join(each.name for each in distinct),
        mark=max((each.mark for each in distinct), key=_MARKS.index),
        digests={
            f"{e.name}/{file}": digest for e in distinct for file, digest in e.digests.items()
        },
        confirmed=all(each.confirmed for each in distinct),
        title=" + ".join(each.title or each.name for each in distinct)
        if any(each.title for each in distinct)
        else None,
    )


_MARKS = ("verified", "demo", "user", "untrained")
"""The strongest first."""


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
