"""A part of a data set, for one of several jobs: every n-th sample."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmark.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Shard `index` (from 1) of `count`: it takes turns, so that all get a bit of everything."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str | None) -> Shard:
        """Read `3/8`; nothing is the whole.

        Raises:
            UsageError: it is no shard.
        """
        if text is None:
            return WHOLE
        found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(f"shard is '{text}'; give a part and their number, such as 3/8.")
        return cls(int(found[1]), int(found[2]))

    def may_mend(self, writer: str) -> bool:
        """Whether who works on this shard alone writes what a writer of that name wrote.

        Args:
            writer: the name of a file in a journal (see `prefix`); others than a `RunWriter`
                makes are somebody's notes.
        """
        found = re.match(r"(?:s([0-9]+)of([0-9]+)-)?[0-9]{8}T[0-9]{6}-", writer)
        if found is None:
            return False
        return self.overlaps(Shard(int(found[1]), int(found[2])) if found[1] else WHOLE)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def prefix(self) -> str:
        """What the names of its writers begin with; nothing for the whole."""
        return "" if self == WHOLE else f"s{self.index}of{self.count}-"

    def take(self, items: Sequence[T]) -> Sequence[T]:
        """Its part of a list."""
        return items[self.index - 1 :: self.count]

    def overlaps(self, other: Shard) -> bool:
        """Whether some item of a long list belongs to both."""
        return (self.index - other.index) % math.gcd(self.count, other.count) == 0


WHOLE = Shard()
