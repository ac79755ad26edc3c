"""Batches made ahead of time, in a process of their own."""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.crops import Batch, Shape, batch
from demo.pictures import Collection, collect, find

_AHEAD = 4  # batches
_PATIENCE = 5.0  # seconds between two looks at whether the other side is alive


@dataclass(frozen=True)
class Plan:
    """Which crops each step trains on; with the step's number they are all that a batch needs.

    Attributes:
        seed: of the crops.
        share_drawn: the probability that a crop is of a synthetic image.
        windows: of most steps, what each of their parts has.
        frames: of every step whose number is a multiple of `frame_every`.
        frame_every: see `frames`.
        parts: batches in a step, which may be computed side by side.
    """

    seed: int
    share_drawn: float
    windows: Shape
    frames: Shape
    frame_every: int
    parts: int

    def batches(self, collection: Collection, step: int) -> list[Batch]:
        """The batches of a step."""
        shape = self.windows if step % self.frame_every else self.frames
        return [batch(collection, shape, self.seed, step, part) for part in range(self.parts)]


def feed(root: Path, plan: Plan, first: int, last: int) -> Iterator[list[Batch]]:
    """The batches of steps `first` to `last`, made by another process while one trains.

    Raises:
        RuntimeError: that process has died.
    """
    context = multiprocessing.get_context("spawn")
    ready: Any = context.Queue(_AHEAD)
    # A daemon ends with this process; where this one is killed, `_make` notices.
    maker = context.Process(target=_make, args=(root, plan, first, last, ready), daemon=True)
    maker.start()
    try:
        for _ in range(first, last + 1):
            yield _next(ready, maker)
    finally:
        maker.terminate()
        maker.join()


def _next(ready: Any, maker: Any) -> list[Batch]:
    while True:
        try:
            found: list[Batch] = ready.get(timeout=_PATIENCE)
            return found
        except queue.Empty:
            if not maker.is_alive():
                raise RuntimeError(
                    f"the process that makes the crops has died (exit {maker.exitcode})"
                ) from None


def _make(root: Path, plan: Plan, first: int, last: int, ready: Any) -> None:
    collection = collect(find(root), plan.share_drawn)
    for step in range(first, last + 1):
        made = plan.batches(collection, step)
        while True:
            try:
                ready.put(made, timeout=_PATIENCE)
                break
            except queue.Full:
                parent = multiprocessing.parent_process()
                if parent is None or not parent.is_alive():
                    ready.cancel_join_thread()  # nobody reads what is still in the pipe
                    return
