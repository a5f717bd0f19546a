"""Blocks and the pools that keep the free ones."""

from bisect import bisect_left, insort
from collections.abc import Iterator

Key = tuple[
    int, int, int
]  # size, order, address: what std::set<Block*> of a BlockPool sorts by, within a stream


class Block:
    """A stretch of one segment, handed out or free; ``struct Block`` of CUDACachingAllocator.cpp.

    The allocator's own node: whoever holds one may read it and give it back, nothing else. ``order`` breaks
    ties among free blocks of one size; ``inserted`` is the pool's count of searches when the block became
    free.
    """

    __slots__ = (
        "address",
        "allocated",
        "busy",
        "home",
        "inserted",
        "mapped",
        "next",
        "order",
        "pool",
        "prev",
        "requested",
        "size",
        "stream",
    )

    def __init__(self, pool: "Pool", stream: int, address: int, size: int, order: int) -> None:
        self.pool = pool
        self.stream = stream
        self.address = address
        self.size = size
        self.order = order
        self.requested = 0
        self.allocated = False  # a tensor lives here
        self.busy = False  # allocated, or freed while another stream still uses it
        self.mapped = True  # backed by memory; False only inside expandable segments
        self.prev: Block | None = None
        self.next: Block | None = None
        self.home: AddressRange | None = None  # the expandable segment it lies in
        self.inserted = 0

    def is_split(self) -> bool:
        """Whether the block is less than its segment."""
        return self.prev is not None or self.next is not None

    def splice(self, before: "Block | None", after: "Block | None") -> None:
        """Put the block between two neighbours."""
        self.prev, self.next = before, after
        if before is not None:
            before.next = self
        if after is not None:
            after.prev = self

    def __repr__(self) -> str:
        state = (
            "allocated" if self.allocated else "busy" if self.busy else "free" if self.mapped else "unmapped"
        )
        return f"Block({self.address:#x}, {self.size}, {state})"


class AddressRange:
    """The address space of one expandable segment, mapped in pages; ``struct ExpandableSegment``."""

    __slots__ = ("address", "page", "size")

    def __init__(self, address: int, size: int, page: int) -> None:
        self.address = address
        self.size = size
        self.page = page

    def floor(self, address: int) -> int:
        """Return the last page border at or below *address*."""
        return address - (address - self.address) % self.page

    def ceil(self, address: int) -> int:
        """Return the first page border at or above *address*."""
        return address + -(address - self.address) % self.page


class Pool:
    """The free blocks of one pool, by stream in torch's order of search; ``struct BlockPool``."""

    __slots__ = ("at", "is_small", "keys", "searches", "unmapped")

    def __init__(self, is_small: bool) -> None:
        self.is_small = is_small
        self.keys: dict[int, list[Key]] = {}
        self.at: dict[int, Block] = {}  # the free mapped blocks, by address
        self.unmapped: dict[int, Block] = {}  # address space without memory, by address
        self.searches = 0  # get_free_blocks_call_count: the clock of garbage collection

    def insert(self, block: Block) -> None:
        """Take in a free block and note its age."""
        block.inserted = self.searches
        self.at[block.address] = block
        keys = self.keys.get(block.stream)
        if keys is None:
            keys = self.keys[block.stream] = []
        insort(keys, (block.size, block.order, block.address))

    def remove(self, block: Block) -> None:
        """Take out a free block."""
        del self.at[block.address]
        keys = self.keys[block.stream]
        del keys[bisect_left(keys, (block.size, block.order, block.address))]

    def unmapped_of(self, stream: int) -> list[Block]:
        """Return the unmapped stretches of *stream* by address."""
        return [block for _, block in sorted(self.unmapped.items()) if block.stream == stream]

    def blocks(self) -> Iterator[Block]:
        """Yield the free blocks in torch's order: stream, size, tie, address."""
        for stream in sorted(self.keys):
            for key in self.keys[stream]:
                yield self.at[key[2]]
