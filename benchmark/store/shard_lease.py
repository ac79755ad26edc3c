"""The right to a part of a run: a lease of its own, and nobody alive on a part that overlaps.

A lease settles who works on one shard. Shards of different counts (`1/2` and `3/8`), and a shard
and the whole, may share samples. So whoever comes takes the lease of his own part first and then
looks at all others: of two who come at once, at least one sees the other, and withdraws.
"""

from __future__ import annotations

import calendar
import contextlib
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmark.errors import RunHeldError
from benchmark.store.lease import SINCE, Lease, describe_holder, holder_of, is_held, is_released
from benchmark.store.shard import WHOLE, Shard


@dataclass(frozen=True)
class Holder:
    """Who works on a run, or on a shard of it.

    Attributes:
        shard: the part.
        who: process, host and since when, for people.
        host: where it runs.
        seconds: how long it has held it, by the clocks of its host and of ours.
    """

    shard: Shard
    who: str
    host: str
    seconds: float


class ShardLease:
    """Held from `acquire` to `release`.

    Args:
        folder: where the lease files of the run are: of the whole in it, of each shard in a
            folder below.
        shard: the part.
        timeout: as for a lease.
    """

    def __init__(self, folder: Path, shard: Shard, timeout: float) -> None:
        self._folder, self._shard, self._timeout = folder, shard, timeout
        self._lease = Lease(_place(folder, shard), timeout)

    def acquire(self, wait: bool, on_wait: Callable[[str], None] = lambda holder: None) -> None:
        """Take it.

        Raises:
            RunHeldError: another living process holds it or a part that overlaps, and `wait`
                is false.
            StoreError, UsageError: as of `Lease.acquire`.
        """
        told, collisions = False, 0
        while True:
            rival = self._rival()  # looking comes first: who takes and withdraws irritates others
            if rival is None:
                self._lease.acquire(wait, on_wait)
                rival = self._rival()
                if rival is None:
                    return
                self._lease.release()
                collisions += 1
                if collisions <= _COLLISIONS:  # he may have withdrawn as well
                    time.sleep(random.SystemRandom().uniform(0.02, 0.2))
                    continue
            if not wait:
                raise RunHeldError(
                    f"shard {rival.shard} of the run in {self._folder.parent} is being worked on "
                    f"by {rival.who}, and shares samples with shard {self._shard}. Wait for it "
                    "with lease.wait=true, or stop that process."
                )
            if not told:
                on_wait(rival.who)
                told = True
            time.sleep(0.5)

    def release(self) -> None:
        """Give it back; does nothing where it is not held."""
        self._lease.release()

    @property
    def lost(self) -> bool:
        """Whether another process took over, because it thought this one dead."""
        return self._lease.lost

    def _rival(self) -> Holder | None:
        """A living holder of an overlapping part; what a dead one left is taken from him."""
        for shard, place in _places(self._folder):
            if shard == self._shard or not shard.overlaps(self._shard) or is_released(place):
                continue
            if not is_held(place, self._timeout):
                # Should he wake up after all, he finds that he has lost it.
                dead = Lease(place, self._timeout)
                with contextlib.suppress(RunHeldError):
                    dead.acquire(wait=False)
                    dead.release()
                    continue
            return _holder(shard, place)
        return None


def holders(folder: Path, timeout: float) -> list[Holder]:
    """Everybody alive who works on a run.

    Args:
        folder: of the run's lease files.
        timeout: seconds without a sign of life after which somebody on another host is dead.
    """
    return [_holder(shard, place) for shard, place in _places(folder) if is_held(place, timeout)]


def _holder(shard: Shard, place: Path) -> Holder:
    found = holder_of(place)
    if found is None:  # it is just coming, or just leaving
        return Holder(shard, "a process that has just come", "?", 0.0)
    since = calendar.timegm(datetime.strptime(found["since"], SINCE).utctimetuple())
    return Holder(shard, describe_holder(place) or "", found["host"], max(0.0, time.time() - since))


_COLLISIONS = 5  # times to try again against one who came at the same moment


def _place(folder: Path, shard: Shard) -> Path:
    return folder if shard == WHOLE else folder / f"{shard.index}-of-{shard.count}"


def _places(folder: Path) -> Iterator[tuple[Shard, Path]]:
    yield WHOLE, folder
    for place in sorted(folder.glob("*-of-*")):
        found = re.fullmatch(r"([0-9]+)-of-([0-9]+)", place.name)
        if found:  # others are not ours to take over
            yield Shard(int(found[1]), int(found[2])), place
