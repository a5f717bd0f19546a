"""The allocator's moves by hand. Sizes in MiB unless said otherwise; the device hands out ascending
addresses.
"""

import pytest

from vggprof.errors import UsageError
from vggprof.memory.allocator import (
    Allocator,
    AllocatorConfig,
    Block,
    BlockState,
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


def test_small_requests_share_a_segment_of_2_mib() -> None:
    allocator = Allocator()
    first, second = take(allocator, 100), take(allocator, 1000)
    assert (offset(first), offset(second)) == (0, 512)
    assert sizes(allocator) == [[512, 1024, 2 * MIB - 1536]]
    stats = allocator.stats
    assert (stats.allocated_bytes, stats.requested_bytes, stats.reserved_bytes) == (1536, 1100, 2 * MIB)
    assert (stats.segments, stats.inactive_split_bytes) == (1, 2 * MIB - 1536)


def test_the_small_pool_splits_whatever_is_left() -> None:
    allocator = Allocator()
    take(allocator, MIB)
    take(allocator, MIB - 512)
    assert sizes(allocator) == [[MIB, MIB - 512, 512]]


def test_small_and_large_requests_do_not_share() -> None:
    allocator = Allocator()
    take(allocator, MIB + 1)  # large: 20 MiB
    take(allocator, MIB)  # small: a segment of its own, though the large one has room
    assert [segment.size_bytes for segment in allocator.segments()] == [20 * MIB, 2 * MIB]


def test_the_large_pool_splits_only_for_more_than_1_mib() -> None:
    allocator = Allocator()
    exact = take(allocator, 19 * MIB)  # a segment of 20 MiB; the rest of 1 MiB is not more than 1 MiB
    assert exact.size == 20 * MIB
    split = take(allocator, 19 * MIB - 512)  # rest 1 MiB + 512
    assert split.size == 19 * MIB - 512
    assert sizes(allocator) == [[20 * MIB], [19 * MIB - 512, MIB + 512]]
    # allocated counts the block with its slack, requested what was asked for
    assert allocator.stats.allocated_bytes == 39 * MIB - 512
    assert allocator.stats.requested_bytes == 38 * MIB - 512


def test_best_fit_takes_the_smallest_block_that_is_large_enough() -> None:
    allocator = Allocator()
    blocks = [take(allocator, size * MIB) for size in (40, 30, 60)]
    for block in blocks:
        allocator.free(block)
    assert offset(take(allocator, 29 * MIB)) == 40 * MIB
    assert offset(take(allocator, 31 * MIB)) == 0
    assert allocator.reserved_bytes == 130 * MIB


def test_free_neighbours_merge_before_and_behind() -> None:
    allocator = Allocator()
    a, b, c = (take(allocator, 512) for _ in range(3))
    allocator.free(a)
    allocator.free(c)  # merges with the rest behind it
    assert sizes(allocator) == [[512, 512, 2 * MIB - 1024]]
    allocator.free(b)
    assert sizes(allocator) == [[2 * MIB]]
    assert allocator.stats.inactive_split_bytes == 0


def test_blocks_serve_only_their_stream() -> None:
    allocator = Allocator()
    allocator.free(take(allocator, 30 * MIB, stream=7))
    assert offset(take(allocator, 30 * MIB, stream=0)) == 30 * MIB
    assert offset(take(allocator, 30 * MIB, stream=7)) == 0


def test_a_block_that_another_stream_uses_waits_to_be_free() -> None:
    allocator = Allocator()
    block = take(allocator, 30 * MIB)
    allocator.request_free(block)
    stats = allocator.stats
    assert (stats.allocated_bytes, stats.active_bytes, stats.requested_bytes) == (0, 30 * MIB, 30 * MIB)
    assert allocator.segments()[0].blocks[0].state is BlockState.AWAITING_FREE
    assert offset(take(allocator, 30 * MIB)) == 30 * MIB
    allocator.complete_free(block)
    assert offset(take(allocator, 30 * MIB)) == 0
    with pytest.raises(ValueError, match="does not wait"):
        allocator.complete_free(block)


def test_refuses_what_cannot_be() -> None:
    allocator = Allocator()
    block = take(allocator, 1)
    allocator.free(block)
    with pytest.raises(ValueError, match="is not allocated"):
        allocator.free(block)
    with pytest.raises(ValueError, match="0 bytes never reaches"):
        allocator.malloc(0)


@pytest.mark.parametrize(
    ("torch", "chosen"),
    [
        ((2, 11), "high"),  # the lower address: of the second segment, which lies below
        ((2, 12), "low"),  # the block object made first: the first segment's
        ((2, 13), "low"),  # the older segment
    ],
)
def test_ties(torch: tuple[int, int], chosen: str) -> None:
    """Two free blocks of 30 MiB; the younger segment has the lower address."""

    class Descending:
        next = GIB

        def malloc(self, size: int) -> int | None:
            self.next -= size
            return self.next

        def free(self, address: int, size: int) -> None: ...
        def adopt(self, address: int, size: int) -> None: ...
        def release(self, address: int, size: int) -> None: ...
        def unmap(self, address: int, size: int) -> None: ...
        def map(self, address: int, size: int, page: int) -> bool:
            return False

        def reserve(self, size: int, stream: int, page: int) -> int:
            return 0

    allocator = Allocator(AllocatorConfig(torch=torch), driver=Descending())
    older, younger = take(allocator, 30 * MIB), take(allocator, 30 * MIB)
    allocator.free(older)
    allocator.free(younger)
    expected = {"low": older, "high": younger}[chosen]
    assert take(allocator, 30 * MIB).address == expected.address


@pytest.mark.parametrize(("torch", "chosen"), [((2, 11), 0), ((2, 12), 3), ((2, 13), 0)])
def test_ties_within_a_segment(torch: tuple[int, int], chosen: int) -> None:
    """Four quarters of a small segment, the first and the last of them free.

    Splitting makes a new object of the front: the quarters are objects 2, 3, 4 and 1, the last being what is
    left of the segment itself. Torch 2.12 takes the lowest number, the others the lowest address.
    """
    allocator = Allocator(AllocatorConfig(torch=torch))
    quarters = [take(allocator, MIB // 2) for _ in range(4)]
    allocator.free(quarters[0])
    allocator.free(quarters[3])
    assert offset(take(allocator, MIB // 2)) == chosen * MIB // 2


def test_a_refusal_gives_the_cache_back_and_tries_again() -> None:
    allocator = Allocator(capacity_bytes=100 * MIB)
    cached, split = take(allocator, 40 * MIB), take(allocator, 30 * MIB)
    part = take(allocator, 2 * MIB)  # a segment of 20 MiB, which stays because it is in use
    allocator.free(cached)
    allocator.free(split)
    block = take(allocator, 60 * MIB)  # 40 + 30 + 20 held, 60 asked: both whole segments go
    assert block.size == 60 * MIB
    assert allocator.reserved_bytes == 80 * MIB
    assert allocator.stats.alloc_retries == 1
    allocator.free(part)
    allocator.free(block)
    allocator.empty_cache()
    assert allocator.reserved_bytes == 0 == allocator.stats.segments


def test_out_of_memory_is_a_value_and_leaves_the_cache_empty() -> None:
    allocator = Allocator(capacity_bytes=100 * MIB)
    held, cached = take(allocator, 50 * MIB), take(allocator, 40 * MIB)
    allocator.free(cached)
    oom = allocator.malloc(61 * MIB - 100)
    assert isinstance(oom, OutOfMemory)
    assert oom.requested_bytes == 61 * MIB - 100
    assert oom.rounded_bytes == 61 * MIB
    assert oom.segment_bytes == 62 * MIB  # a multiple of 2 MiB
    assert (oom.allocated_bytes, oom.reserved_bytes, oom.cached_bytes) == (50 * MIB, 50 * MIB, 0)
    assert (allocator.stats.ooms, allocator.stats.alloc_retries) == (1, 1)
    allocator.free(held)  # and work goes on
    assert take(allocator, 61 * MIB).size == 62 * MIB


def test_the_memory_fraction_is_a_limit() -> None:
    config = AllocatorConfig(memory_fraction=0.5)
    allocator = Allocator(config, total_bytes=100 * MIB)
    take(allocator, 30 * MIB)
    oom = allocator.malloc(22 * MIB)  # 30 + 22 > 50
    assert isinstance(oom, OutOfMemory)
    assert oom.limit_bytes == 50 * MIB
    assert take(allocator, 20 * MIB).size == 20 * MIB  # 30 + 20 = 50 is within
    explicit = Allocator(limit_bytes=20 * MIB)
    assert isinstance(explicit.malloc(22 * MIB), OutOfMemory)


def test_max_split_size_never_splits_large_requests() -> None:
    config = parse_allocator_config("max_split_size_mb:50")
    allocator = Allocator(config)
    block = take(allocator, 100 * MIB)
    allocator.free(block)
    # A request below 50 MiB may not have an oversize block.
    assert offset(take(allocator, 40 * MIB)) == 100 * MIB
    # One of 50 MiB and above may, if the block is less than 20 MiB larger: 100 >= 80 + 20 is too large ...
    assert offset(take(allocator, 80 * MIB)) == 140 * MIB
    # ... 100 < 81 + 20 is not, and it is handed out whole.
    whole = take(allocator, 81 * MIB)
    assert (offset(whole), whole.size) == (0, 100 * MIB)


def test_max_non_split_rounding_widens_the_tolerance() -> None:
    allocator = Allocator(parse_allocator_config("max_split_size_mb:50,max_non_split_rounding_mb:40"))
    allocator.free(take(allocator, 100 * MIB))
    assert take(allocator, 61 * MIB).size == 100 * MIB


def test_max_split_size_gives_oversize_blocks_back_first() -> None:
    """60, 70 and 20 MiB cached on 160 MiB; 80 MiB asked.

    No oversize block is large enough, so the largest go until 80 MiB are free: 70 and then 60. The segment of
    20 MiB, which is not oversize, stays, and no retry is counted, because the cache as a whole was not
    emptied.
    """
    gone: list[int] = []

    def listen(action: SegmentAction, address: int, size: int, stream: int) -> None:
        if action is SegmentAction.FREE:
            gone.append(size)

    config = parse_allocator_config("max_split_size_mb:50")
    allocator = Allocator(config, capacity_bytes=160 * MIB, listener=listen)
    blocks = [take(allocator, size * MIB) for size in (60, 70, 5)]
    for block in blocks:
        allocator.free(block)
    take(allocator, 80 * MIB)
    assert gone == [70 * MIB, 60 * MIB]
    assert allocator.stats.alloc_retries == 0
    assert allocator.reserved_bytes == 100 * MIB


def test_garbage_collection_by_age() -> None:
    """Limit 100 MiB, threshold 0.5: whoever asks while more than 50 MiB are reserved makes old segments go.

    The clock is the number of searches in the large pool. Three make A, B and C of 20 MiB; A and B are freed
    at 3. The fourth finds nothing on its stream: 60 - 50 = 10 MiB are to go, the ages are A = B = 1, the
    average 1, so both go, although one would do. C and the new segment of 16 MiB are left.
    """
    config = parse_allocator_config("garbage_collection_threshold:0.5")
    allocator = Allocator(config, limit_bytes=100 * MIB)
    a, b, _ = (take(allocator, 20 * MIB) for _ in range(3))
    allocator.free(a)
    allocator.free(b)
    take(allocator, 15 * MIB, stream=1)
    assert allocator.reserved_bytes == 20 * MIB + 16 * MIB
    assert allocator.stats.alloc_retries == 0


def test_garbage_collection_spares_the_young() -> None:
    """Limit 100 MiB, threshold 0.7, and B is freed one search later than A.

    A is freed at 3. Search 4 finds 60 MiB reserved, not above 70, and adds 10; B is freed at 4. Search 5
    finds 70, not above 70, and adds 10. Search 6 finds 80: ages A = 3, B = 2, average 2.5, so A goes, 20 >=
    10 MiB, and B stays.
    """
    config = parse_allocator_config("garbage_collection_threshold:0.7")
    allocator = Allocator(config, limit_bytes=100 * MIB)
    a, b, _ = (take(allocator, 20 * MIB) for _ in range(3))
    allocator.free(a)
    take(allocator, 10 * MIB, stream=1)  # 60 -> 70
    allocator.free(b)
    take(allocator, 10 * MIB, stream=2)  # 70 -> 80
    assert allocator.reserved_bytes == 80 * MIB
    take(allocator, 10 * MIB, stream=3)
    assert allocator.reserved_bytes == 80 * MIB - 20 * MIB + 10 * MIB
    assert offset(take(allocator, 20 * MIB)) == 20 * MIB  # B


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


def test_throw_on_cudamalloc_oom_does_not_empty_the_cache() -> None:
    """200 MiB in all; 96 are cached and 48 in use when 144 are asked: 144 + 144 > 200."""
    config = parse_allocator_config("throw_on_cudamalloc_oom:True")
    allocator = Allocator(config, 200 * MIB, total_bytes=200 * MIB)
    cached = take(allocator, 96 * MIB)
    take(allocator, 48 * MIB)
    allocator.free(cached)
    oom = allocator.malloc(144 * MIB)
    assert isinstance(oom, OutOfMemory)
    assert "preemptively rejected" in oom.message
    assert allocator.reserved_bytes == 144 * MIB
    assert (allocator.stats.oom_rejections, allocator.stats.ooms, allocator.stats.alloc_retries) == (1, 0, 0)


def test_taking_up_a_state() -> None:
    allocator = Allocator()
    kept, freed, waiting = take(allocator, 3 * MIB), take(allocator, 3 * MIB), take(allocator, 600)
    allocator.free(freed)
    allocator.request_free(waiting)
    other = Allocator()
    blocks = other.restore(allocator.segments())
    assert set(blocks) == {kept.address, waiting.address}
    assert other.segments() == allocator.segments()
    assert other.stats.allocated_bytes == allocator.stats.allocated_bytes
    assert other.stats.inactive_split_bytes == allocator.stats.inactive_split_bytes
    other.complete_free(blocks[waiting.address])
    assert take(other, 3 * MIB).address == freed.address


def test_settings_that_torch_refuses() -> None:
    with pytest.raises(UsageError, match="max_split_size_mb must be at least 20"):
        AllocatorConfig(max_split_bytes=MIB)
