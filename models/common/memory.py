"""How a process on a CPU asks the system for memory: once for many tensors, not for each one.

glibc fetches every block of some MB from the system and gives it back when it is freed; each of its
pages is then cleared again at the next use. Mask generation frees and fetches gigabytes for every
image, and spent more time on that than on computing.
"""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of malloc.h
_OPTIONS = ((_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 << 20), (_MMAP_MAX, 0))


def keep() -> None:
    """From now on freed memory stays with the process, for its next tensor; glibc only."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        for option, value in _OPTIONS:
            libc.mallopt(option, value)


def release() -> None:
    """Give back what is free, so that the next measurement starts from what is really in use."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
