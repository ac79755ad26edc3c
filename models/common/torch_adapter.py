"""The base of adapters of torch libraries: device, stages, batch back-off, weights, isolation."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.console import note
from benchmark.errors import ModelError
from benchmark.garbage_collection import collection_paused
from benchmark.profiling import PeakMemory, highest
from benchmark.types import Image, WeightsChoice
from models.common import memory
from models.common.cache import Cache
from models.common.images import Normalise, few_grey_levels, stretch_of, to_rgb8
from models.common.isolation import Isolation
from models.common.out_of_memory import is_out_of_memory
from models.common.precision import Precision
from models.weights import find_weights

Result = TypeVar("Result")


class TorchAdapter:
    """What an adapter of a torch library starts from.

    A subclass says `family`, `libraries`, `requires` and what else `benchmark.adapter.AdapterInfo`
    describes. It builds its model within `loading`, and predicts within `predicting`:

        def predict(self, image):
            with self.predicting():
                with self.stage("encode"):
                    features = ...
                with self.stage("decode"):
                    return self.halving(lambda size: ..., self._batch_size)

    Args:
        device: `cuda`, `mps` or `cpu`.
        cache: where results of stages are kept, if anywhere.
        normalise: how `to_rgb8` stretches intensities, see `models.common.images.STRETCHES`.
        precision: of the networks, see `models.common.precision.Precision`.

    Raises:
        ValueError: there is no such `normalise` or `precision`, or the device does not have it.

    Attributes:
        precision: of its networks.
        family: class attribute, the family of weights that it can load (`models/weights/cards/`).
        stages: seconds of each stage of the last prediction, the device synchronised at both
            borders.
        cached: stage -> seconds that it took to fetch what the stage made earlier; `stages` then
            has those that it took to make it.
        stage_memory: stage -> its peak in bytes, as `benchmark.profiling.PeakMemory.own`; of one
            that was fetched that of when it was made.
        details: what else the record of the last prediction contains (`batch_size`, ...).
    """

    family: ClassVar[str]
    install: ClassVar[str] = 'pip install -e ".[models]"'
    devices: ClassVar[tuple[str, ...]] = ("cuda", "mps", "cpu")
    max_channels: ClassVar[int] = 3

    def __init__(
        self,
        device: str,
        cache: Cache | None = None,
        normalise: Normalise = "min_max",
        precision: str = "default",
    ) -> None:
        self._stretch = stretch_of(normalise)
        self.precision = Precision(precision, device)
        self._noted_grey_levels = False
        self.device, self.cache = device, cache
        self.stages: dict[str, float] = {}
        self.cached: dict[str, float] = {}
        self.stage_memory: dict[str, dict[str, int]] = {}
        self.details: dict[str, Any] = {}
        self._isolation = Isolation()

    @classmethod
    def find_weights(
        cls, chosen: str, folder: Path | None = None, unpickle: bool = False
    ) -> WeightsChoice:
        """The weights of its family that a name or path stands for."""
        return find_weights(chosen, folder, unpickle, family=cls.family)

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        """Import a library and build its model in here: no global state leaks out.

        Raises:
            ModelError: the device has no room for the model.
        """
        if self.device == "cpu":
            memory.keep()
        try:
            with self._isolation, collection_paused():
                yield
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise ModelError(
                f"out of memory on {self.device} while the model was loaded: {_text(error)}. "
                + (
                    "Free memory."
                    if self.device == "cpu"
                    else "Use device=cpu, or free the device."
                )
            ) from error

    @contextlib.contextmanager
    def predicting(self) -> Iterator[None]:
        """Run one prediction in here, in the global state that the library has made for itself."""
        self.stages.clear()
        self.cached.clear()
        self.stage_memory.clear()
        self.details.clear()
        # Sums on a GPU depend on the order in which its threads come; nobody promises it.
        self.details["reproducible"] = self.device == "cpu"
        if not self.precision.is_default:
            self.details["precision"] = self.precision.name
        try:
            with self._isolation, self.precision.applied():
                yield
        finally:
            self._release()

    def to_rgb8(self, image: Image) -> NDArray[np.uint8]:
        """The image as RGB of 8 bit, H x W x 3, intensities stretched by `normalise`.

        Within `predicting`: where few grey levels are left of an image, `details` has their number
        as `grey_levels`, and a note says so once.
        """
        rgb = to_rgb8(image, self._stretch)
        levels = None if self._stretch.clips else few_grey_levels(image, rgb)
        if levels is not None:
            self.details["grey_levels"] = levels
            if not self._noted_grey_levels:
                note(
                    f"warning: of an image, 99.9 % of the pixels have {levels} of 256 grey levels, "
                    "as a few others are far brighter or darker. If these are hot pixels, "
                    "model.normalise=percentiles leaves them out; min_max is the study's. Later "
                    "images of this kind are not named; records have `grey_levels`."
                )
                self._noted_grey_levels = True
        return rgb

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; several visits to one stage add up, and the highest peak counts."""
        self._synchronise()
        self._release()
        peak = PeakMemory()
        try:
            with peak:
                start = time.perf_counter()
                try:
                    yield
                    # Not after an error: a device that failed raises again, and hides the first.
                    self._synchronise()
                finally:
                    self.stages[name] = self.stages.get(name, 0.0) + time.perf_counter() - start
                    self._release()  # before the stage around this one is measured again
        finally:
            self.stage_memory[name] = highest(self.stage_memory.get(name, {}), peak.own)

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        """Run one part of a prediction in here, such as a tile; its stages add to those before.

        Inside, `stages`, `cached` and `stage_memory` are those of this part alone.
        """
        stages, cached, peaks = dict(self.stages), dict(self.cached), dict(self.stage_memory)
        for of_part in (self.stages, self.cached, self.stage_memory):
            of_part.clear()
        try:
            yield
        finally:
            # Of a stage that was fetched for some parts, `cached` has what all of them took.
            both = ((stages, cached), (dict(self.stages), dict(self.cached)))
            for stage in {**cached, **self.cached}:
                self.cached[stage] = sum(c.get(stage, s.get(stage, 0.0)) for s, c in both)
            for stage, seconds in stages.items():
                self.stages[stage] = seconds + self.stages.get(stage, 0.0)
            for stage, peak in peaks.items():
                self.stage_memory[stage] = highest(peak, self.stage_memory.get(stage, {}))

    @contextlib.contextmanager
    def later_stage(self, name: str) -> Iterator[None]:
        """Time a stage that comes after `predicting`, in the library's global state as there.

        Where label images are handed out one by one, the process is as it was in between.
        """
        with self._isolation, self.stage(name):
            yield

    def timed(self, name: str, function: Callable[..., Result]) -> Callable[..., Result]:
        """The same function, its calls timed as a stage: for a library's step that has a name."""

        def run(*args: Any, **kwargs: Any) -> Result:
            with self.stage(name):
                return function(*args, **kwargs)

        return run

    def halving(self, run: Callable[[int], Result], batch_size: int) -> Result:
        """Call `run(batch_size)`; out of memory, halve the batch and call again.

        The size that went through is recorded as `batch_size`, and the one asked for as
        `batch_size_asked` where it differs.

        Raises:
            ModelError: the memory does not suffice for a batch of one either.
        """
        size = batch_size
        while True:
            try:
                result = run(size)
                break
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if size <= 1:
                    raise ModelError(
                        f"out of memory on {self.device} even with a batch of one: {_text(error)}. "
                        f"Use {'device=cpu, ' * (self.device != 'cpu')}smaller images or smaller "
                        "tiles (model.tile=[256,256])."
                    ) from error
            # Not inside `except`: the traceback would keep the failed call's tensors alive.
            self._free()
            size //= 2
        self.details["batch_size"] = size
        if size != batch_size:
            self.details["batch_size_asked"] = batch_size
        return result

    def _synchronise(self) -> None:
        if self.device != "cpu":
            import torch

            getattr(torch, self.device).synchronize()

    def _release(self) -> None:
        """What is free counts to no stage that begins now; a GPU's allocator counts it apart."""
        if self.device == "cpu":
            memory.release()

    def _free(self) -> None:
        if self.device != "cpu":
            import torch

            getattr(torch, self.device).empty_cache()


def _text(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__  # Python's own MemoryError says nothing
