"""From Hydra's configuration to a job; for a sweep, every part is composed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.errors import UsageError
from benchmark.job import Job
from benchmark.settings import MISSING, Action, Settings
from benchmark.sweep import OPEN

ABOUT_ALL_RUNS = (Action.list, Action.status, Action.report, Action.compare)


def make_job(config: Any, words: Sequence[str]) -> Job:
    """A job from a composed configuration.

    Args:
        config: as Hydra composed it.
        words: of the command line, for the model's name.

    Raises:
        UsageError: a value is missing that the action needs.
    """
    if config.action in ABOUT_ALL_RUNS:
        config.model, config.data = {}, {}
    return _job(config, words)


def _job(config: Any, words: Sequence[str]) -> Job:
    if config.action not in ABOUT_ALL_RUNS:
        _ask_for_missing(config)
    variant = tuple(word.partition(".")[2] for word in words if word.startswith("model."))
    settings = OmegaConf.to_object(config)
    assert isinstance(settings, Settings)
    return Job(settings, variant, build)


def build(described: Mapping[str, Any], **objects: Any) -> Any:
    """Make the object that a mapping with a `_target_` describes, of objects and its values."""
    try:
        # Partial, since Hydra would take objects among the arguments for configurations.
        factory = instantiate({**described, "_partial_": True}, _convert_="all")
    except InstantiationException as error:
        raise error.__cause__ or error from None
    return factory(**objects)


class Composer:
    """Composes the jobs of a sweep; a model or a data set that many have in common only once.

    Composing takes a fifth of a second, and a study has hundreds of jobs.

    Args:
        loader: Hydra's.
        name: of the primary configuration.
    """

    def __init__(self, loader: ConfigLoader, name: str) -> None:
        self._loader, self._name = loader, name
        self._known: dict[tuple[str, ...], Any] = {}

    def job(self, words: Sequence[str]) -> Job:
        """The job of one combination.

        Args:
            words: those that not every job understands (see `OPEN`) marked as such.

        Raises:
            HydraException, OmegaConfBaseException: a word is wrong whatever the job.
            UsageError: a word is wrong in this job, or a value is missing.
        """
        plain = [word.removeprefix(OPEN) for word in words]
        try:
            return self._job(plain)
        except (HydraException, OmegaConfBaseException) as error:
            self._composed(tuple(words))
            raise UsageError(str(error)) from error

    def _job(self, words: Sequence[str]) -> Job:
        shared = tuple(word for word in words if not word.startswith(_PARTS))
        config = self._composed(shared).copy()
        OmegaConf.set_struct(config, False)
        for part in ("model", "data"):
            own = tuple(w for w in words if w.startswith((f"{part}=", f"{part}.")))
            config[part] = self._composed(shared + own)[part]
        return _job(config, words)

    def _composed(self, words: tuple[str, ...]) -> Any:
        if words not in self._known:
            config = self._loader.load_configuration(self._name, list(words), RunMode.RUN)
            OmegaConf.set_struct(config, False)
            del config["hydra"]
            self._known[words] = config
        return self._known[words]


_PARTS = ("model=", "model.", "data=", "data.")


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
