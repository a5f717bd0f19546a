"""Stacks of small kernels against single large ones, and what the paper's other columns change.

Simonyan & Zisserman 2015, section 2.3: three 3x3 convolutions of C channels have 27 C^2 weights, the 7x7 one
with the same receptive field 49 C^2. Here it is computed for every stack of a network as it is run, so that
it shows too where it does not pay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

from vggprof.analyzers import LayerRow, layer_table, tensor_memory
from vggprof.errors import ArchError
from vggprof.spec import ArchSpec, ops, read_spec
from vggprof.spec.arch import FactoryArch, edited, parse_arch
from vggprof.spec.editing import apply_edits
from vggprof.spec.ops import Layer
from vggprof.spec.stacks import Stack, nonlinearities, stacks
from vggprof.trace import Setup, Trace
from vggprof.workloads.published import SINGLE, PublishedError, config_of, errors_of

Tracing: TypeAlias = Callable[[str], Trace]

# What the paper compares: 1x1 convolutions (C) with none (B) and with 3x3 (D), and normalization with none.
FAMILIES = (("vgg13", "vgg16-1x1", "vgg16"), ("vgg11", "vgg11-lrn"))


@dataclass(frozen=True, slots=True)
class Cost:
    """What layers cost together, for the whole batch."""

    params: int
    macs: int  # forward
    macs_backward: int
    output_bytes: int
    saved_bytes: int  # for the backward pass
    nonlinearities: int


@dataclass(frozen=True, slots=True)
class StackRow:
    """A stack of convolutions as it is, and the single one with its receptive field and output size."""

    convolutions: tuple[str, ...]
    kernels: tuple[tuple[int, int], ...]
    channels: tuple[int, ...]  # that come in, and that each convolution gives
    kernel: tuple[int, int]  # of the single one
    stack: Cost
    single: Cost

    @property
    def pays(self) -> bool:
        """Whether the stack has fewer parameters."""
        return self.stack.params < self.single.params

    @property
    def weights_per_square(self) -> tuple[int, int] | None:
        """Weights of stack and single kernel as multiples of C^2; None where channels are not all C."""
        if len(set(self.channels)) > 1:
            return None
        return sum(map(prod, self.kernels)), prod(self.kernel)


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """What a whole network costs."""

    arch: str
    cost: Cost
    moved_bytes: int  # read and written by the operators of the forward pass
    peak_bytes: int  # of tensors alone, over training
    config: str | None  # of the paper
    errors: tuple[PublishedError, ...]  # at single scales


@dataclass(frozen=True, slots=True)
class StackReport:
    """The stacks of a network, the network with and without them, and the paper's columns around it."""

    arch: str
    setup: Setup
    rows: tuple[StackRow, ...]
    stacked: NetworkCost
    single: NetworkCost | None  # None where there is no stack
    family: tuple[NetworkCost, ...]  # of configurations of the paper; empty for other networks


def stack_report(arch: str, setup: Setup, tracing: Tracing) -> StackReport:
    """Return what the stacks of *arch* come to under *setup*; *tracing* gives the trace of an ARCH under it.

    Raises ArchError for a factory, whose code says no stacks.
    """
    spec = _spec_of(arch)
    found = stacks(spec)
    single = str(edited(parse_arch(arch), "single kernels")) if found else None
    own = _rows_of(tracing(arch))
    merged = _rows_of(tracing(single)) if single is not None else {}
    return StackReport(
        arch=arch,
        setup=setup,
        rows=tuple(_row(stack, own, merged) for stack in found),
        stacked=_network(arch, spec, tracing),
        single=None if single is None else _network(single, _spec_of(single), tracing),
        family=tuple(_network(name, _spec_of(name), tracing) for name in _family(config_of(arch))),
    )


def _spec_of(arch: str) -> ArchSpec:
    named = parse_arch(arch)
    if isinstance(named, FactoryArch):
        raise ArchError(f"{arch} is a factory, which is code; stacks are found in specs")
    return apply_edits(named.edits, read_spec(named.file, dict(named.parameters)))


def _family(config: str | None) -> tuple[str, ...]:
    return next((names for names in FAMILIES if config in map(config_of, names)), ())


def _rows_of(trace: Trace) -> dict[str, LayerRow]:
    return {row.name: row for row in layer_table(trace).rows}


def _row(stack: Stack, own: dict[str, LayerRow], merged: dict[str, LayerRow]) -> StackRow:
    convolutions = [(layer.name, layer.op) for layer in stack.convolutions if isinstance(layer.op, ops.Conv)]
    names = tuple(name for name, _ in convolutions)
    assert isinstance(stack.single.op, ops.Conv)
    return StackRow(
        convolutions=names,
        kernels=tuple(op.kernel for _, op in convolutions),
        channels=(own[names[0]].input_shapes[0][1], *(op.channels for _, op in convolutions)),
        kernel=stack.single.op.kernel,
        stack=_cost(stack.layers, own),
        single=_cost(stack.kept, merged),
    )


def _cost(layers: tuple[Layer, ...], rows: dict[str, LayerRow]) -> Cost:
    return _summed([rows[layer.name] for layer in layers], nonlinearities(layers))


def _summed(rows: Sequence[LayerRow], bends: int) -> Cost:
    return Cost(
        params=sum(row.params for row in rows),
        macs=sum(row.macs for row in rows),
        macs_backward=sum(row.macs_backward for row in rows),
        output_bytes=sum(row.output_bytes for row in rows),
        saved_bytes=sum(row.saved_bytes for row in rows),
        nonlinearities=bends,
    )


def _network(arch: str, spec: ArchSpec, tracing: Tracing) -> NetworkCost:
    trace = tracing(arch)
    table = layer_table(trace)
    totals, config = table.totals, config_of(arch)
    return NetworkCost(
        arch=arch,
        cost=_summed(table.rows, nonlinearities(spec.layers)),
        moved_bytes=totals.read_bytes + totals.written_bytes,
        peak_bytes=tensor_memory(trace).peak.allocated_bytes,
        config=config,
        errors=errors_of(config, tables=(SINGLE,)),
    )
