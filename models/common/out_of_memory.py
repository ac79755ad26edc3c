"""Which exceptions say that memory has run out, by their own messages.

torch has an exception of its own for it on CUDA alone. Elsewhere, and where a library below torch
asks for memory, it is known by its text.
"""

from __future__ import annotations

import sys

from benchmark.errors import BenchmarkError

_MESSAGES = (
    # torch.OutOfMemoryError of CUDA, "MPS backend out of memory (MPS allocated: ...)", "CUDA error:
    # out of memory", "HIP out of memory", "CUDA ran out of memory outside PyTorch's allocator".
    "out of memory",
    # "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you
    # tried to allocate 1073741824 bytes. Error code 12 (Cannot allocate memory)"
    "can't allocate memory",
    # On Windows: "[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: not enough memory:
    # you tried to allocate 31850496000 bytes."
    "not enough memory",
    # "unable to mmap 280 bytes from file </torch_59534_1208885928>: Cannot allocate memory (12)",
    # "[Errno 12] Cannot allocate memory"
    "cannot allocate memory",
    "std::bad_alloc",
    # "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "cuDNN error:
    # CUDNN_STATUS_ALLOC_FAILED"; CUSOLVER_STATUS_ALLOC_FAILED and CUFFT_ALLOC_FAILED as well.
    "alloc_failed",
    # Metal has no single buffer as large: "Invalid buffer size: 19.45 GB" (pytorch#141909).
    "invalid buffer size",
    # Not memory, but the same remedy: these kernels are for so many elements only. "nonzero is not
    # supported for tensors with more than INT_MAX elements" (segment-anything#554),
    # "upsample_nearest_nhwc only supports output tensors with less than INT_MAX elements",
    # "Expected canUse32BitIndexMath(input) && canUse32BitIndexMath(output) to be true, but got
    # false.", "Output size of the matrix multiplication is larger than currently supported by the
    # MPS backend: 72250,72250, needs to be less than 2**32 elements" (pytorch#141909).
    "int_max elements",
    "canuse32bitindexmath",
    "2**32 elements",
)
_MESSAGES_OF_A_FULL_GPU = (
    # cuDNN loads its kernels when they are first needed (pytorch#81620), and asks for a workspace:
    # "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR", "GET was unable to find an engine to execute this
    # computation". Both may have other causes.
    "cudnn_status_internal_error",
    "unable to find an engine",
    # "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"
    "cublas_status_not_initialized",
)
_LITTLE = 2**30  # bytes: the largest library of cuDNN took 500 MB


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, so that a smaller batch may go through.

    Some messages of CUDA's libraries have several causes. They count if the GPU has less than
    1 GiB left.
    """
    if isinstance(error, BenchmarkError):  # a message of ours: what can be done has been done
        return False
    if isinstance(error, MemoryError) or _is_torch_s(error):  # MemoryError: of Python and NumPy
        return True
    text = str(error).lower()
    if any(message in text for message in _MESSAGES):
        return True
    return any(message in text for message in _MESSAGES_OF_A_FULL_GPU) and _gpu_is_full()


def _is_torch_s(error: BaseException) -> bool:
    torch = sys.modules.get("torch")  # who has not imported it raises none of its exceptions
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def _gpu_is_full() -> bool:
    """Whether nearly nothing of the current GPU's memory is left to libraries besides torch."""
    import torch

    try:
        return bool(torch.cuda.mem_get_info()[0] < _LITTLE)
    except (RuntimeError, AssertionError):  # a GPU that has failed, or a torch without CUDA
        return False
