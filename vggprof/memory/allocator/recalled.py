"""Letting a recording decide: what a replay knows and the rules alone do not.

A recording does not tell how old the segments are that were there before it began, and it goes on where the
simulator has already parted from it. None of this exists in torch.
"""

from collections.abc import Mapping

from vggprof.memory.allocator.blocks import Block, Pool
from vggprof.memory.allocator.heap import Heap


def ties(heap: Heap, pool: Pool, rounded: int, stream: int) -> list[Block]:
    """Return the free blocks of the size that *rounded* bytes would be taken from, the first choice first."""
    at = heap.find(pool, rounded, stream)
    if at is None:
        return []
    keys = pool.keys[stream]
    return [pool.at[key[2]] for key in keys[at:] if key[0] == keys[at][0]]


def reorder(heap: Heap, orders: Mapping[int, int]) -> None:
    """Give every block whose order is a key of *orders* the value as its order."""
    for pool in (heap.small, heap.large):
        free = list(pool.blocks())
        for block in [*pool.unmapped.values(), *free]:
            block.order = orders.get(block.order, block.order)
        for keys in pool.keys.values():
            keys[:] = sorted((size, orders.get(order, order), address) for size, order, address in keys)
    for block in heap.live.values():
        block.order = orders.get(block.order, block.order)


def place(heap: Heap, pool: Pool, rounded: int, stream: int, address: int) -> Block | None:
    """Take *rounded* bytes at *address* out of the free block there; None where there is no such block."""
    for block in pool.at.values():
        if (
            block.stream == stream
            and block.address <= address
            and address + rounded <= block.address + block.size
        ):
            pool.remove(block)
            return _from(heap, block, address)
    return None


def _from(heap: Heap, block: Block, address: int) -> Block:
    """Leave what lies before *address* in the pool; return the rest."""
    before = address - block.address
    if before:
        front = Block(block.pool, block.stream, block.address, before, heap.order_of(block))
        front.home = block.home
        if block.home is None and not block.is_split():
            heap.counters.idle(block.size)
        front.splice(block.prev, block)
        block.address += before
        block.size -= before
        block.pool.insert(front)
    return block
