"""The allocator events of a training: a trace's storages, and what no operator shows.

Around its outputs an operator takes copies, workspaces and scratch of its own; a rule for each operator says
which, in order (`vggprof.memory.workspaces`). The timeline is what the device's allocator is asked, whichever
device it is; only what cuDNN asks for is left open, as the question.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from vggprof.memory.workspaces.actions import Give, Keep, Output, Script, Take, Unknown, Workspace
from vggprof.trace import Born, Freed, Kind, Mark, Operator, Phase, Ran, Trace

# What an operator does around its outputs; its outputs alone where the script is empty.
Rule: TypeAlias = Callable[[Operator], Script]


@dataclass(frozen=True, slots=True)
class Need:
    """An allocation: for how much, what for, and by whom."""

    low_bytes: int
    high_bytes: int  # as `low_bytes` where the size is known
    kind: Kind | None  # None for an operator's own scratch
    layer: int | None
    operator: int | None
    source: str  # the rule that says so; "" for a storage of the trace


@dataclass(frozen=True, slots=True)
class Allocate:
    """The allocation `Timeline.needs[need]` is made."""

    need: int


@dataclass(frozen=True, slots=True)
class Release:
    """An allocation is freed."""

    need: int


@dataclass(frozen=True, slots=True)
class Ask:
    """cuDNN takes a workspace and gives it back: as much as the first of its plans that fits."""

    workspace: Workspace
    operator: int


@dataclass(frozen=True, slots=True)
class Hold:
    """An allocation that is made once for a thread and a key, and never freed."""

    need: int
    key: tuple[str, bool]  # the rule's key; whether it is autograd's thread


TimelineEvent: TypeAlias = Allocate | Release | Ask | Hold | Mark


@dataclass(frozen=True, slots=True)
class Timeline:
    """What an allocator is asked during the steps of a trace, in order."""

    trace: Trace
    needs: tuple[Need, ...]  # the trace's storages come first, under their own index
    events: tuple[TimelineEvent, ...]

    @property
    def asked(self) -> tuple[Workspace, ...]:
        """Every question to cuDNN, each once, in order."""
        return tuple(dict.fromkeys(event.workspace for event in self.events if isinstance(event, Ask)))


def timeline(trace: Trace, rule: Rule) -> Timeline:
    """Return the allocations of *trace* with those that *rule* adds to each operator."""
    builder = _Builder(trace, rule)
    for event in trace.events:
        match event:
            case Ran(operator):
                builder.operator(operator)
            case Born(storage):
                builder.born(storage)
            case Freed(storage):
                builder.freed(storage)
            case Mark():
                builder.events.append(event)
            case _:
                assert_never(event)
    return Timeline(trace, tuple(builder.needs), tuple(builder.events))


class _Builder:
    """Writes events, and knows which births a script has already placed."""

    def __init__(self, trace: Trace, rule: Rule) -> None:
        self.needs = [
            Need(stored.nbytes, stored.nbytes, stored.kind, stored.layer, stored.operator, "")
            for stored in trace.storages
        ]
        self.events: list[TimelineEvent] = []
        self._trace = trace
        self._rule = rule
        self._placed: set[int] = set()
        self._scripts: dict[Hashable, Script] = {}

    def operator(self, number: int) -> None:
        """Write what the operator does, with its outputs where its rule places them."""
        operator = self._trace.operators[number]
        script = self._script(operator)
        if not script:
            return
        outputs = _outputs_by_position(operator)
        taken: dict[str, int] = {}
        for action in script:
            match action:
                case Output(index):
                    self._place(outputs.get(index))
                case Take(name, nbytes, source):
                    taken[name] = self._need(number, nbytes, nbytes, source)
                    self.events.append(Allocate(taken[name]))
                case Give(name):
                    self.events.append(Release(taken[name]))
                case Unknown(_, low, high, source):
                    need = self._need(number, low, high, source)
                    self.events += [Allocate(need), Release(need)]
                case Keep(key, nbytes, source):
                    need = self._need(number, nbytes, nbytes, source)
                    self.events.append(Hold(need, (key, operator.phase is Phase.BACKWARD)))
                case Workspace():
                    self.events.append(Ask(action, number))
                case _:
                    assert_never(action)

    def _script(self, operator: Operator) -> Script:
        """Return what the rule says; steps repeat themselves, and the rule is asked once for equal calls."""
        operands = (*operator.inputs, *operator.outputs)
        call = (
            operator.name,
            operator.arguments,
            *((operand.name, operand.shape, operand.strides, operand.dtype) for operand in operands),
        )
        if call not in self._scripts:
            self._scripts[call] = self._rule(operator)
        return self._scripts[call]

    def born(self, storage: int) -> None:
        """Write a birth, unless its operator's rule has placed it."""
        if storage in self._placed:
            self._placed.remove(storage)
        elif self.needs[storage].high_bytes:
            self.events.append(Allocate(storage))

    def freed(self, storage: int) -> None:
        """Write a death; what has no bytes was never allocated."""
        if self.needs[storage].high_bytes:
            self.events.append(Release(storage))

    def _place(self, storage: int | None) -> None:
        if storage is not None and storage not in self._placed:
            self.born(storage)
            self._placed.add(storage)

    def _need(self, operator: int, low: int, high: int, source: str) -> int:
        layer = self._trace.operators[operator].layer
        self.needs.append(Need(low, high, None, layer, operator, source))
        return len(self.needs) - 1


def _outputs_by_position(operator: Operator) -> dict[int, int]:
    """Return the storages that an operator makes, by their position among its results.

    A trace leaves out results that nobody wants; convolution_backward's mask says which those are.
    """
    born = {operand.storage for operand in operator.born}
    positions = list(range(len(operator.outputs)))
    if operator.name == "aten.convolution_backward.default":
        mask = operator.argument("output_mask")
        assert isinstance(mask, tuple)
        positions = [place for place, wanted in enumerate(mask) if wanted]
    return {
        place: operand.storage
        for place, operand in zip(positions, operator.outputs, strict=True)
        if operand.storage in born
    }
