"""Recorded runs under other settings and on smaller cards; the small cases by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from vggprof.errors import FileFormatError
from vggprof.memory.allocator import Allocator, AllocatorConfig, Block, parse_allocator_config
from vggprof.memory.replay import Action, DeviceTrace, TraceEvent, check_trace, read_snapshot, what_if
from vggprof.units import MIB

SNAPSHOT = Path(__file__).parents[1] / "data" / "snapshots" / "transformer_training.pickle"


@pytest.fixture(scope="module")
def training() -> DeviceTrace:
    (trace,) = read_snapshot(SNAPSHOT)
    return replace(trace, config=AllocatorConfig(torch=(2, 11)))


def run(*steps: tuple[str, int, int]) -> DeviceTrace:
    """A trace from an empty allocator: (a|f, number of the allocation, MiB)."""
    allocator = Allocator()
    events, blocks = [], {}
    for step, name, size in steps:
        if step == "a":
            block = allocator.malloc(size * MIB)
            assert isinstance(block, Block)
            blocks[name] = block
            events.append(TraceEvent(Action.ALLOC, block.address, size * MIB, 0))
        else:
            block = blocks[name]
            events.append(TraceEvent(Action.FREE_REQUESTED, block.address, block.requested, 0))
            events.append(TraceEvent(Action.FREE_COMPLETED, block.address, block.requested, 0))
            allocator.free(block)
    return DeviceTrace(0, tuple(_with_segments(events)), allocator.segments(), AllocatorConfig())


def _with_segments(events: list[TraceEvent]) -> list[TraceEvent]:
    """Put every segment's allocation before the first block in it, as torch does."""
    allocator, done = Allocator(), []
    allocator = Allocator(
        listener=lambda a, at, size, s: done.append(TraceEvent(Action(a.value), at, size, s))
    )
    live = {}
    for event in events:
        if event.action is Action.ALLOC:
            block = allocator.malloc(event.size_bytes)
            assert isinstance(block, Block)
            live[event.address] = block
        elif event.action is Action.FREE_COMPLETED:
            allocator.free(live.pop(event.address))
        done.append(event)
    return done


# 30 and 40 MiB come and go, then 50 MiB need a segment of their own: 120 MiB reserved, 70 allocated at most.
GROWING = run(("a", 1, 30), ("a", 2, 40), ("f", 1, 0), ("f", 2, 0), ("a", 3, 50))


def test_as_recorded() -> None:
    found = what_if(GROWING)
    assert found.stats.peak_allocated_bytes == 70 * MIB
    assert found.stats.peak_reserved_bytes == 120 * MIB
    assert found.fragmentation_bytes == 50 * MIB
    assert not found.rebuilt_start
    assert found.oom is None
    assert check_trace(GROWING, torch=(2, 15)).complete


def test_expandable_segments_reuse_what_lies_side_by_side() -> None:
    """30 and 40 MiB are mapped in 4 pages of 20, and 50 MiB fit into their 70."""
    found = what_if(GROWING, AllocatorConfig(expandable_segments=True))
    assert found.stats.peak_reserved_bytes == 80 * MIB
    assert found.fragmentation_bytes == 10 * MIB


def test_a_smaller_card_retries_or_fails() -> None:
    retries = what_if(GROWING, capacity_bytes=110 * MIB)  # 70 cached + 50 > 110: the cache is given back
    assert (retries.oom, retries.stats.alloc_retries, retries.stats.reserved_bytes) == (None, 1, 50 * MIB)
    fails = what_if(GROWING, capacity_bytes=69 * MIB)
    assert fails.oom is not None
    assert fails.oom.segment_bytes == 40 * MIB
    assert fails.oom_event is not None
    assert GROWING.events[fails.oom_event].size_bytes == 40 * MIB
    assert fails.stats.ooms == 1


def test_max_split_size_keeps_large_blocks_whole() -> None:
    """100 MiB come and go, then 60: with a limit of 50 MiB the cached 100 are 40 too many for it."""
    trace = run(("a", 1, 100), ("f", 1, 0), ("a", 2, 60))
    assert what_if(trace).stats.peak_reserved_bytes == 100 * MIB
    assert (
        what_if(trace, parse_allocator_config("max_split_size_mb:50")).stats.peak_reserved_bytes == 160 * MIB
    )


