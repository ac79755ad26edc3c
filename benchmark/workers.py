"""Processes that work on images side by side, and hand back what they did in order."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from benchmark.errors import StoreError
from benchmark.import_path import import_from, last_place
from benchmark.parent import end_with_parent
from benchmark.threads import limit_threads, usable_cores

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

WORTH_WORKERS = 48
"""From so many images on, starting processes pays."""


class Workers:
    """Some processes, started when there is work, or before.

    Args:
        count: how many.
        module: imported by each process as it starts: what its tasks need, and is slow to import.
    """

    def __init__(self, count: int, module: str) -> None:
        self.count, self._module = count, module
        self._pool: ProcessPoolExecutor | None = None

    def start(self) -> None:
        """Start them now: beside a source that takes seconds to list its files, it is free."""
        if self.count > 1:
            for _ in range(self.count):
                self._started().submit(os.getpid)

    def outcomes(
        self, perform: Callable[[Task], Outcome], tasks: Sequence[Task]
    ) -> Generator[Outcome, None, None]:
        """The outcome of each task, in order; no more than a few are ahead of the reader.

        Closed early, it waits for what is being done: nobody writes on behind the reader's back.

        Raises:
            StoreError: a process was killed.
        """
        pool, waiting = self._started(), list[Future[Outcome]]()
        try:
            for task in tasks:
                waiting.append(pool.submit(perform, task))
                if len(waiting) > 3 * self.count:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        except BrokenProcessPool as error:
            raise StoreError(
                "a process that works on images was killed (out of memory?); nothing half-done "
                "is kept. Run the same command again, with workers=1 if memory is short."
            ) from error
        finally:
            wait([future for future in waiting if not future.cancel()])

    def close(self) -> None:
        """End them."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # A fork would copy threads' locks, and torch's state.
            self._pool = ProcessPoolExecutor(
                self.count,
                get_context("spawn"),
                initializer=_begin,
                initargs=(os.getpid(), self._module, last_place()),
            )
        return self._pool


def side_by_side(
    perform: Callable[[Task], Outcome],
    tasks: Sequence[Task],
    module: str,
    workers: int | None = None,
) -> Generator[Outcome, None, None]:
    """The outcome of each task, in order; by several processes where there are many tasks.

    Args:
        perform: does one task; it must pickle.
        tasks: one per image.
        module: imported by each process as it starts.
        workers: processes; None: one per core.

    Raises:
        StoreError: a process was killed.
    """
    count = workers or default_workers()
    if count == 1 or len(tasks) < WORTH_WORKERS:
        yield from map(perform, tasks)
        return
    processes = Workers(count, module)
    try:
        with closing(processes.outcomes(perform, tasks)) as outcomes:
            yield from outcomes
    finally:
        processes.close()


def _begin(parent: int, module: str, folder: Path | None) -> None:
    """Leave Ctrl-C to the parent, end when it has ended, and import what every task needs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)
    import_from(folder)
    limit_threads(1)  # before numpy is loaded: the processes are the threads
    _keep_memory()
    importlib.import_module(module)


def _keep_memory() -> None:
    """Let glibc's malloc keep what is freed: the next image's arrays are as large.

    Left alone, it returns the memory of each image's arrays and requests it again for the next one,
    page by page, which takes the kernel longer than it looks. Elsewhere nothing is done.
    """
    with suppress(OSError, AttributeError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the most that it takes
        libc.mallopt(_M_TRIM_THRESHOLD, 1 << 30)


def default_workers() -> int:
    """One process per core that this one may use, at most eight: the disk is the limit then."""
    return min(8, usable_cores())
