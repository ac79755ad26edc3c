"""From a composed configuration to a job; for a sweep, each part is composed once."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.actions.formats import check_format
from benchmark.adapter import find_class, group_of, options_of
from benchmark.choices import choices, config_folders, file_of, nearest
from benchmark.cli.bounds import refuse_growth
from benchmark.cli.code_keys import check_loader, refuse_code, refuse_leaks
from benchmark.cli.explain import explain, no_such_key
from benchmark.cli.hydra_config import config_loader, load, opened
from benchmark.data.sources.layouts import folder_name
from benchmark.errors import UsageError
from benchmark.job import Job
from benchmark.scoring.metrics import find_metric
from benchmark.settings import MISSING, PLACES, TOP_LEVEL, Action, Settings, expanded
from benchmark.sweeps.process import OUTCOME

EXPORTS = (Action.export, Action.segment)
TUNED = (Action.run, Action.status)
ABOUT_ALL_RUNS = (Action.list, Action.status, Action.report, Action.compare)


def make_job(config: DictConfig, overrides: Sequence[str]) -> Job:
    """A job from a composed configuration.

    Args:
        config: as Hydra composed it, with its own section; it is changed.
        overrides: of the command line, for the model's name.

    Raises:
        UsageError: a value is missing that the action needs, or belongs to sweeps alone.
    """
    chosen = _without_hydra(config)
    if config.action in ABOUT_ALL_RUNS:
        config.model = {}
        if config.action is not Action.compare:  # which may be of one data set
            config.data = {}
    elif OUTCOME not in os.environ:  # a job of a sweep gets the overrides of the sweep
        _refuse_sweep_overrides(config, overrides)
    return _job(config, overrides, chosen, lambda words: load(config_loader(), words))


def _data_name(config: Any, overrides: Sequence[str]) -> dict[str, str]:
    """The name of the data set, where the command line chooses one."""
    named = any(override.lstrip("+").startswith(("data=", "data.name=")) for override in overrides)
    return {"name": str(config.data.name)} if named else {}


def _without_hydra(config: DictConfig) -> Mapping[str, str]:
    """Take Hydra's own section out of a configuration, and let keys be added to the rest.

    Returns:
        Of each group the name that was chosen.
    """
    OmegaConf.set_struct(config, False)
    chosen = dict(config.hydra.runtime.choices)
    del config["hydra"]
    return chosen


def expand_places(config: Any) -> None:
    """Resolve `~` in the settings that name a folder, before others refer to them.

    Raises:
        UsageError: one is empty.
    """
    for key in PLACES:
        if config[key] is not None:
            config[key] = expanded(key, str(config[key]))


def check_options(config: Any) -> None:
    """Refuse an unknown metric, and `check` with another action than its own.

    Raises:
        UsageError: one of them is given.
    """
    if config.check is not None and config.action is not Action.check:
        raise UsageError(f"check={config.check.name} belongs to action=check.")
    find_metric(config.metric)
    find_metric(config.tune.metric)
    tuned = config.tuned
    if not (isinstance(tuned, bool) or str(tuned).endswith((".yaml", ".yml"))):
        raise UsageError(f"tuned={tuned}: it must be true, false, or a YAML of action=tune.")
    if tuned and config.action not in TUNED:
        raise UsageError(
            f"tuned={str(tuned).lower()} belongs to action=run and action=status; for other "
            "actions give the parameters that were chosen."
        )


def _name_own_images(data: Any) -> None:
    """Call one's own images, if they have no name, by the folder that they lie in."""
    known = "images" in data  # to OmegaConf a value that is missing is not there
    if "images" not in data.keys() or data.get("name") is not None:  # noqa: SIM118
        return
    others = choices("data", config_folders())
    data.name = folder_name(str(data.images), data.get("root"), others) if known else "folder"


def _choose_split(config: Any, overrides: Sequence[str]) -> None:
    """Let validation images choose parameters; of one's own images, those that are given.

    Raises:
        UsageError: another split is asked for.
    """
    own_images = "images" in config.data
    asked = any(override.lstrip("+").startswith("data.split=") for override in overrides)
    if own_images:
        return
    if not asked:
        config.data.split = "val"
    elif config.data.split != "val":
        raise UsageError(
            f"data.split={config.data.split}: images that are tested never choose parameters. "
            "action=tune uses data.split=val; omit the override."
        )


