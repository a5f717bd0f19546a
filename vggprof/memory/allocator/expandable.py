"""Expandable segments: one range of addresses a pool and stream, backed by memory page by page.

``find_expandable_block``, ``map_block``, ``try_allocate_expandable_block``, ``unmap_block`` and
``release_expandable_segment`` of c10/cuda/CUDACachingAllocator.cpp.
"""

from vggprof.memory.allocator.blocks import AddressRange, Block, Pool
from vggprof.memory.allocator.driver import unknown_total_reserve
from vggprof.memory.allocator.heap import Heap, SegmentAction
from vggprof.memory.allocator.rules import SMALL_SEGMENT_BYTES, round_up


def expand(heap: Heap, pool: Pool, stream: int, size: int) -> Block | None:
    """Return a free block of at least *size* bytes outside the pool, mapping what is missing.

    None where the device refuses; pages mapped until then stay mapped, as in torch.
    """
    block = _find(heap, pool, stream, size)
    if block is None or (not block.mapped and not _map(heap, block, min(block.size, size))):
        return None
    while block.size < size:
        after = block.next
        if after is None or not _map(heap, after, min(size - block.size, after.size)):
            return None
        block = after  # it has swallowed the free block before it
    pool.remove(block)
    return block


def contract(heap: Heap, block: Block) -> None:
    """Give the whole pages under a free block back, and its addresses where nothing else is in them."""
    home = block.home
    assert home is not None
    start, end = home.ceil(block.address), home.floor(block.address + block.size)
    if start >= end:
        return
    block.pool.remove(block)
    if start > block.address:
        _cut(heap, block, block.address, start - block.address).splice(block.prev, block)
        _insert(block.prev)
    if end < block.address + block.size:
        _cut(heap, block, end, block.address + block.size - end).splice(block, block.next)
        _insert(block.next)
    block.address, block.size, block.mapped = start, end - start, False
    heap.merge(block, block.prev)
    heap.merge(block, block.next)
    block.pool.unmapped[block.address] = block
    heap.driver.unmap(start, end - start)
    heap.counters.reserve(start - end)
    heap.tell(SegmentAction.UNMAP, start, end - start, block.stream)
    if not block.is_split():
        del block.pool.unmapped[block.address]
        heap.driver.release(home.address, home.size)


def _cut(heap: Heap, block: Block, address: int, size: int) -> Block:
    part = Block(block.pool, block.stream, address, size, heap.order_of(block))
    part.home = block.home
    return part


def _insert(block: Block | None) -> None:
    assert block is not None
    block.pool.insert(block)


def _find(heap: Heap, pool: Pool, stream: int, size: int) -> Block | None:
    """Return the lowest block from which *size* free or unmapped bytes follow; in a new range if need be."""
    for block in pool.unmapped_of(stream):
        before = block.prev
        start = before if before is not None and not before.busy else block
        if _room(start, size):
            return start
    return _new_range(heap, pool, stream, size)


def _room(block: Block | None, size: int) -> bool:
    """Whether *size* bytes follow from *block* on that are free or unmapped."""
    found = 0
    while found < size and block is not None and not block.busy:
        found += block.size
        block = block.next
    return found >= size


def _new_range(heap: Heap, pool: Pool, stream: int, size: int) -> Block | None:
    page = SMALL_SEGMENT_BYTES if pool.is_small else heap.config.large_segment_bytes
    total = heap.total_bytes
    wanted = unknown_total_reserve() if total is None else heap.config.reserve_bytes(total)
    reserve = round_up(wanted, page)
    if reserve < size and heap.config.torch >= (2, 15):
        return None  # earlier releases keep such a range, though the request cannot be met in it
    home = AddressRange(heap.driver.reserve(reserve, stream, page), reserve, page)
    block = Block(pool, stream, home.address, reserve, heap.order_of(None))
    block.mapped, block.home = False, home
    pool.unmapped[block.address] = block
    return block


def _map(heap: Heap, block: Block, size: int) -> bool:
    """Back the first *size* bytes of an unmapped block, rounded up to pages; False if the device refuses."""
    home, pool = block.home, block.pool
    assert home is not None
    mapped = home.ceil(block.address + size) - block.address
    if not heap.driver.map(block.address, mapped, home.page):
        return False
    address = block.address
    del pool.unmapped[address]
    block.mapped = True
    if mapped < block.size:
        rest = _cut(heap, block, address + mapped, block.size - mapped)
        rest.mapped = False
        rest.splice(block, block.next)
        pool.unmapped[rest.address] = rest
        block.size = mapped
    heap.merge(block, block.prev)
    heap.merge(block, block.next)
    pool.insert(block)
    heap.counters.reserve(mapped)
    heap.tell(SegmentAction.MAP, address, mapped, block.stream)
    return True
