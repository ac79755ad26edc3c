"""Where raw images come from; the classes that a data set's `source._target_` names.

Their names here are stable: they are part of the key that prepared data are found by, wherever
the classes themselves lie.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "FolderSource": "folder",
    "PackagedNuclei": "folder",
    "SyntheticSource": "folder",
    "TorchEmSource": "torch_em",
}


def __getattr__(name: str) -> Any:
    """A source's class; its module is imported when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
