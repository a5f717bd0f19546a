"""The layer table: what each layer of a network costs, in the first step of a trace."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from vggprof.analyzers.forward import (
    first_readers,
    forward_operators,
    kept_for_backward,
    layer_outputs,
    trainable,
)
from vggprof.analyzers.macs import operator_macs
from vggprof.analyzers.receptive_field import Field, receptive_fields
from vggprof.analyzers.stages import Stage, in_order, layer_stages
from vggprof.analyzers.traffic import read_bytes, written_bytes
from vggprof.trace import Operator, Parameter, Phase, Setup, Shape, Trace

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One executed layer; shapes are (batch, channels, height, width), sizes those of the whole batch."""

    name: str
    module: str  # path in the network
    op: str
    stage: str  # "stage1", ..., "classifier"
    input_shapes: tuple[Shape, ...]
    output_shape: Shape | None
    params: int  # that this layer is the first to read; of several layers with one weight the first has it
    macs: int  # forward
    macs_backward: int
    output_bytes: int  # 0 when the output shares its input's memory
    saved_bytes: int  # made in its forward and alive when the forward pass ends; 0 in inference
    read_bytes: int  # forward, of the operands of each operator
    written_bytes: int  # forward
    receptive_field: tuple[Field, ...] | None  # one an axis; None where it is not defined

    @property
    def arithmetic_intensity(self) -> float | None:
        """FLOPs (2 x MACs) a byte moved, forward; None where nothing is moved."""
        return _intensity(self.macs, self.read_bytes + self.written_bytes)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over layers."""

    params: int  # all that are registered, the unexecuted ones too
    unexecuted_params: int
    macs: int
    macs_backward: int
    output_bytes: int
    saved_bytes: int
    read_bytes: int
    written_bytes: int

    @property
    def arithmetic_intensity(self) -> float | None:
        """FLOPs (2 x MACs) a byte moved, forward; None where nothing is moved."""
        return _intensity(self.macs, self.read_bytes + self.written_bytes)


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """The layers of one stage."""

    stage: Stage
    rows: tuple[LayerRow, ...]

    @property
    def totals(self) -> Totals:
        """Sums over the stage; what is not executed belongs to none."""
        return _totals(self.rows, unexecuted=0)


@dataclass(frozen=True, slots=True)
class Unruled:
    """An operator without a MAC rule, whose MACs are therefore missing everywhere."""

    operator: str
    calls: int  # in the first step, all phases


@dataclass(frozen=True, slots=True)
class Biggest:
    """The layer with most of something; the first of equals, None where all have none."""

    params: LayerRow | None
    macs: LayerRow | None
    saved_bytes: LayerRow | None


@dataclass(frozen=True, slots=True)
class LayerTable:
    """Every layer of a network in the order in which they first ran."""

    arch: str
    setup: Setup
    rows: tuple[LayerRow, ...]
    stages: tuple[Stage, ...]  # by number, the classifier last
    unexecuted: tuple[Parameter, ...]  # registered, and read by no layer
    ledger: tuple[Unruled, ...]

    @property
    def totals(self) -> Totals:
        """Sums over the network."""
        return _totals(self.rows, unexecuted=sum(parameter.elements for parameter in self.unexecuted))

    @property
    def groups(self) -> tuple[LayerGroup, ...]:
        """The rows by stage."""
        rows: defaultdict[str, list[LayerRow]] = defaultdict(list)
        for row in self.rows:
            rows[row.stage].append(row)
        return tuple(LayerGroup(stage, tuple(rows[stage.name])) for stage in self.stages)

    @property
    def biggest(self) -> Biggest:
        """The layers with most parameters, MACs and bytes saved for backward."""
        return Biggest(
            params=_most(self.rows, lambda row: row.params),
            macs=_most(self.rows, lambda row: row.macs),
            saved_bytes=_most(self.rows, lambda row: row.saved_bytes),
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a table whose columns are called like the fields of `LayerRow`."""
        import pandas as pd  # noqa: PLC0415 - takes longer to import than the rest of us

        names = [field.name for field in fields(LayerRow)]
        names.append("arithmetic_intensity")
        return pd.DataFrame([[getattr(row, name) for name in names] for row in self.rows], columns=names)


