"""Recorded traces through the simulator."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vggprof.memory.allocator import Allocator, AllocatorConfig, Block, SegmentAction, Tie, format_size
from vggprof.memory.replay import Action, DeviceTrace, TraceEvent, check_trace, read_snapshot
from vggprof.units import MIB

SNAPSHOT = Path(__file__).parents[1] / "data" / "snapshots" / "transformer_training.pickle"


@pytest.fixture(scope="module")
def training() -> DeviceTrace:
    (trace,) = read_snapshot(SNAPSHOT)
    return trace


def test_every_address_and_segment_of_a_recorded_training(training: DeviceTrace) -> None:
    found = check_trace(training)
    assert (found.allocations, found.addresses_matched) == (3505, 3505)
    assert (found.segments_recorded, found.segments_matched) == (152, 152)
    assert found.disagreement is None
    assert found.layout_matched is True  # every block at the end, with its size and state
    assert found.complete
    assert found.tie is Tie.ADDRESS
    held = sum(segment.size_bytes for segment in training.segments)
    assert found.stats.reserved_bytes == held
    assert format_size(found.stats.peak_allocated_bytes) == "5.51 GiB"


def test_the_recorded_training_tells_the_rules_of_ties_apart(training: DeviceTrace) -> None:
    newer = check_trace(training, torch=(2, 15))
    assert newer.addresses_matched < 3505
    assert newer.segments_matched == 152
    assert newer.disagreement is not None
    assert training.events[newer.disagreement.event].action is Action.ALLOC
    assert "bytes were put at 0x" in newer.disagreement.what


def test_a_moved_address_is_the_first_disagreement(training: DeviceTrace) -> None:
    """One allocation that lives to the end is told to lie elsewhere: one address less, everything else
    agrees.
    """
    at = next(
        n for n, event in enumerate(training.events) if event.action is Action.SEGMENT_ALLOC and n > 2000
    )
    wrong = replace(training.events[at], size_bytes=training.events[at].size_bytes + 2 * MIB)
    events = (*training.events[:at], wrong, *training.events[at + 1 :])
    found = check_trace(replace(training, events=events), torch=(2, 11))
    assert found.segments_matched == 151
    assert found.disagreement is not None
    assert found.disagreement.event == at + 1  # the allocation that needed the segment
    assert "segment_alloc of" in found.disagreement.what
    assert not found.complete


class Recorder:
    """An allocator that writes down what it does, as torch's does."""

    def __init__(self, config: AllocatorConfig, capacity_bytes: int | None = None) -> None:
        self.events: list[TraceEvent] = []
        self.allocator = Allocator(config, capacity_bytes, listener=self._hear)
        self.start = 0

    def _hear(self, action: SegmentAction, address: int, size: int, stream: int) -> None:
        self.events.append(TraceEvent(Action(action.value), address, size, stream))

    def malloc(self, size: int, stream: int = 0) -> Block | None:
        block = self.allocator.malloc(size, stream)
        if not isinstance(block, Block):
            self.events.append(TraceEvent(Action.OOM, 0, block.rounded_bytes, stream))
            return None
        self.events.append(TraceEvent(Action.ALLOC, block.address, size, stream))
        return block

    def take(self, size: int, stream: int = 0) -> Block:
        block = self.malloc(size, stream)
        assert block is not None
        return block

    def free(self, block: Block) -> None:
        for action in (Action.FREE_REQUESTED, Action.FREE_COMPLETED):
            self.events.append(TraceEvent(action, block.address, block.requested, block.stream))
        self.allocator.free(block)

    def begin(self) -> None:
        """Forget what was recorded before."""
        self.start = len(self.events)

    def trace(self) -> DeviceTrace:
        return DeviceTrace(
            0, tuple(self.events[self.start :]), self.allocator.segments(), self.allocator.config
        )


def with_retry(recorder: Recorder) -> None:
    held = [recorder.take(size * MIB) for size in (30, 40, 5)]
    recorder.begin()
    for block in held[:2]:
        recorder.free(block)
    recorder.take(60 * MIB)  # 95 of 100 MiB are held: the cache goes first
    recorder.free(held[2])


def with_oom(recorder: Recorder) -> None:
    held = recorder.take(50 * MIB)
    recorder.begin()
    recorder.free(recorder.take(30 * MIB))
    assert recorder.malloc(90 * MIB) is None
    recorder.free(held)
    recorder.take(90 * MIB)


def with_emptied_cache(recorder: Recorder) -> None:
    recorder.begin()
    recorder.free(recorder.take(30 * MIB))
    recorder.allocator.empty_cache()
    recorder.take(20 * MIB)  # would have fitted into what was cached
    recorder.free(recorder.take(3000))
    recorder.allocator.empty_cache()


