"""Reading a YAML file of a user or a stranger, with errors that name the file."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

from benchmark.errors import UsageError

MAX_VALUES = 100_000
"""Keys and values in a YAML file, with those that its aliases repeat."""

_MARKS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Returns:
        A configuration of OmegaConf.

    Raises:
        UsageError: it can't be read, is not UTF-8 or not valid YAML, or holds too much.
    """
    from omegaconf import OmegaConf
    from yaml import SafeLoader, YAMLError, compose  # type: ignore[import-untyped]

    try:
        text = _decoded(path)
        # OmegaConf copies what an alias repeats: ten lines can stand for more than memory holds.
        if "*" in text and _values(compose(text, SafeLoader), {}) > MAX_VALUES:
            raise UsageError(f"{path} repeats its aliases (*) too often: write the values out.")
        return OmegaConf.load(path)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise UsageError(f"{path}{line}: this is not valid YAML ({problem}).") from error
    except RecursionError as error:
        raise UsageError(f"{path} holds lists or mappings that are nested too deeply.") from error
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}.") from error


def _decoded(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises:
        UsageError: it has another encoding.
    """
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        likely = _MARKS.get(content[:2], "that of a Windows code page, such as cp1252")
        raise UsageError(
            f"{path}, line {line}, is not UTF-8; its encoding may be {likely}. Save the file as "
            "UTF-8."
        ) from error


def _values(node: Any, known: dict[int, float]) -> float:
    """Count the nodes below one of YAML's, those that aliases repeat each time."""
    if id(node) not in known:
        known[id(node)] = float("inf")  # while it is counted: an alias of what contains it
        parts = node.value if isinstance(getattr(node, "value", None), list) else []
        below = (each for part in parts for each in (part if isinstance(part, tuple) else (part,)))
        known[id(node)] = 1 + sum(_values(each, known) for each in below)
    return known[id(node)]
