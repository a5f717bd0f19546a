"""What stands below the allocator: a device that hands out memory, or refuses."""

from typing import Protocol

from vggprof.memory.allocator.rules import PAGE_BYTES, round_up
from vggprof.units import GIB

FIRST_ADDRESS = 0x7000_0000_0000  # any address would do; torch's are of this size


class Driver(Protocol):
    """The calls of CUDA that the allocator makes; None or False is cudaErrorMemoryAllocation."""

    def malloc(self, size: int, /) -> int | None:
        """Return the address of *size* new bytes: cudaMalloc."""

    def free(self, address: int, size: int, /) -> None:
        """Take memory back: cudaFree."""

    def adopt(self, address: int, size: int, /) -> None:
        """Count memory that the allocator holds already when it takes up a state."""

    def reserve(self, size: int, stream: int, page: int, /) -> int:
        """Reserve *size* addresses without memory, for pages of *page* bytes: cuMemAddressReserve."""

    def release(self, address: int, size: int, /) -> None:
        """Take *size* addresses back that have no memory: cuMemAddressFree."""

    def map(self, address: int, size: int, page: int, /) -> bool:
        """Back addresses with memory in pieces of *page* bytes, all or none: cuMemCreate and cuMemMap."""

    def unmap(self, address: int, size: int, /) -> None:
        """Take the memory behind addresses back: cuMemUnmap and cuMemRelease."""


class SimulatedDevice:
    """A device with *capacity_bytes* left for the allocator; None is without end.

    Addresses ascend and are never used again, so that the same calls give the same addresses.
    """

    __slots__ = ("capacity_bytes", "next_address", "used_bytes")

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.next_address = FIRST_ADDRESS

    def malloc(self, size: int) -> int | None:
        """Return the address of *size* new bytes, or None where they do not fit."""
        pages = round_up(size, PAGE_BYTES)
        return self.reserve(pages, 0, PAGE_BYTES) if self._take(pages) else None

    def free(self, address: int, size: int) -> None:
        """Take *size* bytes back."""
        self.used_bytes -= round_up(size, PAGE_BYTES)

    def adopt(self, address: int, size: int) -> None:
        """Count *size* bytes at *address* as handed out."""
        self.used_bytes += round_up(size, PAGE_BYTES)
        self.next_address = max(self.next_address, round_up(address + size, PAGE_BYTES))

    def reserve(self, size: int, stream: int, page: int) -> int:
        """Return the first of *size* fresh addresses."""
        address = self.next_address
        self.next_address += round_up(size, PAGE_BYTES)
        return address

    def release(self, address: int, size: int) -> None:
        """Nothing: addresses are not used again."""

    def map(self, address: int, size: int, page: int) -> bool:
        """Back *size* addresses with memory, or return False where they do not fit."""
        return self._take(size)

    def unmap(self, address: int, size: int) -> None:
        """Take the memory behind *size* addresses back."""
        self.used_bytes -= size

    def _take(self, size: int) -> bool:
        if self.capacity_bytes is not None and self.used_bytes + size > self.capacity_bytes:
            return False
        self.used_bytes += size
        return True


def unknown_total_reserve() -> int:
    """Address space to reserve where the size of the device is not known: more than any device has."""
    return 1024 * GIB
