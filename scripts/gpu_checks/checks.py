"""The checks of one adapter on a device: parity, speed and memory, out of memory, idle share."""

from __future__ import annotations

import contextlib
import gc
import statistics
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from bench_parts.common import make_job, writing
from numpy.typing import NDArray

from benchmark.adapter import missing_libraries
from benchmark.errors import ModelError
from benchmark.profiling import Measurement
from benchmark.run import Runner
from benchmark.scoring.match import match
from benchmark.types import Labels, Weights, check_labels
from gpu_checks.findings import Finding, UncheckedError, held, measured
from gpu_checks.subjects import Subject
from models.backbone import forget_latest
from models.common.out_of_memory import is_out_of_memory

MIB = 1 << 20
AGREEMENT = 0.98
"""Smallest share of the foreground that CPU and device have to give to the same objects."""

GROWTH = 0.01
"""How much more a device may hold after several predictions than after two, as a share."""


class DeviceMemory(Protocol):
    """What the checks ask of a device's memory."""

    def total(self) -> int:
        """Bytes that there are."""

    def allocated(self) -> int:
        """Bytes that this process holds in tensors."""

    def limited(self, size: int) -> contextlib.AbstractContextManager[None]:
        """Within, this process can't hold more than so many bytes."""


class CudaMemory:
    """Of the current CUDA device, by torch's allocator."""

    def total(self) -> int:
        """Bytes that there are."""
        import torch

        return int(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)

    def allocated(self) -> int:
        """Bytes that this process holds in tensors."""
        import torch

        return int(torch.cuda.memory_allocated())

    @contextlib.contextmanager
    def limited(self, size: int) -> Iterator[None]:
        """Within, torch raises its error of a full device beyond so many bytes."""
        import torch

        let_go()
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(min(1.0, size / self.total()))
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
            let_go()
            torch.cuda.empty_cache()


def device_memory(device: str) -> DeviceMemory | None:
    """The memory of a device, where it can be measured and limited."""
    return CudaMemory() if device == "cuda" else None


class Trial:
    """One adapter on one device, and the images that it is given.

    Args:
        subject: the adapter.
        device: `cuda`, `mps` or `cpu`.
        scratch: a folder for weights, data and results.
        size: height and width of the images.
        images: how many.
        memory: of the device; None where it can't be measured.

    Raises:
        UncheckedError: its library is missing (when the weights are made).
    """

    def __init__(
        self,
        subject: Subject,
        device: str,
        scratch: Path,
        *,
        size: int = 512,
        images: int = 8,
        memory: DeviceMemory | None = None,
    ) -> None:
        self.subject, self.device, self.memory = subject, device, memory
        self._scratch, self._size, self._count = scratch, size, images

    @cached_property
    def weights(self) -> Weights:
        """The weights; random ones are made once."""
        missing = missing_libraries(self.subject.adapter)
        if missing:
            raise UncheckedError(f"library missing: {missing}")
        return self.subject.weights(self._scratch)

    @cached_property
    def model(self) -> Any:
        """The adapter on the device."""
        return self.subject.build(self.weights, self.device)

    @cached_property
    def images(self) -> Sequence[NDArray[Any]]:
        """Drawn nuclei."""
        data = self.job("images").data
        return [data.read(entry).image for entry in data.entries]

    def job(self, results: str) -> Any:
        """A job on the drawn images; its model is a stand-in."""
        return make_job(self._scratch, results, size=self._size, samples=self._count)

    def close(self) -> None:
        """Free the device."""
        self.__dict__.pop("model", None)
        let_go()
        if self.device == "cuda":
            import torch

            torch.cuda.empty_cache()


def parity(trial: Trial) -> Iterable[Finding]:
    """Outputs of the networks, and labels, on the CPU and on the device."""
    subject, image = trial.subject, trial.images[0]
    on_cpu = subject.build(trial.weights, "cpu")
    with first_outputs(subject.networks) as wanted:
        labels = on_cpu.predict(image)
    del on_cpu
    let_go()
    with first_outputs(subject.networks) as found:
        on_device = check_labels(
            trial.model.predict(image), image, model=subject.name, of="first image"
        )
    for name in subject.networks:
        if name not in wanted:
            yield held(f"outputs of {name}", False, "the adapter did not call it on the CPU")
            continue
        error = difference(wanted[name], found.get(name, []))
        yield held(
            f"outputs of {name}",
            error <= subject.tolerance,
            f"relative difference {error:.1e} (at most {subject.tolerance:.0e})",
        )
    count = len(np.unique(labels[labels > 0]))
    share = agreement(labels, on_device)
    text = f"{share:.2%} of the foreground is in the same objects (at least {AGREEMENT:.0%})"
    if count < 2:
        raise UncheckedError(f"labels: with these weights there are {count} objects")
    yield held("labels", share >= AGREEMENT, f"{text}; {count} objects on the CPU")
    same = np.array_equal(on_device, trial.model.predict(image))
    yield measured("the same labels a second time", "yes" if same else "no")


