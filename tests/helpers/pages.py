"""The code blocks of a page of the documentation."""

import re
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block between two lines of three backquotes.

    Attributes:
        language: the word behind the first of them.
        text: the lines between them.
    """

    language: str
    text: str


def blocks(page):
    """The code blocks of a page, in order; `page` is a path below the checkout."""
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    return [Block(*found) for found in _BLOCK.findall(text)]
