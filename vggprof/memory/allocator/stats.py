"""What the allocator counts, both pools together; DeviceStats of c10/core/CachingDeviceAllocator.h."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stats:
    """Bytes now and at their peaks, and how often the device refused."""

    allocated_bytes: int  # blocks of live tensors, their slack included
    peak_allocated_bytes: int
    requested_bytes: int  # what was asked for, until it is reusable again
    peak_requested_bytes: int
    reserved_bytes: int  # segments
    peak_reserved_bytes: int
    active_bytes: int  # allocated, or freed while another stream still uses it
    peak_active_bytes: int
    # Free parts of segments that are partly in use; expandable segments do not count.
    inactive_split_bytes: int
    peak_inactive_split_bytes: int
    segments: int  # cudaMalloc'ed segments; expandable ones do not count
    alloc_retries: int  # allocations tried again after the whole cache was given back
    ooms: int
    oom_rejections: int  # refused by throw_on_cudamalloc_oom before asking the device

    @property
    def cached_bytes(self) -> int:
        """Bytes reserved but not allocated."""
        return self.reserved_bytes - self.allocated_bytes


class Counters:
    """The running counts behind Stats."""

    __slots__ = (
        "active",
        "active_peak",
        "allocated",
        "allocated_peak",
        "inactive",
        "inactive_peak",
        "ooms",
        "rejections",
        "requested",
        "requested_peak",
        "reserved",
        "reserved_peak",
        "retries",
        "segments",
    )

    def __init__(self) -> None:
        self.allocated = self.allocated_peak = 0
        self.requested = self.requested_peak = 0
        self.reserved = self.reserved_peak = 0
        self.active = self.active_peak = 0
        self.inactive = self.inactive_peak = 0
        self.segments = self.retries = self.ooms = self.rejections = 0

    # Every allocation passes here: comparing is three times as fast as calling max().
    def allocate(self, size: int, requested: int) -> None:
        """Count a block of *size* bytes for *requested* ones."""
        self.allocated += size
        self.active += size
        self.requested += requested
        if self.allocated > self.allocated_peak:  # noqa: PLR1730
            self.allocated_peak = self.allocated
        if self.active > self.active_peak:  # noqa: PLR1730
            self.active_peak = self.active
        if self.requested > self.requested_peak:  # noqa: PLR1730
            self.requested_peak = self.requested

    def reserve(self, size: int) -> None:
        """Count *size* bytes more, or fewer, of segments."""
        self.reserved += size
        self.reserved_peak = max(self.reserved_peak, self.reserved)

    def idle(self, size: int) -> None:
        """Count *size* bytes more, or fewer, of inactive split blocks."""
        self.inactive += size
        if self.inactive > self.inactive_peak:  # noqa: PLR1730
            self.inactive_peak = self.inactive

    def reset_peaks(self) -> None:
        """torch.cuda.reset_peak_memory_stats."""
        self.allocated_peak, self.requested_peak = self.allocated, self.requested
        self.reserved_peak, self.active_peak, self.inactive_peak = self.reserved, self.active, self.inactive

    def stats(self) -> Stats:
        """Return the counts as a value."""
        return Stats(
            allocated_bytes=self.allocated,
            peak_allocated_bytes=self.allocated_peak,
            requested_bytes=self.requested,
            peak_requested_bytes=self.requested_peak,
            reserved_bytes=self.reserved,
            peak_reserved_bytes=self.reserved_peak,
            active_bytes=self.active,
            peak_active_bytes=self.active_peak,
            inactive_split_bytes=self.inactive,
            peak_inactive_split_bytes=self.inactive_peak,
            segments=self.segments,
            alloc_retries=self.retries,
            ooms=self.ooms,
            oom_rejections=self.rejections,
        )
