"""Refuse configurations whose references multiply: 40 lines can stand for more than memory holds.

OmegaConf resolves a reference (`${model.sigma}`) each time it is met, so a value of two references
to the value before it doubles with every line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from benchmark.cli.grammar import nodes
from benchmark.errors import UsageError
from benchmark.own_yaml import MAX_VALUES

MAX_STEPS = 20
"""References from one value to the next, until one without any."""

_TEXT = 1000  # characters that weigh as much as a value

Place = tuple[str, ...]


def refuse_growth(config: DictConfig) -> None:
    """Refuse a configuration whose references come to too much once they are resolved.

    Args:
        config: composed; nothing in it is resolved.

    Raises:
        UsageError: a value refers to itself, over too many steps, or to too many values.
    """
    content = _mappings(OmegaConf.to_container(config, resolve=False))
    known: dict[Place, tuple[float, int]] = {}
    for place in _places(content, ()):
        size, steps = _weight(content, place, known)
        if size > MAX_VALUES or steps > MAX_STEPS:
            raise UsageError(
                f"{'.'.join(place) or 'the configuration'} is refused: its references (${{...}}) "
                f"{_excess(size, steps)}. Write the value itself."
            )


def _excess(size: float, steps: int) -> str:
    if math.isinf(size):
        return "refer to the value itself, or may do so"
    if steps > MAX_STEPS:
        return f"lead over more than {MAX_STEPS} others"
    return f"stand for more than {MAX_VALUES} values"


def _mappings(value: Any) -> Any:
    """A configuration in which lists are mappings too, and all keys are texts."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return {str(name): _mappings(below) for name, below in value.items()}
    return value


def _places(value: Any, place: Place) -> Iterator[Place]:
    """Every place in a configuration, what is contained before what contains it."""
    for name, below in value.items() if isinstance(value, dict) else ():
        yield from _places(below, (*place, name))
    yield place


def _weight(content: Any, place: Place, known: dict[Place, tuple[float, int]]) -> tuple[float, int]:
    """Count the values that the one at a place comes to, and the references to the last of them."""
    if place in known:
        return known[place]
    known[place] = math.inf, 0  # while it is weighed: for what contains itself
    value = _at(content, place)
    size = 1.0
    if isinstance(value, dict):
        below = [_weight(content, (*place, name), known) for name in value]
    else:
        text = value if isinstance(value, str) else ""
        size += len(text) / _TEXT
        targets = (_target(reference, place) for reference in _references(text))
        below = [(n, steps + 1) for n, steps in (_weight(content, at, known) for at in targets)]
    size += sum(each for each, _ in below)
    known[place] = size, max((steps for _, steps in below), default=0)
    return known[place]


def _at(content: Any, place: Place) -> Any:
    for name in place:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _target(reference: str, place: Place) -> Place:
    """The place that a reference leads to; what contains all that it may lead to, if it varies."""
    dots = len(reference) - len(reference.lstrip("."))
    fixed, varies, _ = reference.partition("${")
    names = tuple(re.findall(r"[^.\[\]]+", fixed))
    if varies and fixed[-1:] not in (".", "["):
        names = names[:-1]
    return (*place[: len(place) - dots], *names) if dots else names


@cache
def _references(text: str) -> tuple[str, ...]:
    """The keys of the references in a text as written, those within keys and arguments too."""
    if "${" not in text:
        return ()
    keys = []
    for node in nodes(text):
        kind, written = type(node).__name__, node.getText()
        if kind == "InterpolationNodeContext":
            keys.append(written[2:-1])
        elif kind == "InterpolationResolverContext" and written.startswith("${hydra:"):
            keys.append(f"hydra.{written[len('${hydra:') : -1]}")
    return tuple(keys)
