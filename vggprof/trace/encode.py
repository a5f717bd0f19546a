"""A trace as JSON: what repeats is written once, in a table; the rest is columns of indices."""

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from math import isfinite
from typing import Any, Generic, TypeVar, assert_never

from vggprof._version import __version__
from vggprof.trace.setup import DEFAULTS, Setup
from vggprof.trace.values import (
    Argument,
    Born,
    Event,
    Freed,
    Layer,
    Mark,
    Operand,
    Operator,
    Parameter,
    Ran,
    Shape,
    Storage,
    Trace,
)

FORMAT = "vggprof-trace"
# The number of the layout that vggprof/trace/files.py shows. Any change to it, or to what a field of a trace
# means, gets a new number.
SCHEMA_VERSION = 1
# Fields of a setup that are left out at their defaults, so that traces from before them stay as they are.
LATER = frozenset({"accumulate", "inplace", "freeze", "checkpoint", "zero_grad"})

Row = TypeVar("Row")
Item = TypeVar("Item", bound=Hashable)


def to_json(trace: Trace) -> str:
    """Return *trace* as one line of JSON, from which `from_json` makes an equal trace."""
    return json.dumps(_Encoder().trace(trace), separators=(",", ":"), allow_nan=False)


class _Interned(Generic[Item]):
    """Items in the order of their first use; an item is asked for again by its key."""

    def __init__(self) -> None:
        self.rows: list[Item] = []
        self._index: dict[Hashable, int] = {}

    def add(self, item: Item, key: Hashable = None) -> int:
        """Return the row of the item of this *key* (*item* itself, by default), a new one if need be."""
        row = self._index.setdefault(item if key is None else key, len(self.rows))
        if row == len(self.rows):
            self.rows.append(item)
        return row


class _Encoder:
    """The tables that a trace's columns point into, filled as the columns are made."""

    def __init__(self) -> None:
        self.texts: _Interned[str] = _Interned()
        self.shapes: _Interned[Shape] = _Interned()
        self.arguments: _Interned[tuple[tuple[str, Argument], ...]] = _Interned()
        self.operands: _Interned[Operand] = _Interned()

    def trace(self, trace: Trace) -> dict[str, Any]:
        """Return the whole document; the tables come last because the columns fill them."""
        return {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "vggprof_version": __version__,
            "arch": trace.arch,
            "torch_version": trace.torch_version,
            "setup": _setup(trace.setup),
            "layers": self._layers(trace.layers),
            "parameters": self._parameters(trace.parameters),
            "storages": self._storages(trace.storages),
            "operators": self._operators(trace.operators),
            "marks": self._marks(trace.events),
            "events": _events(trace.events),
            "operands": self._operands(),
            "arguments": [_encode_argument(row) for row in self.arguments.rows],
            "shapes": self.shapes.rows,
            "texts": self.texts.rows,
        }

    def _layers(self, layers: Sequence[Layer]) -> dict[str, Any]:
        return {
            "name": _column(layers, lambda layer: self.texts.add(layer.name)),
            "module": _column(layers, lambda layer: self.texts.add(layer.module)),
            "op": _column(layers, lambda layer: self.texts.add(layer.op)),
            "input_shapes": _column(layers, lambda layer: [self.shapes.add(s) for s in layer.input_shapes]),
            "output_shape": _column(layers, lambda layer: self._optional_shape(layer.output_shape)),
            "training": _column(layers, lambda layer: layer.training),
        }

    def _parameters(self, parameters: Sequence[Parameter]) -> dict[str, Any]:
        return {
            "name": _column(parameters, lambda parameter: self.texts.add(parameter.name)),
            "shape": _column(parameters, lambda parameter: self.shapes.add(parameter.shape)),
            "dtype": _column(parameters, lambda parameter: self.texts.add(parameter.dtype)),
            "storage": _column(parameters, lambda parameter: parameter.storage),
            "trainable": _column(parameters, lambda parameter: parameter.trainable),
            "buffer": _column(parameters, lambda parameter: parameter.buffer),
        }

    def _storages(self, storages: Sequence[Storage]) -> dict[str, Any]:
        return {
            "nbytes": _column(storages, lambda storage: storage.nbytes),
            "kind": _column(storages, lambda storage: self.texts.add(storage.kind.value)),
            "layer": _column(storages, lambda storage: storage.layer),
            "operator": _column(storages, lambda storage: storage.operator),
        }

    def _operators(self, operators: Sequence[Operator]) -> dict[str, Any]:
        return {
            "name": _column(operators, lambda operator: self.texts.add(operator.name)),
            "step": _column(operators, lambda operator: operator.step),
            "phase": _column(operators, lambda operator: self.texts.add(operator.phase.value)),
            "layer": _column(operators, lambda operator: operator.layer),
            "inputs": _column(operators, lambda operator: [self.operands.add(o) for o in operator.inputs]),
            "outputs": _column(operators, lambda operator: [self.operands.add(o) for o in operator.outputs]),
            "arguments": _column(operators, lambda operator: self._argument_row(operator.arguments)),
        }

    def _operands(self) -> dict[str, Any]:
        operands = self.operands.rows
        return {
            "name": _column(operands, lambda operand: self.texts.add(operand.name)),
            "storage": _column(operands, lambda operand: operand.storage),
            "shape": _column(operands, lambda operand: self.shapes.add(operand.shape)),
            "strides": _column(operands, lambda operand: self.shapes.add(operand.strides)),
            "dtype": _column(operands, lambda operand: self.texts.add(operand.dtype)),
        }

    def _marks(self, events: Sequence[Event]) -> dict[str, Any]:
        marks = [event for event in events if isinstance(event, Mark)]
        return {
            "step": _column(marks, lambda mark: mark.step),
            "phase": _column(marks, lambda mark: self.texts.add(mark.phase.value)),
        }

    def _optional_shape(self, shape: Shape | None) -> int | None:
        return None if shape is None else self.shapes.add(shape)

    def _argument_row(self, arguments: tuple[tuple[str, Argument], ...]) -> int:
        """Return the row of *arguments*, told apart by looks: 1, 1.0 and True are one key."""
        return self.arguments.add(arguments, key=repr(arguments))


def _setup(setup: Setup) -> dict[str, Any]:
    """Return the fields of *setup*; of those that came later only what is not the default."""
    values = {name: getattr(setup, name) for name in DEFAULTS}
    return {name: value for name, value in values.items() if name not in LATER or value != DEFAULTS[name]}


def _column(rows: Iterable[Row], cell: Callable[[Row], object]) -> list[object]:
    return [cell(row) for row in rows]


def _events(events: Sequence[Event]) -> dict[str, Any]:
    """Return a letter and a row for each of *events*; marks are numbered as they come."""
    letters: list[str] = []
    rows: list[int] = []
    marks = 0
    for event in events:
        match event:
            case Ran(row):
                letter = "R"
            case Born(row):
                letter = "B"
            case Freed(row):
                letter = "F"
            case Mark():
                letter, row, marks = "M", marks, marks + 1
            case _:
                assert_never(event)
        letters.append(letter)
        rows.append(row)
    return {"kind": "".join(letters), "of": rows}


def _encode_argument(value: Argument) -> object:
    """Return *value* as what JSON can say: tuples as lists, infinite numbers as objects."""
    if isinstance(value, tuple):
        return [_encode_argument(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return {"float": str(value)}
    return value
