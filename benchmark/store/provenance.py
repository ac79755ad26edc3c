"""What produced a number: code, packages, machine, threads."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.choices import CHECKOUT
from benchmark.store.code_digest import CodeDigests
from benchmark.store.digest import json_digest


def describe_attempt(
    device: str, threads: int | None, adapter: CodeDigests | None = None
) -> dict[str, Any]:
    """Everything that may shape an attempt's results or its speed, JSON-able.

    Two attempts that `differ` make a run `mixed`; two of differing `adapter` make it `edited`.

    Args:
        device: device type.
        threads: as configured.
        adapter: digests of the adapter's source; None for one of this repository.
    """
    gpu = gpu_name() if device == "cuda" else None
    return {
        "code": code_revision(),
        "python": platform.python_version(),
        "packages": dict(sorted(_packages())),
        "host": socket.gethostname(),
        "system": platform.platform(),
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "device": device,
        "threads": _count(threads or os.environ.get("OMP_NUM_THREADS")),
        **({} if gpu is None else {"gpu": gpu}),
        **({"adapter": adapter} if adapter else {}),
    }


def differ(attempts: Iterable[Mapping[str, Any]]) -> bool:
    """Whether any two attempts differ, each as `describe_attempt` gave it, now or in the past.

    Older ones name no GPU, and the threads of the environment as a string: neither is a difference.
    Nor is the adapter's code, which has a mark of its own.
    """
    plain = [{**attempt, "threads": _count(attempt.get("threads"))} for attempt in attempts]
    for attempt in plain:
        attempt.pop("adapter", None)
    gpus = {attempt.pop("gpu") for attempt in plain if "gpu" in attempt}
    return len(gpus) > 1 or len({json_digest(attempt) for attempt in plain}) > 1


def _count(threads: int | str | None) -> int | str | None:
    """Threads as a number; a list such as OpenMP's `4,2` is returned unchanged."""
    text = str(threads).strip()
    return int(text) if text.isdecimal() else threads


def gpu_name() -> str | None:
    """The GPU's name; None if this process uses none: a GPU is not initialised to ask for it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return str(torch.cuda.get_device_name())


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
    """The processor's name as the system reports it."""
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
