"""A longer training from a shorter one: more steps and micro-batches of a trace, where these repeat.

What a loop does next follows from what it holds. Where a stretch of a trace (a step, or a micro-batch) ends
with what it began with, each storage that it lets go of replaced by one of the same size and kind, the next
stretch is the same again, in the new storages; and so is every one after that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import assert_never

from vggprof.errors import VggprofError
from vggprof.trace.setup import Setup
from vggprof.trace.values import Born, Event, Freed, Mark, Operand, Operator, Phase, Ran, Storage, Trace


class NotRepeatingError(VggprofError):
    """A step or a micro-batch does not end with what it began with, or runs otherwise each time."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Events up to a mark, and which storage takes the place of each that they let go of."""

    events: tuple[Event, ...]
    replaced: tuple[tuple[int, int], ...] = ()


def repeated(trace: Trace, *, steps: int, accumulate: int = 1) -> Trace:
    """Return the trace of *steps* steps of *accumulate* micro-batches each, from one of fewer.

    *trace* needs two steps, and of two micro-batches or more two. Its numbers stay where they depend on how
    many there are: the divisor of the loss, and what an optimizer computes from the number of its step.
    Raises NotRepeatingError where the trace does not say how it goes on.
    """
    setup = trace.setup
    if setup.accumulate != min(accumulate, 2) or trace.steps != 2:
        raise NotRepeatingError("only what two steps, and two micro-batches, do can be repeated")
    _check_forward(trace)
    moving, *each = _steps(trace)
    writer = _Writer(trace)
    writer.play(_Stretch(moving))
    for number in range(steps):
        events = each[min(number, 1)]
        if number > 1:
            writer.replace(_replaced(trace, events))
        for stretch in _micro_batches(trace, events, accumulate):
            writer.play(stretch, step=number)
    return writer.trace(replace(setup, accumulate=accumulate))


def _steps(trace: Trace) -> Iterator[tuple[Event, ...]]:
    """Yield the events in which the model moves in, then those of each step."""
    ends = [0]
    for at, event in enumerate(trace.events):
        if isinstance(event, Mark):
            following = next((e.step for e in trace.events[at + 1 :] if isinstance(e, Mark)), -1)
            if following != event.step:
                ends.append(at + 1)
    yield from (trace.events[start:stop] for start, stop in pairwise(ends))


def _micro_batches(trace: Trace, events: tuple[Event, ...], accumulate: int) -> Iterator[_Stretch]:
    """Yield the stretches of a step of *accumulate* micro-batches."""
    if accumulate <= 2:
        yield _Stretch(events)
        return
    first, second = (
        at + 1 for at, event in enumerate(events) if isinstance(event, Mark) and event.phase is Phase.BACKWARD
    )
    again = events[first:second]
    yield _Stretch(events[:second])
    replaced = _replaced(trace, again)
    yield from (_Stretch(again, replaced) for _ in range(accumulate - 2))
    yield _Stretch(events[second:])


def _replaced(trace: Trace, events: Sequence[Event]) -> tuple[tuple[int, int], ...]:
    """Return each storage from before *events* that dies in them, and the one that is there in its place.

    Raises NotRepeatingError where there is none of the same size, kind and layer, in order of birth.
    """
    born = {event.storage: None for event in events if isinstance(event, Born)}  # in order
    freed = {event.storage for event in events if isinstance(event, Freed)}
    old, new = sorted(freed - set(born)), [storage for storage in born if storage not in freed]
    if [_looks(trace, storage) for storage in old] != [_looks(trace, storage) for storage in new]:
        raise NotRepeatingError("a stretch does not end with what it began with")
    return tuple(zip(old, new, strict=True))


def _looks(trace: Trace, storage: int) -> tuple[object, ...]:
    found = trace.storages[storage]
    return found.nbytes, found.kind, found.layer


def _check_forward(trace: Trace) -> None:
    """Raise NotRepeatingError where the network does not run the same operators each time."""
    passes: list[list[tuple[object, ...]]] = [[]]
    for event in trace.events:
        match event:
            case Ran(number):
                operator = trace.operators[number]
                if operator.phase is Phase.FORWARD and operator.layer is not None:
                    shapes = tuple(operand.shape for operand in (*operator.inputs, *operator.outputs))
                    passes[-1].append((operator.name, operator.layer, shapes))
            case Mark(_, Phase.FORWARD):
                passes.append([])
            case Mark() | Born() | Freed():
                pass
            case _:
                assert_never(event)
    if any(one != other for one, other in pairwise(passes[:-1])):
        raise NotRepeatingError("the network does not run the same each time")


class _Writer:
    """Writes a trace stretch by stretch, and knows where what the short trace has is now."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._storages: list[Storage] = []
        self._operators: list[Operator] = []
        self._events: list[Event] = []
        self._place: dict[int, int] = {}  # of a storage
        self._number: dict[int, int] = {}  # of an operator

    def replace(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Let what was put in the place of each first storage stand for it."""
        self._place |= {old: self._place[new] for old, new in pairs}

    def play(self, stretch: _Stretch, *, step: int | None = None) -> None:
        """Write *stretch* as what comes next."""
        self.replace(stretch.replaced)
        born = [event.storage for event in stretch.events if isinstance(event, Born)]
        ran = [event.operator for event in stretch.events if isinstance(event, Ran)]
        self._place |= {storage: at for at, storage in enumerate(born, len(self._storages))}
        self._number |= {operator: at for at, operator in enumerate(ran, len(self._operators))}
        self._storages += [self._storage(self._trace.storages[storage]) for storage in born]
        self._operators += [self._operator(self._trace.operators[operator], step) for operator in ran]
        self._events += [self._event(event, step) for event in stretch.events]

    def trace(self, setup: Setup) -> Trace:
        """Return what was written."""
        return replace(
            self._trace,
            setup=setup,
            parameters=tuple(
                replace(each, storage=self._place[each.storage]) for each in self._trace.parameters
            ),
            storages=tuple(self._storages),
            operators=tuple(self._operators),
            events=tuple(self._events),
        )

    def _storage(self, storage: Storage) -> Storage:
        number = None if storage.operator is None else self._number[storage.operator]
        if number == storage.operator:
            return storage
        return Storage(storage.nbytes, storage.kind, storage.layer, number)

    def _operator(self, operator: Operator, step: int | None) -> Operator:
        inputs, outputs = self._operands(operator.inputs), self._operands(operator.outputs)
        at = operator.step if step is None else step
        if (inputs, outputs, at) == (operator.inputs, operator.outputs, operator.step):
            return operator
        return Operator(
            operator.name, at, operator.phase, operator.layer, inputs, outputs, operator.arguments
        )

    def _operands(self, operands: tuple[Operand, ...]) -> tuple[Operand, ...]:
        return tuple(
            operand
            if self._place[operand.storage] == operand.storage
            else Operand(
                operand.name, self._place[operand.storage], operand.shape, operand.strides, operand.dtype
            )
            for operand in operands
        )

    def _event(self, event: Event, step: int | None) -> Event:
        match event:
            case Ran(operator):
                return Ran(self._number[operator])
            case Born(storage):
                return Born(self._place[storage])
            case Freed(storage):
                return Freed(self._place[storage])
            case Mark(_, phase):
                return Mark(step, phase)
            case _:
                assert_never(event)
