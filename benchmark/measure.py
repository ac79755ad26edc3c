"""How long a prediction took, and how much memory: of the host, and of the device."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any


class Measure:
    """`with Measure() as measure:` around a prediction.

    Attributes:
        seconds: wall time; a GPU is waited for at both borders.
        memory: peak in bytes: `host` is the whole process (of its lifetime where the system
            can't begin anew), `device` what torch held on CUDA.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.memory: dict[str, int] = {}

    def __enter__(self) -> Measure:
        cuda = _cuda()
        if cuda is not None:
            cuda.synchronize()
            cuda.reset_peak_memory_stats()
        with contextlib.suppress(OSError):  # Linux alone begins anew
            Path("/proc/self/clear_refs").write_text("5")
        self._start = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            return
        cuda = _cuda()
        if cuda is not None:
            cuda.synchronize()
            self.memory["device"] = int(cuda.max_memory_allocated())
        self.seconds = time.perf_counter() - self._start
        self.memory["host"] = _peak()


def _cuda() -> Any:
    """Torch's CUDA, if anything in this process has begun to use it."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def _peak() -> int:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # Unix alone has it

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
