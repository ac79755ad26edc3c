"""How exactly a GPU or CPU computes networks: a named switch that is applied and undone."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

PRECISIONS = ("default", "float32", "tf32", "bfloat16")
"""The values of an adapter's parameter `precision`; the first is the study's."""

_TF32 = {"float32": False, "tf32": True}
_AMPERE = (8, 0)  # the first compute capability with TF32 and bfloat16


class Precision:
    """In which numbers networks multiply matrices and convolve.

    `default`: as torch does by itself: in float32, but cuDNN's convolutions in TF32 on GPUs that
    have it. `float32`: TF32 nowhere. `tf32`: TF32 in matrix products too. `bfloat16`: under torch's
    autocast, in 16 bits where it deems that safe.

    Args:
        name: one of `PRECISIONS`.
        device: `cuda`, `mps` or `cpu`.

    Raises:
        ValueError: there is no such precision, or it would have no effect on the device.
    """

    def __init__(self, name: str, device: str) -> None:
        if name not in PRECISIONS:
            raise ValueError(f"precision is {name!r}: give one of {', '.join(PRECISIONS)}")
        self.name, self._device = name, device
        self._outside = (False, False)
        if not self.is_default:
            self._check()

    @property
    def is_default(self) -> bool:
        """Whether torch is left as it is."""
        return self.name == PRECISIONS[0]

    def _check(self) -> None:
        wanting = f"precision is '{self.name}', which device={self._device} does not have"
        if self._device not in (("cuda",) if self.name in _TF32 else ("cuda", "cpu")):
            hint = "; the default computes in float32 there" if self.name == "float32" else ""
            raise ValueError(f"{wanting}{hint}: give model.precision=default")
        if self._device == "cuda":
            import torch

            found = torch.cuda.get_device_capability()
            if found < _AMPERE:
                raise ValueError(
                    f"precision is '{self.name}', for which a GPU needs compute capability 8.0 "
                    f"(Ampere) or more; {torch.cuda.get_device_name()} has "
                    f"{found[0]}.{found[1]}: give model.precision=default"
                )

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Within, networks are computed so; afterwards torch is as it was before."""
        if self.is_default:
            yield
            return
        self._outside = tf32_allowed()
        tf32 = _TF32.get(self.name)
        allowed = self._outside if tf32 is None else (tf32, tf32)
        with _state(allowed, self._device, cast=tf32 is None):
            yield

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Within `applied`: another model's work in here is computed as outside of it."""
        if self.is_default:
            yield
            return
        with _state(self._outside, self._device, cast=False):
            yield


@contextlib.contextmanager
def _state(tf32: tuple[bool, bool], device: str, cast: bool) -> Iterator[None]:
    import torch

    before = tf32_allowed()
    _allow(tf32)
    try:
        with torch.autocast(device, torch.bfloat16, enabled=cast):
            yield
    finally:
        _allow(before)


def tf32_allowed() -> tuple[bool, bool]:
    """Whether TF32 is allowed in matrix products, and in cuDNN."""
    import torch

    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def _allow(tf32: tuple[bool, bool]) -> None:
    import torch

    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32


def in_float32(output: Any) -> Any:
    """A dictionary of a network's outputs, with what autocast left in 16 bits in float32."""
    import torch

    for name, value in output.items():
        if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16:
            output[name] = value.float()
    return output


_CODES = {"PositionEmbeddingRandom": "_pe_encoding", "Sam3TrackerPositionalEmbedding": "forward"}
"""Classes of SAM, SAM 2 and SAM 3 that turn places into codes, and the method that does it."""


def keep_places_exact(network: Any) -> None:
    """Let a network compute its codes of places in float32, whatever the precision.

    They are products of coordinates; in bfloat16, a prompt would move by up to four pixels of 1024.
    """
    for module in network.modules():
        method = _CODES.get(type(module).__name__)
        if method is not None:
            setattr(module, method, _in_float32(getattr(module, method)))


def _in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(places: Any, *args: Any, **kwargs: Any) -> Any:
        with _state((False, False), places.device.type, cast=False):
            return function(places, *args, **kwargs)

    return run
