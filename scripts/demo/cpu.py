"""Two settings that make small networks on a CPU two to three times faster. Before torch."""

from __future__ import annotations

import ctypes
import os
import platform

_KEEP = 2**31 - 1  # bytes
_GROW = 64 << 20  # bytes
# From malloc.h: M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX.
_OPTIONS = ((-1, _KEEP), (-2, _GROW), (-4, 0), (-8, 1))


def prepare(threads: int) -> None:
    """Call it before numpy and torch are imported.

    Args:
        threads: for torch.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    # Threads that wait in a loop for one that another process has displaced make both slower:
    # measured beside one busy process, a step took 6 s so and takes 2 s.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if platform.libc_ver()[0] == "glibc":
        # Else each tensor of some MB is fetched from the system and given back, and its pages are
        # cleared each time, which takes as long as SAM's mask decoder needs to compute.
        libc = ctypes.CDLL(None)
        for option, value in _OPTIONS:
            libc.mallopt(option, value)
