"""Make values of strangers' code plain before they are stored: JSON types, printable text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.console import UNPRINTABLE

MAX_TEXT = 20_000
"""Characters of a text that are stored; of a longer one the beginning and the end."""

MAX_ITEMS, MAX_DEPTH = 1000, 8
"""Items of a collection that are stored, and levels of collections within each other."""

_MAX_BITS = 1024


def plain(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Convert a value to JSON types.

    Scalars of NumPy and torch become numbers, small arrays lists, NaN and infinity texts ("nan"),
    and all else the text that it gives itself.

    Args:
        value: anything.
        depth: levels of collections that are kept; deeper ones become text.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, int):
        return int(value) if value.bit_length() <= _MAX_BITS else "an integer of many digits"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, np.ndarray) and value.ndim and value.size <= MAX_ITEMS:
        return plain(value.tolist(), depth)
    if isinstance(value, Mapping | list | tuple | set | frozenset) and depth:
        return _plain_items(value, depth - 1)
    if callable(getattr(value, "item", None)):
        try:
            item = value.item()
        except Exception:  # of an array
            return text_of(value)
        if isinstance(item, bool | int | float):
            return plain(item)
    return text_of(value)


def text_of(value: object) -> str:
    """Return the text of a value, which may raise an error instead of giving one."""
    try:
        return plain_text(str(value))
    except Exception:  # __str__ is a stranger's code, and may raise anything
        return f"(a {type(value).__name__} whose text can't be shown)"


def plain_text(text: str) -> str:
    """Return a text with unprintable characters escaped, shortened in the middle if it is long."""
    if len(text) > MAX_TEXT:
        half = MAX_TEXT // 2
        left_out = len(text) - 2 * half
        text = f"{text[:half]}\n[{left_out} characters left out]\n{text[-half:]}"
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], str(text))


def _plain_items(value: Any, depth: int) -> Any:
    try:
        if isinstance(value, Mapping):
            items = list(value.items())[:MAX_ITEMS]
            return {text_of(key): plain(each, depth) for key, each in items}
        return [plain(each, depth) for each in list(value)[:MAX_ITEMS]]
    except Exception:  # of a collection of one's own
        return text_of(value)