def let_go() -> None:
    """Free the memory of models that are not used any more."""
    forget_latest()
    gc.collect()


@contextlib.contextmanager
def first_outputs(networks: Sequence[str]) -> Iterator[dict[str, list[NDArray[Any]]]]:
    """Within, keep what the first call of each network gives.

    Args:
        networks: names of `torch.nn.Module` classes.

    Yields:
        By name, the tensors of the output, as float64.
    """
    from torch.nn.modules.module import register_module_forward_hook

    found: dict[str, list[NDArray[Any]]] = {}

    def keep(module: Any, _: Any, output: Any) -> None:
        name = type(module).__name__
        if name in networks and name not in found:
            found[name] = [t.detach().double().cpu().numpy() for t in _tensors(output)]

    handle = register_module_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()


def _tensors(output: Any) -> Iterator[Any]:
    """Every floating-point tensor of a nested output, in its order."""
    import torch

    if isinstance(output, torch.Tensor):
        if output.is_floating_point():
            yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from _tensors(value)


def difference(wanted: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """The largest root mean square of a difference, over that of what was wanted.

    Infinite where the two are not of the same shapes, or not finite.
    """
    if [one.shape for one in wanted] != [one.shape for one in found] or not wanted:
        return float("inf")
    errors = [
        float(np.sqrt(np.mean((one - other) ** 2)) / (np.sqrt(np.mean(one**2)) or 1.0))
        for one, other in zip(wanted, found, strict=True)
    ]
    return max(errors) if np.isfinite(errors).all() else float("inf")


def agreement(wanted: Labels, found: Labels) -> float:
    """The share of the foreground of either that is in the same object, matched at IoU > 0.5."""
    foreground = np.count_nonzero((wanted > 0) | (found > 0))
    pairs = match(wanted, found)
    shared = int(pairs.intersection[pairs.iou > 0.5].sum())
    return shared / foreground if foreground else 1.0


def speed_and_memory(trial: Trial) -> Iterable[Finding]:
    """Seconds per image and stage, peaks of memory, and whether memory grows."""
    model, memory = trial.model, trial.memory
    seconds, stages, peaks, in_use = [], [], [], []
    for image in trial.images:
        with Measurement() as measure:
            model.predict(image)
        seconds.append(measure.seconds)
        cached = getattr(model, "cached", {})
        stages.append({name: took for name, took in model.stages.items() if name not in cached})
        peaks.append(measure.memory)
        in_use.append(memory.allocated() if memory else 0)
    each = statistics.median(seconds[1:])  # the first one warms up
    yield measured(
        "throughput",
        f"{60 / each:.1f} images of {trial.images[0].shape} per minute, {each:.3f} s each "
        f"(the first {seconds[0]:.3f} s), batch size {model.details.get('batch_size', 1)}",
    )
    by_stage = {name: statistics.median(s[name] for s in stages[1:]) for name in stages[-1]}
    yield measured("stages", ", ".join(f"{name} {took:.3f} s" for name, took in by_stage.items()))
    total = [sum(one.values()) for one in stages]
    yield held(
        "the stages take no longer than the prediction",
        all(0 < part <= whole * 1.01 for part, whole in zip(total, seconds, strict=True)),
        f"{sum(total) / sum(seconds):.0%} of it",
    )
    kind = "device" if memory else "host"
    peak = max(one.get(kind, 0) for one in peaks)
    by_stage = {name: one.get(kind, 0) / MIB for name, one in model.stage_memory.items()}
    shown = ", ".join(f"{name} {size:.0f}" for name, size in by_stage.items())
    yield measured(f"peak memory ({kind})", f"{peak / MIB:.0f} MiB; by stage: {shown}")
    if memory is None:
        return
    yield held(
        "the peak is between what is held at rest and what there is",
        in_use[-1] < peak <= memory.total(),
        f"{in_use[-1] / MIB:.0f} < {peak / MIB:.0f} <= {memory.total() / MIB:.0f} MiB",
    )
    grown = in_use[-1] / in_use[1] - 1
    yield held(
        "memory does not grow from image to image",
        grown <= GROWTH,
        f"{grown:+.2%} after {len(in_use)} images (at most {GROWTH:.0%})",
    )


def out_of_memory(trial: Trial) -> Iterable[Finding]:
    """A device that is too small for the batch, and one that is too small for anything."""
    subject, image, memory = trial.subject, trial.images[0], trial.memory
    if memory is None:
        raise UncheckedError(f"memory of device={trial.device} can't be limited")
    trial.close()
    model = subject.build(trial.weights, trial.device, **(subject.crowd or {}))
    at_rest = memory.allocated()
    wanted = model.predict(image)
    if subject.crowd:
        yield from _halving(model, image, wanted, memory)
    other = trial.images[1]  # nothing of it is kept
    with memory.limited(memory.allocated()):
        error = _error_of(partial(model.predict, other))
    explained = isinstance(error, ModelError) or (error is not None and is_out_of_memory(error))
    yield held(
        "a device that is too small is recognised as such",
        explained,
        "no error" if error is None else f"{type(error).__name__}: {error}",
    )
    del error
    model.predict(other)
    share = agreement(wanted, model.predict(image))
    yield held("the next prediction is right again", share >= AGREEMENT, f"{share:.2%} agree")
    del model
    let_go()
    with memory.limited(memory.allocated() + at_rest // 2):
        error = _error_of(partial(subject.build, trial.weights, trial.device))
    yield held(
        "too little room for the model itself is explained",
        isinstance(error, ModelError),
        "no error" if error is None else f"{type(error).__name__}: {error}",
    )


def _halving(
    model: Any, image: NDArray[Any], wanted: Labels, memory: DeviceMemory
) -> Iterable[Finding]:
    """The batch is halved where the device has room for the other stages alone."""
    peaks = {name: peak["device"] for name, peak in model.stage_memory.items()}
    batched = max(peaks, key=lambda name: peaks[name])
    rest = max((peak for name, peak in peaks.items() if name != batched), default=0)
    asked = model.details["batch_size"]
    if asked != model.details.get("batch_size_asked", asked):
        yield measured("halving", f"needed without a limit: {dict(model.details)}")
    if peaks[batched] < 3 * rest:
        raise UncheckedError(f"halving: '{batched}' needs too little more than other stages")
    size = int((peaks[batched] * rest) ** 0.5)
    with memory.limited(size):
        labels = model.predict(image)
        details = dict(model.details)
    yield held(
        "out of memory, the batch is halved and the record says so",
        details["batch_size"] < asked == details.get("batch_size_asked"),
        f"with {size / MIB:.0f} of {peaks[batched] / MIB:.0f} MiB: {details}",
    )
    share = agreement(wanted, labels)
    yield held(
        "a halved batch gives the same labels",
        share >= AGREEMENT,
        f"{share:.2%} of the foreground (at least {AGREEMENT:.0%})",
    )


def _error_of(run: Callable[[], object]) -> Exception | None:
    """What a call raises, without the frames that keep its tensors alive."""
    try:
        run()
    except Exception as error:
        return error.with_traceback(None)
    return None


def idle_share(trial: Trial) -> Iterable[Finding]:
    """How much of a run the GPU waits, while the harness reads, checks, scores and stores."""
    if trial.device != "cuda":
        raise UncheckedError("kernels are timed on CUDA only")
    import torch
    from torch.profiler import ProfilerActivity, profile

    model = trial.model
    model.predict(trial.images[0])
    job = trial.job(tempfile.mkdtemp(dir=trial._scratch))
    with profile(activities=[ProfilerActivity.CUDA]) as profiler, Measurement() as measure:
        outcome = run_harness(job, model)
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in profiler.events() or ()
        if event.device_type == torch.autograd.DeviceType.CUDA
    ]
    yield held("the run is complete", outcome.complete, f"{outcome.done} of {outcome.requested}")
    if not spans:
        raise UncheckedError("the profiler saw no kernel (it needs the driver's permission)")
    busy = covered(spans) / 1e6
    records = job.store.records().values()
    inside = sum(record.seconds or 0.0 for record in records)
    yield measured(
        "idle share of the GPU",
        f"{1 - busy / measure.seconds:.0%} of {measure.seconds:.2f} s in the loop; within "
        f"predict(), which takes {inside / measure.seconds:.0%} of it, {1 - busy / inside:.0%}",
    )


def run_harness(job: Any, model: Any) -> Any:
    """What `action=run` does between loading the model and the report."""
    with writing(job) as writer:
        return Runner(
            job.data, job.store, writer, lambda: model, model="checked", protocol=job.protocol,
            basis=job.score_basis, seed=0,
        ).run(job.requested, "missing", 0)  # fmt: skip


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """The length that some spans, which may overlap, cover together."""
    total, reached = 0.0, -np.inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return float(total)
