"""Pools, blocks and counts of one device: the moves that every allocation is made of.

``alloc_found_block``, ``free_block``, ``try_merge_blocks``, ``get_free_block``, ``alloc_block`` and
``release_block`` of DeviceCachingAllocator in c10/cuda/CUDACachingAllocator.cpp.
"""

from bisect import bisect_left
from collections.abc import Callable
from enum import Enum

from vggprof.memory.allocator.blocks import Block, Key, Pool
from vggprof.memory.allocator.config import AllocatorConfig
from vggprof.memory.allocator.driver import Driver
from vggprof.memory.allocator.rules import BLOCK_BYTES, SMALL_BYTES, Tie
from vggprof.memory.allocator.stats import Counters


class SegmentAction(Enum):
    """What happens to segments, in torch's words for its trace."""

    ALLOC = "segment_alloc"
    FREE = "segment_free"
    MAP = "segment_map"
    UNMAP = "segment_unmap"


Listener = Callable[[SegmentAction, int, int, int], None]  # action, address, bytes, stream


class Heap:
    """The state of one device's allocator."""

    def __init__(
        self,
        config: AllocatorConfig,
        driver: Driver,
        *,
        total_bytes: int | None,
        limit_bytes: int | None,
        listener: Listener | None,
    ) -> None:
        self.config = config
        self.driver = driver
        self.total_bytes = total_bytes
        self.limit_bytes = limit_bytes
        self.listener = listener
        self.counters = Counters()
        self.small, self.large = Pool(is_small=True), Pool(is_small=False)
        self.live: dict[int, Block] = {}
        self.expandable = config.expandable_segments
        self.max_split = config.max_split_bytes
        self.tolerance = config.tolerance_bytes
        self.collects = limit_bytes is not None and config.garbage_collection_threshold > 0
        self._tie = config.tie
        self._made = 0

    def order_of(self, parent: Block | None) -> int:
        """Return the order of a new block: cut from *parent*, or the first of its segment."""
        if self._tie is Tie.ADDRESS:
            return 0
        if parent is not None and self._tie is Tie.SEGMENT:
            return parent.order
        self._made += 1
        return self._made

    def tell(self, action: SegmentAction, address: int, size: int, stream: int) -> None:
        """Report what happened to a segment to whoever listens."""
        if self.listener is not None:
            self.listener(action, address, size, stream)

    def pool_of(self, rounded: int) -> Pool:
        """Return the pool that serves blocks of *rounded* bytes."""
        return self.small if rounded <= SMALL_BYTES else self.large

    def search(self, pool: Pool, size: int, stream: int) -> Block | None:
        """Take the best fitting free block of *stream*, or None."""
        if self.collects:
            pool.searches += 1
        at = self.find(pool, size, stream)
        if at is None:
            return None
        _, _, address = pool.keys[stream].pop(at)
        return pool.at.pop(address)

    def find(self, pool: Pool, size: int, stream: int) -> int | None:
        """Return the place of the best fitting free block among *stream*'s, or None."""
        keys = pool.keys.get(stream)
        if not keys:
            return None
        at = bisect_left(keys, (size, -1, 0))
        if at == len(keys):
            return None
        if self.expandable:
            at = _least_expandable(pool, keys, at)
        if keys[at][0] >= (self.max_split if size < self.max_split else size + self.tolerance):
            return None  # an oversize block serves only requests of nearly its size
        return at

    def hand_out(self, block: Block, requested: int, rounded: int) -> Block:
        """Give *block* to a tensor; where the rest is worth it, only its first *rounded* bytes."""
        rest = block.size - rounded
        was_split = block.prev is not None or block.next is not None
        if rest >= BLOCK_BYTES and (
            block.pool.is_small or self.expandable or (rounded < self.max_split and rest > SMALL_BYTES)
        ):
            if block.home is None:
                self.counters.idle(-rounded if was_split else rest)
            block = self._split(block, rounded)
        elif was_split and block.home is None:
            self.counters.idle(-block.size)
        block.allocated = block.busy = True
        block.requested = requested
        self.live[block.address] = block
        self.counters.allocate(block.size, requested)
        return block

    def _split(self, rest: Block, size: int) -> Block:
        """Cut the first *size* bytes off a block and put the rest into its pool."""
        block = Block(rest.pool, rest.stream, rest.address, size, self.order_of(rest))
        block.home = rest.home
        block.splice(rest.prev, rest)
        rest.address += size
        rest.size -= size
        rest.pool.insert(rest)
        return block

    def give_back(self, block: Block) -> None:
        """Make a busy block free for reuse, merged with its free neighbours."""
        counters, size = self.counters, block.size
        del self.live[block.address]
        change, before, after = 0, block.prev, block.next
        if before is not None and not before.busy:
            change -= self.merge(block, before)
        if after is not None and not after.busy:
            change -= self.merge(block, after)
        block.busy = False
        block.pool.insert(block)
        if block.home is None:
            if block.prev is not None or block.next is not None:
                change += block.size
            if change:
                counters.idle(change)
        counters.active -= size
        counters.requested -= block.requested

    def merge(self, block: Block, other: Block | None) -> int:
        """Let *block* swallow a neighbour that is free and mapped like it; return the bytes won."""
        if other is None or other.busy or other.mapped is not block.mapped:
            return 0
        if other.mapped:
            other.pool.remove(other)
        else:
            del other.pool.unmapped[other.address]
        if block.prev is other:
            block.address = other.address
            block.splice(other.prev, block.next)
        else:
            block.splice(block.prev, other.next)
        block.size += other.size
        return other.size

    def add_segment(self, pool: Pool, stream: int, size: int) -> Block | None:
        """Ask the device for a segment; return it as one block outside the pool, or None where it refuses."""
        address = self.driver.malloc(size)
        if address is None:
            return None
        self.counters.reserve(size)
        self.counters.segments += 1
        self.tell(SegmentAction.ALLOC, address, size, stream)
        return Block(pool, stream, address, size, self.order_of(None))

    def drop_segment(self, block: Block) -> None:
        """Give a free block that is a whole segment back to the device."""
        self.tell(SegmentAction.FREE, block.address, block.size, block.stream)
        block.pool.remove(block)
        self.driver.free(block.address, block.size)
        self.counters.reserve(-block.size)
        self.counters.segments -= 1


def _least_expandable(pool: Pool, keys: list[Key], at: int) -> int:
    """Return the place of the block that can grow least: best fit counts what may yet be mapped behind it."""
    room = _expandable_size(pool.at[keys[at][2]])
    while at + 1 < len(keys):
        following = _expandable_size(pool.at[keys[at + 1][2]])
        if following >= room:
            break
        at, room = at + 1, following
    return at


def _expandable_size(block: Block) -> int:
    after = block.next
    return block.size + (after.size if after is not None and not after.mapped else 0)
