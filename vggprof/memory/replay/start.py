"""What the allocator held before a recording began: the end of the recording, walked backwards."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from vggprof.errors import FileFormatError
from vggprof.memory.allocator import AllocatorConfig, BlockInfo, BlockState, Segment
from vggprof.memory.allocator.rules import SMALL_BYTES, SMALL_SEGMENT_BYTES
from vggprof.memory.replay.snapshot import Action, DeviceTrace, TraceEvent


@dataclass(slots=True)
class _Held:
    """A busy block on the way back; its size is known only if it is still there at the end."""

    requested: int
    size: int | None
    state: BlockState


@dataclass(slots=True)
class _Memory:
    """A segment, or a mapped stretch of an expandable one, on the way back."""

    end: int
    stream: int
    is_small: bool
    is_expandable: bool


def starting_segments(trace: DeviceTrace, config: AllocatorConfig) -> tuple[Segment, ...]:
    """Return the segments and blocks that the allocator held before the first event of *trace*.

    Where a block that is gone at the end had an unsplit rest, the rest is found from the first block that was
    later cut behind it. Raises FileFormatError for a trace whose events contradict its end.
    """
    if trace.begins_empty:
        return ()
    held, memory = _walk_back(trace)
    addresses = sorted(held)
    limits = _limits(addresses, sorted((start, stretch.end) for start, stretch in memory.items()))
    sizes = _sizes(trace.events, held, limits, config)
    return tuple(
        Segment(
            address=start,
            size_bytes=stretch.end - start,
            stream=stretch.stream,
            is_small=stretch.is_small,
            is_expandable=stretch.is_expandable,
            blocks=tuple(_tile(start, stretch.end, addresses, held, sizes)),
        )
        for start, stretch in sorted(memory.items())
    )


def _walk_back(trace: DeviceTrace) -> tuple[dict[int, _Held], dict[int, _Memory]]:
    held = {
        block.address: _Held(block.requested_bytes, block.size_bytes, block.state)
        for segment in trace.segments
        for block in segment.blocks
        if block.state is not BlockState.INACTIVE
    }
    memory = {
        segment.address: _Memory(
            segment.address + segment.size_bytes, segment.stream, segment.is_small, segment.is_expandable
        )
        for segment in trace.segments
    }
    small = _small_maps(trace)
    for index in range(len(trace.events) - 1, -1, -1):
        event = trace.events[index]
        try:
            _undo_segment(memory, event, small.get(index, False))
            _undo_block(held, event)
        except KeyError:
            raise FileFormatError(
                f"device_traces[{trace.device}][{index}]: {event.action.value} at {event.address:#x}"
                " contradicts what follows; was the recording stopped, or are actions left out?"
            ) from None
    return held, memory


def _undo_block(held: dict[int, _Held], event: TraceEvent) -> None:
    match event.action:
        case Action.ALLOC:
            del held[event.address]
        case Action.FREE_COMPLETED:
            held[event.address] = _Held(event.size_bytes, None, BlockState.AWAITING_FREE)
        case Action.FREE_REQUESTED:
            held[event.address].state = BlockState.ALLOCATED
        case (
            Action.SEGMENT_ALLOC
            | Action.SEGMENT_FREE
            | Action.SEGMENT_MAP
            | Action.SEGMENT_UNMAP
            | Action.OOM
            | Action.SNAPSHOT
            | Action.ANNOTATE
            | Action.USER_DEFINED
        ):
            pass
        case _:
            assert_never(event.action)


def _undo_segment(memory: dict[int, _Memory], event: TraceEvent, is_small: bool) -> None:
    end = event.address + event.size_bytes
    if event.action is Action.SEGMENT_ALLOC:
        del memory[event.address]
    elif event.action is Action.SEGMENT_FREE:
        _require_gap(memory, event.address, end)
        memory[event.address] = _Memory(end, event.stream, event.size_bytes == SMALL_SEGMENT_BYTES, False)
    elif event.action is Action.SEGMENT_MAP:
        _unmap(memory, event.address, end)
    elif event.action is Action.SEGMENT_UNMAP:
        _map(memory, event.address, _Memory(end, event.stream, is_small, True))


def _require_gap(memory: dict[int, _Memory], start: int, end: int) -> None:
    """Raise KeyError where something is from *start* to *end*: what was given back there overlaps it."""
    if any(at < end and start < other.end for at, other in memory.items()):
        raise KeyError(start)


def _unmap(memory: dict[int, _Memory], start: int, end: int) -> None:
    """Take a stretch out of a mapped one; what lies before and behind it stays."""
    at = max((address for address in memory if address <= start), default=-1)
    around = memory.pop(at)
    if around.end < end:
        raise KeyError(start)
    if at < start:
        memory[at] = _Memory(start, around.stream, around.is_small, True)
    if end < around.end:
        memory[end] = _Memory(around.end, around.stream, around.is_small, True)


def _map(memory: dict[int, _Memory], start: int, stretch: _Memory) -> None:
    """Put a mapped stretch in, joined with the ones it touches."""
    _require_gap(memory, start, stretch.end)
    behind = memory.pop(stretch.end, None)
    if behind is not None:
        stretch.end, stretch.is_small = behind.end, behind.is_small
    before = next((at for at, other in memory.items() if other.end == start and other.is_expandable), None)
    if before is None:
        memory[start] = stretch
    else:
        memory[before].end = stretch.end


def _small_maps(trace: DeviceTrace) -> dict[int, bool]:
    """Tell for each unmapping whether it is the small pool's: from the nearest block ever seen."""
    unmaps = [at for at, event in enumerate(trace.events) if event.action is Action.SEGMENT_UNMAP]
    if not unmaps:
        return {}
    seen = {
        event.address: event.size_bytes <= SMALL_BYTES
        for event in trace.events
        if event.action is Action.ALLOC
    }
    seen |= {segment.address: segment.is_small for segment in trace.segments if segment.is_expandable}
    addresses = sorted(seen)
    result = {}
    for at in unmaps:
        place = bisect_right(addresses, trace.events[at].address)
        near = addresses[max(place - 1, 0) : place + 1]
        nearest = min(near, key=lambda address: abs(address - trace.events[at].address), default=None)
        result[at] = nearest is not None and seen[nearest]
    return result


