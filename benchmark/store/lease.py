"""Leases: who works on a run. File locks can't be trusted on the disks of clusters.

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
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmark.console import note
from benchmark.errors import RunHeldError, StoreError, UsageError
from benchmark.store.files import (
    disk_errors,
    read_file,
    sweep_temporaries,
    temporary_name,
    write_whole,
)
from benchmark.store.machine import HERE, here, process_start

SINCE = "%Y-%m-%d %H:%M:%S %z"
"""Format of the time at which a lease was taken."""

HEARTBEAT = 10.0
"""Seconds between two signs of life of a holder."""

PATIENCE = 10.0
"""Seconds of waiting after which a message names the lease file."""


class Lease:
    """The right to write into one run, held from `acquire` to `release`.

    Args:
        folder: where the lease files of the run are.
        timeout: seconds without a sign of life after which a holder on ANOTHER system is
            considered dead. A dead holder on this system is recognised at once.
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
            on_wait: called once with a description of the holder, before waiting.

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
        waiting = Waiting(on_wait)
        while not self._try():
            holder, file = describe_holder(self.folder), current_file(self.folder)
            if holder is None:  # it is being created or released, or its creator was killed
                waiting.pause(0.05, None, file)
            elif wait:
                waiting.pause(0.5, holder, file)
            else:
                raise RunHeldError(
                    f"the run in {self.folder.parent} is being worked on by {holder}. "
                    "Wait for it with lease.wait=true, or stop that process."
                )
        self._stop.clear()
        threading.Thread(target=self._beat, daemon=True, name="lease heartbeat").start()

    def release(self) -> None:
        """Give the lease back; does nothing if it is not held.

        The file stays, marked as released: if it were removed, generations would begin at 1
        again, and a slow successor of an old one could pass for the highest. If it can't be
        written (the disk is full, say), the end of this process releases the lease.
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
        """Whether another process took over because it considered this one dead."""
        return self._mine is None or current_file(self.folder) != self._mine

    def _try(self) -> bool:
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            current = current_file(self.folder)
            if current is not None and self._is_alive(current):
                return False
            generation = int(current.stem) + 1 if current else 1
            mine = self.folder / f"{generation:08d}.json"
            try:
                with mine.open("x") as file:
                    json.dump(_this_process(), file)
            except FileExistsError:
                return False
            except OSError:  # a full disk: others would wait for half a lease
                mine.unlink(missing_ok=True)
                raise
            if current_file(self.folder) != mine:
                # Judged from an outdated list of files: another process holds the lease.
                mine.unlink()
                return False
            for old in _generations(self.folder):
                if old < mine:
                    old.unlink(missing_ok=True)
            sweep_temporaries(self.folder, below=False)
            self._mine = mine
            return True

    def _is_alive(self, lease: Path) -> bool:
        holder = _read(lease)
        if holder is None:
            # Created and not yet written, or its creator was killed: its age decides.
            return self._age(lease) < min(self.timeout, HEARTBEAT)
        if holder.get("released"):
            return False
        if _is_of_this_system(holder):
            return bool(process_start(holder["pid"]) == holder["start"])
        return self._age(lease) < self.timeout

    def _age(self, lease: Path) -> float:
        """Seconds between the last sign of life and now, by the clock of the file system alone.

        The same for a date ahead of the clock: it would otherwise keep others waiting until then.
        """
        probe = self.folder / temporary_name("now")
        try:
            last_sign = lease.stat().st_mtime
        except FileNotFoundError:
            return float("inf")
        try:
            probe.touch()
            return abs(probe.stat().st_mtime - last_sign)
        except OSError:  # a read-only disk, for a reader: use this system's clock
            return abs(time.time() - last_sign)
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
                # The disk is away for a moment, or the lease was taken over: see `lost`.
                continue


class Waiting:
    """Pauses between attempts to get a lease; after a while a message says for which file.

    Args:
        on_wait: called once with a description of the holder, as soon as it is known.
    """

    def __init__(self, on_wait: Callable[[str], None]) -> None:
        self._on_wait: Callable[[str], None] | None = on_wait
        self._began = time.monotonic()
        self._noted = False

    def pause(self, seconds: float, holder: str | None, lease: Path | None) -> None:
        """Sleep.

        Args:
            seconds: how long.
            holder: who is waited for; None if nobody is known to hold the lease.
            lease: the file that is in the way.
        """
        if holder is not None and self._on_wait is not None:
            self._on_wait(holder)
            self._on_wait = None
        if not self._noted and lease is not None and time.monotonic() - self._began > PATIENCE:
            who = holder or "a process that is creating or releasing its lease"
            note(
                f"still waiting for {who}: {lease}. Remove that file only if no such process "
                "is running."
            )
            self._noted = True
        time.sleep(seconds)


def holder_of(folder: Path) -> dict[str, Any] | None:
    """Return who holds the lease (`host`, `pid`, `since`), dead or alive; None if nobody does."""
    current = current_file(folder)
    holder = _read(current) if current else None
    return None if holder is None or holder.get("released") else holder


def describe_holder(folder: Path) -> str | None:
    """Describe who holds the lease; None if nobody does."""
    holder = holder_of(folder)
    if holder is None:
        return None
    return f"process {holder['pid']} on host {holder['host']} (since {holder['since']})"


def is_held(folder: Path, timeout: float) -> bool:
    """Whether a living process holds the lease."""
    current = current_file(folder)
    return current is not None and Lease(folder, timeout)._is_alive(current)


def is_released(folder: Path) -> bool:
    """Whether nobody holds the lease, dead or alive."""
    current = current_file(folder)
    return current is None or bool((_read(current) or {}).get("released"))


def current_file(folder: Path) -> Path | None:
    """Return the lease file of the present or last holder."""
    return max(_generations(folder), default=None)


def _generations(folder: Path) -> Iterator[Path]:
    """Yield the lease files; other files in the folder are not ours to judge or remove."""
    return (path for path in folder.glob("*.json") if re.fullmatch(r"[0-9]{8,}", path.stem))


def _read(lease: Path) -> dict[str, Any] | None:
    """Read a lease file; None if it is empty or damaged."""
    try:
        content = json.loads(read_file(lease))
        if content.get("released") is True or _is_complete(content):
            return dict(content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    return None


def _is_complete(content: Mapping[str, Any]) -> bool:
    """Whether a holder is described by values of the right types.

    Leases of version 0.1 have no `machine`.

    Raises:
        KeyError, TypeError, ValueError: it is not.
    """
    datetime.strptime(content["since"], SINCE)
    texts = [content[key] for key in HERE if key != "machine" or key in content]
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(content["pid"], int)
        and content["pid"] > 0
        and isinstance(content["start"], str | None)
    )


def _is_of_this_system(holder: Mapping[str, Any]) -> bool:
    """Whether the holder's process id can be looked up here.

    A holder with another boot id is judged by its age: it may run on another machine with the
    host name, or even the machine id, of this one.
    """
    system = here()
    return all(holder.get(key, system[key]) == system[key] for key in HERE)


def _this_process() -> dict[str, Any]:
    return {
        **here(),
        "pid": os.getpid(),
        "start": process_start(os.getpid()),
        "since": time.strftime(SINCE),
    }
