"""Gradients that autograd sums in place on CUDA, and out of place on meta.

Where several gradients flow into one tensor, the engine adds them up, into the first one if nobody else
holds it: can_accumulate_inplace in torch/csrc/autograd/input_buffer.cpp. It never does so for meta tensors,
nor under a dispatch mode: there the sum takes new memory, and the first one dies after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vggprof.trace import Born, Event, Freed, Operand, Operator, Phase, Ran

_ADD, _ADD_IN_PLACE = "aten.add.Tensor", "aten.add_.Tensor"


@dataclass(frozen=True, slots=True)
class InPlace:
    """Which storages are another's in truth, and the events and operators that say so."""

    home: dict[int, int]  # of each storage that is gone: the one that it is
    events: tuple[Event, ...]
    operators: tuple[Operator, ...]


def in_place(
    events: Sequence[Event], operators: Sequence[Operator], nodes: Sequence[int | None], sizes: Sequence[int]
) -> InPlace:
    """Return *events* and *operators* with the engine's sums in place; storages keep their numbers.

    *nodes* has for each operator the autograd node that ran, *sizes* the bytes of each storage.
    """
    makers = {out.storage: number for number, op in enumerate(operators) for out in op.born}
    home: dict[int, int] = {}
    dropped: set[int] = set()
    for at in range(len(events) - 2):
        ran, born, freed = events[at : at + 3]
        if not (isinstance(ran, Ran) and isinstance(born, Born) and isinstance(freed, Freed)):
            continue
        first = operators[ran.operator].inputs[0].storage if operators[ran.operator].inputs else None
        if first == freed.storage and _is_sum(ran.operator, operators, nodes, makers, sizes):
            home[born.storage] = home.get(first, first)
            dropped |= {at + 1, at + 2}
    kept = tuple(_moved(event, home) for at, event in enumerate(events) if at not in dropped)
    return InPlace(home, kept, tuple(_renamed(op, home) for op in operators))


def _is_sum(
    number: int,
    operators: Sequence[Operator],
    nodes: Sequence[int | None],
    makers: dict[int, int],
    sizes: Sequence[int],
) -> bool:
    """Whether the operator is the engine's: it adds to what another node has made, all of its memory."""
    op = operators[number]
    if op.name != _ADD or op.phase is not Phase.BACKWARD or len(op.inputs) != 2 or nodes[number] is None:
        return False
    first, second = op.inputs
    maker = makers.get(first.storage)
    return (
        maker is not None
        and nodes[maker] is not None
        and nodes[maker] != nodes[number]
        and first.shape == second.shape == op.outputs[0].shape
        and first.nbytes == sizes[first.storage]
    )


def _renamed(op: Operator, home: dict[int, int]) -> Operator:
    operands = (*op.inputs, *op.outputs)
    if not any(operand.storage in home for operand in operands):
        return op
    summed = op.name == _ADD and bool(op.outputs) and op.outputs[0].storage in home
    return replace(
        op,
        name=_ADD_IN_PLACE if summed else op.name,
        inputs=tuple(_operands(op.inputs, home)),
        outputs=tuple(_operands(op.outputs, home)),
    )


def _operands(operands: Sequence[Operand], home: dict[int, int]) -> Iterator[Operand]:
    for operand in operands:
        at = home.get(operand.storage)
        yield operand if at is None else replace(operand, storage=at)


def _moved(event: Event, home: dict[int, int]) -> Event:
    return Freed(home[event.storage]) if isinstance(event, Freed) and event.storage in home else event
