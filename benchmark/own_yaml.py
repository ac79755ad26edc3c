"""Reading a YAML file of a user or a stranger, with errors that name the file."""

from __future__ import annotations

import codecs
import math
import re
from pathlib import Path
from typing import Any

from benchmark.errors import UsageError

MAX_VALUES = 20_000
"""Keys and values in a YAML file, with those that its aliases repeat."""

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
"""Lists and mappings within each other."""

MAX_DIGITS = 400
"""Digits of a number; the largest float has 309."""

MAX_REFERENCES = 5_000
"""Characters of all values that hold references (`${...}`), which are slow to parse."""

_NUMBER = re.compile(r"[-+]?[0-9][0-9a-fA-FxXoO_:.]*")
_MARKS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Returns:
        A configuration of OmegaConf.

    Raises:
        UsageError: it can't be read, is not UTF-8 or not valid YAML, or holds too much.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError  # type: ignore[import-untyped]

    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(
                f"{path} has more than {MAX_BYTES} bytes, too many for a configuration."
            )
        text = _decoded(path)
        _refuse_excess(path, text)
        return OmegaConf.load(path)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or error
        raise UsageError(f"{path}{line}: this is not valid YAML ({problem}).") from error
    except RecursionError as error:
        raise UsageError(_NESTED.format(path)) from error
    except (OmegaConfBaseException, ValueError, LookupError, TypeError, AttributeError) as error:
        # Of a tag such as !!int or !!bool whose value is none, or a number of too many digits.
        reason = str(error).partition("\n")[0][:200]
        raise UsageError(f"{path} holds a key or a value that is not valid ({reason}).") from error
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


_NESTED = "{} holds lists or mappings that are nested too deeply."


def _refuse_excess(path: Path, content: str) -> None:
    """Refuse a YAML that would take long to read, or much memory.

    OmegaConf copies what an alias repeats: ten lines can stand for more than memory holds.

    Raises:
        UsageError: it is one.
        YAMLError: it is not valid.
    """
    import yaml

    # The parser in C, where PyYAML has it, calls no function within itself.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    anchored: dict[str, float] = {}
    open_: list[tuple[str | None, float]] = [(None, 0.0)]
    read = references = 0
    for event in yaml.parse(content, loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_.append((event.anchor, 1.0))
            if len(open_) > MAX_DEPTH:
                raise UsageError(_NESTED.format(path))
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_.pop()
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1.0
            text = event.value
            references += len(text) if "${" in text else 0
            if len(text) > MAX_DIGITS and event.implicit[0] and _NUMBER.fullmatch(text):
                raise UsageError(f"{path} holds a number of more than {MAX_DIGITS} digits.")
        elif isinstance(event, yaml.AliasEvent):  # one within what it repeats has no size yet
            anchor, size = None, anchored.get(event.anchor, math.inf)
            if size > MAX_VALUES:
                raise UsageError(f"{path} repeats its aliases (*) too often: write the values out.")
        else:
            continue
        if anchor is not None:
            anchored[anchor] = size
        open_[-1] = open_[-1][0], open_[-1][1] + size
        read += 1
        if read > MAX_VALUES or references > MAX_REFERENCES:
            what = "values" if read > MAX_VALUES else "references (${...})"
            raise UsageError(f"{path} holds too many {what} for a configuration.")
    if open_[0][1] > MAX_VALUES:
        raise UsageError(f"{path} repeats its aliases (*) too often: write the values out.")
