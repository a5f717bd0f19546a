"""What torch's allocator would record of a predicted training: its trace, with the cause of every entry."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vggprof.memory.composition import WORKSPACES
from vggprof.memory.place import Place, place_of
from vggprof.memory.replay.predicted import Frame
from vggprof.memory.replay.recorder import Entry, Recorder
from vggprof.memory.replay.snapshot import Action, DeviceTrace
from vggprof.memory.run import Answers, End, Failure, Machine, Replaying
from vggprof.memory.timeline import Allocate, Ask, Hold, Release, Timeline
from vggprof.trace import Mark

_FREES = (Action.FREE_REQUESTED, Action.FREE_COMPLETED)


@dataclass(frozen=True, slots=True)
class Recording:
    """One run of a timeline as its allocator saw it, up to the end or to the failure."""

    timeline: Timeline
    trace: DeviceTrace
    entries: tuple[Entry, ...]  # of the trace, with the bytes of their blocks and segments
    causes: tuple[int, ...]  # for each entry the index in Timeline.events of what brought it
    failure: Failure | None


def record(timeline: Timeline, answers: Answers, machine: Machine, end: End = End.LIKELY) -> Recording:
    """Run *timeline* as ``run`` does and write down every allocation, free and segment."""
    replaying = Replaying(timeline, answers, machine, end, make=Recorder)
    recorder = replaying.allocator
    assert isinstance(recorder, Recorder)
    causes: list[int] = []

    def watch(number: int) -> None:
        causes.extend([number] * (len(recorder.entries) - len(causes)))

    failure = replaying.replay(len(timeline.events), watch=watch)
    return Recording(timeline, recorder.trace(), tuple(recorder.entries), tuple(causes), failure)


def kind_of(timeline: Timeline, number: int) -> str:
    """Return the kind of memory that event *number* allocates, frees or asks for.

    What is no storage of the trace is a workspace: of the libraries, and scratch of operators.
    """
    need = _need(timeline, number)
    kind = None if need is None else timeline.needs[need].kind
    return WORKSPACES if kind is None else kind.value


def stacks(recording: Recording) -> tuple[tuple[Frame, ...], ...]:
    """Return a call stack for each entry, the innermost frame first.

    An allocation shows what it is (``memory:0:activations``), the parameter's name or the rule that says so,
    its operator, its layer, and the step and phase (``step 1:0:backward``). A free shows what it frees, and
    the phase in which it does. Lines are numbers of operators and layers in the trace.
    """
    timeline = recording.timeline
    names, at = _Names(timeline), _moments(timeline)

    def stack(entry: Entry, cause: int) -> tuple[Frame, ...]:
        freed = entry.event.action in _FREES and not isinstance(timeline.events[cause], Ask)
        return names.free(cause, at(cause)) if freed else names.allocation(cause)

    return tuple(map(stack, recording.entries, recording.causes))


class _Names:
    """Frames for the events of one timeline."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._parameters = {each.storage: each.name for each in timeline.trace.parameters}
        self._made: dict[int, tuple[Frame, ...]] = {}

    def allocation(self, number: int) -> tuple[Frame, ...]:
        """Return the stack of what event *number* allocates; segments come with their first block."""
        if number not in self._made:
            place = place_of(self._timeline, number)
            operator = _operator(self._timeline, number)
            op = [] if operator is None else [Frame(place.op or "", "operator", operator)]
            self._made[number] = (*self._what(number), *op, *self._layer(number), _moment(place))
        return self._made[number]

    def free(self, number: int, place: Place) -> tuple[Frame, ...]:
        """Return the stack of a free: what it is of, and when it comes."""
        return (*self._what(number), *self._layer(number), _moment(place))

    def _what(self, number: int) -> Iterator[Frame]:
        need = _need(self._timeline, number)
        yield Frame(kind_of(self._timeline, number), "memory")
        if need in self._parameters:
            yield Frame(self._parameters[need], "parameter")
        elif need is None:
            yield Frame("cuDNN workspace", "rule")
        elif self._timeline.needs[need].source:
            yield Frame(self._timeline.needs[need].source, "rule")

    def _layer(self, number: int) -> Iterator[Frame]:
        need, operator = _need(self._timeline, number), _operator(self._timeline, number)
        layer = None if need is None else self._timeline.needs[need].layer
        if layer is None and operator is not None:
            layer = self._timeline.trace.operators[operator].layer
        if layer is not None:
            yield Frame(self._timeline.trace.layers[layer].name, "layer", layer)


def _moment(place: Place) -> Frame:
    return Frame(place.phase.value, "before the first step" if place.step is None else f"step {place.step}")


def _moments(timeline: Timeline) -> Callable[[int], Place]:
    """Return a function from an event's number to the step and phase that are on when it comes."""
    places: list[Place] = []
    for number, event in enumerate(timeline.events):
        if isinstance(event, Mark):
            places += [Place(event.step, event.phase, None, None)] * (number + 1 - len(places))
    places += places[-1:] * (len(timeline.events) - len(places))
    return lambda number: places[number]


def _need(timeline: Timeline, number: int) -> int | None:
    match timeline.events[number]:
        case Allocate(need) | Release(need) | Hold(need, _):
            return need
        case Ask() | Mark():
            return None


def _operator(timeline: Timeline, number: int) -> int | None:
    match timeline.events[number]:
        case Ask(_, operator):
            return operator
        case Allocate(need) | Release(need) | Hold(need, _):
            return timeline.needs[need].operator
        case Mark():
            return None
