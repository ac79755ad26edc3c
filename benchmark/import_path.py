"""Where Python looks for modules: nothing in the working directory hides a package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

from benchmark.choices import CHECKOUT


class LastPlace:
    """A finder of the modules in one folder, asked after all others.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module of that name in the folder; None for a submodule, or if there is none."""
        return PathFinder.find_spec(name, [str(self.folder)]) if path is None else None


def put_working_directory_last() -> None:
    """Let modules in the working directory be found, but never in place of installed ones.

    `python -m` puts that folder first, where a user's `models.py` would pass for our `models`. The
    checkout itself is no place to look in at all: its `datasets` would pass for Hugging Face's
    package. Worker processes inherit the path; `import_from` gives them the last place.
    """
    here = Path.cwd()
    sys.path[:] = [
        place for place in sys.path if Path(place or ".").resolve() not in (CHECKOUT, here)
    ]
    import_from(None if here == CHECKOUT else here)
    _import_models()


def last_place() -> Path | None:
    """The folder that is searched last; None where there is none."""
    return next((each.folder for each in sys.meta_path if isinstance(each, LastPlace)), None)


def import_from(folder: Path | None) -> None:
    """Search a folder after all other places; None: no folder."""
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, LastPlace)]
    if folder is not None:
        sys.meta_path.append(LastPlace(folder))


def _import_models() -> None:
    """Import our `models`, also if PYTHONPATH has another; its submodules then are ours too."""
    if "models" in sys.modules:
        return
    spec = PathFinder.find_spec("models", [str(CHECKOUT)])
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["models"] = module
    spec.loader.exec_module(module)
