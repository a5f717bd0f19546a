"""Stacks of small kernels against single large ones, and what the paper's other columns change.

Simonyan & Zisserman 2015, section 2.3: three 3x3 convolutions of C channels have 27 C^2 weights, the 7x7 one
with the same receptive field 49 C^2. Here it is computed for every stack of a network as it is run, so that
it shows too where it does not pay.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TypeAlias

from vggprof.analyzers import LayerRow, layer_table, tensor_memory
from vggprof.errors import ArchError
from vggprof.latency.interval import Interval
from vggprof.latency.predict import Latency
from vggprof.latency.report import LatencyReport
from vggprof.spec import ArchSpec, ops, read_spec
from vggprof.spec.arch import FactoryArch, edited, parse_arch
from vggprof.spec.editing import apply_edits
from vggprof.spec.ops import Layer
from vggprof.spec.stacks import Stack, nonlinearities, stacks
from vggprof.trace import Setup, Trace
from vggprof.workloads.published import (
    SINGLE,
    STACKS_AGAINST_SINGLE,
    PublishedDifference,
    PublishedError,
    config_of,
    errors_of,
)

Tracing: TypeAlias = Callable[[str], Trace]
Timing: TypeAlias = Callable[[Trace], LatencyReport]

NO_TIMES = "no GPU was named and none is here; --gpu NAME predicts times for one"

# What the paper compares (section 4.1): 1x1 convolutions with 3x3 ones and with none, more 3x3 with fewer,
# and normalization with none. A column and the one that it is held against.
_COLUMNS = (
    ("1x1 for 3x3", "vgg16-1x1", "vgg16"),
    ("1x1 added", "vgg16-1x1", "vgg13"),
    ("3x3 added", "vgg16", "vgg13"),
    ("3x3 added", "vgg19", "vgg16"),
    ("LRN added", "vgg11-lrn", "vgg11"),
)
# Columns that are shown together, shallow to deep.
_FAMILIES = (("vgg13", "vgg16-1x1", "vgg16", "vgg19"), ("vgg11", "vgg11-lrn"))


@dataclass(frozen=True, slots=True)
class Cost:
    """What layers cost together, for the whole batch."""

    params: int
    macs: int  # forward
    macs_backward: int
    output_bytes: int
    saved_bytes: int  # for the backward pass
    moved_bytes: int  # read and written by the operators of the forward pass
    nonlinearities: int
    forward_ms: float | None  # of its kernels, predicted; None where there is no GPU to predict for
    backward_ms: float | None  # likewise; None in inference too

    @property
    def kernels_ms(self) -> float | None:
        """Both passes; None where there is no GPU to predict for."""
        return None if self.forward_ms is None else self.forward_ms + (self.backward_ms or 0.0)


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
    peak_bytes: int  # of tensors alone, over training
    step_ms: Interval | None  # with what belongs to no layer; None where there is no GPU to predict for
    config: str | None  # of the paper
    errors: tuple[PublishedError, ...]  # at single scales


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one change between two of the paper's columns costs: *network* has it, *base* has not."""

    change: str
    network: NetworkCost
    base: NetworkCost

    @property
    def step_ratio(self) -> float | None:
        """Likely times of a step; None where there is no GPU to predict for."""
        ours, theirs = self.network.step_ms, self.base.step_ms
        return None if ours is None or theirs is None else ours.likely / theirs.likely

    @property
    def points(self) -> tuple[float, float]:
        """By how many points the top-1 and top-5 errors differ, at S = Q = 256, where all were published."""
        (ours, *_), (theirs, *_) = self.network.errors, self.base.errors
        return (
            round(ours.top1_percent - theirs.top1_percent, 1),
            round(ours.top5_percent - theirs.top5_percent, 1),
        )


@dataclass(frozen=True, slots=True)
class StackReport:
    """The stacks of a network, the network with and without them, and the paper's columns around it."""

    arch: str
    setup: Setup
    device: str | None  # that times are predicted for
    rows: tuple[StackRow, ...]
    stacked: NetworkCost
    single: NetworkCost | None  # None where there is no stack
    difference: PublishedDifference | None  # with and without stacks, for one of the paper's columns
    family: tuple[NetworkCost, ...]  # of configurations of the paper; empty for other networks
    comparisons: tuple[Comparison, ...]
    assumptions: tuple[str, ...]  # of the times; empty without

    @property
    def no_times(self) -> str | None:
        """Why there are no times; None where there are."""
        return NO_TIMES if self.device is None else None


