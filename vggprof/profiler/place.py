"""Where to measure: the GPU that torch can use, or the CPU; and what is on or off there."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from vggprof.errors import GpuUnavailable, UsageError
from vggprof.measurement import Conditions
from vggprof.profiler.plan import AUTO

# What plain RuntimeErrors say where no memory is left: those of torch's allocator on the CPU (alloc_cpu in
# c10/core/impl/alloc_cpu.cpp) and of C++; then those of CUDA and its libraries, which take memory beside
# torch's allocator for contexts, handles and kernels (cudaGetErrorString, cublasStatus_t, cudnnStatus_t).
_OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "bad_alloc",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
)


def choose_device(asked: str, *, does: str = "measures") -> tuple[str, str | None]:
    """Return ``cpu`` or ``cuda``, and for ``auto`` without a GPU why it is the CPU.

    Raises GpuUnavailable, in one line, where ``cuda`` is asked for and torch cannot use a GPU, with what the
    command *does* there. One that is full is usable, and that nothing fits is a result.
    """
    if asked == "cpu":
        return "cpu", None
    reason = _why_no_gpu()
    if reason is None:
        return "cuda", None
    if asked == AUTO:
        return "cpu", reason
    raise GpuUnavailable(f"{reason}; --device cpu {does} on the CPU")


def _why_no_gpu() -> str | None:
    """Return why torch cannot compute on a GPU here; None where it can."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} was built without CUDA"
    try:
        torch.zeros(1, device="cuda").add_(1).item()
    except torch.OutOfMemoryError:
        return None
    except (RuntimeError, AssertionError) as error:  # no driver, an old one, a GPU that it was not built for
        return f"torch cannot use a GPU: {str(error).splitlines()[0].partition('. ')[0]}"
    return None


def prepare(conditions: Conditions, *, seed: int) -> None:
    """Set what *conditions* say for the whole process. Raises UsageError where memory cannot be limited."""
    torch.manual_seed(seed)
    torch.backends.cudnn.allow_tf32 = conditions.tf32
    torch.backends.cudnn.deterministic = conditions.deterministic
    torch.backends.cudnn.benchmark = conditions.benchmark
    if conditions.memory_limit_bytes is not None:
        _limit(conditions.device, conditions.memory_limit_bytes)


def _limit(device: str, limit_bytes: int) -> None:
    if device == "cuda":
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit_bytes / total))
    elif sys.platform == "linux":
        _limit_address_space(limit_bytes)
    else:
        raise UsageError("--memory-limit on the CPU needs Linux, where a process can be held to it")


def _limit_address_space(limit_bytes: int) -> None:
    """Let the process take *limit_bytes* of address space more than it has by now, libraries and all."""
    import resource  # noqa: PLC0415 - not there on Windows

    # What torch imports and starts when it first trains is no part of the training: libraries, threads.
    weight = torch.nn.Parameter(torch.ones(2**20))
    weight.sum().backward()  # type: ignore[no-untyped-call]
    torch.optim.SGD([weight]).step()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + limit_bytes, most))


def lift_limit() -> None:
    """Let the process take address space again as before it was limited."""
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - not there on Windows

        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether *error* says that memory is used up: on the GPU, in torch's CPU allocator, or in Python."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(each in str(error) for each in _OUT_OF_MEMORY)
