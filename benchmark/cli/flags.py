"""Flags of the command line, separated from the overrides; errors in either are explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.choices import GROUPS, choices, nearest
from benchmark.errors import UsageError
from benchmark.settings import TOP_LEVEL, Action

_SHORT = {
    "-h": "--help",
    "-m": "--multirun",
    "-r": "--run",
    "-c": "--cfg",
    "-p": "--package",
    "-i": "--info",
    "-sc": "--shell-completion",
    "-cd": "--config-dir",
}
_PLAIN = (
    "--help",
    "--hydra-help",
    "--version",
    "--resolve",
    "--run",
    "--multirun",
    "--shell-completion",
)
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
# What may follow each flag with a value; nothing where that is any text.
_WITH_VALUE: dict[str, tuple[str, ...]] = {
    "--cfg": ("job", "hydra", "all"),
    "--info": _INFO,
    "--package": (),
    "--config-dir": (),
}
_MEANT = {"help": "--help", "version": "--version", "multirun": "-m"}


def split(arguments: Sequence[str], folders: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Separate flags from overrides: Hydra's parser takes no flag between overrides.

    Args:
        arguments: of the command line, in any order.
        folders: the configuration folders in use, for suggestions.

    Returns:
        The flags by their long names, each in one piece with its value, and the overrides.

    Raises:
        UsageError: an unknown flag, a value that is missing or invalid, or a bare word.
    """
    flags, overrides = list[str](), list[str]()
    rest = iter(arguments)
    waiting: list[str] = []  # read ahead for a flag whose value may be left out
    while (argument := _next(waiting, rest)) is not None:
        if not argument.startswith("-"):
            if "=" not in argument and not argument.startswith("~"):
                raise UsageError(_not_an_override(argument, folders))
            overrides.append(argument)
            continue
        written, equals, value = argument.partition("=")
        flag = _SHORT.get(written, written)
        if flag in _PLAIN and not equals:
            flags.append(flag)
            continue
        if flag not in _WITH_VALUE:
            following = value if equals else _next(waiting, rest)
            raise UsageError(_unknown_flag(written, following, folders))
        if not equals:
            following = _next(waiting, rest)
            if flag == "--info" and following not in _INFO:
                waiting += [] if following is None else [following]
                following = "all"
            value = "" if following is None or following.startswith("-") else following
        allowed = _WITH_VALUE[flag]
        if not value or (allowed and value not in allowed):
            wanted = f"one of: {', '.join(allowed)}" if allowed else "a value"
            raise UsageError(f"{written} needs {wanted}.")
        flags.append(f"{flag}={value}")
    return flags, overrides


def _next(waiting: list[str], rest: Iterator[str]) -> str | None:
    return waiting.pop() if waiting else next(rest, None)


def _unknown_flag(written: str, value: str | None, folders: Sequence[Path]) -> str:
    """The message for a flag that does not exist; often it is an override with dashes."""
    key = written.lstrip("-")
    shown = "..." if not value or value.startswith("-") or "=" in value else value
    group = key.partition(".")[0]
    if group in TOP_LEVEL:
        return f"there is no flag {written}; did you mean {key}={shown}?"
    if key and choices(key, folders):
        return f"there is no flag {written}; did you mean +{key}={shown}?"
    near = nearest(written, [*_PLAIN, *_WITH_VALUE])
    return f"there is no flag {written}.{near} Flags are listed by --hydra-help."


def _not_an_override(argument: str, folders: Sequence[Path]) -> str:
    """The message for a bare word, with the flag or the override that it may stand for."""
    meant = _MEANT.get(argument)
    if argument in Action.__members__:
        meant = f"action={argument}"
    for group in GROUPS:
        if meant is None and argument in choices(group, folders):
            meant = f"{group}={argument}"
    did_you_mean = f"; did you mean {meant}?" if meant else "."
    return f"'{argument}' is not of the form key=value{did_you_mean}"
