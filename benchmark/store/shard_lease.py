"""The right to a shard of a run: a lease of its own, and no living process on one it excludes.

A lease settles who works on one shard. Shards of different divisions (`1/2` and `3/8`), and a
shard and the whole, exclude each other. So a process takes the lease of its own shard first and
then looks at all others: of two that come at once, at least one sees the other, and withdraws.
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
from benchmark.store.lease import (
    SINCE,
    Lease,
    Waiting,
    current_file,
    describe_holder,
    holder_of,
    is_held,
    is_released,
)
from benchmark.store.shard import WHOLE, Shard


@dataclass(frozen=True)
class Holder:
    """Who works on a run, or on a shard of it.

    Attributes:
        shard: the shard.
        who: process, host and since when, for people.
        host: the host's name.
        seconds: how long it has held the lease, by the clocks of both hosts.
        lease: the lease file.
    """

    shard: Shard
    who: str
    host: str
    seconds: float
    lease: Path | None = None


class ShardLease:
    """The right to write a shard's samples, held from `acquire` to `release`.

    Args:
        folder: where the lease files of the run are: of the whole in it, of each shard in a
            folder below.
        shard: the shard.
        timeout: as for a lease.
    """

    def __init__(self, folder: Path, shard: Shard, timeout: float) -> None:
        self._folder, self._shard, self._timeout = folder, shard, timeout
        self._lease = Lease(_place(folder, shard), timeout)

    def acquire(self, wait: bool, on_wait: Callable[[str], None] = lambda holder: None) -> None:
        """Take it.

        Raises:
            RunHeldError: another living process holds it or a shard that it excludes, and
                `wait` is false.
            StoreError, UsageError: as of `Lease.acquire`.
        """
        waiting, collisions = Waiting(on_wait), 0
        while True:
            rival = self._rival()  # before taking: a lease taken and withdrawn disturbs others
            if rival is None:
                self._lease.acquire(wait, on_wait)
                rival = self._rival()
                if rival is None:
                    return
                self._lease.release()
                collisions += 1
                if collisions <= _COLLISIONS:  # the other may have withdrawn as well
                    pause = random.SystemRandom().uniform(0.02, 0.2)
                    waiting.pause(pause, None, rival.lease)
                    continue
            if not wait:
                raise RunHeldError(
                    f"shard {rival.shard} of the run in {self._folder.parent} is being worked on "
                    f"by {rival.who}. Shard {self._shard} can't be worked on meanwhile: only "
                    "different shards of the same number can. Wait for it with lease.wait=true, "
                    "or stop that process."
                )
            waiting.pause(0.5, rival.who, rival.lease)

    def release(self) -> None:
        """Give it back; does nothing if it is not held."""
        self._lease.release()

    @property
    def lost(self) -> bool:
        """Whether another process took over because it considered this one dead."""
        return self._lease.lost

    def _rival(self) -> Holder | None:
        """Return a living holder of an excluded shard; leases of dead holders are taken over."""
        for shard, place in _places(self._folder):
            if shard == self._shard or not shard.excludes(self._shard) or is_released(place):
                continue
            if not is_held(place, self._timeout):
                # If the holder is alive after all, it finds that it has lost the lease.
                dead = Lease(place, self._timeout)
                with contextlib.suppress(RunHeldError):
                    dead.acquire(wait=False)
                    dead.release()
                    continue
            return _holder(shard, place)
        return None


def holders(folder: Path, timeout: float) -> list[Holder]:
    """Return the living holders of a run's leases.

    Args:
        folder: of the run's lease files.
        timeout: seconds without a sign of life after which a holder on another system is dead.
    """
    return [_holder(shard, place) for shard, place in _places(folder) if is_held(place, timeout)]


def _holder(shard: Shard, place: Path) -> Holder:
    found, lease = holder_of(place), current_file(place)
    if found is None:  # it is being created or released
        return Holder(shard, "a process that has just begun", "?", 0.0, lease)
    since = calendar.timegm(datetime.strptime(found["since"], SINCE).utctimetuple())
    seconds = max(0.0, time.time() - since)
    return Holder(shard, describe_holder(place) or "", found["host"], seconds, lease)


_COLLISIONS = 5  # attempts against a process that came at the same moment


def _place(folder: Path, shard: Shard) -> Path:
    return folder if shard == WHOLE else folder / f"{shard.index}-of-{shard.count}"


def _places(folder: Path) -> Iterator[tuple[Shard, Path]]:
    yield WHOLE, folder
    for place in sorted(folder.glob("*-of-*")):
        found = re.fullmatch(r"([0-9]+)-of-([0-9]+)", place.name)
        if found:  # other folders are not ours
            yield Shard(int(found[1]), int(found[2])), place
