"""The settings of torch's CUDA caching allocator as one value."""

from dataclasses import dataclass

from vggprof.errors import UsageError
from vggprof.memory.allocator.rules import (
    DIVISION_INTERVALS,
    LARGE_SEGMENT_BYTES,
    MIN_LARGE_BYTES,
    NO_DIVISIONS,
    Tie,
    round_to_block,
    segment_bytes,
    tie_of,
)

TORCH = (2, 15)  # the release whose rules hold where nobody says otherwise
UNLIMITED = 2**63


@dataclass(frozen=True, slots=True)
class Reserve:
    """Address space of one expandable segment: a share of the device's memory, or bytes."""

    share: float | None = None
    size_bytes: int | None = None

    def bytes_of(self, total: int) -> int:
        """Return the bytes this means on a device with *total* bytes."""
        return int(self.share * total) if self.share is not None else (self.size_bytes or 0)


@dataclass(frozen=True, slots=True)
class AllocatorConfig:
    """What PYTORCH_ALLOC_CONF can set and device memory depends on; the defaults are torch's.

    Raises UsageError where torch refuses the value.
    """

    torch: tuple[int, int] = TORCH  # whose rules: they differ in ties and in the message
    large_segment_bytes: int = LARGE_SEGMENT_BYTES
    max_split_bytes: int = UNLIMITED  # blocks for requests of this size and above are never split
    max_non_split_rounding_bytes: int | None = (
        None  # how much larger such a block may be; None: a large segment
    )
    roundup_divisions: tuple[int, ...] = NO_DIVISIONS  # for sizes from 1 MiB, 2 MiB, ... 32 GiB up
    garbage_collection_threshold: float = 0.0  # share of the limit; needs a memory limit to do anything
    expandable_segments: bool = False
    expandable_reserve: Reserve | None = None  # None: 9/8 of the device's memory
    memory_fraction: float = 1.0  # per_process_memory_fraction; below 1 it sets a limit
    throw_on_cudamalloc_oom: bool = False

    def __post_init__(self) -> None:
        megabytes = self.large_segment_bytes // 2**20
        for name, size in (
            ("max_split_size_mb", self.max_split_bytes),
            ("max_non_split_rounding_mb", self.tolerance_bytes),
        ):
            _check(size >= self.large_segment_bytes, f"{name} must be at least {megabytes}")
        _check(self.large_segment_bytes > MIN_LARGE_BYTES, "large_segment_size_mb must be greater than 10")
        threshold = self.garbage_collection_threshold
        _check(0 <= threshold < 1, "garbage_collection_threshold must lie between 0.0 and 1.0")
        _check(0 <= self.memory_fraction <= 1, "per_process_memory_fraction must lie in [0.0, 1.0]")
        _check(len(self.roundup_divisions) == DIVISION_INTERVALS, "roundup_power2_divisions needs 16 entries")
        for n in self.roundup_divisions:
            _check(n >= 0 and n & (n - 1) == 0, "roundup_power2_divisions must be 0 or powers of 2")

    @property
    def tie(self) -> Tie:
        """How this torch release chooses among free blocks of one size."""
        return tie_of(self.torch)

    @property
    def tolerance_bytes(self) -> int:
        """Bytes by which a block for a request of ``max_split_bytes`` or more may exceed it."""
        rounding = self.max_non_split_rounding_bytes
        return self.large_segment_bytes if rounding is None else rounding

    def block_bytes(self, size: int) -> int:
        """Bytes set aside for a request of *size* bytes, before any unsplit rest."""
        return round_to_block(size, self.roundup_divisions)

    def segment_bytes(self, rounded: int) -> int:
        """Bytes asked of the driver for a block of *rounded* bytes that no cached block can serve."""
        return segment_bytes(rounded, self.large_segment_bytes)

    def limit_bytes(self, total: int | None) -> int | None:
        """Bytes this process may reserve on a device of *total* bytes; None without a limit.

        DeviceCachingAllocator::setMemoryFraction: only a fraction below 1 sets a limit.
        """
        if self.memory_fraction >= 1 or total is None:
            return None
        return int(self.memory_fraction * total)

    def reserve_bytes(self, total: int) -> int:
        """Address space of one expandable segment on a device of *total* bytes, before rounding to pages."""
        full = total + total // 8  # "1 1/8 the total memory", ExpandableSegment's constructor
        return full if self.expandable_reserve is None else min(self.expandable_reserve.bytes_of(total), full)


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise UsageError(f"allocator settings: {message}")
