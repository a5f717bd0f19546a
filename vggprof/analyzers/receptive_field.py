"""Receptive fields of layers, followed through the operators of the first forward pass.

What each storage's numbers see of the input is known per axis (height and width; one or three axes work
alike). Convolutions and poolings widen it, joining operators (add, concat) take the hull of what they join,
and activations and normalization leave it as it is: statistics over the batch or the channels do not count as
seeing. A global pooling, a linear layer on flattened features and attention see the whole input. Where
windows do not lie evenly (an adaptive pooling that does not divide, branches of different strides) or no rule
exists, there is none. Axes are taken to stay in their order; a network that exchanges height and width is not
followed.
"""

from dataclasses import dataclass

from vggprof.analyzers.field_rules import next_reaches
from vggprof.analyzers.forward import forward_operators, given_by, input_shapes, is_view, preceding_layer
from vggprof.analyzers.windows import PIXELS, Beyond, Reaches, Windows
from vggprof.trace import Operator, Shape, Trace


@dataclass(frozen=True, slots=True)
class Field:
    """What one output position sees of the input along one axis, in pixels.

    *size* is the theoretical extent and may exceed the input; *offset* is the first pixel that the first
    output sees, so minus the effective padding; *stride* is below 1 where outputs lie denser than pixels.
    """

    size: int
    stride: int | float
    offset: int


def receptive_fields(trace: Trace) -> tuple[tuple[Field, ...] | None, ...]:
    """Per layer its output's field, one an axis; None where it is not defined or no axis is left.

    Where every output sees the whole input (a linear layer after flatten) the field is the input's extent,
    with the extent as stride and offset 0; flatten alone has none: it keeps different windows on no axis.
    """
    inputs = input_shapes(trace)
    extents = next((shape[2:] for shape in inputs.values()), ())
    return tuple(
        _fields(reaches, layer.output_shape or (), extents)
        for layer, reaches in zip(trace.layers, _layer_reaches(trace, inputs), strict=True)
    )


def _layer_reaches(trace: Trace, inputs: dict[int, Shape]) -> list[Reaches]:
    """Return what each layer's output reaches; a layer that ran nothing gives what it took."""
    starts: dict[int, Reaches] = {i: (PIXELS,) * len(shape[2:]) for i, shape in inputs.items()}
    follower = _Follower(trace, starts)
    ran: dict[int, Reaches] = {}
    for op in forward_operators(trace):
        follower.follow(op)
        if op.layer is not None and (given := given_by(op, trace.layers[op.layer].output_shape)) is not None:
            ran[op.layer] = follower.reaches(given.storage, given.shape) or ()
    by_shape = {shape: starts[storage] for storage, shape in inputs.items()}
    found: list[Reaches] = []
    for index, layer in enumerate(trace.layers):
        before = preceding_layer(trace, index) if index not in ran else None
        taken = found[before] if before is not None else by_shape.get(next(iter(layer.input_shapes), ()), ())
        found.append(ran.get(index, taken))
    return found


def _fields(reaches: Reaches, shape: Shape, extents: Shape) -> tuple[Field, ...] | None:
    """Fields of an output of *shape* in an input of *extents*."""
    has_axes = len(shape) >= len(reaches) + 2
    fields: list[Field] = []
    for reach, extent in zip(reaches, extents, strict=False):
        if isinstance(reach, Windows) and has_axes:
            fields.append(Field(reach.size, reach.stride, reach.offset))
        elif reach is Beyond.WHOLE:
            fields.append(Field(extent, extent, 0))
    return tuple(fields) if fields and len(fields) == len(reaches) else None


class _Follower:
    """Knows what every storage seen so far reaches; views share it, but for crops, which have their own."""

    def __init__(self, trace: Trace, inputs: dict[int, Reaches]) -> None:
        self._trace = trace
        self._storages = dict(inputs)
        self._crops: dict[tuple[int, Shape], Reaches] = {}

    def reaches(self, storage: int, shape: Shape) -> Reaches | None:
        """Return what a tensor reaches; None for one that does not come from the input."""
        return self._crops.get((storage, shape)) or self._storages.get(storage)

    def follow(self, op: Operator) -> None:
        """Learn what the outputs of *op* reach."""
        operands = [(operand, self.reaches(operand.storage, operand.shape)) for operand in op.inputs]
        known = [(operand, reaches) for operand, reaches in operands if reaches]
        if not known:
            return
        layer = None if op.layer is None else self._trace.layers[op.layer]
        reaches = next_reaches(op, known, layer)
        if reaches is not None:
            self._learn(op, reaches)

    def _learn(self, op: Operator, reaches: Reaches) -> None:
        view = is_view(op)
        for operand in op.outputs:
            if not view:
                self._storages[operand.storage] = reaches
            elif reaches != self._storages.get(operand.storage):
                self._crops[operand.storage, operand.shape] = reaches
