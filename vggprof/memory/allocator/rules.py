"""Sizes by which torch's CUDA caching allocator rounds, pools and splits.

Constants: c10/core/AllocatorConfig.h. Functions: ``round_size``, ``get_allocation_size`` and ``should_split``
of c10/cuda/CUDACachingAllocator.cpp, the same from torch 2.11 to 2.15.
"""

from enum import Enum

from vggprof.units import MIB

BLOCK_BYTES = 512  # kMinBlockSize: every block is a multiple of this
SMALL_BYTES = 1 * MIB  # kSmallSize: the largest request (rounded) that the small pool serves
SMALL_SEGMENT_BYTES = 2 * MIB  # kSmallBuffer
LARGE_SEGMENT_BYTES = 20 * MIB  # large_segment_size_, unless large_segment_size_mb says otherwise
MIN_LARGE_BYTES = 10 * MIB  # kMinLargeAlloc: from here on a request gets a segment of its own size
ROUND_LARGE_BYTES = 2 * MIB  # kRoundLarge
PAGE_BYTES = 2 * MIB  # what the driver hands out physical memory in (cuMemGetAllocationGranularity)
EXABYTE = 2**60  # one_exa_bytes in CUDACachingAllocator.cpp: larger requests are refused unseen

DIVISION_INTERVALS = 16  # kRoundUpPowerOfTwoIntervals: 1 MiB, 2 MiB, ... 32 GiB and above
_FIRST_INTERVAL_LOG2 = 20  # kRoundUpPowerOfTwoStart = 1 MiB
NO_DIVISIONS = (0,) * DIVISION_INTERVALS


class Tie(Enum):
    """Which of two free blocks of one stream and size is taken; the comparator of ``BlockPool::blocks``."""

    ADDRESS = "address"  # torch <= 2.11, BlockComparatorSize: the lower address
    BLOCK = "block"  # torch 2.12, BlockComparatorRegistrationCounter: the block object made first
    SEGMENT = (
        "segment"  # torch >= 2.13, BlockComparatorSizeCounterAddress: the older segment, then the address
    )


def tie_of(torch: tuple[int, int]) -> Tie:
    """Return the tie rule of torch release *torch*, as (major, minor)."""
    if torch <= (2, 11):
        return Tie.ADDRESS
    return Tie.BLOCK if torch == (2, 12) else Tie.SEGMENT


def round_up(size: int, step: int) -> int:
    """Return the smallest multiple of *step* that is not below *size*."""
    return -(-size // step) * step


def round_to_block(size: int, divisions: tuple[int, ...] = NO_DIVISIONS) -> int:
    """Return the bytes set aside for a request of *size*; *divisions* has an entry for each interval.

    With 0 or 1 division they are a multiple of 512; with n divisions a size is rounded up to one of n equal
    steps between its power of two and the next.
    """
    if size < BLOCK_BYTES:
        return BLOCK_BYTES
    n = divisions[min(max(size.bit_length() - 1 - _FIRST_INTERVAL_LOG2, 0), DIVISION_INTERVALS - 1)]
    if n > 1 and size > BLOCK_BYTES * n and size & (size - 1):
        return round_up(size, (1 << (size.bit_length() - 1)) // n)
    return round_up(size, BLOCK_BYTES)


def segment_bytes(rounded: int, large_segment: int = LARGE_SEGMENT_BYTES) -> int:
    """Return the size of the segment that the driver is asked for when no cached block fits *rounded*."""
    if rounded <= SMALL_BYTES:
        return SMALL_SEGMENT_BYTES
    return large_segment if rounded < MIN_LARGE_BYTES else round_up(rounded, ROUND_LARGE_BYTES)
