"""From Hydra's configuration to a job; for a sweep, every part is composed once."""

from __future__ import annotations

import inspect
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.adapter import find_class
from benchmark.choices import config_folders, file_of
from benchmark.cli.code_keys import check_loader, refuse_code, refuse_leaks
from benchmark.cli.explain import YAMLError, explain, no_such_key
from benchmark.cli.hydra_config import load, opened
from benchmark.errors import UsageError
from benchmark.job import Job
from benchmark.settings import MISSING, PLACES, TOP_LEVEL, Action, Settings, expanded
from benchmark.sweeps.process import OUTCOME

ABOUT_ALL_RUNS = (Action.list, Action.status, Action.report, Action.compare)


def make_job(config: DictConfig, words: Sequence[str]) -> Job:
    """A job from a composed configuration.

    Args:
        config: as Hydra composed it, with its own section; it is changed.
        words: of the command line, for the model's name.

    Raises:
        UsageError: a value is missing that the action needs, or belongs to sweeps alone.
    """
    chosen = _without_hydra(config)
    if config.action in ABOUT_ALL_RUNS:
        config.model, config.data = {}, {}
    elif OUTCOME not in os.environ:  # a job of a sweep is given the sweep's words
        _refuse_words_of_sweeps(config, words)
    return _job(config, words, chosen)


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
    """Resolve `~` in the words that name a folder, before others are made of them.

    Raises:
        UsageError: one is empty.
    """
    for word in PLACES:
        if config[word] is not None:
            config[word] = expanded(word, str(config[word]))


def _job(config: Any, words: Sequence[str], chosen: Mapping[str, str]) -> Job:
    unknown = next((str(key) for key in config if key not in TOP_LEVEL), None)
    if unknown is not None:
        raise UsageError(no_such_key(unknown))
    expand_places(config)
    refuse_code(config)  # again, as a place with an escaped $ is an interpolation only now
    for part, needed in _NEEDED.items():
        # An action about all runs goes without model and data; the state of a sweep does not.
        if config.action not in ABOUT_ALL_RUNS or part == "protocol" or config[part] != {}:
            _look_for(needed, config[part], part, chosen)
    if config.action not in ABOUT_ALL_RUNS:
        _ask_for_missing(config)
    plain = (word.lstrip("+") for word in words)
    variant = tuple(word.partition(".")[2] for word in plain if word.startswith("model."))
    refuse_leaks(config)
    settings = OmegaConf.to_object(config)
    assert isinstance(settings, Settings)
    check_loader(settings.data)
    return Job(settings, variant, build)


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

    def job(self, words: Sequence[str]) -> Job:
        """The job of one combination.

        Args:
            words: its overrides.

        Raises:
            HydraException, OmegaConfBaseException: a word is wrong whatever the job.
            UsageError: a word is wrong in this job, or a value is missing.
        """
        try:
            return self._job(words)
        except YAMLError as error:
            raise UsageError(explain(error, config_folders())) from error
        except (HydraException, OmegaConfBaseException) as error:
            # Parameters of what varies may be unknown to this job's choice alone.
            self._composed(tuple(opened(words, self._varying)))
            raise UsageError(explain(error, config_folders())) from error

    def _job(self, words: Sequence[str]) -> Job:
        shared = tuple(word for word in words if not word.startswith(_PARTS))
        config, chosen = self._composed(shared)
        config, chosen = config.copy(), dict(chosen)
        for part in ("model", "data"):
            own = tuple(w for w in words if w.startswith((f"{part}=", f"{part}.", f"+{part}.")))
            composed, named = self._composed(shared + own)
            config[part], chosen[part] = composed[part], named[part]
        return _job(config, words, chosen)

    def _composed(self, words: tuple[str, ...]) -> tuple[Any, Mapping[str, str]]:
        """The configuration, and of each group the name that was chosen."""
        if words not in self._known:
            config = load(self._loader, words)
            self._known[words] = config, _without_hydra(config)
        return self._known[words]


_PARTS = ("model=", "model.", "+model.", "data=", "data.")


def _refuse_words_of_sweeps(config: Any, words: Sequence[str]) -> None:
    """Refuse what a single run would do nothing about.

    Raises:
        UsageError: one was said; an experiment that sets it may be run in parts.
    """
    said = {word.lstrip("+").partition("=")[0] for word in words}
    if "report" in said and config.report:
        raise UsageError(
            "report=true belongs to a sweep (-m); a run draws its own report, and action=report "
            "that of all runs."
        )
    if "format" in said and config.format is not None:
        raise UsageError(
            f"format={config.format.name} belongs to action=report, or to a sweep with report=true "
            "(-m)."
        )


# What a YAML has to say.
_NEEDED = {
    "model": ("name", "_target_"),
    "data": ("name", "split", "source"),
    "protocol": ("name", "threshold_grid", "both_empty"),
}


def _look_for(needed: Sequence[str], found: Any, group: str, chosen: Mapping[str, str]) -> None:
    """See that a choice says what every job needs of it.

    Raises:
        UsageError: it does not; with its file.
    """
    said = OmegaConf.to_container(found, resolve=False) if OmegaConf.is_config(found) else found
    said = said if isinstance(said, dict) else {}
    missing = [key for key in needed if said.get(key) in (None, "")]
    source = said.get("source")
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
    missing = _marked(OmegaConf.to_container(config, resolve=False), "")
    if missing:
        raise UsageError(f"please give {' and '.join(f'{key}=...' for key in missing)}.")


def _marked(value: Any, key: str) -> list[str]:
    """The keys below a value that say `???`."""
    if isinstance(value, dict):
        return [k for name, v in value.items() for k in _marked(v, f"{key}.{name}".lstrip("."))]
    return [key] if value == MISSING else []
