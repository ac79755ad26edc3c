"""A part of a data set, for one of several jobs: every n-th sample."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmark.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Shard `index` (from 1) of `count`: every `count`-th sample."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str | None) -> Shard:
        """Parse `3/8`; None is the whole.

        Raises:
            UsageError: it is not of that form.
        """
        if text is None:
            return WHOLE
        found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise UsageError(f"shard is '{text}'; give a part and their number, such as 3/8.")
        return cls(int(found[1]), int(found[2]))

    def may_repair(self, writer: str) -> bool:
        """Whether only the holder of this shard may write the file of a writer now.

        Args:
            writer: the name of a file in a journal (see `prefix`); a name that no `RunWriter`
                made is a file of somebody else.
        """
        found = re.match(r"(?:s([0-9]+)of([0-9]+)-)?[0-9]{8}T[0-9]{6}-", writer)
        if found is None:
            return False
        return self.excludes(Shard(int(found[1]), int(found[2])) if found[1] else WHOLE)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def prefix(self) -> str:
        """The prefix of its writers' names; empty for the whole."""
        return "" if self == WHOLE else f"s{self.index}of{self.count}-"

    def take(self, items: Sequence[T]) -> Sequence[T]:
        """Return its part of a list."""
        return items[self.index - 1 :: self.count]

    def excludes(self, other: Shard) -> bool:
        """Whether nobody may work on the other shard meanwhile.

        Only different shards of the same division (1/2 and 2/2) may be worked on at once. Two of
        different divisions share samples, or are a mistake: together they are not the whole.
        """
        return self.count != other.count or self.index == other.index


WHOLE = Shard()
