"""Traces made by hand, an operator at a time."""

from collections.abc import Mapping, Sequence
from math import prod

from vggprof.trace import (
    ITEM_BYTES,
    Argument,
    Born,
    Event,
    Freed,
    Kind,
    Layer,
    Mark,
    Operand,
    Operator,
    Parameter,
    Phase,
    Ran,
    Setup,
    Shape,
    Storage,
    Trace,
)


def operand(name: str, shape: Shape, *, storage: int = 0, dtype: str = "float32") -> Operand:
    """Return a contiguous tensor."""
    strides = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return Operand(name, storage, shape, strides, dtype)


def operator(
    name: str,
    inputs: Mapping[str, Shape],
    *outputs: Shape,
    phase: Phase = Phase.FORWARD,
    **arguments: Argument,
) -> Operator:
    """Return an operator on tensors of these shapes, each in a storage of its own."""
    taken = tuple(operand(key, shape, storage=i) for i, (key, shape) in enumerate(inputs.items()))
    given = tuple(operand("out", shape, storage=len(taken) + i) for i, shape in enumerate(outputs))
    return Operator(name, 0, phase, None, taken, given, tuple(arguments.items()))


class TraceBuilder:
    """Grows a trace; sizes follow from shapes, fp32 unless said otherwise."""

    def __init__(self, setup: Setup | None = None, arch: str = "by hand") -> None:
        self.setup = setup or Setup(batch=2)
        self.arch = arch
        self.step, self.phase = 0, Phase.FORWARD
        self.layers: list[Layer] = []
        self.parameters: list[Parameter] = []
        self.storages: list[Storage] = []
        self.operators: list[Operator] = []
        self.events: list[Event] = []

    def born(self, nbytes: int, kind: Kind, *, layer: int | None = None, operator: int | None = None) -> int:
        """Make a storage and return its index."""
        self.storages.append(Storage(nbytes, kind, layer, operator))
        self.events.append(Born(len(self.storages) - 1))
        return len(self.storages) - 1

    def free(self, tensor: Operand) -> None:
        """Let go of a tensor's storage."""
        self.events.append(Freed(tensor.storage))

    def tensor(self, shape: Shape, kind: Kind, *, dtype: str = "float32") -> Operand:
        """Make a tensor that the loop moves in."""
        storage = self.born(prod(shape) * ITEM_BYTES[dtype], kind)
        return operand("", shape, storage=storage, dtype=dtype)

    def parameter(self, name: str, shape: Shape, *, tied_to: Operand | None = None) -> Operand:
        """Register a parameter."""
        made = tied_to or self.tensor(shape, Kind.PARAMETER)
        self.parameters.append(Parameter(name, shape, "float32", made.storage, True, False))
        return made

    def layer(self, name: str, op: str, taken: Shape, given: Shape | None) -> int:
        """Begin a layer and return its index."""
        self.layers.append(Layer(name, name, op, (taken,), given, self.setup.training))
        return len(self.layers) - 1

    def run(
        self,
        name: str,
        inputs: Sequence[tuple[str, Operand]],
        *outputs: Shape | Operand,
        layer: int | None = None,
        kind: Kind = Kind.ACTIVATION,
        dtype: str = "float32",
        **arguments: Argument,
    ) -> tuple[Operand, ...]:
        """Run an operator; an output that is a shape gets new memory, one that is a tensor keeps its own."""
        number = len(self.operators)
        self.events.append(Ran(number))
        given: list[Operand] = []
        for output in outputs:
            if isinstance(output, Operand):
                given.append(output)
            else:
                nbytes = prod(output) * ITEM_BYTES[dtype]
                storage = self.born(nbytes, kind, layer=layer, operator=number)
                given.append(operand("out", output, storage=storage, dtype=dtype))
        taken = tuple(operand(key, t.shape, storage=t.storage, dtype=t.dtype) for key, t in inputs)
        self.operators.append(
            Operator(name, self.step, self.phase, layer, taken, tuple(given), tuple(arguments.items()))
        )
        return tuple(given)

    def mark(self, phase: Phase) -> None:
        """End a phase."""
        self.events.append(Mark(None if phase is Phase.MODEL else self.step, phase))

    def build(self) -> Trace:
        """Return the trace."""
        return Trace(
            arch=self.arch,
            setup=self.setup,
            torch_version="none",
            layers=tuple(self.layers),
            parameters=tuple(self.parameters),
            storages=tuple(self.storages),
            operators=tuple(self.operators),
            events=tuple(self.events),
        )


def view(tensor: Operand, shape: Shape) -> Operand:
    """Return the same memory in another shape."""
    return operand("out", shape, storage=tensor.storage, dtype=tensor.dtype)
