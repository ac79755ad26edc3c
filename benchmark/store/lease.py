"""Who works on a run: lease files, because file locks can't be trusted on cluster disks.

A lease is a file `<generation>.json` that only one process can create (exclusive creation
is atomic, also over NFS). The highest generation owns the run. A holder that died is
succeeded by creating the next generation; nothing has to be removed first, so two
successors can't both win.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmark.errors import RunHeldError, StoreError, UsageError
from benchmark.store.files import (
    disk_errors,
    process_namespace,
    process_start,
    sweep_temporaries,
    temporary_name,
    write_whole,
)

SINCE = "%Y-%m-%d %H:%M:%S %z"  # how a lease tells when it was taken
HEARTBEAT = 10.0  # seconds between two signs of life


class Lease:
    """The right to write into one run, held from `acquire` to `release`.

    Args:
        folder: where the lease files of the run are.
        timeout: seconds without a sign of life after which a holder on ANOTHER host is
            taken for dead. A dead holder on this host is recognised at once.
    """

    def __init__(self, folder: Path, timeout: float) -> None:
        self.folder = folder
        self.timeout = timeout
        self._mine: Path | None = None
        self._stop = threading.Event()

    def acquire(self, wait: bool, on_wait: Callable[[str], None] = lambda holder: None) -> None:
        """Take the lease.

        Args:
            wait: wait for a living holder instead of giving up.
            on_wait: called once with who holds it, before waiting begins.

        Raises:
            RunHeldError: another living process holds it, and `wait` is false.
            StoreError: the folder can't be written.
            UsageError: the timeout is shorter than the time between two signs of life.
        """
        if self.timeout <= HEARTBEAT:
            raise UsageError(
                f"lease.timeout is {self.timeout:g}; it must be more than {HEARTBEAT:g}: a holder "
                f"gives a sign of life every {HEARTBEAT:g} seconds."
            )
        told = False
        while not self._try():
            holder = describe_holder(self.folder)
            if holder is None:  # just leaving, or coming, or killed while it came: soon we know
                time.sleep(0.05)
                continue
            if not wait:
                raise RunHeldError(
                    f"the run in {self.folder.parent} is being worked on by {holder}. "
                    "Wait for it with lease.wait=true, or stop that process."
                )
            if not told:
                on_wait(holder)
                told = True
            time.sleep(0.5)
        self._stop.clear()
        threading.Thread(target=self._beat, daemon=True, name="lease heartbeat").start()

    def release(self) -> None:
        """Give the lease back; does nothing where it is not held.

        The file stays, marked as released: were it removed, generations would begin anew,
        and a slow successor of an old one could pass for the highest. Where that mark can't be
        written, the end of this process has to do: a full disk shall be told of by the file
        that people care about.
        """
        self._stop.set()
        if self._mine is not None and not self.lost:
            with contextlib.suppress(StoreError):
                write_whole(self._mine, json.dumps(_this_process() | {"released": True}).encode())
        self._mine = None

    @contextlib.contextmanager
    def held(self, on_wait: Callable[[str], None] = lambda holder: None) -> Iterator[None]:
        """Hold the lease; wait for another holder first."""
        self.acquire(wait=True, on_wait=on_wait)
        try:
            yield
        finally:
            self.release()

    @property
    def lost(self) -> bool:
        """Whether another process took over, because it thought this one dead."""
        return self._mine is None or _current(self.folder) != self._mine

    def _try(self) -> bool:
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            current = _current(self.folder)
            if current is not None and self._is_alive(current):
                return False
            generation = int(current.stem) + 1 if current else 1
            mine = self.folder / f"{generation:08d}.json"
            try:
                with mine.open("x") as file:
                    json.dump(_this_process(), file)
            except FileExistsError:
                return False
            except OSError:  # a full disk: half a lease would keep others waiting
                mine.unlink(missing_ok=True)
                raise
            if _current(self.folder) != mine:
                # We judged from an old list of files: somebody has come and stayed since.
                mine.unlink()
                return False
            for old in _generations(self.folder):
                if old < mine:
                    old.unlink(missing_ok=True)
            sweep_temporaries(self.folder, below=False)
            self._mine = mine
            return True

    def _is_alive(self, lease: Path) -> bool:
        holder, me = _read(lease), _this_process()
        if holder is None:
            # Created and not yet written, or killed in between: only its age can tell.
            return self._age(lease) < min(self.timeout, HEARTBEAT)
        if holder.get("released"):
            return False
        if (holder["host"], holder["pids"]) == (me["host"], me["pids"]):
            same_boot: bool = holder["boot"] == me["boot"]
            return same_boot and process_start(holder["pid"]) == holder["start"]
        return self._age(lease) < self.timeout

    def _age(self, lease: Path) -> float:
        """Seconds since the last sign of life, by the clock of the file system alone."""
        probe = self.folder / temporary_name("now")
        try:
            last_sign = lease.stat().st_mtime
        except FileNotFoundError:
            return float("inf")
        try:
            probe.touch()
            return probe.stat().st_mtime - last_sign
        except OSError:  # only looking, on a read-only disk: our own clock has to do
            return time.time() - last_sign
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            mine = self._mine
            try:
                if mine is not None:
                    os.utime(mine)
            except OSError:
                # The disk is away for a moment, or the lease was taken: `lost` tells.
                continue


def holder_of(folder: Path) -> dict[str, Any] | None:
    """Who holds the lease (`host`, `pid`, `since`), dead or alive; None if nobody does."""
    current = _current(folder)
    holder = _read(current) if current else None
    return None if holder is None or holder.get("released") else holder


def describe_holder(folder: Path) -> str | None:
    """Who holds the lease, for people; None if nobody does."""
    holder = holder_of(folder)
    if holder is None:
        return None
    return f"process {holder['pid']} on host {holder['host']} (since {holder['since']})"


def is_held(folder: Path, timeout: float) -> bool:
    """Whether a living process holds the lease."""
    current = _current(folder)
    return current is not None and Lease(folder, timeout)._is_alive(current)


def is_released(folder: Path) -> bool:
    """Whether nobody holds the lease, dead or alive."""
    current = _current(folder)
    return current is None or bool((_read(current) or {}).get("released"))


def _current(folder: Path) -> Path | None:
    return max(_generations(folder), default=None)


def _generations(folder: Path) -> Iterator[Path]:
    """The lease files; whatever else is in the folder is not ours to judge, or to remove."""
    return (path for path in folder.glob("*.json") if re.fullmatch(r"[0-9]{8,}", path.stem))


def _read(lease: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(lease.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "pid" in content else None


def _this_process() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "pids": process_namespace(),
        "boot": _boot_id(),
        "pid": os.getpid(),
        "start": process_start(os.getpid()),
        "since": time.strftime(SINCE),
    }


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