def with_streams(recorder: Recorder) -> None:
    first = recorder.take(30 * MIB, 1)
    recorder.begin()
    recorder.free(first)
    recorder.take(20 * MIB, 2)
    waiting = recorder.take(5 * MIB, 1)
    recorder.allocator.request_free(waiting)
    recorder.events.append(TraceEvent(Action.FREE_REQUESTED, waiting.address, 5 * MIB, 1))
    recorder.take(6 * MIB, 1)
    recorder.allocator.complete_free(waiting)
    recorder.events.append(TraceEvent(Action.FREE_COMPLETED, waiting.address, 5 * MIB, 1))
    recorder.take(5 * MIB, 1)


@pytest.mark.parametrize("program", [with_retry, with_oom, with_emptied_cache, with_streams])
@pytest.mark.parametrize("expandable", [False, True])
def test_replays_what_programs_do(program: Callable[[Recorder], None], expandable: bool) -> None:
    recorder = Recorder(AllocatorConfig(expandable_segments=expandable), 100 * MIB)
    program(recorder)
    trace = recorder.trace()
    found = check_trace(trace, torch=(2, 15))
    actions = [event.action for event in trace.events]
    assert found.disagreement is None
    assert found.layout_matched
    assert found.addresses_matched == found.allocations == actions.count(Action.ALLOC) > 0
    assert found.ooms_matched == found.ooms_recorded == actions.count(Action.OOM)
    assert found.segments_matched == found.segments_recorded
    assert found.releases_matched == found.releases_recorded
    assert found.stats.allocated_bytes == recorder.allocator.allocated_bytes


def test_a_retry_is_counted_again() -> None:
    recorder = Recorder(AllocatorConfig(), 100 * MIB)
    with_retry(recorder)
    assert check_trace(recorder.trace(), torch=(2, 15)).stats.alloc_retries == 1


def test_an_allocation_that_found_memory_where_the_rules_have_none() -> None:
    """The record shows an allocation in a segment that was never asked for."""
    recorder = Recorder(AllocatorConfig())
    recorder.take(30 * MIB)
    events = [replace(event, address=0x6000) for event in recorder.events if event.action is Action.ALLOC]
    trace = DeviceTrace(0, tuple(events), (), AllocatorConfig(), begins_empty=True)
    found = check_trace(trace, torch=(2, 15))
    assert found.addresses_matched == 0
    assert found.disagreement is not None
    assert "segment_alloc of 31457280 bytes" in found.disagreement.what
    assert "is not recorded" in found.disagreement.what
    assert found.layout_matched is None


def test_frees_of_nothing_are_a_disagreement() -> None:
    lost = TraceEvent(Action.FREE_COMPLETED, 512, 100, 0)
    found = check_trace(DeviceTrace(0, (lost,), (), None, begins_empty=True), torch=(2, 15))
    assert found.disagreement is not None
    assert found.disagreement.what == "free_completed of 0x200, where nothing is allocated"


def test_marks_are_noted_where_they_stand() -> None:
    recorder = Recorder(AllocatorConfig())
    recorder.take(30 * MIB)
    middle = len(recorder.events)
    recorder.take(50 * MIB)
    marks = (("model", middle), ("end", len(recorder.events)), ("start", 0))
    found = check_trace(recorder.trace(), marks=marks)
    assert [(mark.name, mark.allocated_bytes) for mark in found.marks] == [
        ("start", 0),
        ("model", 30 * MIB),
        ("end", 80 * MIB),
    ]


def test_ages_of_segments_are_learnt_from_choices() -> None:
    """Two segments of 30 MiB were there, the one at the higher address the older, which no file tells.

    The first choice between them shows it; the second, after both are free again, must follow.
    """
    low, high = 0x7000_0000_0000, 0x7000_0400_0000
    size = 30 * MIB
    alloc = TraceEvent(Action.ALLOC, high, size, 0)
    free = TraceEvent(Action.FREE_COMPLETED, high, size, 0)
    empty = Recorder(AllocatorConfig())
    for block in [empty.take(size), empty.take(size)]:
        empty.free(block)
    template = empty.allocator.segments()
    moved = tuple(
        replace(segment, address=at, blocks=(replace(segment.blocks[0], address=at),))
        for segment, at in zip(template, (low, high), strict=True)
    )
    trace = DeviceTrace(0, (alloc, free, alloc, free), moved, AllocatorConfig())
    assert check_trace(trace, torch=(2, 15)).addresses_matched == 2
    assert check_trace(trace, torch=(2, 11)).addresses_matched == 0
    contrary = replace(alloc, address=low), replace(free, address=low)
    found = check_trace(replace(trace, events=(alloc, free, *contrary)), torch=(2, 15))
    assert found.addresses_matched == 1
    assert found.disagreement is not None
    assert found.disagreement.event == 2
