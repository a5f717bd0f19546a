"""A device that does again what a trace says it did."""

from collections.abc import Sequence

from vggprof.memory.allocator import SegmentAction, SimulatedDevice
from vggprof.memory.allocator.rules import SMALL_BYTES, SMALL_SEGMENT_BYTES
from vggprof.memory.replay.snapshot import Action, TraceEvent

_GROWS = (Action.SEGMENT_ALLOC, Action.SEGMENT_MAP)
_ACTION_OF = {
    SegmentAction.ALLOC: Action.SEGMENT_ALLOC,
    SegmentAction.FREE: Action.SEGMENT_FREE,
    SegmentAction.MAP: Action.SEGMENT_MAP,
    SegmentAction.UNMAP: Action.SEGMENT_UNMAP,
}


class RecordedDevice:
    """Grants what is planned next and refuses as long as memory is to be given back first.

    The plan is what the trace shows between two allocations. What the simulated allocator does with segments
    is crossed off it (``hear`` is the allocator's listener); whatever is asked for beside the plan is granted
    at addresses of its own, and counted.
    """

    def __init__(self, events: Sequence[TraceEvent]) -> None:
        self.plan: list[TraceEvent] = []
        self.now = 0  # how many events have been replayed
        self._maps = _maps(events)
        self._ranges: dict[
            int, tuple[int, tuple[int, bool]]
        ] = {}  # begin, size and owner of reserved addresses
        self.refuses = False  # whether the plan ends in running out of memory
        self.grown = 0  # segments that came as planned
        self.released = 0  # segments that went as planned
        self.astray: list[str] = []  # what was not planned, in words
        self._stuck = 0
        self._elsewhere = SimulatedDevice()

    def begin(self, index: int, plan: Sequence[TraceEvent], *, refuses: bool) -> None:
        """Expect *plan*, which ends before event *index*; if it *refuses*, nothing beyond is granted."""
        self.now = index - len(plan)
        self.plan, self.refuses, self._stuck = list(plan), refuses, 0

    def leftovers(self) -> list[TraceEvent]:
        """Return what was planned and has not happened."""
        left, self.plan = self.plan, []
        return left

    def hear(self, action: SegmentAction, address: int, size: int, stream: int) -> None:
        """Cross a segment's coming or going off the plan."""
        wanted = (_ACTION_OF[action], address, size)
        for at, event in enumerate(self.plan):
            if (event.action, event.address, event.size_bytes) == wanted:
                del self.plan[at]
                self.grown += event.action in _GROWS
                self.released += event.action not in _GROWS
                self._stuck = 0
                return
        self.astray.append(f"{action.value} of {size} bytes at {address:#x} is not recorded")

    def malloc(self, size: int) -> int | None:
        """Return the recorded address of the segment that comes next."""
        if self._refuses():
            return None
        if self.plan and self.plan[0].action is Action.SEGMENT_ALLOC and self.plan[0].size_bytes == size:
            return self.plan[0].address
        return self._elsewhere.malloc(size)

    def free(self, address: int, size: int) -> None:
        """Nothing: the allocator tells its listener."""

    def adopt(self, address: int, size: int) -> None:
        """Nothing: what was there at the start needs no planning."""

    def reserve(self, size: int, stream: int, page: int) -> int:
        """Return where the next mapping for stream and pool begins: a new range is mapped from its start."""
        owner = (stream, page == SMALL_SEGMENT_BYTES)
        mine = [(start, size) for start, (size, whose) in self._ranges.items() if whose == owner]
        for index, address in self._maps.get(owner, ()):
            if index >= self.now and not any(start <= address < start + length for start, length in mine):
                self._ranges[address] = (size, owner)
                return address
        return self._elsewhere.reserve(size, stream, page)

    def release(self, address: int, size: int) -> None:
        """Forget a range."""
        self._ranges.pop(address, None)

    def map(self, address: int, size: int, page: int) -> bool:
        """Grant a mapping unless memory is to be given back first."""
        return not self._refuses()

    def unmap(self, address: int, size: int) -> None:
        """Nothing: the allocator tells its listener."""

    def _refuses(self) -> bool:
        """Refuse before planned releases, but not for ever where they do not come."""
        if not self.plan:
            return self.refuses
        if self.plan[0].action in _GROWS:
            return False
        self._stuck += 1
        return self.refuses or self._stuck < 3


def _maps(events: Sequence[TraceEvent]) -> dict[tuple[int, bool], list[tuple[int, int]]]:
    """Return index and address of every mapping, by stream and whether it was for the small pool."""
    maps: dict[tuple[int, bool], list[tuple[int, int]]] = {}
    waiting: list[tuple[int, TraceEvent]] = []
    for index, event in enumerate(events):
        if event.action is Action.SEGMENT_MAP:
            waiting.append((index, event))
        elif event.action in (Action.ALLOC, Action.OOM):  # the allocation that they were mapped for
            for at, mapped in waiting:
                maps.setdefault((mapped.stream, event.size_bytes <= SMALL_BYTES), []).append(
                    (at, mapped.address)
                )
            waiting.clear()
    return maps
