"""What produced a number: code, packages, machine, threads."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import socket
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmark.choices import CHECKOUT
from benchmark.digest import json_digest


def describe_attempt(device: str, threads: int | None) -> dict[str, Any]:
    """Everything that may shape an attempt's results or its speed, JSON-able.

    Two attempts whose descriptions differ make a run `mixed`.
    """
    return {
        "code": code_revision(),
        "python": platform.python_version(),
        "packages": dict(sorted(_packages())),
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "device": device,
        "threads": threads or os.environ.get("OMP_NUM_THREADS"),
    }


def _packages() -> Iterator[tuple[str, str]]:
    """Name and version of everything installed."""
    for distribution in importlib.metadata.distributions():
        # A half-removed package has no name; by the backport that some libraries load, it
        # raises instead.
        with contextlib.suppress(FileNotFoundError):
            if distribution.name:
                yield distribution.name, distribution.version


def code_revision() -> dict[str, Any]:
    """The checkout's commit, and a digest of what differs from it; None outside of git.

    Returns:
        `commit`; `dirty`: False, or twelve digits that stand for the changes.
    """
    commit = _git("rev-parse", "HEAD")
    changes = [
        _git(*words, "--", "benchmark", "models", "configs")
        for words in (("status", "--porcelain"), ("diff", "HEAD"))
    ]
    if None in changes:
        return {"commit": commit, "dirty": None}
    return {"commit": commit, "dirty": any(changes) and json_digest(changes)[:12]}


def processor_name() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def library_versions(distributions: Iterable[str]) -> dict[str, str | None]:
    """The installed version of each distribution; None where it is not installed."""
    versions: dict[str, str | None] = {}
    for name in distributions:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(CHECKOUT), *words],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
