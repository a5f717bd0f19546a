"""The timeline of tensors alone: what is alive when, what the peak is made of, and whose it is.

Each storage counts as what an allocator sets aside for it, a multiple of 512 bytes. Workspaces of cuDNN and
cuBLAS, the allocator's unsplit rests and caching, and the CUDA context are not tensors and are not in here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import assert_never

from vggprof.analyzers.forward import first_readers
from vggprof.trace import Born, Freed, Kind, Mark, Phase, Ran, Setup, Trace

# torch rounds every request up to this: kMinBlockSize in c10/core/AllocatorConfig.h.
BLOCK_BYTES = 512


def block_bytes(nbytes: int) -> int:
    """Bytes that the allocator sets aside for a request of *nbytes*."""
    return -(-nbytes // BLOCK_BYTES) * BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class MarkBytes:
    """What was alive when a phase of a step ended."""

    step: int | None  # None for the mark after the model has moved in
    phase: str  # name of the mark: "model", "input", "output", "loss", "backward", "optimizer"
    allocated_bytes: int


@dataclass(frozen=True, slots=True)
class Peak:
    """The moment with most alive, the first of equals."""

    allocated_bytes: int
    step: int | None  # None while the model moves in
    phase: Phase
    layer: str | None  # whose operator runs; None outside of the network
    op: str | None  # operator that allocates; None where the loop itself moves something in


@dataclass(frozen=True, slots=True)
class Share:
    """What one layer has alive of one kind."""

    layer: str | None  # None for what belongs to no layer: the input, the loss
    kind: Kind
    allocated_bytes: int


@dataclass(frozen=True, slots=True)
class TensorMemory:
    """Live bytes of a trace's tensors at its marks and at its peak."""

    arch: str
    setup: Setup
    marks: tuple[MarkBytes, ...]
    peak: Peak
    shares: tuple[Share, ...]  # at the peak, by layer in order, then by kind; nothing twice, nothing left out

    @property
    def breakdown_bytes(self) -> dict[Kind, int]:
        """Bytes alive at the peak of each kind, in the order of `Kind`; they sum to the peak."""
        return {kind: sum(s.allocated_bytes for s in self.shares if s.kind is kind) for kind in Kind}

    @property
    def layer_bytes(self) -> dict[str | None, int]:
        """Bytes alive at the peak of each layer that has some, in order; they sum to the peak."""
        sums: defaultdict[str | None, int] = defaultdict(int)
        for share in self.shares:
            sums[share.layer] += share.allocated_bytes
        return dict(sums)


@dataclass(frozen=True, slots=True)
class Live:
    """What is alive after one event of the trace."""

    event: int  # index into Trace.events
    by_kind: tuple[int, ...]  # bytes, in the order of `Kind`


def tensor_memory(trace: Trace) -> TensorMemory:
    """Replay the births and frees of *trace* and return its marks and its peak."""
    sizes = _block_sizes(trace)
    live, highest, peak_event = 0, 0, None
    marks: list[MarkBytes] = []
    for number, event in enumerate(trace.events):
        match event:
            case Born(storage):
                live += sizes[storage]
                if live > highest:
                    highest, peak_event = live, number
            case Freed(storage):
                live -= sizes[storage]
            case Mark(step, phase):
                marks.append(MarkBytes(step, phase.mark, live))
            case Ran():
                pass
            case _:
                assert_never(event)
    return TensorMemory(
        arch=trace.arch,
        setup=trace.setup,
        marks=tuple(marks),
        peak=_peak(trace, peak_event, highest),
        shares=() if peak_event is None else _shares(trace, peak_event, sizes),
    )


def live_series(trace: Trace) -> Iterator[Live]:
    """Yield what is alive after every birth and free, one at a time, for plots."""
    sizes, position = _block_sizes(trace), {kind: place for place, kind in enumerate(Kind)}
    places = [position[storage.kind] for storage in trace.storages]
    live = [0] * len(Kind)
    for number, event in enumerate(trace.events):
        if isinstance(event, Born):
            live[places[event.storage]] += sizes[event.storage]
        elif isinstance(event, Freed):
            live[places[event.storage]] -= sizes[event.storage]
        else:
            continue
        yield Live(number, tuple(live))


def _block_sizes(trace: Trace) -> list[int]:
    return [block_bytes(storage.nbytes) for storage in trace.storages]


def _peak(trace: Trace, number: int | None, highest: int) -> Peak:
    """Say where the trace is at event *number*, a birth; where nothing is ever born, at its begin."""
    born = None if number is None else trace.events[number]
    maker = trace.storages[born.storage].operator if isinstance(born, Born) else None
    if maker is not None:
        op = trace.operators[maker]
        return Peak(highest, op.step, op.phase, _layer_name(trace, op.layer), op.name)
    coming = (event for event in islice(trace.events, number, None) if isinstance(event, Mark))
    mark = next(coming, Mark(None, Phase.MODEL))
    return Peak(highest, mark.step, mark.phase, None, None)


def _shares(trace: Trace, number: int, sizes: list[int]) -> tuple[Share, ...]:
    """Divide what is alive after event *number* among layers and kinds."""
    alive: set[int] = set()
    for event in islice(trace.events, number + 1):
        if isinstance(event, Born):
            alive.add(event.storage)
        elif isinstance(event, Freed):
            alive.remove(event.storage)
    readers = first_readers(trace)
    sums: defaultdict[tuple[int | None, Kind], int] = defaultdict(int)
    for storage in alive:
        sums[owner_layer(trace, storage, readers), trace.storages[storage].kind] += sizes[storage]
    order = list(Kind)
    cells = sorted(sums, key=lambda cell: (-1 if cell[0] is None else cell[0], order.index(cell[1])))
    return tuple(Share(_layer_name(trace, layer), kind, sums[layer, kind]) for layer, kind in cells)


def owner_layer(trace: Trace, storage: int, readers: Mapping[int, int]) -> int | None:
    """Layer that a storage is for: of a parameter its first reader, of the optimizer's that of their sources.

    Foreach operators take and give lists of one length, whose members belong together.
    """
    made = trace.storages[storage]
    layer = readers.get(storage, made.layer)
    if layer is not None or made.operator is None:
        return layer
    op = trace.operators[made.operator]
    if op.phase not in (Phase.MODEL, Phase.OPTIMIZER):
        return None
    sources = [operand.storage for operand in op.inputs if operand.name == op.inputs[0].name]
    results = [operand.storage for operand in op.outputs]
    if len(sources) != len(results):
        return None
    source = sources[results.index(storage)]
    return owner_layer(trace, source, readers) if source < storage else None


def _layer_name(trace: Trace, layer: int | None) -> str | None:
    return None if layer is None else trace.layers[layer].name