def stack_report(arch: str, setup: Setup, tracing: Tracing, timing: Timing | None = None) -> StackReport:
    """Return what the stacks of *arch* come to under *setup*; *tracing* gives the trace of an ARCH under it.

    *timing* predicts the time of a trace on the one GPU that is meant; without it there are no times. Raises
    ArchError for a factory, whose code says no stacks.
    """
    seen = cache(lambda name: _see(name, tracing, timing))
    spec, config = _spec_of(arch), config_of(arch)
    found = stacks(spec)
    own = seen(arch)
    merged = seen(str(edited(parse_arch(arch), "single kernels"))) if found else None
    family = {name: seen(name) for name in _family(config)}
    timed = [each.time for each in (own, merged, *family.values()) if each and each.time]
    return StackReport(
        arch=arch,
        setup=setup,
        device=None if own.latency is None else own.latency.device.name,
        rows=() if merged is None else tuple(_row(stack, own, merged) for stack in found),
        stacked=_network(own),
        single=None if merged is None else _network(merged),
        difference=STACKS_AGAINST_SINGLE if config else None,
        family=tuple(map(_network, family.values())),
        comparisons=tuple(_comparisons(family)),
        assumptions=tuple(dict.fromkeys(said for time in timed for said in time.assumptions)),
    )


def _spec_of(arch: str) -> ArchSpec:
    named = parse_arch(arch)
    if isinstance(named, FactoryArch):
        raise ArchError(f"{arch} is a factory, which is code; stacks are found in specs")
    return apply_edits(named.edits, read_spec(named.file, dict(named.parameters)))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A network, looked at layer by layer."""

    arch: str
    rows: Mapping[str, LayerRow]
    bends: int
    peak_bytes: int
    time: LatencyReport | None

    @property
    def latency(self) -> Latency | None:
        """On the one GPU that is meant."""
        return None if self.time is None else self.time.single


def _see(arch: str, tracing: Tracing, timing: Timing | None) -> _Seen:
    trace = tracing(arch)
    return _Seen(
        arch=arch,
        rows={row.name: row for row in layer_table(trace).rows},
        bends=nonlinearities(_spec_of(arch).layers),
        peak_bytes=tensor_memory(trace).peak.allocated_bytes,
        time=None if timing is None else timing(trace),
    )


def _family(config: str | None) -> tuple[str, ...]:
    return next((names for names in _FAMILIES if config in map(config_of, names)), ())


def _comparisons(family: Mapping[str, _Seen]) -> Iterator[Comparison]:
    """Yield what the paper compares of *family*."""
    for change, name, base in _COLUMNS:
        if name in family:
            yield Comparison(change, _network(family[name]), _network(family[base]))


def _row(stack: Stack, own: _Seen, merged: _Seen) -> StackRow:
    convolutions = [(layer.name, layer.op) for layer in stack.convolutions if isinstance(layer.op, ops.Conv)]
    names = tuple(name for name, _ in convolutions)
    assert isinstance(stack.single.op, ops.Conv)
    return StackRow(
        convolutions=names,
        kernels=tuple(op.kernel for _, op in convolutions),
        channels=(own.rows[names[0]].input_shapes[0][1], *(op.channels for _, op in convolutions)),
        kernel=stack.single.op.kernel,
        stack=_cost_of(stack.layers, own),
        single=_cost_of(stack.kept, merged),
    )


def _network(seen: _Seen) -> NetworkCost:
    config = config_of(seen.arch)
    return NetworkCost(
        arch=seen.arch,
        cost=_cost(tuple(seen.rows), seen, seen.bends),
        peak_bytes=seen.peak_bytes,
        step_ms=None if seen.latency is None else seen.latency.step,
        config=config,
        errors=errors_of(config, tables=(SINGLE,)),
    )


def _cost_of(layers: tuple[Layer, ...], seen: _Seen) -> Cost:
    return _cost([layer.name for layer in layers], seen, nonlinearities(layers))


def _cost(names: Sequence[str], seen: _Seen, bends: int) -> Cost:
    """Return what the layers of these *names* cost, of which *bends* are not linear."""
    rows = [seen.rows[name] for name in names]
    layers = () if seen.latency is None else seen.latency.layers
    times = [layer for layer in layers if layer.name in set(names)]
    return Cost(
        params=sum(row.params for row in rows),
        macs=sum(row.macs for row in rows),
        macs_backward=sum(row.macs_backward for row in rows),
        output_bytes=sum(row.output_bytes for row in rows),
        saved_bytes=sum(row.saved_bytes for row in rows),
        moved_bytes=sum(row.read_bytes + row.written_bytes for row in rows),
        nonlinearities=bends,
        forward_ms=_sum(layer.forward_ms for layer in times),
        backward_ms=_sum(ms for layer in times for ms in (layer.dgrad_ms, layer.wgrad_ms)),
    )


def _sum(times_ms: Iterable[float | None]) -> float | None:
    """Return the sum of what is known; None where nothing is."""
    known = [ms for ms in times_ms if ms is not None]
    return sum(known) if known else None
