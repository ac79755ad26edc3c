"""A value as an override of the command line, and as tables show it."""

from __future__ import annotations

import re
from typing import Any


def override_value(value: Any) -> str:
    """A value as the command line's grammar (Hydra's) reads it back.

    Args:
        value: text, a number, true, false or null.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if not isinstance(value, str):
        return repr(value)
    if re.fullmatch(r"[A-Za-z_][\w./-]*", value, re.ASCII) and value.lower() not in _WORDS:
        return value
    # In quotes a backslash means itself, except before a quote, and before an interpolation.
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), value)
    return "'" + re.sub(r"(\\*)\$\{", lambda m: m[1] * 2 + r"\${", escaped) + "'"


_WORDS = ("true", "false", "null", "nan", "inf")
