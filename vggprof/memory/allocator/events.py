"""A sequence of allocations and frees, replayed through the allocator."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from vggprof.memory.allocator.blocks import Block
from vggprof.memory.allocator.config import AllocatorConfig
from vggprof.memory.allocator.outcome import OutOfMemory
from vggprof.memory.allocator.simulator import Allocator
from vggprof.memory.allocator.stats import Stats


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
    peak, peak_event = allocator.peak_allocated_bytes, -1
    for index, event in enumerate(events):
        match event:
            case Alloc(id, size, stream):
                block = allocator.malloc(size, stream)
                if isinstance(block, OutOfMemory):
                    return Replay(allocator.stats, tuple(marks), peak_event, block, index)
                if live.setdefault(id, block) is not block:
                    raise ValueError(f"event {index}: allocation {id} exists already")
                if allocator.peak_allocated_bytes > peak:
                    peak, peak_event = allocator.peak_allocated_bytes, index
            case Free(id):
                allocator.free(_taken(live, id, index))
            case FreeRequested(id):
                allocator.request_free(_found(live, id, index))
            case FreeCompleted(id):
                allocator.complete_free(_taken(live, id, index))
            case Mark(name):
                marks.append(_mark_point(allocator, name, index))
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
    block = _found(live, name, index)
    del live[name]
    return block


def _mark_point(allocator: Allocator, name: str, index: int) -> MarkPoint:
    return MarkPoint(
        name=name,
        event=index,
        allocated_bytes=allocator.allocated_bytes,
        reserved_bytes=allocator.reserved_bytes,
        peak_allocated_bytes=allocator.peak_allocated_bytes,
        peak_reserved_bytes=allocator.peak_reserved_bytes,
    )