def _job(
    config: Any,
    overrides: Sequence[str],
    chosen: Mapping[str, str],
    compose: Callable[[Sequence[str]], Any],
) -> Job:
    unknown = next((str(key) for key in config if key not in TOP_LEVEL), None)
    if unknown is not None:
        raise UsageError(no_such_key(unknown))
    check_options(config)
    _name_own_images(config.data)
    if config.action is Action.tune:
        _choose_split(config, overrides)
    if config.action is Action.compare:
        config.model, config.data = {}, _data_name(config, overrides)
    expand_places(config)
    refuse_code(config)  # again, as a place with an escaped $ is an interpolation only now
    refuse_growth(config)
    for part, needed in _NEEDED.items():
        # An action about all runs goes without model and data; the state of a sweep does not.
        without = config.action is Action.compare or config[part] == {}
        if config.action not in ABOUT_ALL_RUNS or part == "protocol" or not without:
            _check_keys(needed, config[part], part, chosen)
    if config.action not in ABOUT_ALL_RUNS:
        _ask_for_missing(config)
    plain = (override.lstrip("+") for override in overrides)
    variant = tuple(each.partition(".")[2] for each in plain if each.startswith("model."))
    refuse_leaks(config)
    settings = OmegaConf.to_object(config)
    assert isinstance(settings, Settings)
    check_loader(settings.data)
    of_user = any(override.lstrip("+").startswith("format=") for override in overrides)
    check_format(settings.action, settings.format, chosen=of_user)
    starts = ("protocol=", "protocol.")
    narrowed = any(override.lstrip("+").startswith(starts) for override in overrides)
    nested = partial(_nested_model, compose, overrides)
    return Job(settings, variant, build, narrowed, nested)


