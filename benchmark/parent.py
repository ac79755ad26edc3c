"""A helping process ends when the one that started it has ended, however that came about."""

from __future__ import annotations

import os
import threading
import time


def end_with_parent(parent: int) -> None:
    """Watch from a thread; SIGKILL gives a parent no chance to say so.

    Args:
        parent: its process id.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
