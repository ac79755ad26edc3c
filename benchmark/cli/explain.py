"""Explain errors that Hydra and OmegaConf raise for an invalid command, in one message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.errors import MissingConfigException, OverrideParseException

from benchmark.choices import GROUPS, choices, file_of, nearest
from benchmark.errors import BenchmarkError
from benchmark.framing.framing import KEYS
from benchmark.settings import TOP_LEVEL


def explain(error: Exception, folders: Sequence[Path]) -> str:
    """One message for an exception of Hydra or OmegaConf.

    Args:
        error: what was raised while the configuration was composed.
        folders: the configuration folders in use.
    """
    below: BaseException | None = error
    while below is not None:  # a plug-in of ours may have explained it already
        if isinstance(below, BenchmarkError):
            return str(below)
        below = below.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_choice(str(error.missing_cfg_file), folders) or str(error)
    if isinstance(error, OverrideParseException):
        if "=" not in str(error.override):
            return f"'{error.override}' is not of the form key=value."
        return (
            f"can't parse the override '{error.override}': {_first_line(error)}. Values with "
            "brackets, commas or spaces need quotes inside the quotes: key=\"'a (1), b'\"."
        )
    cause = error.__cause__ or error
    text = f"{error}\n{cause}"
    several = re.search(r"Ambiguous value for argument '([^=']+)=(.*)'\n", text)
    if several:
        key, values = several.groups()
        return (
            f"{key}={values} has several values: add -m to run each, or quote it if it is one "
            f"value: \"{key}='{values}'\"."
        )
    unknown = re.search(r"Key '([^']+)' (?:is )?not in|Could not override '([^']+)'", text)
    if unknown:
        return _of_group(text, folders) or _unknown_key(error, cause, unknown[1] or "?", folders)
    key = getattr(cause, "full_key", None)
    message = _first_line(cause).rstrip(".")
    return f"{key}: {message}." + _nearest_in(message) if key else f"{message}."


def _unknown_choice(wanted: str, folders: Sequence[Path]) -> str | None:
    group, _, name = wanted.removesuffix(".yaml").rpartition("/")
    valid = choices(group, folders)
    if not valid:
        return None
    width = max(map(len, valid))
    listed = "\n".join(f"  {known:<{width}}  {about}" for known, about in valid.items())
    return f"there is no {group} '{name}'.{nearest(name, valid)} Valid names:\n{listed}"


def _of_group(message: str, folders: Sequence[Path]) -> str | None:
    """The message for a group that has no default, such as `experiment`."""
    found = re.search(r"use (\+([^=\s]+)=\S+)", message)
    if found is None or not choices(found[2], folders):
        return None
    return f"'{found[2]}' is selected with a leading +: {found[1]}."


def _unknown_key(
    error: Exception, cause: BaseException, named: str, folders: Sequence[Path]
) -> str:
    override = re.search(r"Could not override '([^']+)'", str(error))
    key = override[1] if override else str(getattr(cause, "full_key", "") or named)
    parent = getattr(cause, "parent_node", None)
    return no_such_key(key, None if parent is None else sorted(map(str, parent)), folders)


def no_such_key(
    key: str, siblings: Sequence[str] | None = None, folders: Sequence[Path] = ()
) -> str:
    """The message for a key that does not exist.

    Args:
        key: the unknown key.
        siblings: the valid keys of its group, for a key with a dot.
        folders: the configuration folders in use, where another choice of the group may have it.
    """
    head, _, tail = key.rpartition(".")
    known = siblings if siblings is not None and head else TOP_LEVEL
    if head == "model" and siblings is not None:
        known = sorted({*siblings, *KEYS})
    near = nearest(tail, known).replace("'", f"'{head}.", 1) if head else nearest(key, known)
    of = f" of {head}" if head else ""
    near += _who_has(tail, head, folders)
    return f"there is no key '{key}'.{near} The keys{of} are: {', '.join(known)}."


def _who_has(key: str, group: str, folders: Sequence[Path]) -> str:
    """Which other choices of a group have a key: `data.labels` is one of data=folder alone."""
    own = re.compile(rf"^{re.escape(key)}:", re.MULTILINE)
    having = [
        f"{group}={name}"
        for name in (choices(group, folders) if group in GROUPS else ())
        if own.search(file_of(group, name, folders).read_text("utf-8", errors="replace"))
    ]
    if not having:
        return ""
    more = f" and {len(having) - 3} more" if len(having) > 3 else ""
    return f" {', '.join(having[:3])}{more} {'have' if len(having) > 1 else 'has'} it."


def _nearest_in(message: str) -> str:
    """For "Invalid value 'runn', expected one of [run, ...]": the nearest of them."""
    found = re.search(r"[Ii]nvalid value '([^']*)', expected one of \[([^\]]*)\]", message)
    return nearest(found[1], found[2].split(", ")) if found else ""


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
