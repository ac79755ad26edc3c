"""Global state of the process that model libraries change, kept apart per adapter."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np


class Isolation:
    """`with isolation:` around a library's work leaves the process as it was before.

    What the library set inside is remembered and set again the next time, so that each
    library runs in the state of its own making: cellpose, for one, allows TF32 when it is
    imported, which its results on a GPU depend on, and no other library's may.
    """

    def __init__(self) -> None:
        import torch  # noqa: F401  # its state has to be there before it can be kept

        self._inside: dict[str, Any] | None = None
        self._outside: dict[str, Any] = {}

    def __enter__(self) -> None:
        self._outside = {name: get() for name, (get, _) in _STATE.items()}
        if self._inside is not None:
            _set(self._inside)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inside = {name: get() for name, (get, _) in _STATE.items()}
        _set(self._outside)


def _set(values: dict[str, Any]) -> None:
    for name, (get, put) in _STATE.items():
        # Only what differs: some setters refuse, or cost, even where they change nothing.
        if name in values and get() != values[name]:
            put(values[name])


def _torch(name: str) -> Any:
    found: Any = sys.modules["torch"]
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _flag(place: str, name: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    return lambda: getattr(_torch(place), name), lambda value: setattr(_torch(place), name, value)


def _setting(get: str, put: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    return lambda: _torch(get)(), lambda value: _torch(put)(value)


def _set_environment(variables: dict[str, str]) -> None:
    # Each that differs, by itself: other threads read the others meanwhile.
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    for name, value in variables.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _hydra_state() -> Any:
    # What sam2 sets as it is imported, and no more: Hydra's registers of plugins and
    # configurations are filled once, by imports, and must outlive the first of them.
    module = sys.modules.get("hydra.core.global_hydra")
    if module is None:
        return None
    base = sys.modules["hydra.version"].VersionBase.instance()
    return module.GlobalHydra.instance().hydra, base.version_base


def _set_hydra_state(state: Any) -> None:
    from hydra.core.global_hydra import GlobalHydra
    from hydra.version import _UNSPECIFIED_, VersionBase

    hydra, base = state or (None, _UNSPECIFIED_)
    GlobalHydra.instance().hydra = hydra
    VersionBase.instance().version_base = base


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _set_logging(state: tuple[int, list[logging.Handler]]) -> None:
    logging.root.setLevel(state[0])
    logging.root.handlers[:] = state[1]


_STATE: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "threads": _setting("get_num_threads", "set_num_threads"),
    "default dtype": _setting("get_default_dtype", "set_default_dtype"),
    "gradients": _setting("is_grad_enabled", "set_grad_enabled"),
    "TF32 in matrix products": _flag("backends.cuda.matmul", "allow_tf32"),
    "TF32 in cuDNN": _flag("backends.cudnn", "allow_tf32"),
    "cuDNN benchmark": _flag("backends.cudnn", "benchmark"),
    "cuDNN deterministic": _flag("backends.cudnn", "deterministic"),
    "unpickler": (lambda: pickle.Unpickler, lambda value: setattr(pickle, "Unpickler", value)),
    "warnings": (lambda: list(warnings.filters), _set_filters),
    "environment": (lambda: dict(os.environ), _set_environment),
    "logging": (lambda: (logging.root.level, list(logging.root.handlers)), _set_logging),
    "numpy errors": (np.geterr, lambda value: np.seterr(**value) and None),
    "hydra": (_hydra_state, _set_hydra_state),
}
