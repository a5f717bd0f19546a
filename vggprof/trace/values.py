"""The trace: what one training does, in order, as plain values that need no torch.

A trace holds layers, storages and operators in tables and a list of events that refers to them by index.
Sizes are exact and belong to the traced batch. `Trace.events` is the order of the truth: a storage is born
when an operator (or the loop itself) allocates it, freed when its last owner lets go of it, and a mark is
set at the end of every phase of the reference loop.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import TypeAlias

from vggprof.trace.setup import Setup

# Bytes an element takes, by the name that torch prints without its "torch.".
ITEM_BYTES = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "int16": 2,
    "float16": 2,
    "bfloat16": 2,
    "int32": 4,
    "float32": 4,
    "int64": 8,
    "float64": 8,
    "complex64": 8,
    "complex128": 16,
}

Shape: TypeAlias = tuple[int, ...]
Argument: TypeAlias = "bool | int | float | str | tuple[Argument, ...] | None"


class Phase(StrEnum):
    """What the loop is doing; each ends in a mark of its own."""

    MODEL = "model"  # the module moves to the device
    INPUT = "input"  # the batch and its labels move to the device
    FORWARD = "forward"
    LOSS = "loss"
    BACKWARD = "backward"
    OPTIMIZER = "optimizer"

    @property
    def mark(self) -> str:
        """Name of the mark that ends this phase; the forward pass ends at ``output``, before the loss."""
        return "output" if self is Phase.FORWARD else self.value


class Kind(StrEnum):
    """What a storage is for. Every storage is exactly one of these."""

    PARAMETER = "parameters"
    BUFFER = "buffers"  # batch-norm statistics and other registered tensors that are not trained
    GRADIENT = "gradients"
    OPTIMIZER = "optimizer_state"  # momentum, moments, and the GradScaler's scale
    INPUT = "input"  # the batch and its labels
    ACTIVATION = "activations"  # born in the forward pass or the loss, saved for backward or not
    TEMPORARY = "temporaries"  # born in backward (gradients of activations) or in the optimizer step


@dataclass(frozen=True, slots=True)
class Layer:
    """One executed layer: a call of a childless module, or a function that a container called itself."""

    name: str  # unique; a second call of the same module is "conv#2"
    module: str  # path of the module in the network, "" for the network itself
    op: str  # class of the module ("Conv2d") or name of the function ("add")
    input_shapes: tuple[Shape, ...]
    output_shape: Shape | None  # None where nothing that is a tensor comes out
    training: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """A registered parameter or buffer; tied ones are listed once, under the first name."""

    name: str  # "conv1_1.weight"
    shape: Shape
    dtype: str
    storage: int
    trainable: bool
    buffer: bool

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Storage:
    """Memory that tensors share; views and in-place results have the storage of their source."""

    nbytes: int  # as asked for; an allocator may set aside more
    kind: Kind
    layer: int | None  # index of the layer that made it (for a gradient of a parameter: that owns it)
    operator: int | None  # index of the operator that made it; None for what the loop itself moves in


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that an operator takes or gives."""

    name: str  # argument name in the operator's schema: "weight"; outputs are "out"
    storage: int
    shape: Shape
    strides: Shape
    dtype: str

    @property
    def elements(self) -> int:
        """How many numbers it shows."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers it shows; may be less, or for expanded tensors more, than its storage."""
        return self.elements * ITEM_BYTES[self.dtype]


@dataclass(frozen=True, slots=True)
class Operator:
    """One aten operator that ran on the device."""

    name: str  # "aten.convolution.default"
    step: int
    phase: Phase
    layer: int | None  # index into Trace.layers; in backward the layer whose forward it differentiates
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    arguments: tuple[tuple[str, Argument], ...]  # everything in the call that is not a tensor

    def argument(self, name: str) -> Argument:
        """Value of the non-tensor argument *name*. Raises KeyError where the call has none."""
        return dict(self.arguments)[name]

    def input(self, name: str) -> Operand | None:
        """First tensor argument called *name*; None where it was not given."""
        return next((operand for operand in self.inputs if operand.name == name), None)

    @property
    def born(self) -> tuple[Operand, ...]:
        """Outputs in memory of their own: neither views of an input nor written in place."""
        taken = {operand.storage for operand in self.inputs}
        return tuple(operand for operand in self.outputs if operand.storage not in taken)


@dataclass(frozen=True, slots=True)
class Ran:
    """An operator ran; its outputs' births follow."""

    operator: int


@dataclass(frozen=True, slots=True)
class Born:
    """A storage came to be."""

    storage: int


@dataclass(frozen=True, slots=True)
class Freed:
    """The last owner of a storage let go of it."""

    storage: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A phase of a step ended. The model's mark belongs to no step.

    Where a step accumulates gradients, its phases but the last come once a micro-batch, in order.
    """

    step: int | None
    phase: Phase


Event: TypeAlias = Ran | Born | Freed | Mark


@dataclass(frozen=True, slots=True)
class Trace:
    """What a few training steps of one network do, from moving the model in to the last optimizer step."""

    arch: str
    setup: Setup
    torch_version: str
    layers: tuple[Layer, ...]
    parameters: tuple[Parameter, ...]
    storages: tuple[Storage, ...]
    operators: tuple[Operator, ...]
    events: tuple[Event, ...]

    @property
    def steps(self) -> int:
        """Training steps that were traced."""
        return 1 + max((operator.step for operator in self.operators), default=-1)

    def step_operators(self, step: int) -> Iterator[Operator]:
        """Operators of one step, in order."""
        return (operator for operator in self.operators if operator.step == step)
