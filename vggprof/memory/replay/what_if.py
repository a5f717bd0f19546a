"""A recorded trace under other allocator settings, or on a smaller card."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from vggprof.errors import FileFormatError
from vggprof.memory.allocator import (
    Alloc,
    Allocator,
    AllocatorConfig,
    BlockState,
    EmptyCache,
    Event,
    Free,
    FreeCompleted,
    FreeRequested,
    OutOfMemory,
    Segment,
    Stats,
    replay_on,
)
from vggprof.memory.replay.check import settings_of
from vggprof.memory.replay.snapshot import Action, DeviceTrace, TraceEvent
from vggprof.memory.replay.start import starting_segments

_RELEASES = (Action.SEGMENT_FREE, Action.SEGMENT_UNMAP)
_GROWTH = (Action.SEGMENT_ALLOC, Action.SEGMENT_MAP)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """How a recorded run would have gone."""

    config: AllocatorConfig
    capacity_bytes: int | None
    rebuilt_start: bool  # whether what was held before the recording was allocated anew, without its cache
    stats: Stats
    oom: OutOfMemory | None
    oom_event: int | None  # index in the trace; -1 where not even the start fits

    @property
    def fragmentation_bytes(self) -> int:
        """Bytes by which the peak of what is reserved exceeds the peak of what is allocated."""
        return self.stats.peak_reserved_bytes - self.stats.peak_allocated_bytes


def what_if(
    trace: DeviceTrace,
    config: AllocatorConfig | None = None,
    capacity_bytes: int | None = None,
    *,
    total_bytes: int | None = None,
) -> WhatIf:
    """Replay the allocations and frees of *trace* under *config*, with *capacity_bytes* to hold them.

    None is the recorded settings and a device without end. Under the recorded settings the replay begins with
    the recorded segments, where they fit. Otherwise it begins with what was allocated then, in the order of
    the addresses. Calls of empty_cache that the trace shows are repeated; its retries are not, they come of
    themselves. The rules of ties are those of ``config.torch``; ``check_trace`` finds the ones that hold for
    a trace. Raises FileFormatError for a trace that contradicts itself.
    """
    recorded = settings_of(trace)
    config = recorded if config is None else config
    start = starting_segments(trace, recorded)
    same = replace(config, torch=recorded.torch) == recorded
    rebuilt = not same or not _fits(start, capacity_bytes)
    names = _Names()
    allocator = Allocator(config, capacity_bytes, total_bytes=total_bytes)
    before = list(_rebuild(start, names)) if rebuilt else []
    blocks = {} if rebuilt else {names.give(at): block for at, block in allocator.restore(start).items()}
    steps = [(-1, event) for event in before] + list(_steps(trace.events, names))
    done = replay_on(allocator, (event for _, event in steps), blocks)
    return WhatIf(
        config=config,
        capacity_bytes=capacity_bytes,
        rebuilt_start=rebuilt,
        stats=done.stats,
        oom=done.oom,
        oom_event=None if done.oom_event is None else steps[done.oom_event][0],
    )


def _fits(start: tuple[Segment, ...], capacity_bytes: int | None) -> bool:
    return capacity_bytes is None or sum(segment.size_bytes for segment in start) <= capacity_bytes


class _Names:
    """A number for every allocation, found by its address while it lives."""

    def __init__(self) -> None:
        self._made = 0
        self._at: dict[int, int] = {}

    def give(self, address: int) -> int:
        """Return the number of a new allocation at *address*."""
        self._made += 1
        self._at[address] = self._made
        return self._made

    def find(self, address: int) -> int:
        """Return the number of the allocation at *address*."""
        if address not in self._at:
            raise FileFormatError(f"the trace frees {address:#x}, where nothing is allocated")
        return self._at[address]

    def drop(self, address: int) -> int:
        """Return the number of the allocation at *address*, which ends."""
        name = self.find(address)
        del self._at[address]
        return name


def _rebuild(start: tuple[Segment, ...], names: _Names) -> Iterator[Event]:
    """Allocate what was held at the start."""
    for segment in start:
        for block in segment.blocks:
            if block.state is not BlockState.INACTIVE:
                name = names.give(block.address)
                yield Alloc(name, block.requested_bytes or block.size_bytes, segment.stream)
                if block.state is BlockState.AWAITING_FREE:
                    yield FreeRequested(name)


def _steps(events: tuple[TraceEvent, ...], names: _Names) -> Iterator[tuple[int, Event]]:
    """Yield what the program did, each with its index in the trace."""
    last = max((at for at, event in enumerate(events) if event.action is Action.ALLOC), default=-1)
    requested: set[int] = set()
    waiting: set[Action] = set()  # what happened to segments since the last step
    for index, event in enumerate(events):
        if event.action in (*_RELEASES, *_GROWTH):
            waiting.add(event.action)
            continue
        if event.action is not Action.OOM and waiting and waiting.isdisjoint(_GROWTH):
            yield index, EmptyCache()
        waiting.clear()
        if event.action is Action.ALLOC or (event.action is Action.OOM and index > last):
            name = names.give(event.address if event.action is Action.ALLOC else -1)
            yield (
                index,
                Alloc(name, event.size_bytes, event.stream),
            )  # an OOM that ended the run is tried again
        elif event.action is Action.FREE_REQUESTED:
            requested.add(event.address)
            yield index, FreeRequested(names.find(event.address))
        elif event.action is Action.FREE_COMPLETED:
            name = names.drop(event.address)
            yield index, FreeCompleted(name) if event.address in requested else Free(name)
            requested.discard(event.address)
