"""Safe names for samples, runs and cards: they become file names, HTML, LaTeX and CSV."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

MAX_BYTES = 120
_HASH = 8
# Device names of Windows: reserved with any extension, in any case.
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$")


def safe_names(originals: Iterable[str]) -> dict[str, str]:
    """Return a safe, unique name for each original name.

    A name of letters, digits, `_`, `-` and `.` stays as it is. Any other is cleaned and
    gets eight digits of the original's SHA-256, as do all names that differ in case alone
    (some file systems can't tell them apart) and a name that looks like another's result.
    The result for a name does not depend on the order of the others.

    Args:
        originals: distinct names.

    Returns:
        original -> safe name: ASCII, no separators, no `..`, not reserved on any system,
        starting with a letter, a digit or `_`, at most 120 bytes, unique even without case.
    """
    names = list(originals)
    kept = {name for name in names if is_safe(name)}
    while True:
        safe = {name: name if name in kept else hashed_name(name) for name in names}
        taken = Counter(name.casefold() for name in safe.values())
        doubles = {name for name in kept if taken[name.casefold()] > 1}
        if not doubles:
            return safe
        kept -= doubles


def safe_name(original: str) -> str:
    """Return the safe form of a single name."""
    return safe_names([original])[original]


def doubles(names: Iterable[str]) -> list[str]:
    """Return names that occur several times, ignoring case, as some file systems do."""
    taken = Counter(name.casefold() for name in names)
    return [name for name, count in taken.items() if count > 1]


def is_safe(name: object, longest: int = MAX_BYTES) -> bool:
    """Whether a name is safe as a file name on every system, as the results of `safe_names` are.

    Args:
        name: the name, which may come from a file of a stranger.
        longest: the maximum length in bytes.
    """
    return (
        isinstance(name, str)
        and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*", name) is not None
        and ".." not in name
        and not name.endswith(".")
        and len(name) <= longest
        and not _RESERVED.match(name)
    )


def fits_windows(name: str) -> bool:
    """Whether Windows allows a file of this name; other systems allow more."""
    return not (_RESERVED.match(name) or set(name) & set('<>:"|?*') or name[-1:] in (".", " "))


def hashed_name(name: str) -> str:
    """Return the cleaned name with a digest of the original, regardless of other names."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    cleaned = re.sub(r"[^A-Za-z0-9_.\-]+", "_", name)
    cleaned = re.sub(r"\.{2,}", "_", cleaned).strip(".-")
    # A reserved stem stays reserved before a dot; a leading underscore frees it.
    prefix = "_" if _RESERVED.match(cleaned) else ""
    cleaned = f"{prefix}{cleaned}"[: MAX_BYTES - _HASH - 1].rstrip(".-")
    return f"{cleaned or '_'}-{digest}"