def test_rounding_to_divisions_lets_unlike_sizes_share() -> None:
    """33 MiB come and go, then 35: in quarters of 32 MiB both are 40, and the second takes the first's."""
    trace = run(("a", 1, 33), ("f", 1, 0), ("a", 2, 35))
    assert what_if(trace).stats.peak_reserved_bytes == (34 + 36) * MIB
    divided = what_if(trace, parse_allocator_config("roundup_power2_divisions:4"))
    assert divided.stats.peak_reserved_bytes == 40 * MIB


def test_garbage_collection_needs_a_limit() -> None:
    config = parse_allocator_config("garbage_collection_threshold:0.5,per_process_memory_fraction:0.75")
    found = what_if(GROWING, config, total_bytes=200 * MIB)
    assert found.stats.alloc_retries == 0  # 70 cached of 150 allowed: below 75, nothing is collected
    tighter = what_if(GROWING, config, total_bytes=180 * MIB)
    # 135 allowed, 70 > 67.5: 2.5 MiB are to go; the ages are 1 and 1, so both go before 50 MiB are asked.
    assert tighter.stats.alloc_retries == 0
    assert tighter.stats.reserved_bytes == 50 * MIB


def test_what_was_held_before_is_allocated_first() -> None:
    whole = run(("a", 1, 30), ("a", 2, 40), ("f", 1, 0))
    late = replace(whole, events=whole.events[4:])
    assert [event.action for event in late.events] == [Action.FREE_REQUESTED, Action.FREE_COMPLETED]
    same = what_if(late)
    assert (same.rebuilt_start, same.stats.peak_allocated_bytes) == (False, 70 * MIB)
    other = what_if(late, AllocatorConfig(expandable_segments=True))
    assert (other.rebuilt_start, other.stats.peak_reserved_bytes) == (True, 80 * MIB)
    none = what_if(late, capacity_bytes=50 * MIB)
    assert (none.rebuilt_start, none.oom_event) == (True, -1)
    assert none.oom is not None


def test_an_emptied_cache_stays_emptied() -> None:
    """30 MiB are given back by hand, then 20 are taken: they do not find the 30."""
    trace = run(("a", 1, 30), ("f", 1, 0))
    gone = TraceEvent(Action.SEGMENT_FREE, trace.segments[0].address, 30 * MIB, 0)
    done = TraceEvent(Action.SNAPSHOT, 0, 0, 0)
    emptied = replace(trace, events=(*trace.events, gone, done), segments=())
    assert what_if(emptied).stats.reserved_bytes == 0
    assert what_if(trace).stats.reserved_bytes == 30 * MIB


def test_the_allocation_that_ended_a_run_is_tried_again() -> None:
    trace = run(("a", 1, 30))
    ended = replace(trace, events=(*trace.events, TraceEvent(Action.OOM, 0, 80 * MIB, 0)))
    assert what_if(ended, capacity_bytes=100 * MIB).oom_event == len(trace.events)
    assert what_if(ended, capacity_bytes=120 * MIB).oom is None


def test_the_recorded_training_on_other_terms(training: DeviceTrace) -> None:
    recorded = what_if(training)
    assert (
        recorded.stats.peak_reserved_bytes == check_trace(training).stats.peak_reserved_bytes == 6_471_811_072
    )
    assert recorded.stats.peak_allocated_bytes == 5_914_094_592
    expandable = what_if(training, AllocatorConfig(torch=(2, 11), expandable_segments=True))
    assert expandable.fragmentation_bytes < recorded.fragmentation_bytes / 10
    # A card with just what was reserved holds it without a retry; with less, the cache has to go.
    just = what_if(training, capacity_bytes=recorded.stats.peak_reserved_bytes)
    assert (just.oom, just.stats.alloc_retries) == (None, 0)
    less = what_if(training, capacity_bytes=recorded.stats.peak_reserved_bytes - 2 * MIB)
    assert less.stats.alloc_retries > 0
    none = what_if(training, capacity_bytes=4096 * MIB)
    assert none.oom is not None
    assert none.oom_event is not None
    failed = training.events[none.oom_event]
    assert (failed.action, failed.size_bytes) == (Action.ALLOC, none.oom.requested_bytes)
    assert none.oom.reserved_bytes + none.oom.segment_bytes > 4096 * MIB


def test_a_trace_that_frees_nothing() -> None:
    lost = TraceEvent(Action.FREE_COMPLETED, 512, 100, 0)
    with pytest.raises(FileFormatError, match="the trace frees 0x200, where nothing is allocated"):
        what_if(DeviceTrace(0, (lost,), (), None, begins_empty=True))
