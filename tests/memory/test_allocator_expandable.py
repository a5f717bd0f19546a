"""Expandable segments by hand: pages, growth, and what is given back."""

from vggprof.memory.allocator import (
    Allocator,
    AllocatorConfig,
    Block,
    OutOfMemory,
    SegmentAction,
    parse_allocator_config,
)
from vggprof.memory.allocator.driver import FIRST_ADDRESS
from vggprof.units import GIB, MIB


def take(allocator: Allocator, size: int, stream: int = 0) -> Block:
    block = allocator.malloc(size, stream)
    assert isinstance(block, Block)
    return block


def offset(block: Block) -> int:
    return block.address - FIRST_ADDRESS


def sizes(allocator: Allocator) -> list[list[int]]:
    return [[block.size_bytes for block in segment.blocks] for segment in allocator.segments()]


def test_expandable_segments_map_page_by_page() -> None:
    seen: list[tuple[SegmentAction, int, int]] = []

    def listen(action: SegmentAction, address: int, size: int, stream: int) -> None:
        seen.append((action, address - FIRST_ADDRESS, size))

    config = AllocatorConfig(expandable_segments=True)
    allocator = Allocator(config, total_bytes=8 * GIB, listener=listen)
    large = take(allocator, 30 * MIB)  # two pages of 20 MiB
    more = take(allocator, 15 * MIB)  # 10 MiB are mapped and free: one more page
    assert (offset(large), offset(more)) == (0, 30 * MIB)
    assert allocator.reserved_bytes == 60 * MIB
    small = take(allocator, 512)  # a range of its own, pages of 2 MiB
    assert small.address - large.address == 9 * GIB + 4 * MIB  # 9/8 of 8 GiB in whole pages of 20 MiB
    assert allocator.reserved_bytes == 62 * MIB
    assert allocator.stats.segments == 0  # expandable segments are not counted
    assert seen[:2] == [(SegmentAction.MAP, 0, 40 * MIB), (SegmentAction.MAP, 40 * MIB, 20 * MIB)]


def test_expandable_segments_give_whole_free_pages_back() -> None:
    config = AllocatorConfig(expandable_segments=True)
    allocator = Allocator(config, total_bytes=8 * GIB)
    a, b, c = (take(allocator, 30 * MIB) for _ in range(3))  # 0, 30, 60 of 100 mapped
    allocator.free(b)
    allocator.empty_cache()  # of 30 to 60 only the page from 40 to 60 is empty
    assert allocator.reserved_bytes == 80 * MIB
    assert [segment.size_bytes for segment in allocator.segments()] == [40 * MIB, 40 * MIB]
    d = take(allocator, 30 * MIB)  # the page comes back: 10 + 20 MiB in the gap
    assert offset(d) == 30 * MIB
    for block in (a, c, d):
        allocator.free(block)
    allocator.empty_cache()
    assert allocator.reserved_bytes == 0
    assert allocator.segments() == ()


def test_expandable_segments_split_at_512_whatever_the_pool() -> None:
    allocator = Allocator(AllocatorConfig(expandable_segments=True))
    take(allocator, 20 * MIB - 512)
    assert sizes(allocator) == [[20 * MIB - 512, 512]]


def test_expandable_segments_prefer_the_block_that_can_grow_least() -> None:
    """Free: 25 MiB inside, and 10 MiB at the end that can grow by gigabytes.

    For 8 MiB the smallest block is the one at the end; but with what may be mapped behind it, it is the
    larger one.
    """
    allocator = Allocator(AllocatorConfig(expandable_segments=True), total_bytes=8 * GIB)
    inside, _ = take(allocator, 25 * MIB), take(allocator, 25 * MIB)  # 60 mapped, 10 free at the end
    allocator.free(inside)
    assert offset(take(allocator, 8 * MIB)) == 0


def test_expandable_segments_out_of_memory() -> None:
    allocator = Allocator(AllocatorConfig(expandable_segments=True), 100 * MIB, total_bytes=8 * GIB)
    held = take(allocator, 50 * MIB)
    assert isinstance(allocator.malloc(60 * MIB), OutOfMemory)  # 10 are mapped and free, 3 pages do not fit
    assert allocator.reserved_bytes == 60 * MIB
    allocator.free(held)
    assert offset(take(allocator, 60 * MIB)) == 0


def test_large_segment_size_is_the_page_of_expandable_segments() -> None:
    config = parse_allocator_config("expandable_segments:True,large_segment_size_mb:40")
    allocator = Allocator(config)
    take(allocator, 2 * MIB)
    assert allocator.reserved_bytes == 40 * MIB


def test_an_allocation_may_not_exceed_the_reserve() -> None:
    config = parse_allocator_config("expandable_segments:True,expandable_segments_reserve:0.25")
    allocator = Allocator(config, total_bytes=8 * GIB)
    oom = allocator.malloc(3 * GIB)
    assert isinstance(oom, OutOfMemory)
    assert "exceeds the expandable-segment reserve of 2.00 GiB for this stream" in oom.message
    assert "so that a segment is at least 3.00 GiB." in oom.message
