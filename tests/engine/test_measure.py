"""Seconds and peak memory of one prediction."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmark import profiling
from benchmark.profiling import Measurement, PeakMemory

MIB = 1 << 20


PEAKS = """
import numpy as np
from benchmark.profiling import Measurement

for mebibytes in (400, 1):
    with Measurement() as measured:
        np.ones((mebibytes << 20) // 8).sum()
    print(measured.memory["host"])
"""


def test_the_peak_is_of_this_prediction_not_of_what_came_before():
    # A process of its own: what other tests freed may still be held in this one, and be used again.
    told = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    large, small = map(int, told.stdout.split())
    assert large > 400 * MIB
    if sys.platform == "linux":
        assert small < large - 300 * MIB


NESTED = """
import numpy as np
from benchmark.profiling import Measurement, PeakMemory

def use(mebibytes):
    np.ones((mebibytes << 20) // 8).sum()

with Measurement() as measured:
    use(100)
    with PeakMemory() as outer:
        use(200)
        with PeakMemory() as inner:
            use(400)
        use(50)
    with PeakMemory() as last:
        use(1)
print(*(found["host"] for found in (measured.memory, outer.memory, outer.own, inner.own, last.own)))
"""


def test_a_peak_is_the_innermost_s_own_and_counts_for_all_around_it():
    command = [sys.executable, "-c", NESTED]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    whole, outer, outer_own, inner, last = (int(n) / MIB for n in told.stdout.split())
    assert whole == outer == max(whole, inner) > 400
    if sys.platform == "linux":
        assert outer == inner
        assert 190 < inner - outer_own < 210 and 390 < inner - last < 410


def test_a_gpu_s_peak_is_told_by_stage(monkeypatch):
    held = [1, 5, 3, 2, 4]
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        synchronize=lambda: None,
        reset_peak_memory_stats=lambda: None,
        max_memory_allocated=lambda: held.pop(0) * MIB,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    with Measurement() as measured, PeakMemory() as one, PeakMemory() as two:
        pass
    assert [one.own["device"], two.own["device"]] == [5 * MIB, 3 * MIB] and held == []
    assert measured.memory["device"] == one.memory["device"] == 5 * MIB


def test_after_an_error_the_next_is_measured_by_itself():
    with pytest.raises(ZeroDivisionError), Measurement(), PeakMemory():
        raise ZeroDivisionError
    with PeakMemory() as peak:
        assert PeakMemory._open == [peak]
    assert PeakMemory._open == []


def test_a_device_that_failed_does_not_hide_how(monkeypatch):
    with pytest.raises(ZeroDivisionError), Measurement(), PeakMemory():
        monkeypatch.setattr(profiling, "_cuda", lambda: raise_(RuntimeError("CUDA error")))
        raise ZeroDivisionError
    assert PeakMemory._open == []
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="CUDA error"), PeakMemory():
        monkeypatch.setattr(profiling, "_cuda", lambda: raise_(RuntimeError("CUDA error")))
    assert PeakMemory._open == []


def raise_(error):
    raise error


def test_seconds_are_those_inside(monkeypatch):
    clock = [10.0]
    monkeypatch.setattr(profiling, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    with Measurement() as measured:
        clock[0] += 0.25
    clock[0] += 1
    assert measured.seconds == 0.25


def test_a_gpu_is_waited_for_at_both_borders_and_its_peak_told(monkeypatch):
    done = []
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        synchronize=lambda: done.append("wait"),
        reset_peak_memory_stats=lambda: done.append("reset"),
        max_memory_allocated=lambda: 7 * MIB,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    with Measurement() as measured:
        done.append("predict")
    assert done == ["wait", "reset", "predict", "wait", "reset"]
    assert measured.memory["device"] == 7 * MIB


def test_without_a_gpu_in_use_none_is_told_of(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with Measurement() as measured:
        pass
    assert set(measured.memory) == {"host"}


def test_an_error_goes_through():
    with pytest.raises(ZeroDivisionError), Measurement():
        raise ZeroDivisionError


def test_a_system_that_tells_no_peak_gives_that_of_the_process(monkeypatch):
    monkeypatch.setattr(profiling, "Path", lambda *_: SimpleNamespace(
        read_text=lambda: "", write_text=lambda text: None
    ))  # fmt: skip
    with Measurement() as measured:
        pass
    assert measured.memory["host"] > MIB
