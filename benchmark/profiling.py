"""How long a prediction took, and how much memory, as a whole and by stage."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar


class PeakMemory:
    """`with Peak() as peak:` around what uses memory; one may stand inside another.

    For one thread at a time: the system counts one peak for the process, which is read and begun
    again at every border.

    Attributes:
        own: highest memory in bytes while this was the innermost: `host` is the whole process
            (of its lifetime where the system can't reset it), `device` what torch held on CUDA.
        memory: the same, with what stood inside.
    """

    _open: ClassVar[list[PeakMemory]] = []  # the innermost last

    def __init__(self) -> None:
        self.own: dict[str, int] = {}
        self.memory: dict[str, int] = {}

    def __enter__(self) -> PeakMemory:
        self._border()
        self._open.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._border()
        except RuntimeError:  # of a device that has failed: it would hide the error that says how
            if error is None:
                raise
        finally:
            self._open.pop()
        self.memory = highest(self.memory, self.own)
        if self._open:
            self._open[-1].memory = highest(self._open[-1].memory, self.memory)

    def _border(self) -> None:
        """Give the innermost what memory came to since the last border, and start again."""
        cuda = _cuda()
        if self._open:
            now = {"host": _host_peak()}
            if cuda is not None:
                now["device"] = int(cuda.max_memory_allocated())
            self._open[-1].own = highest(self._open[-1].own, now)
        if cuda is not None:
            cuda.reset_peak_memory_stats()
        with contextlib.suppress(OSError):  # Linux alone can reset it
            Path("/proc/self/clear_refs").write_text("5")


class Measurement:
    """`with Measure() as measure:` around a prediction.

    Attributes:
        seconds: wall time; a GPU is waited for at both borders.
        memory: peak in bytes, as `Peak.memory`.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.memory: dict[str, int] = {}
        self._peak = PeakMemory()

    def __enter__(self) -> Measurement:
        _wait()
        self._peak.__enter__()
        self._start = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                _wait()
                self.seconds = time.perf_counter() - self._start
        finally:
            self._peak.__exit__(kind, error, trace)
            self.memory = self._peak.memory


def highest(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    """By name, the higher of two."""
    return {name: max(a.get(name, 0), b.get(name, 0)) for name in {**a, **b}}


def _wait() -> None:
    cuda = _cuda()
    if cuda is not None:
        cuda.synchronize()


def _cuda() -> Any:
    """Torch's CUDA, if anything in this process has begun to use it."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def _host_peak() -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # Unix alone has it

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
