"""One model on one data set, as configured: what every action starts from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from benchmark.adapter import (
    NO_PARAMETERS,
    AdapterInfo,
    check_parameters,
    checked_build,
    checked_segmenter,
    choose_device,
    choose_weights,
    fetch_weights,
    find_adapter,
    is_ours,
    missing_libraries,
    options_of,
    together,
    weights_of_modality,
)
from benchmark.choices import choices
from benchmark.console import Steps
from benchmark.data.prepare import find, prepare
from benchmark.data.prepared import Entry, PreparedData, describe_data
from benchmark.data.sources.base import Source
from benchmark.errors import BenchmarkError, ModelError, NotImportedError, SkippedError, UsageError
from benchmark.framing.framed import framed
from benchmark.framing.framing import KEYS, Framing, Request
from benchmark.framing.scale import median_diameter
from benchmark.scoring.metrics import Metric, find_metric
from benchmark.scoring.protocol import Protocol, Protocols, known_protocols
from benchmark.scoring.score import score_basis, score_key
from benchmark.settings import Action, Settings, bytes_of
from benchmark.store.code_digest import CodeDigests, code_digests
from benchmark.store.identity import (
    comparable,
    identity_target,
    run_id,
    run_identity,
    written,
)
from benchmark.store.names import safe_name
from benchmark.store.shapes import Selection
from benchmark.store.shard import Shard
from benchmark.store.skipped import SkippedModel, record_skipped
from benchmark.store.store import RunStore
from benchmark.types import Segmenter, Weights, WeightsChoice

Build = Callable[..., Any]
ComposeModel = Callable[[str, str, Mapping[str, Any]], Mapping[str, Any]]
"""Of a parameter of a model, a name and options: the configuration of the model of that name."""


def _no_model(parameter: str, name: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    raise UsageError(f"model.{parameter}='{name}': there are no configurations to choose from.")


@dataclass(frozen=True)
class Job:
    """A configuration, and what follows from it, worked out when first asked for.

    Attributes:
        settings: the resolved configuration; `model`, `data` and `protocol` are mappings.
        variant: the model's parameters given on the command line, for people ("sigma=2").
        build: makes an object of a mapping with a `_target_`, and of keyword arguments that
            are objects already.
        narrowed: whether the protocol was chosen; else reports are of all protocols.
        compose_model: gives the configuration of a model that is nested in this one.
        nested_in: the name of the model that this one is nested in; None: the job is a whole.
        selection: what chose the model's parameters; None where they were given by hand.
    """

    settings: Settings
    variant: tuple[str, ...]
    build: Build
    narrowed: bool = True
    compose_model: ComposeModel = _no_model
    nested_in: str | None = None
    selection: Selection | None = None

    def with_parameters(self, changed: Mapping[str, Any], words: Sequence[str]) -> Job:
        """The job of the same model with other parameters, called as if they were given by hand.

        Args:
            changed: name -> value.
            words: the same as on the command line: `sigma=2`.
        """
        settings = replace(self.settings, model={**self.settings.model, **changed})
        kept = (w for w in self.variant if re.split("[.=]", w, maxsplit=1)[0] not in changed)
        return replace(self, settings=settings, variant=(*kept, *words))

    def of_split(self, split: str) -> Job:
        """The job of the same model on all images of another split."""
        data = {**self.settings.data, "split": split}
        whole: dict[str, Any] = {"limit": None, "shard": None, "shards": 1}
        return replace(self, settings=replace(self.settings, data=data, **whole))

    @property
    def metric(self) -> Metric:
        """The metric that reports rank and draw by.

        Raises:
            UsageError: the metric is unknown.
        """
        return find_metric(self.settings.metric)

    @cached_property
    def protocol(self) -> Protocol:
        """How predictions are scored."""
        return Protocol.of_settings(self.settings.protocol)

    @property
    def reported(self) -> Protocol | Protocols:
        """The protocols that reports show: the chosen one, or every one."""
        if self.narrowed:
            return self.protocol
        return known_protocols(self.protocol, choices("protocol"))

    @cached_property
    def model_name(self) -> str:
        """The model's name, with what differs from its YAML in brackets.

        Weights are named by their card or, the user's own, by their digest: a file may be
        called whatever its owner likes.
        """
        return self._called(self.framing_request.words)

    def name_on(self, data: PreparedData) -> str:
        """The same with what `tile=auto` and a diameter come to on such data."""
        return self._called(self.framing_on(data).words)

    @property
    def has_own_images(self) -> bool:
        """Whether its images are files of the user's."""
        return "images" in self.settings.data

    @property
    def possible_names(self) -> list[str]:
        """What it may be called, where it is not known whether images are tiled.

        Of a class that the action must not import, `tile`, `halo` and `rescale` may be parameters.
        """
        names = [self._called(words) for words in self.framing_request.possible_words]
        if self.not_imported:
            plain = Request(self._usual_tile).possible_words
            names += [self._called(words, framing_keys=()) for words in plain]
        return list(dict.fromkeys(names))

    @property
    def _usual_tile(self) -> str:
        """The default of `tile`; sets of this repository are predicted as the study did."""
        is_ours = bool(written("data", str(self.settings.data["name"]))) and not self.has_own_images
        return "off" if is_ours else "auto"

    def _called(self, framing: Sequence[str], framing_keys: Sequence[str] | None = None) -> str:
        parameters = [re.split("[.=]", word, maxsplit=1)[0] for word in self.variant]
        options = [] if self.not_imported else [options_of(name) for name in self.nested]
        framing_keys = self._framing_keys if framing_keys is None else framing_keys
        hidden = (*_PLACES, *options, *framing_keys)
        words = [w for w, key in zip(self.variant, parameters, strict=True) if key not in hidden]
        words += [] if self.not_imported else self._nested_words
        words += framing
        if "weights" in parameters:
            words.append(self._weights_word)
        name = str(self.settings.model["name"])
        return f"{name} ({', '.join(words)})" if words else name

    @property
    def _nested_words(self) -> list[str]:
        """What differs from the YAMLs of nested models, as `source_options={sigma:2}`."""
        words = []
        for name, job in self.nested.items():
            given = self.settings.model.get(options_of(name)) or {}
            plain = {key: value for key, value in given.items() if key not in _PLACES}
            if "run" in given:  # a run's folder has a name that tells it from others
                plain["run"] = Path(str(given["run"])).name
            if "weights" in given:
                plain["weights"] = _name_of(job.weights_choice)
            if plain:
                inside = ",".join(f"{key}:{value}" for key, value in plain.items())
                words.append(f"{options_of(name)}={{{inside}}}")
        return words

    @property
    def _weights_word(self) -> str:
        if self.not_imported:  # no run is called so, as weights are named by the adapter
            return f"weights={self.settings.model.get('weights')}"
        return _name_of(self.weights_choice) or "no weights"

    @cached_property
    def not_imported(self) -> tuple[str, ...]:
        """Of the model's and the source's `_target_` those that the action must not import."""
        if self.settings.action not in (Action.status, Action.list, Action.report, Action.plan):
            return ()
        source = self.settings.data.get("source")
        described = (self.settings.model, source if isinstance(source, Mapping) else {})
        targets = (str(part["_target_"]) for part in described if "_target_" in part)
        return tuple(target for target in targets if not is_ours(target))

    def _check_import(self, target: str) -> None:
        if target in self.not_imported:
            raise NotImportedError(
                f"{target} is not imported by action={self.settings.action.name}, which runs no "
                "code from outside this repository."
            )

    @cached_property
    def adapter(self) -> type:
        """The adapter's class; nothing is instantiated for it.

        Raises:
            UsageError: there is none of that name, or the action must not import it.
        """
        target = str(self.settings.model["_target_"])
        self._check_import(target)
        return find_adapter(target, self.settings.model)

    @cached_property
    def info(self) -> AdapterInfo:
        """What the adapter's class says about itself, with what is nested in it."""
        return AdapterInfo.of(self.adapter).around(job.info for job in self.nested.values())

    @cached_property
    def nested(self) -> dict[str, Job]:
        """The jobs of the models that are given to this one, by the parameter that names each.

        Raises:
            UsageError: there is no model of that name, or its options are invalid.
        """
        model = self.settings.model
        found = {}
        for parameter in AdapterInfo.of(self.adapter).models:
            name, options = model.get(parameter), model.get(options_of(parameter)) or {}
            if not isinstance(name, str) or not isinstance(options, Mapping):
                raise UsageError(
                    f"model.{parameter} is {name!r}, model.{options_of(parameter)} is {options!r}; "
                    "they must be the name of a model, and a mapping of its parameters: "
                    f"model.{parameter}=otsu model.{options_of(parameter)}={{sigma:2}}."
                )
            composed = self.compose_model(parameter, name, options)
            framed_key = next((key for key in KEYS if composed.get(key) is not None), None)
            if framed_key is not None and framed_key not in _parameters_of(composed):
                raise UsageError(
                    f"model.{options_of(parameter)}.{framed_key} can't be set: give "
                    f"model.{framed_key}, which holds for the whole model."
                )
            settings = replace(self.settings, model=composed)
            whole = str(model["name"])
            found[parameter] = replace(self, settings=settings, variant=(), nested_in=whole)
        return found

    @property
    def _all(self) -> list[Job]:
        """This job, and all that are nested in it."""
        return [self, *(one for job in self.nested.values() for one in job._all)]

    @property
    def attends(self) -> bool:
        """Whether the adapter is given more than images (`benchmark.types.Attending`)."""
        return any(hasattr(job.adapter, "attend") for job in self._all)

    @cached_property
    def adapter_code(self) -> CodeDigests | None:
        """Digests of the source of an adapter from outside; None where `version` decides alone.

        That is so for this repository's adapters, and where there is no source.
        """
        codes = (
            _code_of(job.adapter, str(job.settings.model["_target_"]).rpartition(".")[0])
            for job in self._all
        )
        digests = {file: digest for code in codes if code for file, digest in code.items()}
        return digests or None

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The model's parameters.

        Raises:
            UsageError: one is unknown or of the wrong type.
        """
        model = self.settings.model
        nested = (options_of(name) for name in self.nested)
        without = (*NO_PARAMETERS, *self._framing_keys, *nested)
        parameters = {k: v for k, v in model.items() if k not in without}
        if isinstance(parameters.get("weights"), Mapping):
            parameters["weights"] = weights_of_modality(
                parameters["weights"], self.settings.data.get("modality")
            )
        check_parameters(self.adapter, parameters, str(model["name"]))
        return parameters

    @property
    def _framing_keys(self) -> list[str]:
        """Of the engine's keys those that the adapter has no parameter of the same name for."""
        taken = () if self.not_imported else AdapterInfo.of(self.adapter).parameters
        return [key for key in KEYS if key not in taken]

    @cached_property
    def framing_request(self) -> Request:
        """What the configuration says of tiles and scale.

        Raises:
            UsageError: a value is invalid, or the model can't be tiled or scaled.
        """
        model = self.settings.model
        given = {key: model[key] for key in self._framing_keys if key in model}
        try:
            request = Request.of(given, self._usual_tile)
        except UsageError:
            if self.not_imported:  # parameters of the adapter, as a run would refuse them
                return Request(self._usual_tile)
            raise
        if request.diameter is not None and self.has_own_images:
            raise UsageError(
                "model.rescale={diameter:...} takes the scale from labelled validation images, "
                f"which images of your own do not have. {_A_FACTOR}"
            )
        if request.is_off or self.not_imported or not self.attends:
            return request
        if request.tile != "auto" or request.changes_scale:
            raise UsageError(
                f"model '{model['name']}' can't be tiled or scaled, as it is given more than "
                f"images: omit {' and '.join(f'model.{key}' for key in given)}."
            )
        return Request()

    def framing_on(self, data: PreparedData) -> Framing:
        """How the images of such data are brought to the model.

        Raises:
            UsageError: as for `framing_request`, or no labels give a scale.
        """
        request = self.framing_request
        factor = None if request.diameter is None else request.diameter / self._median_diameter
        if factor is not None:
            factor = float(f"{factor:.3g}")
        return request.resolve(
            (entry.shape for entry in data.entries), self.info.input_size, factor
        )

    @property
    def framing(self) -> Framing:
        """The same on the job's own data."""
        return Framing() if self.framing_request.is_off else self.framing_on(self.data)

    @cached_property
    def _median_diameter(self) -> float:
        """Of the labelled objects in the validation images of the data set, in pixels.

        Raises:
            UsageError: there are none.
        """
        name = self.settings.data["name"]
        val = self.of_split("val")
        prepared = val.prepared
        if prepared is None:
            if self.settings.action is Action.status:
                raise SkippedError(f"data '{name}': its validation images are not prepared yet.")
            try:
                prepared = val.data
            except BenchmarkError as error:
                raise UsageError(
                    "model.rescale={diameter:...} takes the scale from labelled validation images: "
                    f"{error} {_A_FACTOR}"
                ) from error
        labelled = [e for e in prepared.entries if e.error is None and not e.is_unlabelled]
        diameter = median_diameter(prepared.truth(entry) for entry in labelled)
        if diameter is None:
            raise UsageError(
                f"model.rescale={{diameter:...}}: data '{name}' has no labelled object in its "
                f"validation images. {_A_FACTOR}"
            )
        return diameter

    @cached_property
    def family(self) -> str | None:
        """What the model's YAML calls the family of methods it belongs to, if it does.

        Raises:
            UsageError: it is not a text.
        """
        family = self.settings.model.get("family")
        if family is not None and not (isinstance(family, str) and family.strip()):
            raise UsageError(f"model.family is {family!r}; it must be text.")
        return family

    @cached_property
    def weights_choice(self) -> WeightsChoice | None:
        """The model's weights as chosen; None for a model without.

        Raises:
            UsageError: there are none of that name.
        """
        return choose_weights(self.adapter, self.parameters.get("weights"), self.settings)

    @property
    def weights_choices(self) -> list[WeightsChoice]:
        """The same of this model and of those that are nested in it."""
        return [job.weights_choice for job in self._all if job.weights_choice is not None]

    @cached_property
    def weights(self) -> Weights | None:
        """The weights that this job expects; fetched now where nobody publishes a digest.

        Raises:
            SkippedError: they would have to be fetched, and can't be had.
            ModelError: a file is not what it should be.
        """
        choice = self.weights_choice
        return None if choice is None else choice.expected() or fetch_weights(choice)

    @property
    def marks(self) -> set[str]:
        """The marks of its weights."""
        return {choice.about().mark for choice in self.weights_choices}

    @property
    def knows_weights(self) -> bool:
        """Whether it is known what its weights will be, without fetching any."""
        return all(choice.expected() is not None for choice in self.weights_choices)

    def check_ready(self) -> None:
        """See whether the model can run here: by metadata, cards and files; nothing is imported.

        A run that is complete needs no weights, so they are missed only where none was begun.

        Raises:
            SkippedError: its library or its weights are missing; with what to do.
        """
        # A mistake is reported before anything is done.
        _ = bytes_of(self.settings.cache), self.framing_request
        if self.missing_libraries:
            raise SkippedError(f"library missing: {self.missing_libraries}")
        if self.weights_choices and not any(self.runs.glob(f"{self.label}-*")):
            reasons = (choice.unavailable_reason() for choice in self.weights_choices)
            unavailable_reason = next(filter(None, reasons), None)
            if unavailable_reason:
                raise SkippedError(f"weights unavailable: {unavailable_reason}")

    @cached_property
    def missing_libraries(self) -> str | None:
        """What is missing to import the adapter's libraries and those of nested models."""
        found = (missing_libraries(job.adapter) for job in self._all)
        return next(filter(None, found), None)

    def check_labels(self) -> None:
        """See whether the data has the labels that the model needs.

        Raises:
            SkippedError: the model sees the truth, and samples have none.
        """
        unlabelled = len(self.data.unlabelled)
        if self.info.sees_truth and unlabelled:
            raise SkippedError(
                f"labels missing: model '{self.model_name}' sees them, and {unlabelled} of "
                f"{len(self.data.entries)} images of data '{self.data.name}' have none."
            )

    @cached_property
    def data(self) -> PreparedData:
        """The samples; prepared now where they are not yet."""
        # A mistake in another option is reported before hours of preparing.
        _ = self.protocol, self.metric, self.family, self.settings.errors.allowed(samples=1)
        with Steps(f"preparing {self.settings.data['name']}") as steps:
            return prepare(
                **self._data_asked_for,
                allowed_failures=self.allowed_failures,
                workers=self.settings.workers,
                expect=self.settings.data.get("expect"),
                on_progress=steps.show,
            )

    @cached_property
    def source(self) -> Source:
        """Where the samples come from.

        Raises:
            UsageError: the action must not import it, or it does not take its parameters.
        """
        described = self.settings.data["source"]
        self._check_import(str(described["_target_"]))
        source: Source = self.build(described)
        return source

    @cached_property
    def prepared(self) -> PreparedData | None:
        """The samples if they were prepared before; nothing is prepared or fetched for it."""
        return find(**self._data_asked_for)

    @property
    def _data_asked_for(self) -> dict[str, Any]:
        config = self.settings.data
        return {
            "name": str(config["name"]),
            "source": self.source,
            "recipe": config.get("recipe") or [],
            "parameters": config["source"],
            "datasets": Path(self.settings.datasets),
            "split": str(config["split"]),
        }

    @cached_property
    def requested(self) -> list[Entry]:
        """The samples that were asked for: all, or the first `limit`; of a shard its part."""
        return self.wanted(self.data)

    def wanted(self, data: PreparedData) -> list[Entry]:
        """Of prepared data the samples that were asked for.

        Raises:
            UsageError: the limit or the shard is none.
        """
        limit = self.settings.limit
        if limit is not None and limit < 1:
            raise UsageError(f"limit is {limit}; it must be 1 or more.")
        return list(self.shard.take(data.entries[:limit]))

    @cached_property
    def shard(self) -> Shard:
        """The part of the samples that this job does."""
        return Shard.parse(self.settings.shard)

    def allowed_failures(self, samples: int) -> int:
        """How many of so many samples may fail."""
        return self.settings.errors.allowed(samples)

    @cached_property
    def device(self) -> str:
        """The device type that the model runs on; of a nested one the CPU if it has no other."""
        wanted = self.settings.device.name
        if self.nested_in is not None and wanted not in ("auto", *self.info.devices):
            wanted = "cpu"
        return choose_device(wanted, self.info.devices, self.model_name)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What the run is; its hash is the run id."""
        return self.identity_on(self.data, self.device)

    def identity_on(self, data: PreparedData, device: str) -> dict[str, Any]:
        """What the run on such data and on such a device is."""
        return run_identity(
            self._adapter_identity,
            images=data.images_digest(),
            labels=data.labels_digest() if self.info.sees_truth else None,
            device=device,
            seed=self.settings.seed,
            framing=self.framing_on(data).in_identity,
        )

    @property
    def _adapter_identity(self) -> dict[str, Any]:
        """The adapter, its parameters and weights; of a nested model the same in its place."""
        target = identity_target(self.adapter, str(self.settings.model["_target_"]))
        nested = {name: job._adapter_identity for name, job in self.nested.items()}
        return self.info.in_identity(target, self.parameters | nested, self.weights)

    @cached_property
    def store(self) -> RunStore:
        """Where the run is, or will be.

        Without the model's library only a run made in another environment can be meant: one
        that differs in nothing but what this environment can't know.
        """
        if self.missing_libraries:
            besides = ("libraries", "device")
            for store, described in RunStore.readable(self.runs):
                stored = described["identity"]
                if comparable(stored, besides) == comparable(self.identity, besides):
                    return store
        return RunStore.locate(self.runs, run_id(self.identity), self.label)

    @property
    def label(self) -> str:
        """The start of the names of its folders."""
        return safe_name(f"{self.settings.model['name']}-{self.settings.data['name']}")

    @property
    def runs(self) -> Path:
        """The folder of all runs."""
        return Path(self.settings.results) / "runs"

    @cached_property
    def score_basis(self) -> dict[str, Any]:
        """What the scores depend on besides the predictions."""
        return self.score_basis_on(self.data)

    def score_basis_on(self, data: PreparedData) -> dict[str, Any]:
        """What scores on such data depend on besides the predictions."""
        shaped_by = self.settings.data.get("quirks") or ()
        return score_basis(self.protocol, data.labels_digest(), shaped_by)

    @property
    def score_key(self) -> str:
        """The folder of the scores in the run."""
        return score_key(self.score_basis)

    def score_key_on(self, data: PreparedData) -> str:
        """The folder of scores on such data."""
        return score_key(self.score_basis_on(data))

    def describe(self) -> dict[str, Any]:
        """What run.json says."""
        return {
            "run_id": run_id(self.identity),
            "model": self.name_on(self.data),
            "config": str(self.settings.model["name"]),
            "control": self.info.control,
            **({"family": self.family} if self.family else {}),
            **describe_data(self.data, self.settings.data),
            "weights": self._described_weights,
            "identity": self.identity,
        }

    @cached_property
    def all_weights(self) -> Weights | None:
        """The weights as tables show them: those of nested models too; None: there are none."""
        return together([job.weights for job in self._all if job.weights is not None])

    @property
    def _described_weights(self) -> dict[str, Any] | None:
        shown = self.all_weights
        if shown is None:
            return None
        own = [job.weights.name for job in self._all if job.weights is not None]
        return {
            "name": shown.name,
            "label": shown.label,
            "mark": shown.mark,
            "digests": dict(shown.digests),
            **({"parts": own} if shown is not self.weights else {}),
        }

    def record_skipped(self, reason: object) -> None:
        """Store that the model could not run here on the data set, and why."""
        data = self.settings.data
        record_skipped(
            self.runs,
            SkippedModel(
                model=str(self.settings.model["name"]),
                data=str(data["name"]),
                title=str(data.get("title") or ""),
                modality=str(data.get("modality") or ""),
                protocol=self.protocol.name,
                reason=str(reason),
            ),
        )

    def load_model(self, setting: Mapping[str, Any] | None = None) -> Segmenter:
        """Build the segmenter, with its weights fetched and verified.

        Args:
            setting: values of parameters that take the place of the configured ones.

        Raises:
            SkippedError: its weights can't be had.
            BenchmarkError: it can't be built, or has no `predict`.
        """
        name = str(self.settings.model["name"])
        return framed(self._segmenter(setting or {}, name), self.framing, name)

    def _segmenter(self, setting: Mapping[str, Any], name: str) -> Segmenter:
        if self.attends:  # what it is given may not be the same for another data set
            return checked_segmenter(lambda: self._built(setting), name)
        # Jobs of a sweep that have the same weights come one after the other to one process.
        models = [
            (job.adapter, job.settings.model["name"], job.parameters, job.device, job.weights)
            for job in self._all
        ]
        wanted = (models, setting, self.settings.cache)
        if not (_latest and _latest[0][0] == wanted):
            _latest.clear()  # before it is built: a device may have no room for two
            segmenter = checked_segmenter(lambda: self._built(setting), name)
            _latest.append((wanted, segmenter))
        return _latest[0][1]

    def _built(self, setting: Mapping[str, Any]) -> Any:
        """Build the adapter, and before it those that are nested in it."""
        name = str(self.settings.model["name"])
        objects: dict[str, Any] = {
            parameter: checked_build(partial(job._built, {}), str(job.settings.model["name"]))
            for parameter, job in self.nested.items()
        }
        if self._fetched is not None:
            objects["weights"] = self._fetched
        if "device" in self.info.parameters:
            objects["device"] = self.device
        if "cache" in self.info.parameters:
            objects["cache"] = bytes_of(self.settings.cache)
        parameters = {**self.parameters, **setting}
        check_parameters(self.adapter, parameters, name)
        described = {"_target_": self._class_name, **parameters}
        return self.build(described, **objects)

    @property
    def _class_name(self) -> str:
        """The dotted name of the class that is built."""
        target = str(self.settings.model["_target_"])
        if AdapterInfo.of(self.adapter).adapter_for is None:
            return target
        return f"{self.adapter.__module__}.{self.adapter.__qualname__}"

    @cached_property
    def _fetched(self) -> Weights | None:
        """The weights, complete and verified once for all segmenters that are built with them."""
        if self.weights_choice is None:
            return None
        fetched = fetch_weights(self.weights_choice)
        if self.weights and fetched.digests != self.weights.digests:
            raise ModelError(
                f"model '{self.settings.model['name']}': its weights changed while it was being "
                "loaded."
            )
        return fetched


def _name_of(choice: WeightsChoice | None) -> str | None:
    """What tables call weights; nothing is fetched for it."""
    if choice is None:
        return None
    expected = choice.expected()
    return choice.about().name if expected is None else expected.name


def _parameters_of(model: Mapping[str, Any]) -> tuple[str, ...]:
    adapter = find_adapter(str(model["_target_"]), model)
    return AdapterInfo.of(adapter).parameters


_A_FACTOR = "Give a factor instead, such as model.rescale=0.5."

_latest: list[tuple[Any, Segmenter]] = []  # of this process, with what it was built of


@cache
def _code_of(adapter: type, module: str) -> CodeDigests | None:
    """Return the digests of a class's source and of the module that names it.

    Read once: what was imported is not edited with its file, and later jobs of a process use it.
    """
    return code_digests(module, adapter.__module__) or None


# Keys that are places or names, not properties: no part of a model's name in a table.
_PLACES = ("predictions", "run", "weights", "family")
