"""What is held when most is allocated, by layer and cause: of tensors, or of all that an allocator holds."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from vggprof.analyzers import block_bytes
from vggprof.analyzers.forward import first_readers
from vggprof.analyzers.operators import POOLING, base
from vggprof.analyzers.tensor_memory import owner_layer
from vggprof.compare.causes import Cause
from vggprof.memory.allocator.rules import round_up
from vggprof.memory.run import Top
from vggprof.memory.timeline import Timeline
from vggprof.trace import Born, Freed, Kind, Mark, Phase, Trace

_INDEX_TYPES = frozenset({"int64", "int32"})


@dataclass(frozen=True, slots=True)
class PeakShare:
    """What one layer holds of one kind at the peak; None is what belongs to no layer."""

    layer: str | None
    cause: Cause
    nbytes: int


def tensor_shares(trace: Trace) -> tuple[PeakShare, ...]:
    """Return what the peak of the tensors of *trace* is made of; the shares sum to it."""
    causes = _Causes(trace)
    return _summed(
        (causes.layer(storage), causes.of(storage), block_bytes(trace.storages[storage].nbytes))
        for storage in _alive_at_peak(trace)
    )


def card_shares(line: Timeline, top: Top, reserved_bytes: int) -> tuple[PeakShare, ...]:
    """Return what *reserved_bytes*, the most that is reserved, is made of, *top* being the peak of *line*.

    Without what is of the cause FRAGMENTATION the shares sum to what is allocated at the peak.
    """
    trace, causes = line.trace, _Causes(line.trace)

    def held() -> Iterable[tuple[str | None, Cause, int]]:
        for each in top.held:
            rounded = round_up(each.requested_bytes, block_bytes(1))
            if each.need is not None and each.need < len(trace.storages):
                layer, cause = causes.layer(each.need), causes.of(each.need)
            else:
                layer, cause = causes.layer_of_operator(each.operator), Cause.WORKSPACES
            yield layer, cause, rounded
            yield layer, Cause.SLACK, each.block_bytes - rounded
        allocated = sum(each.block_bytes for each in top.held)
        yield None, Cause.FRAGMENTATION, reserved_bytes - allocated

    return _summed(held())


def index_bytes(trace: Trace, storages: Iterable[int]) -> dict[int, int]:
    """Return per layer (by index) the bytes of those of *storages* that are pooling indices."""
    sums: defaultdict[int, int] = defaultdict(int)
    for storage in storages:
        made = trace.storages[storage]
        if made.layer is not None and is_pooling_index(trace, storage):
            sums[made.layer] += made.nbytes
    return dict(sums)


def is_pooling_index(trace: Trace, storage: int) -> bool:
    """Whether *storage* says where a pooling found its maxima."""
    maker = trace.storages[storage].operator
    if maker is None or base(trace.operators[maker].name) not in POOLING:
        return False
    dtypes = {out.dtype for out in trace.operators[maker].outputs if out.storage == storage}
    return dtypes <= _INDEX_TYPES


def _summed(held: Iterable[tuple[str | None, Cause, int]]) -> tuple[PeakShare, ...]:
    sums: defaultdict[tuple[str | None, Cause], int] = defaultdict(int)
    for layer, cause, nbytes in held:
        sums[layer, cause] += nbytes
    return tuple(PeakShare(layer, cause, nbytes) for (layer, cause), nbytes in sums.items() if nbytes)


class _Causes:
    """Says of each storage of a trace whose it is and what it is for."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._readers = first_readers(trace)
        self._saved = _saved(trace)

    def layer(self, storage: int) -> str | None:
        """Name of the layer that *storage* is for."""
        return self._name(owner_layer(self._trace, storage, self._readers))

    def layer_of_operator(self, operator: int | None) -> str | None:
        """Name of the layer that *operator* runs for."""
        return None if operator is None else self._name(self._trace.operators[operator].layer)

    def of(self, storage: int) -> Cause:
        """Return what *storage* is for."""
        kind = self._trace.storages[storage].kind
        if kind is not Kind.ACTIVATION:
            return Cause(kind.value)
        if is_pooling_index(self._trace, storage):
            return Cause.POOLING_INDICES
        return Cause.SAVED_ACTIVATIONS if storage in self._saved else Cause.PASSING_ACTIVATIONS

    def _name(self, layer: int | None) -> str | None:
        return None if layer is None else self._trace.layers[layer].name


def _saved(trace: Trace) -> frozenset[int]:
    """Return the storages that are alive at the end of a forward pass in training."""
    alive: set[int] = set()
    saved: set[int] = set()
    for event in trace.events:
        match event:
            case Born(storage):
                alive.add(storage)
            case Freed(storage):
                alive.discard(storage)
            case Mark(_, Phase.FORWARD) if trace.setup.training:
                saved |= alive
            case _:
                pass
    return frozenset(saved)


def _alive_at_peak(trace: Trace) -> tuple[int, ...]:
    """Return the storages that are alive when most is, the first time: always before something is freed."""
    live = most = 0
    alive: dict[int, None] = {}
    at_peak: tuple[int, ...] = ()
    for event in trace.events:
        match event:
            case Born(storage):
                alive[storage] = None
                live += block_bytes(trace.storages[storage].nbytes)
            case Freed(storage):
                if live > most:
                    most, at_peak = live, tuple(alive)
                del alive[storage]
                live -= block_bytes(trace.storages[storage].nbytes)
            case _:
                pass
    return tuple(alive) if live > most else at_peak
