"""What the allocator does when the device refuses, by hand: retries, limits, collection, out of memory."""

from vggprof.memory.allocator import (
    Allocator,
    AllocatorConfig,
    Block,
    OutOfMemory,
    SegmentAction,
    parse_allocator_config,
)
from vggprof.memory.allocator.driver import FIRST_ADDRESS
from vggprof.units import MIB


def take(allocator: Allocator, size: int, stream: int = 0) -> Block:
    block = allocator.malloc(size, stream)
    assert isinstance(block, Block)
    return block


def offset(block: Block) -> int:
    return block.address - FIRST_ADDRESS


def sizes(allocator: Allocator) -> list[list[int]]:
    return [[block.size_bytes for block in segment.blocks] for segment in allocator.segments()]


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