def layer_table(trace: Trace) -> LayerTable:
    """Return what each layer of *trace* costs in the first step, at the traced batch.

    The loss is no layer of the network; its MACs and bytes are in no row.
    """
    stages = layer_stages(trace)
    return LayerTable(
        arch=trace.arch,
        setup=trace.setup,
        rows=_rows(trace, stages),
        stages=in_order(stages),
        unexecuted=_unexecuted(trace),
        ledger=_ledger(trace),
    )


def _rows(trace: Trace, stages: tuple[Stage, ...]) -> tuple[LayerRow, ...]:
    params, saved, outputs = _params(trace), _saved_bytes(trace), layer_outputs(trace)
    forward = forward_operators(trace)
    backward = [op for op in trace.step_operators(0) if op.phase is Phase.BACKWARD]
    macs, macs_backward = (_by_layer(ops, _known_macs) for ops in (forward, backward))
    read = _by_layer(forward, lambda op: read_bytes(trace, op))
    written = _by_layer(forward, lambda op: written_bytes(trace, op))
    reach = receptive_fields(trace)
    return tuple(
        LayerRow(
            name=layer.name,
            module=layer.module,
            op=layer.op,
            stage=stages[index].name,
            input_shapes=layer.input_shapes,
            output_shape=layer.output_shape,
            params=params[index],
            macs=macs[index],
            macs_backward=macs_backward[index],
            output_bytes=_output_bytes(trace, index, outputs[index].storage) if index in outputs else 0,
            saved_bytes=saved[index],
            read_bytes=read[index],
            written_bytes=written[index],
            receptive_field=reach[index],
        )
        for index, layer in enumerate(trace.layers)
    )


def _by_layer(ops: Iterable[Operator], quantity: Callable[[Operator], int]) -> Counter[int]:
    """Sum of a quantity per layer."""
    sums: Counter[int] = Counter()
    for op in ops:
        if op.layer is not None:
            sums[op.layer] += quantity(op)
    return sums


def _known_macs(op: Operator) -> int:
    return operator_macs(op) or 0


def _params(trace: Trace) -> Counter[int]:
    """Parameters per layer that reads them first; one storage counts once, whatever it is called."""
    readers = first_readers(trace)
    sums: Counter[int] = Counter()
    for parameter in trainable(trace):
        if parameter.storage in readers:
            sums[readers[parameter.storage]] += parameter.elements
    return sums


def _unexecuted(trace: Trace) -> tuple[Parameter, ...]:
    readers = first_readers(trace)
    return tuple(parameter for parameter in trainable(trace) if parameter.storage not in readers)


def _saved_bytes(trace: Trace) -> Counter[int]:
    sums: Counter[int] = Counter()
    for index in kept_for_backward(trace):
        storage = trace.storages[index]
        if storage.layer is not None:
            sums[storage.layer] += storage.nbytes
    return sums


def _output_bytes(trace: Trace, layer: int, storage: int) -> int:
    """Bytes of an output's memory, if this layer made it."""
    made = trace.storages[storage]
    return made.nbytes if made.layer == layer and made.operator is not None else 0


def _ledger(trace: Trace) -> tuple[Unruled, ...]:
    """Operators without a rule, most frequent first, then by name."""
    calls = Counter(op.name for op in trace.step_operators(0) if operator_macs(op) is None)
    return tuple(
        Unruled(name, count) for name, count in sorted(calls.items(), key=lambda item: (-item[1], item[0]))
    )


def _totals(rows: tuple[LayerRow, ...], *, unexecuted: int) -> Totals:
    return Totals(
        params=sum(row.params for row in rows) + unexecuted,
        unexecuted_params=unexecuted,
        macs=sum(row.macs for row in rows),
        macs_backward=sum(row.macs_backward for row in rows),
        output_bytes=sum(row.output_bytes for row in rows),
        saved_bytes=sum(row.saved_bytes for row in rows),
        read_bytes=sum(row.read_bytes for row in rows),
        written_bytes=sum(row.written_bytes for row in rows),
    )


def _most(rows: tuple[LayerRow, ...], quantity: Callable[[LayerRow], int]) -> LayerRow | None:
    return max((row for row in rows if quantity(row)), key=quantity, default=None)


def _intensity(macs: int, moved: int) -> float | None:
    return 2 * macs / moved if moved else None
