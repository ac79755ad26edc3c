"""What can be chosen by name: the YAML files, each with its first line as description."""

from __future__ import annotations

import difflib
import itertools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
CONFIGS = CHECKOUT / "configs"
GROUPS = ("model", "data", "protocol")


def choices(group: str, folders: Sequence[Path] = (CONFIGS,)) -> dict[str, str]:
    """The names in a group, each with its description; earlier folders win.

    Args:
        group: `model`, `data` or `protocol`.
        folders: configuration folders.
    """
    found: dict[str, str] = {}
    for folder in folders:
        for path in filter(Path.is_file, sorted((folder / group).glob("*.yaml"))):
            with path.open(encoding="utf-8", errors="replace") as file:
                lines = (line for line in file if not line.startswith("# @package"))
                first = next(lines, "")
            found.setdefault(path.stem, first.lstrip("# ").strip() if first[:1] == "#" else "")
    return dict(sorted(found.items()))


def file_of(group: str, name: str, folders: Sequence[Path]) -> Path:
    """The YAML of a choice; where there is none, the last place that it could have been."""
    places = [folder / group / f"{name}.yaml" for folder in folders]
    return next((place for place in places if place.exists()), places[-1])


def nearest(word: str, valid: Iterable[str]) -> str:
    """` Did you mean 'otsu'?`, or nothing where no name is near."""
    near = difflib.get_close_matches(word, list(valid), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


def config_folders(arguments: Sequence[str] | None = None) -> list[Path]:
    """The configuration folders in use: the user's own (`--config-dir`) before ours.

    Args:
        arguments: of the command line; this process's own where not given.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    own = [after for word, after in itertools.pairwise(words) if word in _CONFIG_DIR]
    parts = (word.partition("=") for word in words)
    own += [after for word, equals, after in parts if equals and word in _CONFIG_DIR]
    return [*(Path(folder) for folder in own), CONFIGS]


_CONFIG_DIR = ("--config-dir", "-cd")
