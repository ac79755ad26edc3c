"""Compilation of functions by numba, whose cache on disk is optional."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import FunctionCache, NullCache

from benchmark.console import note

_F = TypeVar("_F", bound=Callable[..., Any])


def compiled(function: _F) -> _F:
    """Compile a function at its first call, without Python's global lock.

    The machine code is cached on disk, so that only the first process compiles. Where it can't be
    cached (read-only folders, a full disk, a damaged cache), every process compiles.
    """
    # numba's decorators are untyped; the cast keeps our own signatures.
    dispatcher = numba.njit(nogil=True)(function)
    try:  # `cache=True` does the same with numba's own class
        dispatcher._cache = _OptionalCache(function)
    except (RuntimeError, OSError):
        dispatcher._cache = _NoCache()
    return cast(_F, dispatcher)


class _OptionalCache(FunctionCache):  # type: ignore[misc]  # numba is untyped
    """numba's cache of one function, of which no error reaches the caller."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the machine code for the types of the arguments; None if it has to be compiled."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # a damaged pickle raises nearly anything
            _note_once(str(error) or type(error).__name__)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep machine code for later processes, if the disk takes it."""
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _note_once(str(error) or type(error).__name__)


class _NoCache(NullCache):  # type: ignore[misc]  # numba is untyped
    def save_overload(self, sig: Any, data: Any) -> None:
        _note_once("no folder for it can be written")


_noted = False


def _note_once(reason: object) -> None:
    """Say why each process compiles; once, and not in each of several worker processes."""
    global _noted
    if not _noted and multiprocessing.parent_process() is None:
        _noted = True
        note(
            f"note: numba can't use its cache of machine code ({reason}), and compiles each time. "
            "NUMBA_CACHE_DIR=<folder> names another place."
        )
