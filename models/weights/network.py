"""Whether a host can be reached, asked at most once per host and sweep."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path

from benchmark.sweep import PROBES

PATIENCE = 3.0  # seconds

_known: dict[str, bool] = {}


def reachable(host: str) -> bool:
    """Whether a connection to the host's HTTPS port can be made.

    Args:
        host: its name.
    """
    if host not in _known:
        shared = os.environ.get(PROBES)
        note = Path(shared, host) if shared else None
        if note and note.exists():
            _known[host] = note.read_text() == "yes"
        else:
            _known[host] = _probe(host)
            if note:
                # What one job can't write down, the next asks again.
                with contextlib.suppress(OSError):
                    note.parent.mkdir(parents=True, exist_ok=True)
                    note.write_text("yes" if _known[host] else "no")
    return _known[host]


def _probe(host: str) -> bool:
    found: list[bool] = []

    def connect() -> None:
        with contextlib.suppress(OSError):
            socket.create_connection((host, 443), PATIENCE).close()
            found.append(True)

    # In a thread of its own: the look-up of a name knows no time limit.
    probe = threading.Thread(target=connect, daemon=True)
    probe.start()
    probe.join(PATIENCE)
    return bool(found)
