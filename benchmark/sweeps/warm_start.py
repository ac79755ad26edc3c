"""The next job of a sweep starts up while the previous one works, then waits.

Importing a method's library takes seconds and no GPU. While it waits, a job reads nothing that the
previous one may still change: neither data and runs, nor the device.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Sequence

from benchmark.errors import INTERRUPTED
from benchmark.garbage_collection import collection_paused

START = "BENCHMARK_START"
"""Environment variable: the file descriptor from which a job reads a byte before it begins."""


def wait_for_start(imports: Sequence[str]) -> None:
    """In a job of a sweep, import modules, then wait for the start; elsewhere do nothing.

    Args:
        imports: modules that the job will use; one that fails here fails again there, visibly.

    Raises:
        SystemExit: the sweep ended before the job was to begin.
    """
    pipe = os.environ.pop(START, None)
    if pipe is None:
        return
    for name in imports:
        with contextlib.suppress(Exception), collection_paused():
            importlib.import_module(name)
    byte = os.read(int(pipe), 1)
    os.close(int(pipe))
    if not byte:
        raise SystemExit(INTERRUPTED)
