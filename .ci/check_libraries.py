"""Import every optional library that tests use: where one is missing they would only be skipped.

    python .ci/check_libraries.py

In an environment with the extra `test` all of them are there. The exit status is 1 if one is not.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path


def problems(modules: Iterable[str]) -> list[str]:
    """Import modules; a line for each that is missing or can't be loaded."""
    lines = []
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken library raises anything
            lines.append(f"{name}: {type(error).__name__}: {error}")
    return lines


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from conftest import OPTIONAL

    found = problems(OPTIONAL)
    print("\n".join([f"{len(OPTIONAL)} optional libraries, {len(found)} not usable", *found]))
    sys.exit(bool(found))
