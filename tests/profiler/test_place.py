"""Which errors say that memory is used up, as torch and CUDA's libraries word them; what broke a capture."""

import pytest
import torch

from vggprof.errors import GpuUnavailable, UsageError
from vggprof.profiler.graph import why_not
from vggprof.profiler.place import choose_device, ran_out_of_memory

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB."),
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
    ),
    RuntimeError("std::bad_alloc"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
]
OTHERS = [
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("shape '[3]' is invalid for input of size 2"),
    ValueError("DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_memory_that_is_used_up(error: Exception) -> None:
    assert ran_out_of_memory(error)


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_anything_else(error: Exception) -> None:
    assert not ran_out_of_memory(error)


def test_what_torch_really_says_on_the_cpu() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60)
    assert ran_out_of_memory(raised.value)


def ending(first: Exception) -> RuntimeError:
    """Return what comes out of a capture that *first* broke: its end raises once more."""
    try:
        try:
            raise first
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
    except RuntimeError as error:
        return error


def test_a_capture_is_told_by_what_broke_it() -> None:
    out = torch.OutOfMemoryError("CUDA out of memory.")
    assert why_not(ending(out)) is out
    assert why_not(out) is out
    item = RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")
    for error in (item, ending(item)):
        said = why_not(error)
        assert isinstance(said, UsageError)
        assert str(said).endswith(
            "cannot hold this step: CUDA error: operation not permitted when stream is capturing"
        )


def test_the_cpu_is_there() -> None:
    assert choose_device("cpu") == ("cpu", None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="what happens without a GPU")
def test_without_a_gpu_it_is_the_cpu_with_a_reason() -> None:
    device, reason = choose_device("auto")
    assert device == "cpu"
    assert reason is not None
    assert reason.startswith("torch ")
    assert "\n" not in reason
    with pytest.raises(GpuUnavailable) as raised:
        choose_device("cuda")
    assert str(raised.value) == f"{reason}; --device cpu measures on the CPU"
    with pytest.raises(GpuUnavailable) as raised:
        choose_device("cuda", does="trains")
    assert str(raised.value) == f"{reason}; --device cpu trains on the CPU"
