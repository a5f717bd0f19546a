"""Running out of memory, as a value, and what torch says about it.

``DeviceCachingAllocator::malloc`` and ``NativeCachingAllocator::malloc`` of
c10/cuda/CUDACachingAllocator.cpp, ``format_size`` of c10/core/CachingDeviceAllocator.h.
"""

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from vggprof.memory.allocator.config import AllocatorConfig

UNKNOWN = "?"

_EXPAND = (
    " If reserved but unallocated memory is large try setting"
    " PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See documentation for Memory"
    " Management  (https://docs.pytorch.org/docs/stable/notes/cuda.html#optimizing-memory-usage-with-pytorch-cuda-alloc-conf)"
)
_ADDRESS_SPACE = (
    " expandable_segments is enabled. If instead the process is running out of virtual address space (VSZ),"
    " expandable segments may be over-reserving VA (each segment reserves ~9/8 of device memory, times the"
    " number of streams); reduce it via PYTORCH_CUDA_ALLOC_CONF expandable_segments_reserve /"
    " expandable_segments_reserve_by_class."
)
_EXCEEDS = (
    " This allocation exceeds the expandable-segment reserve of {reserve} for this stream, and a single"
    " allocation cannot span expandable segments. Raise PYTORCH_CUDA_ALLOC_CONF expandable_segments_reserve"
    " or expandable_segments_reserve_by_class (or unset it) so that a segment is at least {size}."
)


class Refusal(Enum):
    """Why there was no memory."""

    DEVICE = "the device or the memory limit refused after everything cached was given back"
    REJECTED = "throw_on_cudamalloc_oom refused before the device was asked"
    TOO_LARGE = "torch takes no request of more than an exabyte"


def format_size(size: int) -> str:
    """Return *size* bytes as torch writes them: ``512 bytes``, ``1.50 KiB``, ``20.00 MiB``, ``11.75 GiB``."""
    if size <= 2**10:
        return f"{size} bytes"
    for unit, power in (("KiB", 10), ("MiB", 20)):
        if size <= 2 ** (power + 10):
            return f"{size / 2**power:.2f} {unit}"
    return f"{size / 2**30:.2f} GiB"


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """An allocation that failed, and the state it failed in."""

    requested_bytes: int  # as the caller asked
    rounded_bytes: int  # the block it needs
    segment_bytes: int  # what the device was asked for: the message's "Tried to allocate"
    allocated_bytes: int
    reserved_bytes: int
    limit_bytes: int | None  # the memory fraction's; None without one
    total_bytes: int | None  # the device's; None where not known
    refusal: Refusal
    config: AllocatorConfig

    @property
    def cached_bytes(self) -> int:
        """Bytes reserved by PyTorch but unallocated."""
        return self.reserved_bytes - self.allocated_bytes

    @property
    def message(self) -> str:
        """The text of torch.OutOfMemoryError, with ``?`` for what this value cannot know."""
        return oom_message(self)


def oom_message(
    oom: OutOfMemory, *, free_bytes: int | None = None, processes: str | None = None, device: int = 0
) -> str:
    """Return the text of torch.OutOfMemoryError.

    *free_bytes* is what the driver still has; *processes* the sentences on who uses the device, each ended by
    a blank, and "" where NVML does not answer. None stands as ``?``.
    """
    match oom.refusal:
        case Refusal.TOO_LARGE:
            return "CUDA out of memory. Tried to allocate more than 1EB memory."
        case Refusal.REJECTED:
            return (
                "CUDA out of memory. Allocation was preemptively rejected because it would exceed"
                f" per_process_memory_fraction limit. Requested size: {format_size(oom.requested_bytes)}"
            )
        case Refusal.DEVICE:
            return _device_message(oom, free_bytes, processes, device)
        case _:
            assert_never(oom.refusal)


def _device_message(oom: OutOfMemory, free_bytes: int | None, processes: str | None, device: int) -> str:
    if processes is None:
        processes = f"Including non-PyTorch memory, this process has {UNKNOWN} memory in use. "
    allowed = "" if oom.limit_bytes is None else f"{format_size(oom.limit_bytes)} allowed; "
    return (
        f"CUDA out of memory. Tried to allocate {format_size(oom.segment_bytes)}. GPU {device} has a total"
        f" capacity of {_known(oom.total_bytes)} of which {_known(free_bytes)} is free. {processes}{allowed}"
        f"Of the allocated memory {format_size(oom.allocated_bytes)} is allocated by PyTorch, and"
        f" {format_size(oom.cached_bytes)} is reserved by PyTorch but unallocated.{_hint(oom)}"
    )


def _known(size: int | None) -> str:
    return UNKNOWN if size is None else format_size(size)


def _hint(oom: OutOfMemory) -> str:
    """Return the advice at the end, which depends on the release and on expandable segments."""
    config, total = oom.config, oom.total_bytes
    if not config.expandable_segments or config.torch <= (2, 13):
        return _EXPAND
    if config.torch == (2, 14):
        return ""
    # Only where the device could hold it: larger requests are the device's fault, not the reserve's.
    if total is not None and config.reserve_bytes(total) < oom.segment_bytes <= total:
        reserve, size = format_size(config.reserve_bytes(total)), format_size(oom.segment_bytes)
        return _EXCEEDS.format(reserve=reserve, size=size)
    return _ADDRESS_SPACE
