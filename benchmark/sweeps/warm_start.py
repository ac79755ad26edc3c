"""A sweep's next job starts up while the one before it works, and then waits for its turn.

Importing a method's library takes seconds and no GPU. Until its turn a job looks at nothing that
the one before it may still change: neither at data and runs, nor at the device.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Sequence

from benchmark.errors import INTERRUPTED
from benchmark.garbage_collection import collection_paused

TURN = "BENCHMARK_TURN"
"""Environment variable: the file descriptor from which a byte comes when it is a job's turn."""


def wait_for_start(imports: Sequence[str]) -> None:
    """In a job of a sweep: import ahead, then wait. Elsewhere: nothing.

    Args:
        imports: modules that the job will want; one that fails will fail again, and be told of.

    Raises:
        SystemExit: the sweep has ended before.
    """
    turn = os.environ.pop(TURN, None)
    if turn is None:
        return
    for name in imports:
        with contextlib.suppress(Exception), collection_paused():
            importlib.import_module(name)
    told = os.read(int(turn), 1)
    os.close(int(turn))
    if not told:
        raise SystemExit(INTERRUPTED)
