"""Which machine and process this is, and whether another process of this machine is alive."""

from __future__ import annotations

import functools
import hashlib
import os
import socket
import uuid
from pathlib import Path

HERE = ("host", "pids", "boot", "machine")
"""What has to agree for two process ids to be of one system."""


def here() -> dict[str, str]:
    """Describe the system whose process ids this process can look up.

    Containers may share a host name, but not process ids; machines may share a host name, too
    (images of one disk), and after a restart the process ids are others.
    """
    return {
        "host": socket.gethostname(),
        "pids": _process_namespace(),
        "boot": _boot_id(),
        "machine": _machine_id(),
    }


def short_digest() -> str:
    """Eight digits that stand for this system in names of files."""
    return hashlib.sha256(" ".join(here().values()).encode()).hexdigest()[:8]


def process_start(pid: int) -> str | None:
    """Return the start time of a process, which distinguishes it from a later one with its id.

    Returns:
        The kernel's start time; "" where the system has no /proc; None for no such process.
    """
    if Path("/proc/self/stat").exists():
        try:
            # The name of the program, in brackets, may itself hold spaces and brackets.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]  # a zombie does no more work
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except (PermissionError, OverflowError):
        pass
    return ""


def _process_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@functools.cache
def _machine_id() -> str:
    """A digest of the machine's id, which itself is confidential; "" where there is none."""
    try:
        machine = Path("/etc/machine-id").read_text().strip()
    except OSError:
        number = uuid.getnode()
        # With this bit set it is not an address of the network card, but a random number.
        machine = "" if number & (1 << 40) else str(number)
    return hashlib.sha256(machine.encode()).hexdigest()[:16] if machine else ""