def _limits(addresses: Sequence[int], stretches: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Return for each busy block where the next one begins, or its memory ends."""
    starts = [start for start, _ in stretches]
    limits = {}
    for at, address in enumerate(addresses):
        place = bisect_right(starts, address) - 1
        end = stretches[place][1] if place >= 0 else 0
        if end <= address:
            raise FileFormatError(f"the block at {address:#x} lies in no segment")
        limits[address] = min(end, addresses[at + 1]) if at + 1 < len(addresses) else end
    return limits


def _sizes(
    events: Sequence[TraceEvent], held: dict[int, _Held], limits: dict[int, int], config: AllocatorConfig
) -> dict[int, int]:
    """Return each busy block's size: known, or rounded with the rest that was not worth splitting."""
    sizes, open_ends = {}, {}
    for address, block in held.items():
        rounded = config.block_bytes(block.requested or 1)
        room = limits[address] - address
        if block.size is not None:
            sizes[address] = block.size
        elif rounded >= room or not _splits(config, rounded, room - rounded):
            sizes[address] = room
        else:
            sizes[address] = rounded
            if rounded > SMALL_BYTES and not config.expandable_segments:
                open_ends[address] = room
    for address, rest in _rests(events, open_ends, sizes):
        if not _splits(config, sizes[address], rest):
            sizes[address] += rest
    return sizes


def _splits(config: AllocatorConfig, rounded: int, rest: int) -> bool:
    if rounded <= SMALL_BYTES or config.expandable_segments:
        return rest > 0
    return rounded < config.max_split_bytes and rest > SMALL_BYTES


def _rests(
    events: Sequence[TraceEvent], open_ends: dict[int, int], sizes: dict[int, int]
) -> Iterator[tuple[int, int]]:
    """Yield for each block how far behind its rounded size the first allocation into its room began."""
    waiting = sorted(open_ends)
    for event in events:
        if not waiting:
            return
        if event.action is Action.ALLOC:
            place = bisect_right(waiting, event.address) - 1
            address = waiting[place]
            if place >= 0 and event.address < address + open_ends[address]:
                yield address, event.address - address - sizes[address]
                waiting.pop(place)
        elif event.action is Action.FREE_COMPLETED and event.address in open_ends:
            place = bisect_right(waiting, event.address) - 1
            if place >= 0 and waiting[place] == event.address:
                waiting.pop(place)


def _tile(
    start: int, end: int, addresses: Sequence[int], held: dict[int, _Held], sizes: dict[int, int]
) -> Iterator[BlockInfo]:
    """Yield the blocks of one stretch: the busy ones, and free ones between them."""
    at = start
    for address in addresses[bisect_right(addresses, start - 1) : bisect_right(addresses, end - 1)]:
        if address > at:
            yield BlockInfo(at, address - at, 0, BlockState.INACTIVE)
        yield BlockInfo(address, sizes[address], held[address].requested, held[address].state)
        at = address + sizes[address]
    if at < end:
        yield BlockInfo(at, end - at, 0, BlockState.INACTIVE)
