"""A Ctrl-C that Python would ignore: one that arrives in a `__del__` or a weakref callback."""

from __future__ import annotations

import signal
import sys
import threading
from _thread import interrupt_main
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_LATER = 0.05  # seconds, after which the callback is over


def keep_interrupts() -> None:
    """Interrupt this process again where Python prints a KeyboardInterrupt and goes on."""
    sys.unraisablehook = _interrupt_again


def _interrupt_again(unraisable: UnraisableHookArgs) -> None:
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    timer = threading.Timer(_LATER, _interrupt)
    timer.daemon = True  # the process may end before
    timer.start()


def _interrupt() -> None:
    """Send the main thread what Ctrl-C sends; it may be waiting in a system call."""
    main = threading.main_thread().ident
    if sys.platform == "win32" or main is None:
        interrupt_main()
    else:
        signal.pthread_kill(main, signal.SIGINT)
