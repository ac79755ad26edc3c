"""Background threads: read the next samples and store the last ones while the model works.

Threads, not processes: decoding, digests, matching and the disk release Python's lock, so that the
model is delayed by a few per cent of their time (`scripts/bench.py` measures it), and nothing has
to be copied between processes. Both queues are short: a process that is killed loses their items.
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
    """Yield each item and the future of reading it, in order.

    Args:
        read: called in one other thread.
        items: the items to read.
        depth: how many items are read in advance.
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
    """One thread that executes pieces of work in order while the caller continues.

    At the end of `with` all of them are done; after an error the following ones are not executed.

    Args:
        depth: how many pieces of work may wait to be done.
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
        """Submit a piece of work; wait while `depth` pieces are not done yet.

        Returns:
            Results of earlier pieces, in order; each is returned once.

        Raises:
            BaseException: whatever an earlier piece raised.
        """
        done = self._collect(self._depth - 1)
        self._given.append(self._pool.submit(self._do, work))
        return done

    def finish(self) -> list[Result]:
        """Wait for all pieces and return their results; raises as `give` does."""
        return self._collect(0)

    def _collect(self, most: int) -> list[Result]:
        """Wait until at most `most` pieces are left; return the results of those that are done."""
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
