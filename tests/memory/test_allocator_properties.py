"""What holds for every sequence of allocations, frees and emptied caches under every setting."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from vggprof.memory.allocator import (
    Alloc,
    Allocator,
    AllocatorConfig,
    Block,
    BlockState,
    EmptyCache,
    Event,
    Free,
    Mark,
    OutOfMemory,
    SimulatedDevice,
    parse_allocator_config,
    replay,
)
from vggprof.units import MIB

SETTINGS = st.builds(
    parse_allocator_config,
    st.sampled_from(
        [
            "",
            "max_split_size_mb:20",
            "max_split_size_mb:50,max_non_split_rounding_mb:60",
            "roundup_power2_divisions:4",
            "large_segment_size_mb:40",
            "garbage_collection_threshold:0.5",
            "expandable_segments:True",
            "expandable_segments:True,max_split_size_mb:40,garbage_collection_threshold:0.3",
        ]
    ),
    st.sampled_from([(2, 11), (2, 12), (2, 13), (2, 15)]),
)
SIZES = st.one_of(
    st.integers(1, 4096),
    st.integers(1, 64 * MIB),
    st.sampled_from([512, MIB, MIB + 1, 10 * MIB - 1, 10 * MIB, 20 * MIB]),
)
CAPACITY = 300 * MIB


class AllocatorMachine(RuleBasedStateMachine):
    """Any program on one device."""

    blocks: Bundle[Block] = Bundle("blocks")
    waiting: Bundle[Block] = Bundle("waiting")

    @initialize(config=SETTINGS, limit=st.sampled_from([None, 250 * MIB]))
    def begin(self, config: AllocatorConfig, limit: int | None) -> None:
        self.device = SimulatedDevice(CAPACITY)
        self.allocator = Allocator(config, driver=self.device, limit_bytes=limit)
        self.limit = limit or CAPACITY
        self.live: dict[int, Block] = {}

    @rule(target=blocks, size=SIZES, stream=st.sampled_from([0, 0, 0, 1]))
    def malloc(self, size: int, stream: int) -> Block:
        block = self.allocator.malloc(size, stream)
        if isinstance(block, OutOfMemory):
            whole = block.segment_bytes + block.reserved_bytes
            assert whole > min(self.limit, CAPACITY) or block.config.expandable_segments
            return multiple()  # type: ignore[return-value]  # hypothesis: nothing is added
        assert block.size >= size
        assert block.address not in self.live  # no address is handed out twice
        self.live[block.address] = block
        return block

    @rule(block=consumes(blocks))
    def free(self, block: Block) -> None:
        del self.live[block.address]
        self.allocator.free(block)

    @rule(target=waiting, block=consumes(blocks))
    def request_free(self, block: Block) -> Block:
        self.allocator.request_free(block)
        return block

    @rule(block=consumes(waiting))
    def complete_free(self, block: Block) -> None:
        del self.live[block.address]
        self.allocator.complete_free(block)

    @rule()
    def empty_cache(self) -> None:
        self.allocator.empty_cache()

    @invariant()
    def blocks_tile_their_segments(self) -> None:
        end = 0
        for segment in self.allocator.segments():
            assert segment.address >= end  # segments do not overlap
            end = segment.address + segment.size_bytes
            at, before = segment.address, BlockState.ALLOCATED
            for block in segment.blocks:
                assert block.address == at
                assert block.size_bytes > 0
                assert block.size_bytes % 512 == 0
                assert BlockState.INACTIVE not in (before, block.state) or before is not block.state  # merged
                at, before = at + block.size_bytes, block.state
            assert at == end

    @invariant()
    def counts_are_what_the_blocks_add_up_to(self) -> None:
        stats, segments = self.allocator.stats, self.allocator.segments()
        blocks = [block for segment in segments for block in segment.blocks]
        held = {state: sum(b.size_bytes for b in blocks if b.state is state) for state in BlockState}
        assert stats.reserved_bytes == sum(held.values()) == self.device.used_bytes <= self.limit
        assert stats.allocated_bytes == held[BlockState.ALLOCATED]
        assert stats.active_bytes == held[BlockState.ALLOCATED] + held[BlockState.AWAITING_FREE]
        assert stats.requested_bytes <= stats.active_bytes
        assert {b.address for b in blocks if b.state is not BlockState.INACTIVE} == set(self.live)
        split = (s for s in segments if len(s.blocks) > 1 and not s.is_expandable)
        inactive = sum(b.size_bytes for s in split for b in s.blocks if b.state is BlockState.INACTIVE)
        assert stats.inactive_split_bytes == inactive

    @invariant()
    def peaks_are_not_below_what_is_held(self) -> None:
        stats = self.allocator.stats
        assert stats.peak_allocated_bytes >= stats.allocated_bytes
        assert stats.peak_reserved_bytes >= stats.reserved_bytes >= stats.allocated_bytes

    @invariant()
    def a_state_can_be_taken_up(self) -> None:
        segments = self.allocator.segments()
        other = Allocator(self.allocator.config)
        assert set(other.restore(segments)) == set(self.live)
        assert other.segments() == segments

    def teardown(self) -> None:
        if not hasattr(self, "allocator"):
            return
        for block in self.live.values():
            if block.allocated:
                self.allocator.request_free(block)
            self.allocator.complete_free(block)
        self.allocator.empty_cache()
        assert self.allocator.reserved_bytes == self.allocator.allocated_bytes == self.device.used_bytes == 0
        assert self.allocator.segments() == ()


TestAllocator = AllocatorMachine.TestCase
TestAllocator.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def program(sizes: Sequence[int], frees: Sequence[int]) -> list[Event]:
    """Allocations with a free of an earlier one after each, where one is named."""
    events: list[Event] = []
    live: list[int] = []
    for name, size in enumerate(sizes):
        events.append(Alloc(name, size))
        live.append(name)
        if name < len(frees) and frees[name] < len(live):
            events.append(Free(live.pop(frees[name])))
    return events


PROGRAMS = st.builds(
    program, st.lists(SIZES, min_size=1, max_size=40), st.lists(st.integers(0, 10), max_size=40)
)


@settings(deadline=None)  # a busy machine is no failure
@given(PROGRAMS, SETTINGS)
def test_the_same_program_goes_the_same_way(events: list[Event], config: AllocatorConfig) -> None:
    assert replay(events, config) == replay(events, config)


@settings(deadline=None)  # a busy machine is no failure
@given(PROGRAMS, SETTINGS)
def test_the_peak_is_enough_and_no_capacity_gives_more(events: list[Event], config: AllocatorConfig) -> None:
    free = replay(events, config)
    assert free.fits
    enough = replay(events, config, free.stats.peak_reserved_bytes)
    assert enough.stats == free.stats
    tight = replay(events, config, free.stats.peak_requested_bytes - 1)
    assert tight.stats.peak_reserved_bytes < free.stats.peak_requested_bytes
    assert tight.oom is not None
    assert tight.oom_event is not None
    assert isinstance(events[tight.oom_event], Alloc)
    assert tight.stats.ooms == 1 <= tight.stats.alloc_retries


@settings(deadline=None)  # a busy machine is no failure
@given(PROGRAMS)
def test_requested_bytes_do_not_depend_on_what_is_cached(events: list[Event]) -> None:
    emptied = [each for event in events for each in (event, EmptyCache())]
    plain, fresh = replay(events), replay(emptied)
    assert plain.stats.peak_requested_bytes == fresh.stats.peak_requested_bytes
    assert plain.stats.requested_bytes == fresh.stats.requested_bytes


@settings(deadline=None)  # a busy machine is no failure
@given(PROGRAMS)
def test_marks_tell_what_is_held(events: list[Event]) -> None:
    marked = [each for event in events for each in (event, Mark("here"))]
    done = replay(marked)
    assert len(done.marks) == len(events)
    assert done.marks[-1].allocated_bytes == done.stats.allocated_bytes
    assert max(mark.allocated_bytes for mark in done.marks) == done.stats.peak_allocated_bytes
    peaks = [mark.peak_reserved_bytes for mark in done.marks]
    assert peaks == sorted(peaks)
    first = next(mark for mark in done.marks if mark.allocated_bytes == done.stats.peak_allocated_bytes)
    assert done.peak_event == first.event - 1
