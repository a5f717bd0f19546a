"""What the allocator gives back to the device, and when.

``garbage_collect_cached_blocks``, ``release_available_cached_blocks`` and ``release_cached_blocks`` of
c10/cuda/CUDACachingAllocator.cpp.
"""

from bisect import bisect_left

from vggprof.memory.allocator.blocks import Block, Pool
from vggprof.memory.allocator.config import UNLIMITED
from vggprof.memory.allocator.expandable import contract
from vggprof.memory.allocator.heap import Heap


def collect_garbage(heap: Heap) -> None:
    """Give large segments back that have been free for longer than average, until the threshold is met.

    Only under a memory limit. A block's age is the number of searches in its pool since it became free.
    """
    assert heap.limit_bytes is not None
    excess = heap.counters.reserved - int(heap.config.garbage_collection_threshold * heap.limit_bytes)
    pool = heap.large
    ages = {block: pool.searches - block.inserted for block in pool.blocks() if not block.is_split()}
    count, total, freed = len(ages), sum(ages.values()), True
    while excess > 0 and freed and count:
        oldest = [block for block, age in ages.items() if age >= total / count and block.home is None]
        freed = bool(oldest)
        for block in oldest:
            excess -= block.size
            total -= ages.pop(block)
            count -= 1
            heap.drop_segment(block)


def release_oversize(heap: Heap, pool: Pool, size: int, stream: int) -> bool:
    """Give back one oversize block that would do, or else the largest until they add up; True if they do.

    Only where max_split_size_mb is set; oversize blocks are those of that size and above.
    """
    if heap.max_split >= UNLIMITED:
        return False
    wanted = max(size, heap.max_split)
    keys = pool.keys.get(stream, [])
    at = bisect_left(keys, (wanted, -1, 0))
    if at < len(keys) and pool.at[keys[at][2]].home is None:
        heap.drop_segment(pool.at[keys[at][2]])
        return True
    released = 0
    for key in reversed(keys[:at]):
        if released >= wanted or key[0] < heap.max_split:
            break
        if pool.at[key[2]].home is None:
            released += key[0]
            heap.drop_segment(pool.at[key[2]])
    return released >= wanted


def release_cached(heap: Heap) -> None:
    """Give back every segment, and every page of expandable ones, that no tensor is in."""
    for pool in (heap.large, heap.small):
        in_ranges: list[Block] = []
        for block in list(pool.blocks()):
            if block.home is not None:
                in_ranges.append(block)
            elif not block.is_split():
                heap.drop_segment(block)
        for block in in_ranges:
            contract(heap, block)
