"""What a recording implies about the time before it began."""

import pytest

from vggprof.errors import FileFormatError
from vggprof.memory.allocator import (
    Allocator,
    AllocatorConfig,
    Block,
    BlockInfo,
    BlockState,
    Segment,
)
from vggprof.memory.replay import Action, DeviceTrace, TraceEvent, starting_segments
from vggprof.units import MIB

BASE = 0x7F00_0000_0000


def recorded(allocator: Allocator, events: list[TraceEvent]) -> DeviceTrace:
    return DeviceTrace(0, tuple(events), allocator.segments(), allocator.config)


def take(allocator: Allocator, size: int) -> Block:
    block = allocator.malloc(size)
    assert isinstance(block, Block)
    return block


def test_what_was_freed_during_the_recording_was_there_before() -> None:
    allocator = Allocator()
    kept, freed = take(allocator, 3 * MIB), take(allocator, 4 * MIB)
    before, at = allocator.segments(), freed.address  # a block that is free may move
    allocator.free(freed)
    later = take(allocator, 5 * MIB)
    trace = recorded(
        allocator,
        [
            TraceEvent(Action.FREE_REQUESTED, at, 4 * MIB, 0),
            TraceEvent(Action.FREE_COMPLETED, at, 4 * MIB, 0),
            TraceEvent(Action.ALLOC, later.address, 5 * MIB, 0),
        ],
    )
    assert starting_segments(trace, AllocatorConfig()) == before
    assert kept.address < later.address == at


def test_a_free_that_was_only_asked_for_before() -> None:
    """The recording begins between the request and its completion."""
    allocator = Allocator()
    block = take(allocator, 600)
    allocator.request_free(block)
    before = allocator.segments()
    allocator.complete_free(block)
    trace = recorded(allocator, [TraceEvent(Action.FREE_COMPLETED, block.address, 600, 0)])
    (segment_before,) = starting_segments(trace, AllocatorConfig())
    assert segment_before.blocks[0] == before[0].blocks[0]
    assert segment_before.blocks[0].state is BlockState.AWAITING_FREE


def test_segments_that_went_and_came() -> None:
    """One segment of 30 MiB was cached and went, one of 40 came."""
    allocator = Allocator()
    gone = take(allocator, 30 * MIB)
    allocator.free(gone)
    before = allocator.segments()
    allocator.empty_cache()
    new = take(allocator, 40 * MIB)
    trace = recorded(
        allocator,
        [
            TraceEvent(Action.SEGMENT_FREE, gone.address, 30 * MIB, 0),
            TraceEvent(Action.SEGMENT_ALLOC, new.address, 40 * MIB, 0),
            TraceEvent(Action.ALLOC, new.address, 40 * MIB, 0),
        ],
    )
    (found,) = starting_segments(trace, AllocatorConfig())
    assert (found.address, found.size_bytes, found.is_small) == (before[0].address, 30 * MIB, False)
    assert [block.state for block in found.blocks] == [BlockState.INACTIVE]


def test_an_unsplit_rest_belongs_to_its_block() -> None:
    """19 MiB were asked of a segment of 20; the rest of 1 MiB was not split off."""
    allocator = Allocator()
    block = take(allocator, 19 * MIB)
    before = allocator.segments()
    allocator.free(block)
    trace = recorded(allocator, [TraceEvent(Action.FREE_COMPLETED, block.address, 19 * MIB, 0)])
    assert (
        starting_segments(trace, AllocatorConfig())[0].blocks[0].size_bytes == before[0].blocks[0].size_bytes
    )


def test_an_unsplit_rest_shows_where_the_next_block_was_cut() -> None:
    """A block of 11.5 MiB was taken out of 12 free ones: its rest of 0.5 MiB is not split off.

    Of its segment of 20 MiB the last 8 are free then, so that what lies behind the block's 11.5 MiB could be
    a free block of 8.5. Only the next allocation, 0.5 MiB further on, tells.
    """
    allocator = Allocator()
    wide, behind = take(allocator, 20 * MIB), take(allocator, 20 * MIB)
    allocator.free(wide)
    first, second = take(allocator, 12 * MIB), take(allocator, 8 * MIB)
    allocator.free(first)
    narrow = take(allocator, 11 * MIB + MIB // 2)
    allocator.free(second)
    before = allocator.segments()
    assert before[0].blocks[0].size_bytes == 12 * MIB
    cut = take(allocator, 2 * MIB)
    allocator.free(narrow)
    events = [
        TraceEvent(Action.ALLOC, cut.address, 2 * MIB, 0),
        TraceEvent(Action.FREE_COMPLETED, narrow.address, 11 * MIB + MIB // 2, 0),
    ]
    found = starting_segments(recorded(allocator, events), AllocatorConfig())
    assert [[b.size_bytes for b in s.blocks] for s in found] == [
        [b.size_bytes for b in s.blocks] for s in before
    ]
    assert behind.allocated


def test_mapped_pages_are_taken_back() -> None:
    config = AllocatorConfig(expandable_segments=True)
    allocator = Allocator(config)
    first = take(allocator, 20 * MIB)
    before = allocator.segments()
    second = take(allocator, 30 * MIB)
    events = [
        TraceEvent(Action.SEGMENT_MAP, second.address, 40 * MIB, 0),
        TraceEvent(Action.ALLOC, second.address, 30 * MIB, 0),
    ]
    assert starting_segments(recorded(allocator, events), config) == before
    allocator.free(second)
    allocator.free(first)
    held = allocator.segments()
    allocator.empty_cache()
    gone = [TraceEvent(Action.SEGMENT_UNMAP, first.address, 60 * MIB, 0)]
    (found,) = starting_segments(DeviceTrace(0, tuple(gone), (), config), config)
    assert (found.address, found.size_bytes) == (held[0].address, held[0].size_bytes)


@pytest.mark.parametrize(
    "contradiction",
    [
        TraceEvent(Action.ALLOC, BASE + 4096, 100, 0),  # nothing is there at the end, and nothing freed it
        TraceEvent(Action.FREE_REQUESTED, BASE + 4096, 100, 0),
        TraceEvent(Action.SEGMENT_ALLOC, BASE + 4096, 2 * MIB, 0),
        TraceEvent(Action.SEGMENT_MAP, BASE + 4096, 2 * MIB, 0),
    ],
)
def test_a_trace_that_contradicts_its_end(contradiction: TraceEvent) -> None:
    blocks = (
        BlockInfo(BASE, 512, 100, BlockState.ALLOCATED),
        BlockInfo(BASE + 512, 2 * MIB - 512, 0, BlockState.INACTIVE),
    )
    segment = Segment(BASE, 2 * MIB, 0, True, False, blocks)
    trace = DeviceTrace(0, (TraceEvent(Action.ALLOC, BASE, 100, 0), contradiction), (segment,), None)
    with pytest.raises(
        FileFormatError, match=r"device_traces\[0\]\[1\]: \w+ at 0x7f\w+ contradicts what follows"
    ):
        starting_segments(trace, AllocatorConfig())


def test_a_block_outside_every_segment() -> None:
    trace = DeviceTrace(0, (TraceEvent(Action.FREE_COMPLETED, BASE, 100, 0),), (), None)
    with pytest.raises(FileFormatError, match=r"the block at 0x7f0000000000 lies in no segment"):
        starting_segments(trace, AllocatorConfig())
