"""Clocks that wait for the device, and batches that are halved when memory runs out."""

from __future__ import annotations

import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmark import profiling
from benchmark.errors import ModelError

torch = pytest.importorskip("torch", reason='needs torch: pip install -e ".[models]"')
from models.common import torch_adapter  # noqa: E402
from models.common.torch_adapter import TorchAdapter  # noqa: E402

pytestmark = pytest.mark.alone


def test_stages_are_timed_added_up_and_begun_anew_with_each_prediction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [10.0]
    monkeypatch.setattr(torch_adapter, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    adapter = TorchAdapter("cpu")
    with adapter.predicting():
        for _ in range(2):
            with adapter.stage("encode"):
                clock[0] += 0.25
        with adapter.stage("decode"):
            pass
    assert adapter.stages == {"encode": 0.5, "decode": 0}
    shown, memory = adapter.stages, adapter.stage_memory
    assert set(memory) == {"encode", "decode"} and memory["encode"]["host"] > 1 << 20
    with adapter.predicting():
        pass
    assert shown is adapter.stages and shown == {}
    assert memory is adapter.stage_memory and memory == {}


def test_of_several_visits_to_a_stage_the_highest_peak_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    peaks = [7, 9, 8]
    monkeypatch.setattr(profiling, "_host_peak", lambda: peaks.pop(0))
    adapter = TorchAdapter("cpu")
    for _ in range(3):
        with adapter.stage("encode"):
            pass
    assert adapter.stage_memory == {"encode": {"host": 9}}


def test_a_gpu_is_waited_for_at_both_borders_of_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: waited.append("cuda"))
    adapter = TorchAdapter("cuda")
    with adapter.stage("encode"):
        assert waited == ["cuda"]
    assert waited == ["cuda", "cuda"]


def broken_device() -> None:
    raise RuntimeError("CUDA error: told again")


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_an_error_in_a_stage_is_the_one_that_is_told(
    kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = TorchAdapter("cuda")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    with pytest.raises(kind, match="the first"), adapter.stage("encode"):
        monkeypatch.setattr(torch.cuda, "synchronize", broken_device)
        monkeypatch.setattr(profiling.PeakMemory, "_border", lambda _: broken_device())
        raise kind("the first")
    assert adapter.stages["encode"] >= 0 and profiling.PeakMemory._open == []


def test_a_device_that_fails_unnoticed_is_told_at_a_stage_s_borders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adapter = TorchAdapter("cuda")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    with pytest.raises(RuntimeError, match="told again"), adapter.stage("encode"):
        monkeypatch.setattr(torch.cuda, "synchronize", broken_device)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(profiling.PeakMemory, "_border", lambda _: broken_device())
    with pytest.raises(RuntimeError, match="told again"), adapter.stage("decode"):
        raise AssertionError("it begins nothing")
    assert profiling.PeakMemory._open == []


def test_only_the_cpu_promises_the_same_result_again() -> None:
    for device, promised in (("cpu", True), ("cuda", False), ("mps", False)):
        adapter = TorchAdapter(device)
        with adapter.predicting():
            assert adapter.details == {"reproducible": promised}


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("MPS backend out of memory")],
    ids=["cuda", "mps"],
)
def test_out_of_memory_halves_the_batch_until_it_fits_and_says_so(error: RuntimeError) -> None:
    asked = []

    def run(size: int) -> str:
        asked.append(size)
        if size > 5:
            raise error
        return "fits"

    adapter = TorchAdapter("cpu")
    assert adapter.halving(run, 32) == "fits"
    assert asked == [32, 16, 8, 4]
    assert adapter.details == {"batch_size": 4, "batch_size_asked": 32}


def test_a_batch_that_fits_is_recorded_as_it_was_asked_for() -> None:
    adapter = TorchAdapter("cpu")
    assert adapter.halving(lambda size: size, 7) == 7
    assert adapter.details == {"batch_size": 7}


def test_memory_that_suffices_for_nothing_is_one_clear_error() -> None:
    def run(size: int) -> None:
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(ModelError, match=r"out of memory on cpu even with a batch of one"):
        TorchAdapter("cpu").halving(run, 4)


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    def run(size: int) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        TorchAdapter("cpu").halving(run, 4)


def test_a_batch_of_none_is_not_halved_for_ever() -> None:
    def run(size: int) -> None:
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(ModelError, match="out of memory"):
        TorchAdapter("cpu").halving(run, 0)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("MPS backend out of memory")],
    ids=["cuda", "mps"],
)
def test_a_model_that_does_not_fit_is_one_clear_error(error: RuntimeError) -> None:
    told = r"out of memory on cpu while the model was loaded: .* memory\. Free memory"
    with pytest.raises(ModelError, match=told), TorchAdapter("cpu").loading():
        raise error


def test_other_errors_while_a_model_is_loaded_go_through() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), TorchAdapter("cpu").loading():
        raise RuntimeError("shapes differ")


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told")
def test_on_a_cpu_freed_memory_is_kept_during_a_prediction_and_given_back_after_it():
    """In a process of its own: the setting is the whole process's."""
    script = """
import numpy as np
from models.common.torch_adapter import TorchAdapter
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
adapter = TorchAdapter("cpu")
with adapter.loading():
    pass
before = resident()
with adapter.predicting():
    for _ in range(3):
        block = np.ones(2**27, np.uint8)  # 128 MB
        del block
    kept = resident() - before
print(kept > 2**26, resident() - before < 2**26)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True"], done.stderr


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told")
def test_on_a_cpu_a_stage_s_peak_holds_nothing_that_another_freed() -> None:
    script = """
import numpy as np
from models.common.torch_adapter import TorchAdapter
def use(mebibytes):
    blocks = [np.ones(2**23, np.uint8) for _ in range(mebibytes // 8)]
    return np.ones(2**10)  # lies above them: they can't go back by themselves
adapter = TorchAdapter("cpu")
with adapter.loading():
    pass
with adapter.predicting():
    with adapter.stage("large"):
        kept = [use(400)]
    with adapter.stage("small"):
        pass
    with adapter.stage("outer"):
        with adapter.stage("inner"):
            kept.append(use(400))
    kept.append(use(400))
    with adapter.stage("last"):
        pass
print(*(peak["host"] >> 20 for peak in adapter.stage_memory.values()))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    large, small, inner, outer, last = map(int, done.stdout.split())
    assert inner - small > 350 and large - small > 350, done.stdout
    assert max(small, outer, last) - min(small, outer, last) < 50, done.stdout
