"""Where the allocator of a real run first does something else than the predicted one."""

from bisect import bisect_right, insort
from dataclasses import dataclass
from enum import StrEnum

from vggprof.measurement import AllocatorEvent, Memory, MemoryMark
from vggprof.memory.place import Place, place_of
from vggprof.memory.recording import Recording
from vggprof.memory.replay.snapshot import Action

# What is compared: torch also records requests to free and notes, which move nothing.
_MOVES = (
    Action.ALLOC,
    Action.FREE_COMPLETED,
    Action.SEGMENT_ALLOC,
    Action.SEGMENT_FREE,
    Action.SEGMENT_MAP,
    Action.SEGMENT_UNMAP,
    Action.OOM,
)
_WORDS = frozenset(action.value for action in _MOVES)
_GROWTH = (Action.SEGMENT_ALLOC.value, Action.SEGMENT_MAP.value)
_SHRINKING = (Action.SEGMENT_FREE.value, Action.SEGMENT_UNMAP.value)


class Difference(StrEnum):
    """What it is that differs."""

    ACTION = "action"
    SIZE = "size"
    ADDRESS = "address"  # within the segment, for where segments lie is the driver's affair
    END = "end"  # one of the two goes on where the other has ended


@dataclass(frozen=True, slots=True)
class Parting:
    """The first event that is not the same, and where in the training that is."""

    number: int  # events that are the same before it
    difference: Difference
    predicted: AllocatorEvent | None  # None where the prediction has ended
    measured: AllocatorEvent | None  # None where the measurement has ended
    place: Place | None  # of the predicted event; None where there is none
    mark: MemoryMark | None  # the last that was set before the measured event, where marks are known


def first_parting(recording: Recording, memory: Memory) -> Parting | None:
    """Return where *recording* and the events of *memory* part; None where they are the same throughout."""
    predicted, causes = _predicted(recording)
    measured = [(at, event) for at, event in enumerate(memory.events) if event.action in _WORDS]
    segments = _Segments()
    for number in range(max(len(predicted), len(measured))):
        ours = predicted[number] if number < len(predicted) else None
        at, theirs = measured[number] if number < len(measured) else (len(memory.events), None)
        difference = segments.difference(ours, theirs)
        if difference is not None:
            place = None if ours is None else place_of(recording.timeline, causes[number])
            return Parting(number, difference, ours, theirs, place, _mark_before(memory, at))
    return None


def _predicted(recording: Recording) -> tuple[list[AllocatorEvent], list[int]]:
    """Return the predicted events that are compared, and the timeline's event behind each."""
    moves = [
        (entry.event, cause)
        for entry, cause in zip(recording.entries, recording.causes, strict=True)
        if entry.event.action in _MOVES
    ]
    events = [AllocatorEvent(each.action.value, each.size_bytes, each.address) for each, _ in moves]
    return events, [cause for _, cause in moves]


def _mark_before(memory: Memory, at: int) -> MemoryMark | None:
    passed = bisect_right(memory.event_marks, at)
    return memory.marks[passed - 1] if passed else None


class _Segments:
    """Which measured segment each predicted one is, so that addresses can be told apart."""

    def __init__(self) -> None:
        self._starts: list[int] = []  # predicted, sorted
        self._shifts: dict[int, int] = {}  # what to add to a predicted address from there on

    def difference(self, ours: AllocatorEvent | None, theirs: AllocatorEvent | None) -> Difference | None:
        """Return what differs between two events, each the next of its kind; None where nothing does."""
        if ours is None or theirs is None:
            return Difference.END
        if ours.action != theirs.action:
            return Difference.ACTION
        if ours.size_bytes != theirs.size_bytes:
            return Difference.SIZE
        return None if self._same_address(ours, theirs) else Difference.ADDRESS

    def _same_address(self, ours: AllocatorEvent, theirs: AllocatorEvent) -> bool:
        """Whether both are at the same place of the same segment; true where an address is not known."""
        if ours.action == Action.OOM.value or ours.address is None or theirs.address is None:
            return True
        if ours.action in _GROWTH:
            self._begin(ours.address, theirs.address - ours.address)
            return True
        before = bisect_right(self._starts, ours.address)
        if not before:
            return False
        start = self._starts[before - 1]
        same = theirs.address - ours.address == self._shifts[start]
        if ours.action in _SHRINKING and start == ours.address:
            del self._starts[before - 1]
        return same

    def _begin(self, start: int, shift: int) -> None:
        if start not in self._starts:
            insort(self._starts, start)
        self._shifts[start] = shift
