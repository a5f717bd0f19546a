"""Segments and blocks as values: the allocator's state to look at, to keep and to take up again."""

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from vggprof.memory.allocator.blocks import AddressRange, Block, Pool
from vggprof.memory.allocator.driver import unknown_total_reserve
from vggprof.memory.allocator.heap import Heap
from vggprof.memory.allocator.rules import SMALL_SEGMENT_BYTES, round_up


class BlockState(Enum):
    """Who has a block, in the words of torch's snapshots."""

    ALLOCATED = "active_allocated"
    AWAITING_FREE = "active_pending_free"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class BlockInfo:
    """One block of a segment."""

    address: int
    size_bytes: int
    requested_bytes: int  # of the last allocation that began here, 0 if there was none
    state: BlockState


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch of device memory; its blocks follow one another without gaps."""

    address: int
    size_bytes: int
    stream: int
    is_small: bool
    is_expandable: bool
    blocks: tuple[BlockInfo, ...]

    @property
    def allocated_bytes(self) -> int:
        """Bytes of the blocks that tensors live in."""
        return sum(block.size_bytes for block in self.blocks if block.state is BlockState.ALLOCATED)


def segments_of(heap: Heap) -> tuple[Segment, ...]:
    """Return the heap's segments by address; an expandable one counts once for each mapped stretch."""
    blocks = [*heap.small.at.values(), *heap.large.at.values(), *heap.live.values()]
    heads = [block for block in blocks if block.prev is None or not block.prev.mapped]
    return tuple(_segment(head) for head in sorted(heads, key=lambda block: block.address))


def _segment(head: Block) -> Segment:
    blocks: list[BlockInfo] = []
    block: Block | None = head
    while block is not None and block.mapped:
        blocks.append(BlockInfo(block.address, block.size, block.requested, _state(block)))
        block = block.next
    return Segment(
        address=head.address,
        size_bytes=sum(info.size_bytes for info in blocks),
        stream=head.stream,
        is_small=head.pool.is_small,
        is_expandable=head.home is not None,
        blocks=tuple(blocks),
    )


def _state(block: Block) -> BlockState:
    if block.allocated:
        return BlockState.ALLOCATED
    return BlockState.AWAITING_FREE if block.busy else BlockState.INACTIVE


def restore(heap: Heap, segments: tuple[Segment, ...]) -> dict[int, Block]:
    """Put *segments* into a fresh heap; return the busy blocks by address.

    The age order of segments is not part of their value: lower addresses count as older.
    """
    ranges: dict[tuple[bool, int], list[Segment]] = {}
    for segment in sorted(segments, key=lambda each: each.address):
        heap.counters.reserve(segment.size_bytes)
        heap.driver.adopt(segment.address, segment.size_bytes)
        if segment.is_expandable:
            ranges.setdefault((segment.is_small, segment.stream), []).append(segment)
        else:
            heap.counters.segments += 1
            _link(_place(heap, segment, heap.order_of(None), None))
    for (is_small, _), members in ranges.items():
        _restore_range(heap, is_small, members)
    heap.counters.reset_peaks()
    return dict(heap.live)


def _restore_range(heap: Heap, is_small: bool, members: list[Segment]) -> None:
    """Rebuild one expandable segment: mapped stretches, the gaps between them, the rest of its addresses."""
    page = SMALL_SEGMENT_BYTES if is_small else heap.config.large_segment_bytes
    total = heap.total_bytes
    size = round_up(unknown_total_reserve() if total is None else heap.config.reserve_bytes(total), page)
    home = AddressRange(members[0].address, size, page)
    order = heap.order_of(None)
    chain: list[Block] = []
    at = home.address
    for member in members:
        chain += _gap(heap, member, order, (at, member.address), home)
        chain += _place(heap, member, order, home)
        at = member.address + member.size_bytes
    chain += _gap(heap, members[-1], order, (at, max(at, home.address + size)), home)
    _link(chain)


def _gap(heap: Heap, segment: Segment, order: int, span: tuple[int, int], home: AddressRange) -> list[Block]:
    start, end = span
    if start >= end:
        return []
    block = Block(_pool(heap, segment), segment.stream, start, end - start, order)
    block.mapped, block.home = False, home
    block.pool.unmapped[start] = block
    return [block]


def _place(heap: Heap, segment: Segment, order: int, home: AddressRange | None) -> list[Block]:
    """Make the blocks of one segment, enter them into pool, live blocks and counts."""
    made = []
    for info in segment.blocks:
        block = Block(_pool(heap, segment), segment.stream, info.address, info.size_bytes, order)
        block.requested, block.home = info.requested_bytes, home
        if info.state is BlockState.INACTIVE:
            block.pool.insert(block)
            if home is None and len(segment.blocks) > 1:
                heap.counters.idle(block.size)
        else:
            _occupy(heap, block, info.state)
        made.append(block)
    return made


def _occupy(heap: Heap, block: Block, state: BlockState) -> None:
    block.busy, block.allocated = True, state is BlockState.ALLOCATED
    heap.live[block.address] = block
    heap.counters.allocate(block.size, block.requested)
    if not block.allocated:
        heap.counters.allocated -= block.size


def _pool(heap: Heap, segment: Segment) -> Pool:
    return heap.small if segment.is_small else heap.large


def _link(blocks: list[Block]) -> None:
    for before, after in pairwise(blocks):
        before.next, after.prev = after, before
