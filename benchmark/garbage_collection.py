"""Python's collector of cyclic garbage, held off where it takes seconds and finds nothing.

A method's library makes half a million objects that live to the end of the process: while they are
imported the collector goes through them again and again, and once more, slowly, at the very end.
The rows of journals, which have no cycles, are as many.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Import, or read many rows, in here without collections."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def skip_final_collection() -> None:
    """At the end of a process: nothing is collected any more; its memory is the system's anyway."""
    gc.freeze()
