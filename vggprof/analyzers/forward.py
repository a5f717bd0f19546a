"""The forward pass of a trace's first step: what each layer reads first, gives and keeps."""

from collections.abc import Iterator

from vggprof.analyzers.operators import writes_in_place
from vggprof.trace import Born, Event, Freed, Kind, Mark, Operand, Operator, Parameter, Phase, Shape, Trace


def forward_operators(trace: Trace) -> tuple[Operator, ...]:
    """Operators of the first step's forward pass, in order; the loss is not among them."""
    return tuple(op for op in trace.step_operators(0) if op.phase is Phase.FORWARD)


def layer_outputs(trace: Trace) -> dict[int, Operand]:
    """Return per layer (by index) the tensor that it gives; layers that ran no operator are left out.

    It is the last tensor of the layer's output shape that its operators made.
    """
    found: dict[int, Operand] = {}
    for op in forward_operators(trace):
        if op.layer is not None and (given := given_by(op, trace.layers[op.layer].output_shape)) is not None:
            found[op.layer] = given
    return found


def given_by(op: Operator, shape: Shape | None) -> Operand | None:
    """Return the first output of *op* that has *shape*: of a pooling the result, not the indices."""
    return next((operand for operand in op.outputs if operand.shape == shape), None)


def is_view(op: Operator) -> bool:
    """Whether *op* only looks at its inputs' memory in another way: it gives it back and writes nothing."""
    taken = {operand.storage for operand in op.inputs}
    gives_back = bool(op.outputs) and all(operand.storage in taken for operand in op.outputs)
    return gives_back and not writes_in_place(op.name) and not op.name.endswith("out")


def first_readers(trace: Trace) -> dict[int, int]:
    """Return per storage of a parameter the index of the layer that reads it first, going forward.

    A view or a cast of a parameter reads it. Tied parameters are one storage and so have one reader; storages
    that no layer reads are left out.
    """
    storages = {parameter.storage for parameter in trace.parameters if not parameter.buffer}
    readers: dict[int, int] = {}
    for op in forward_operators(trace):
        if op.layer is not None:
            for operand in op.inputs:
                if operand.storage in storages:
                    readers.setdefault(operand.storage, op.layer)
    return readers


def trainable(trace: Trace) -> Iterator[Parameter]:
    """Return every registered parameter, frozen ones too; buffers are none."""
    return (parameter for parameter in trace.parameters if not parameter.buffer)


def kept_for_backward(trace: Trace) -> frozenset[int]:
    """Return the storages that the first forward pass made and that are alive when it ends, before the loss.

    That is what the backward pass needs and what the loop still holds (the output). Empty in inference.
    """
    if not trace.setup.training:
        return frozenset()
    alive = alive_at(trace.events, Mark(0, Phase.FORWARD))
    made = {index for index, storage in enumerate(trace.storages) if storage.operator is not None}
    return frozenset(
        index for index in alive & made if _born_in_first_forward(trace, trace.storages[index].operator)
    )


def _born_in_first_forward(trace: Trace, operator: int | None) -> bool:
    if operator is None:
        return False
    maker = trace.operators[operator]
    return maker.step == 0 and maker.phase is Phase.FORWARD


def alive_at(events: tuple[Event, ...], mark: Mark) -> frozenset[int]:
    """Return the storages alive at *mark*; where it never comes, at the end."""
    alive: set[int] = set()
    for event in events:
        if isinstance(event, Born):
            alive.add(event.storage)
        elif isinstance(event, Freed):
            alive.discard(event.storage)
        elif event == mark:
            break
    return frozenset(alive)


def input_shapes(trace: Trace) -> dict[int, Shape]:
    """Return per storage of the network's inputs the shape that the first operator sees."""
    inputs: dict[int, Shape] = {}
    for op in forward_operators(trace):
        for operand in op.inputs:
            if trace.storages[operand.storage].kind is Kind.INPUT:
                inputs.setdefault(operand.storage, operand.shape)
    return inputs


def preceding_layer(trace: Trace, index: int) -> int | None:
    """Return the layer before *index* that gave what it took, judged by the shape; None where none did.

    For layers that run nothing (dropout in inference, identity), whose output is another layer's.
    """
    taken = trace.layers[index].input_shapes[:1]
    return next((i for i in range(index - 1, -1, -1) if (trace.layers[i].output_shape,) == taken), None)
