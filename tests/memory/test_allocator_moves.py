"""The allocator's moves by hand: rounding, search, split, merge, streams and ties."""

import pytest

from vggprof.errors import UsageError
from vggprof.memory.allocator import (
    Allocator,
    AllocatorConfig,
    Block,
    BlockState,
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
