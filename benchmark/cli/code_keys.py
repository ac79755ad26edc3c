"""Refuse configurations that name code or read the environment where they may not.

A YAML from elsewhere is data. Its values build no objects, call no resolvers, and carry no
variable of the environment into a stored run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from benchmark.choices import config_folders, file_of
from benchmark.cli.grammar import nodes
from benchmark.errors import UsageError

CODE_KEYS = ("model._target_", "data.source._target_", "hydra.launcher._target_",
             "hydra.sweeper._target_")  # fmt: skip
"""Keys that name a class. Of plug-ins, the command line accepts only its own."""
SPECIAL = ("_target_", "_partial_", "_args_", "_recursive_", "_convert_", "_mode_")
"""Keys that Hydra's `instantiate` interprets."""
LOADER = re.compile(r"torch_em\.data\.datasets\.(\w+\.)+get_\w+_paths")

_RESOLVERS = {"hydra": ("checkout", "hydra", "now"), "data.root": ("checkout", "oc.env")}
_ANYWHERE = ("checkout",)
# Of Hydra's own settings, those that import classes or change the environment of every job.
_CLOSED = ("callbacks", "job.env_set", *(
    f"{log}.{part}"
    for log in ("job_logging", "hydra_logging")
    for part in ("filters", "formatters", "handlers", "loggers")
))  # fmt: skip


def refuse_code(config: DictConfig) -> None:
    """Refuse code and resolvers where a configuration may not name any.

    Args:
        config: composed, with or without the section `hydra`; nothing in it is resolved.

    Raises:
        UsageError: it does; with the key, and the file where it is found in one.
    """
    content: Any = OmegaConf.to_container(config, resolve=False)
    hydra = content.get("hydra") or {}
    chosen = (hydra.get("runtime") or {}).get("choices") or {}
    for place in _CLOSED:
        if _at(hydra, place):
            raise UsageError(
                f"hydra.{place} can't be set: its values name code, or change what jobs import. "
                "Remove it; set variables of the environment in the shell."
            )
    for key, name, value in _walk(content, ""):
        if name in SPECIAL and key not in CODE_KEYS:
            raise UsageError(
                f"{key}{_file(key, name, chosen)} is refused: a class is named by "
                "model._target_ and data.source._target_ alone. Remove the key, or write the "
                "value that it stands for."
            )
        allowed = _RESOLVERS.get(key) or _RESOLVERS.get(key.partition(".")[0], _ANYWHERE)
        for resolver in _resolvers(value) if isinstance(value, str) and "${" in value else ():
            if resolver not in allowed:
                raise UsageError(
                    f"{key}{_file(key, value, chosen)} is refused: it calls the resolver "
                    f"'{resolver}'. Write the value itself; the environment (oc.env) is read in "
                    "data.root alone."
                )


def refuse_leaks(config: DictConfig) -> None:
    """Refuse references to a `data.root` that is read from the environment.

    `data.source.root` alone may take it; whatever else refers to it might be stored.

    Raises:
        UsageError: another key does.
    """
    data = OmegaConf.to_container(config.data, resolve=False) if config.data else {}
    written = data.get("root") if isinstance(data, dict) else None
    if not isinstance(written, str) or "oc.env" not in _resolvers(written):
        return
    traced: Any = config.copy()
    traced.data.root = _TRACE
    for key, _, value in _walk(OmegaConf.to_container(traced, resolve=True), ""):
        if isinstance(value, str) and _TRACE in value and key not in ("data.root", _TAKES_ROOT):
            raise UsageError(
                f"{key} is refused: it refers to data.root, which is read from the environment; "
                f"{_TAKES_ROOT} alone may do so. Write the folder itself."
            )


def check_loader(data: Mapping[str, Any]) -> None:
    """Check that a data set's loader is one of torch_em's.

    Args:
        data: the data set's resolved configuration.

    Raises:
        UsageError: it is any other function.
    """
    for key, part in (("data.loader", data), ("data.source.loader", data.get("source"))):
        loader = part.get("loader") if isinstance(part, Mapping) else None
        if loader is not None and not LOADER.fullmatch(str(loader)):
            raise UsageError(
                f"{key} is '{loader}'; it must be a loader of torch_em: "
                "torch_em.data.datasets.<module>.get_<name>_paths."
            )


_TAKES_ROOT = "data.source.root"
_TRACE = "<the value of data.root>"


def _walk(value: Any, key: str) -> Iterator[tuple[str, str, Any]]:
    """Every key below a value: the whole key, its last part, and its value."""
    if isinstance(value, (dict, list)):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for name, below in parts:
            whole = f"{key}.{name}" if key else str(name)
            yield whole, str(name), below
            yield from _walk(below, whole)


def _at(value: Any, key: str) -> Any:
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _resolvers(text: str) -> tuple[str, ...]:
    """The names of the resolvers that a text calls, nested ones too, as written."""
    return tuple(
        node.resolverName().getText()
        for node in nodes(text)
        if type(node).__name__ == "InterpolationResolverContext"
    )


def _file(key: str, text: str, chosen: Mapping[str, Any]) -> str:
    """The user's chosen YAML that contains a text, as ` (in own/data/x.yaml)`; else nothing."""
    own = config_folders()[:-1]
    likely_first = sorted(chosen.items(), key=lambda item: item[0] != key.partition(".")[0])
    for group, name in likely_first if own else ():
        path = file_of(str(group), str(name), own)
        if path.is_file() and text in path.read_text(encoding="utf-8", errors="replace"):
            return f" (in {path})"
    return ""
