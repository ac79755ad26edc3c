"""The parts of a text in OmegaConf's grammar: its references and calls of resolvers."""

from __future__ import annotations

from functools import cache
from typing import Any

from omegaconf.errors import GrammarParseError
from omegaconf.grammar_parser import parse


@cache
def nodes(text: str) -> tuple[Any, ...]:
    """The nodes of the parse tree of a text, nested ones too; none if it can't be parsed.

    OmegaConf itself reports such a text when its value is asked for.
    """
    try:
        found = [parse(text)]
    except GrammarParseError:
        return ()
    for node in found:  # grows as it goes
        found += getattr(node, "children", None) or []
    return tuple(found)