def _nested_model(
    compose: Callable[[Sequence[str]], Any],
    overrides: Sequence[str],
    parameter: str,
    name: str,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The configuration of a model that another one is given in a parameter.

    Args:
        compose: makes a configuration of overrides.
        overrides: of the job.
        parameter: the other model's.
        name: a YAML in the parameter's group, or else of a model.
        options: values of its parameters.

    Raises:
        UsageError: there is no such YAML, or a value is missing.
    """
    folders = config_folders()
    own = choices(group_of(parameter), folders)
    known = own | choices("model", folders)
    if name not in known:
        raise UsageError(
            f"model.{parameter} is '{name}', but there is no such model.{nearest(name, known)} "
            f"Valid names: {', '.join(known)}."
        )
    group = group_of(parameter) if name in own else "model"
    kept = [each for each in overrides if not each.startswith(("model=", "model.", "+model."))]
    words = [f"model={name}"] if group == "model" else ["~model", f"+{group}@model={name}"]
    composed = compose([*kept, *words]).model
    _check_keys(_NEEDED["model"], composed, group, {group: name})
    model = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(model, dict)
    fixed = next((key for key in options if key in ("name", "_target_")), None)
    if fixed is not None:
        raise UsageError(f"model.{options_of(parameter)}.{fixed} can't be set.")
    found = {str(key): value for key, value in {**model, **options}.items()}
    missing = _missing_below(found, f"model.{options_of(parameter)}")
    if missing:
        raise UsageError(f"please give {' and '.join(f'{key}=...' for key in missing)}.")
    return found


def build(described: Mapping[str, Any], **objects: Any) -> Any:
    """Make the object that a mapping with a `_target_` describes, of objects and its values.

    The values are passed as they are: what is nested in them stays data.

    Raises:
        UsageError: there is no such target, or it does not take these values.
    """
    target = str(described["_target_"])
    arguments = {k: v for k, v in described.items() if k != "_target_"} | objects
    factory = find_class(target)
    try:
        inspect.signature(factory).bind(**arguments)
    except ValueError:  # not to be had of every foreign class
        pass
    except TypeError as error:
        raise UsageError(f"{target}: {error}.") from error
    return factory(**arguments)


class Composer:
    """Composes the jobs of a sweep; a model or a data set that many have in common only once.

    Composing takes a fifth of a second, and a study has hundreds of jobs.

    Args:
        loader: Hydra's.
        varying: keys in which the jobs differ.
    """

    def __init__(self, loader: ConfigLoader, varying: Collection[str]) -> None:
        self._loader, self._varying = loader, varying
        self._known: dict[tuple[str, ...], tuple[Any, Mapping[str, str]]] = {}

    def job(self, overrides: Sequence[str]) -> Job:
        """The job of one combination.

        Args:
            overrides: those of the job.

        Raises:
            HydraException, OmegaConfBaseException: an override is invalid for every job.
            UsageError: an override is invalid for this job, or a value is missing.
        """
        try:
            return self._job(overrides)
        except (HydraException, OmegaConfBaseException) as error:
            # Parameters of what varies may be unknown to this job's choice alone.
            self._composed(tuple(opened(overrides, self._varying)))
            raise UsageError(explain(error, config_folders())) from error

    def _job(self, overrides: Sequence[str]) -> Job:
        shared = tuple(each for each in overrides if not each.startswith(_PARTS))
        config, chosen = self._composed(shared)
        config, chosen = config.copy(), dict(chosen)
        for part in ("model", "data"):
            starts = (f"{part}=", f"{part}.", f"+{part}.")
            own = tuple(each for each in overrides if each.startswith(starts))
            composed, named = self._composed(shared + own)
            config[part], chosen[part] = composed[part], named[part]
        return _job(config, overrides, chosen, lambda words: self._composed(tuple(words))[0])

    def _composed(self, overrides: tuple[str, ...]) -> tuple[Any, Mapping[str, str]]:
        """The configuration, and of each group the name that was chosen."""
        if overrides not in self._known:
            config = load(self._loader, overrides)
            self._known[overrides] = config, _without_hydra(config)
        return self._known[overrides]


_PARTS = ("model=", "model.", "+model.", "data=", "data.")


def _refuse_sweep_overrides(config: Any, overrides: Sequence[str]) -> None:
    """Refuse overrides that have no effect on a single run; an experiment may set them.

    Raises:
        UsageError: there is one.
    """
    keys = {override.lstrip("+").partition("=")[0] for override in overrides}
    if "report" in keys and config.report:
        raise UsageError(
            "report=true belongs to a sweep (-m); a run draws its own report, and action=report "
            "that of all runs."
        )
    is_tuned = config.action is Action.tune or config.tuned
    if not is_tuned and any(key.startswith("tune.") for key in keys):
        raise UsageError(
            "tune.grid, tune.limit, tune.metric, tune.rule and tune.folds belong to action=tune "
            "and to tuned=true."
        )
    if config.action in EXPORTS:
        return
    if "output" in keys and config.output is not None:
        raise UsageError("output= belongs to action=export and action=segment.")
    if "format" in keys and config.format is not None and config.action is not Action.plan:
        raise UsageError(
            f"format={config.format} belongs to action=report, list, status, plan, export or "
            "segment, or to a sweep with report=true (-m)."
        )


# The keys that a YAML must have.
_NEEDED = {
    "model": ("name", "_target_"),
    "data": ("name", "split", "source"),
    "protocol": ("name", "threshold_grid", "both_empty"),
}


def _check_keys(needed: Sequence[str], found: Any, group: str, chosen: Mapping[str, str]) -> None:
    """Check that the YAML of a choice has the keys that every job needs.

    Raises:
        UsageError: one is missing; with the file.
    """
    given = OmegaConf.to_container(found, resolve=False) if OmegaConf.is_config(found) else found
    given = given if isinstance(given, dict) else {}
    missing = [key for key in needed if given.get(key) in (None, "")]
    source = given.get("source")
    if group == "data" and source and not (isinstance(source, dict) and source.get("_target_")):
        missing.append("source._target_")
    if missing:
        file = file_of(group, str(chosen.get(group)), config_folders())
        raise UsageError(
            f"{file} lacks {' and '.join(missing)}; a YAML in {group}/ has to say "
            f"{', '.join(needed)}."
        )


def _ask_for_missing(config: Any) -> None:
    """Ask for values that only the user can give.

    Raises:
        UsageError: one is missing.
    """
    missing = _missing_below(OmegaConf.to_container(config, resolve=False), "")
    if missing:
        raise UsageError(f"please give {' and '.join(f'{key}=...' for key in missing)}.")


def _missing_below(value: Any, key: str) -> list[str]:
    """The keys below a value whose value is missing (`???`)."""
    if isinstance(value, dict):
        return [
            k for name, v in value.items() for k in _missing_below(v, f"{key}.{name}".lstrip("."))
        ]
    return [key] if value == MISSING else []
