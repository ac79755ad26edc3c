"""Work beside the model: the next samples are read, the last ones stored, in threads.

Threads, not processes: decoding, digests, matching and the disk leave Python's lock alone, so
that a model is held up by a few per cent of what these take (`scripts/bench.py` measures it), and
nothing has to be copied between processes. Both queues are short: a process that is killed
loses what waits in them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    read: Callable[[Item], Result], items: Iterable[Item], depth: int
) -> Generator[tuple[Item, Future[Result]], None, None]:
    """Each item, and what reading it gave or raised, in order.

    Args:
        read: called in one other thread.
        items: what to read.
        depth: how many are read, or being read, beyond the one in hand.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="reading ahead")
    waiting = deque[tuple[Item, Future[Result]]]()
    try:
        for item in items:
            waiting.append((item, pool.submit(read, item)))
            if len(waiting) > depth:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class BackgroundWorker(Generic[Result]):
    """One thread that does what it is given, in order, while the giver goes on.

    Left by `with`, all that was given is done; after a fault, nothing more is.

    Args:
        depth: how many pieces of work may be given and not yet done.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="storing behind")
        self._given = deque[Future[Result]]()
        self._broken = False

    def __enter__(self) -> BackgroundWorker[Result]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=True)

    def give(self, work: Callable[[], Result]) -> list[Result]:
        """Have it done; wait where `depth` pieces are not done yet.

        Returns:
            What came of earlier pieces, in order; each is told once.

        Raises:
            BaseException: whatever an earlier piece raised.
        """
        done = self._collect(self._depth - 1)
        self._given.append(self._pool.submit(self._do, work))
        return done

    def finish(self) -> list[Result]:
        """Wait for all that was given, and tell what came of it; raises as `give` does."""
        return self._collect(0)

    def _collect(self, most: int) -> list[Result]:
        """Wait until at most so many are left, and take those that are done."""
        done = []
        while self._given and (len(self._given) > most or self._given[0].done()):
            done.append(self._given.popleft().result())
        return done

    def _do(self, work: Callable[[], Result]) -> Result:
        if self._broken:
            raise CancelledError
        try:
            return work()
        except BaseException:
            self._broken = True
            raise
