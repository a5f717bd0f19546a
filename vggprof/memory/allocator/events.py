"""A sequence of allocations and frees, replayed through the allocator."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from vggprof.memory.allocator.blocks import Block
from vggprof.memory.allocator.config import AllocatorConfig
from vggprof.memory.allocator.outcome import OutOfMemory
from vggprof.memory.allocator.simulator import Allocator
from vggprof.memory.allocator.stats import Counters, Stats


@dataclass(frozen=True, slots=True)
class Alloc:
    """Allocate *size_bytes* (at least 1) on a stream; *id* names the allocation until it is freed."""

    id: int
    size_bytes: int
    stream: int = 0


@dataclass(frozen=True, slots=True)
class Free:
    """Free an allocation that only its own stream has used."""

    id: int


@dataclass(frozen=True, slots=True)
class FreeRequested:
    """Free an allocation that another stream may still use."""

    id: int


@dataclass(frozen=True, slots=True)
class FreeCompleted:
    """The other streams are done: the allocation's memory can be used again."""

    id: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A place to note what is held."""

    name: str


@dataclass(frozen=True, slots=True)
class EmptyCache:
    """torch.cuda.empty_cache."""


Event = Alloc | Free | FreeRequested | FreeCompleted | Mark | EmptyCache


@dataclass(frozen=True, slots=True)
class MarkPoint:
    """What was held at a mark, and at most until then."""

    name: str
    event: int  # how many events came before
    allocated_bytes: int
    reserved_bytes: int
    peak_allocated_bytes: int
    peak_reserved_bytes: int


@dataclass(frozen=True, slots=True)
class Replay:
    """How a sequence of events went."""

    stats: Stats
    marks: tuple[MarkPoint, ...]
    peak_event: int  # index of the event that brought the most allocated bytes, -1 without allocations
    oom: OutOfMemory | None
    oom_event: int | None  # index of the allocation that failed; nothing after it was replayed

    @property
    def fits(self) -> bool:
        """Whether every allocation got its memory."""
        return self.oom is None


def replay(
    events: Iterable[Event],
    config: AllocatorConfig | None = None,
    capacity_bytes: int | None = None,
    *,
    total_bytes: int | None = None,
    limit_bytes: int | None = None,
) -> Replay:
    """Replay *events* on a fresh allocator with these settings, up to the first failure.

    Raises ValueError for an id that is used twice at once or freed without having been allocated.
    """
    return replay_on(
        Allocator(config, capacity_bytes, total_bytes=total_bytes, limit_bytes=limit_bytes), events, {}
    )


def replay_on(allocator: Allocator, events: Iterable[Event], live: dict[int, Block]) -> Replay:
    """Replay *events* on *allocator*, up to the first failure.

    *live* holds what is allocated, by id; it is changed. Raises ValueError as ``replay`` does.
    """
    marks: list[MarkPoint] = []
    malloc, free, counters = allocator.malloc, allocator.free, allocator.counters
    peak, peak_event = counters.allocated_peak, -1
    for index, event in enumerate(events):
        match event:
            case Alloc():
                block = malloc(event.size_bytes, event.stream)
                if isinstance(block, OutOfMemory):
                    return Replay(allocator.stats, tuple(marks), peak_event, block, index)
                if live.setdefault(event.id, block) is not block:
                    raise ValueError(f"event {index}: allocation {event.id} exists already")
                if counters.allocated_peak > peak:
                    peak, peak_event = counters.allocated_peak, index
            case Free():
                free(_taken(live, event.id, index))
            case FreeRequested():
                allocator.request_free(_found(live, event.id, index))
            case FreeCompleted():
                allocator.complete_free(_taken(live, event.id, index))
            case Mark():
                marks.append(mark_point(counters, event.name, index))
            case EmptyCache():
                allocator.empty_cache()
            case _:
                assert_never(event)
    return Replay(allocator.stats, tuple(marks), peak_event, None, None)


def _found(live: dict[int, Block], name: int, index: int) -> Block:
    if name not in live:
        raise ValueError(f"event {index}: allocation {name} does not exist")
    return live[name]


def _taken(live: dict[int, Block], name: int, index: int) -> Block:
    block = live.pop(name, None)
    if block is None:
        raise ValueError(f"event {index}: allocation {name} does not exist")
    return block


def mark_point(counters: Counters, name: str, event: int) -> MarkPoint:
    """Return what *counters* say after *event* events."""
    return MarkPoint(
        name=name,
        event=event,
        allocated_bytes=counters.allocated,
        reserved_bytes=counters.reserved,
        peak_allocated_bytes=counters.allocated_peak,
        peak_reserved_bytes=counters.reserved_peak,
    )
