"""What is held over a training, allocation by allocation: the series behind a plot."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from vggprof.memory.composition import WORKSPACES
from vggprof.memory.recording import Recording, kind_of
from vggprof.memory.replay.snapshot import Action
from vggprof.trace import Kind, Mark

# In the order in which they are stacked: what stays lies below what comes and goes.
KINDS = (
    Kind.PARAMETER.value,
    Kind.BUFFER.value,
    Kind.OPTIMIZER.value,
    Kind.GRADIENT.value,
    Kind.INPUT.value,
    Kind.ACTIVATION.value,
    Kind.TEMPORARY.value,
    WORKSPACES,
)

_GROWTH = (Action.SEGMENT_ALLOC, Action.SEGMENT_MAP)
_SHRINKING = (Action.SEGMENT_FREE, Action.SEGMENT_UNMAP)


@dataclass(frozen=True, slots=True)
class Point:
    """What is held after one allocation or free."""

    live_bytes: int  # as asked for
    allocated_bytes: int  # blocks of the same
    reserved_bytes: int  # segments
    by_kind: tuple[int, ...]  # whole blocks, for each of KINDS; they sum to `allocated_bytes`


@dataclass(frozen=True, slots=True)
class Stretch:
    """A phase: the points from *start* up to *stop*, which it leaves out; it may be empty."""

    step: int | None  # None while the model moves in
    phase: str
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Series:
    """What is held during a training, a point an allocation or free; there is at least one."""

    points: tuple[Point, ...]
    stretches: tuple[Stretch, ...]
    capacity_bytes: int  # what PyTorch can have on the card
    fits: bool  # whether it was run on that card; else on one without end

    @property
    def peak_live_bytes(self) -> int:
        """The most that is live."""
        return max(point.live_bytes for point in self.points)

    @property
    def peak_allocated_bytes(self) -> int:
        """The most that is allocated."""
        return max(point.allocated_bytes for point in self.points)

    @property
    def peak_reserved_bytes(self) -> int:
        """The most that is reserved."""
        return max(point.reserved_bytes for point in self.points)

    @property
    def near(self) -> bool:
        """Whether the card's line is near enough for one picture: within twice what is reserved."""
        return self.capacity_bytes <= 2 * self.peak_reserved_bytes

    @property
    def top_bytes(self) -> int:
        """The upper edge of a picture of it, with the card's line where that is near."""
        return max(self.peak_reserved_bytes, self.capacity_bytes if self.near else 0)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that there is some of, in the order of KINDS."""
        return tuple(kind for at, kind in enumerate(KINDS) if any(point.by_kind[at] for point in self.points))


@dataclass(frozen=True, slots=True)
class Sampled:
    """A series in fewer points, that keeps every peak; columns and stretches are counted in them."""

    points: tuple[Point, ...]
    stretches: tuple[Stretch, ...]


def series_of(recording: Recording, capacity_bytes: int, *, fits: bool) -> Series:
    """Return what *recording* holds over time, for a card on which PyTorch can have *capacity_bytes*.

    Raises ValueError for a recording without an allocation.
    """
    points, starts = [], [0] * (len(recording.timeline.events) + 1)
    for cause, point in _points(recording):
        points.append(point)
        starts[cause + 1] += 1
    if not points:
        raise ValueError("nothing is allocated")
    for event in range(len(starts) - 1):
        starts[event + 1] += starts[event]
    return Series(tuple(points), tuple(_stretches(recording, starts)), capacity_bytes, fits)


def sampled(series: Series, columns: int) -> Sampled:
    """Return *series* in at most *columns* points.

    Each is the moment among its own at which most is allocated, with the most that is reserved among them.
    """
    count = len(series.points)
    columns = min(columns, count)
    edges = [column * count // columns for column in range(columns + 1)]
    points = tuple(_largest(series.points[start:stop]) for start, stop in pairwise(edges))
    stretches = tuple(
        Stretch(each.step, each.phase, each.start * columns // count, each.stop * columns // count)
        for each in series.stretches
    )
    return Sampled(points, stretches)


def _largest(points: tuple[Point, ...]) -> Point:
    most = max(points, key=lambda point: point.allocated_bytes)
    reserved = max(point.reserved_bytes for point in points)
    return Point(most.live_bytes, most.allocated_bytes, reserved, most.by_kind)


def _points(recording: Recording) -> Iterator[tuple[int, Point]]:
    """Yield a point for each allocation and each completed free, with the timeline's event behind it."""
    live = reserved = 0
    by_kind = [0] * len(KINDS)
    for entry, cause in zip(recording.entries, recording.causes, strict=True):
        action = entry.event.action
        if action in _GROWTH:
            reserved += entry.nbytes
        elif action in _SHRINKING:
            reserved -= entry.nbytes
        elif action in (Action.ALLOC, Action.FREE_COMPLETED):
            sign = 1 if action is Action.ALLOC else -1
            live += sign * entry.event.size_bytes
            by_kind[KINDS.index(kind_of(recording.timeline, cause))] += sign * entry.nbytes
            yield cause, Point(live, sum(by_kind), reserved, tuple(by_kind))


def _stretches(recording: Recording, starts: list[int]) -> Iterator[Stretch]:
    """Yield the phases up to the end of the run; ``starts[n]`` points come before event *n*."""
    begin = 0
    for number, event in enumerate(recording.timeline.events):
        if isinstance(event, Mark):
            yield Stretch(event.step, event.phase.value, begin, starts[number])
            begin = starts[number]
