"""Memory that ran out is recognised, whoever asked for it, and leads to a smaller batch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import ModelError
from benchmark.types import Weights
from models.common.out_of_memory import is_out_of_memory

torch = pytest.importorskip("torch", reason='needs torch: pip install -e ".[models]"')
from models.common.torch_adapter import TorchAdapter  # noqa: E402
from models.weights import checkpoint  # noqa: E402

pytestmark = pytest.mark.alone

TOO_MUCH = 2**50  # bytes: no address space is as large
CPU: dict[str, Callable[[], object]] = {
    "torch": lambda: torch.empty(TOO_MUCH, dtype=torch.uint8),
    "numpy": lambda: np.empty(TOO_MUCH, np.uint8),
    "python": lambda: bytearray(TOO_MUCH),
}
MESSAGES = [
    "CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 31.75 GiB total capacity; 612.33 MiB "
    "already allocated; 14.75 MiB free; 622.00 MiB reserved in total by PyTorch)",
    "CUDA error: out of memory",
    "MPS backend out of memory (MPS allocated: 17.98 GB, other allocations: 288.00 KB, max allowed:"
    " 18.13 GB). Tried to allocate 256.00 MB on private pool.",
    "[enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 132426121216 bytes. Error code 12 (Cannot allocate memory)",
    "[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: not enough memory: you tried "
    "to allocate 31850496000 bytes.",
    "unable to mmap 280 bytes from file </torch_59534_1208885928>: Cannot allocate memory (12)",
    "std::bad_alloc",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "Invalid buffer size: 19.45 GB",
    "Invalid buffer size: 19.38 GiB",
    "nonzero is not supported for tensors with more than INT_MAX elements,   file a support "
    "request",
    "upsample_nearest_nhwc only supports output tensors with less than INT_MAX elements",
    "Expected canUse32BitIndexMath(input) && canUse32BitIndexMath(output) to be true, but got "
    "false.  (Could this error message be improved?  If so, please report an enhancement request "
    "to PyTorch.)",
    "Output size of the matrix multiplication is larger than currently supported by the MPS "
    "backend: 72250,72250, needs to be less than 2**32 elements",
]
OF_A_FULL_GPU = [
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
    "GET was unable to find an engine to execute this computation",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
]
OTHERS = [
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (64x256 and 128x10)"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`"),
    RuntimeError(
        "Slice: for `ends`, end of a dimension with unknown size, it is recommended to pass in "
        "`INT_MAX`."
    ),
    FileNotFoundError(2, "No such file or directory"),
    ValueError("the image is empty"),
    ModelError("out of memory on cpu even with a batch of one: ... . Use smaller tiles."),
]


def halved(error: BaseException) -> dict[str, object]:
    """What is recorded of a batch of 8, of which 2 are the most that do not raise an error."""

    def run(size: int) -> None:
        if size > 2:
            raise error

    adapter = TorchAdapter("cpu")
    adapter.halving(run, 8)
    return adapter.details


@pytest.mark.parametrize("who", CPU)
def test_whoever_asks_for_too_much_on_a_cpu_the_batch_is_halved(who: str) -> None:
    adapter = TorchAdapter("cpu")
    adapter.halving(lambda size: CPU[who]() if size > 3 else None, 8)
    assert adapter.details == {"batch_size": 2, "batch_size_asked": 8}


@pytest.mark.parametrize("who", CPU)
def test_a_cpu_s_memory_that_suffices_for_nothing_is_one_clear_error(who: str) -> None:
    said = r"^out of memory on cpu even with a batch of one: [^. ].*\. Use smaller images .*\.$"
    with pytest.raises(ModelError, match=said):
        TorchAdapter("cpu").halving(lambda size: CPU[who](), 8)
    said = r"^out of memory on cpu while the model was loaded: [^. ].*\. Free memory\.$"
    with pytest.raises(ModelError, match=said), TorchAdapter("cpu").loading():
        CPU[who]()


@pytest.mark.parametrize("message", MESSAGES)
def test_libraries_messages_are_known(message: str) -> None:
    assert is_out_of_memory(RuntimeError(message))
    assert halved(RuntimeError(message)) == {"batch_size": 2, "batch_size_asked": 8}
    with pytest.raises(ModelError, match=r"^out of memory on"), TorchAdapter("cpu").loading():
        raise RuntimeError(message)


def test_a_failed_system_call_is_known_by_its_number_s_text() -> None:
    assert is_out_of_memory(OSError(12, "Cannot allocate memory"))


@pytest.mark.parametrize("message", OF_A_FULL_GPU)
def test_messages_of_several_causes_count_where_the_gpu_is_full(
    message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [300 << 20, 80 << 30]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: tuple(left))
    assert is_out_of_memory(RuntimeError(message))
    left[0] = 40 << 30
    assert not is_out_of_memory(RuntimeError(message))

    def broken() -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "mem_get_info", broken)
    assert not is_out_of_memory(RuntimeError(message))


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_go_through_as_they_are(error: Exception) -> None:
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)) as caught:
        halved(error)
    assert caught.value is error
    with pytest.raises(type(error)) as caught, TorchAdapter("cpu").loading():
        raise error
    assert caught.value is error


@pytest.mark.parametrize("unpickle", [False, True])
def test_a_checkpoint_that_memory_does_not_suffice_for_is_not_called_damaged(
    unpickle: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.pt"
    module = torch.nn.Linear(3, 2)
    torch.save(module.state_dict() | ({"extra": Path("x")} if unpickle else {}), path)
    weights = Weights("user 1", "user", {}, paths={"model": path}, unpickle=unpickle)
    load = checkpoint._load

    def loaded(path: Path, unpickle: bool) -> object:
        return load(path, unpickle=False) if unpickle != weights.unpickle else CPU["torch"]()

    monkeypatch.setattr(checkpoint, "_load", loaded)
    said = r"^out of memory on cpu while the model was loaded"
    with pytest.raises(ModelError, match=said), TorchAdapter("cpu").loading():
        checkpoint.open_checkpoint(weights)
    monkeypatch.setattr(module, "load_state_dict", lambda *args, **options: CPU["torch"]())
    with pytest.raises(ModelError, match=said), TorchAdapter("cpu").loading():
        checkpoint.load_parameters(module, module.state_dict(), weights, "model")


LIMITED = """
import resource, sys, torch
from models.common.torch_adapter import TorchAdapter

adapter = TorchAdapter("cpu")
with adapter.loading():
    network = torch.nn.Conv2d(3, 16, 3, padding=1)

def run(size):
    tried.append(size)
    with torch.no_grad():
        return network(torch.ones(size, 3, 256, 256)).shape[0]

tried = []
run(1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
room = 256 << 20  # a batch of 256 takes 192 MiB, and makes 1 GiB of it
resource.setrlimit(resource.RLIMIT_AS, (used + room, resource.RLIM_INFINITY))
tried.clear()
print(adapter.halving(run, 256), tried, adapter.details)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_under_a_limit_of_memory_a_large_batch_is_halved_until_it_goes_through() -> None:
    """In a process of its own: the limit can't be taken back from what it killed."""
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    went_through = int(done.stdout.split()[0])
    assert 1 <= went_through < 256, done.stdout
    assert f"'batch_size': {went_through}, 'batch_size_asked': 256" in done.stdout
