"""How many threads numerical libraries take."""

from __future__ import annotations

import os

from benchmark.errors import UsageError

# Read once, when each library is loaded: they must be set before numpy is imported.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def limit_threads(threads: int | None) -> None:
    """Hold numerical libraries that are not yet loaded to so many threads.

    And let torch do on the CPU what it can't on MPS.

    Args:
        threads: None leaves what the environment says; without OMP_NUM_THREADS, one core is kept
            for what is read and stored beside the model. A library that finds the core of one
            of its threads taken waits for it at every step.
    """
    if threads is not None:
        if threads < 1:
            raise UsageError(f"threads is {threads}; it must be 1 or more.")
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    elif "OMP_NUM_THREADS" not in os.environ:
        for variable in _THREAD_VARIABLES:
            os.environ.setdefault(variable, str(max(1, usable_cores() - 1)))
    # Read once too, by torch; micro_sam sets it as it is imported, which is after torch here.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
