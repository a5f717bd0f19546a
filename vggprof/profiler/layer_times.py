"""Times of layers from what torch.profiler saw, reconciled with the step that they were seen in."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from vggprof.measurement import Kernel, LayerTime
from vggprof.profiler.attribution import Moments, Piece, pieces
from vggprof.profiler.gradients import Gradient, both_apart, gradients_of
from vggprof.profiler.spans import Capture
from vggprof.trace import Phase, Trace

_NS_IN_MS = 1e6
_FORWARD, _BACKWARD, _OPTIMIZER = "forward", "backward", "optimizer"
# What a phase counts as; the loss belongs to the forward pass.
_PASSES = {
    Phase.FORWARD: _FORWARD,
    Phase.LOSS: _FORWARD,
    Phase.BACKWARD: _BACKWARD,
    Phase.OPTIMIZER: _OPTIMIZER,
}


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of time and what it was for: ``forward``, ``dgrad``, ``wgrad``, ``backward``, ``optimizer``."""

    layer: str
    name: str
    pass_name: str
    time: int


def layer_times(capture: Capture, trace: Trace, *, kernels: bool) -> tuple[LayerTime, ...]:
    """Return the times of every layer of *trace* in one step: of those captured, the one of median length.

    The last row is called "": all of the step that is no layer's, so that the rows add up to the step. That
    is the loss, the optimizer, whatever else the loop does, and the time in which nothing ran. With *kernels*
    every row lists what ran.
    """
    found = pieces(capture, frozenset(layer.name for layer in trace.layers))
    number, passes = _median_step(capture, found)
    parts = list(
        _parts([piece for piece in found if piece.step == number], trace, apart=bool(capture.kernels))
    )
    rows = [
        _row(layer.name, [part for part in parts if part.layer == layer.name], trace, kernels=kernels)
        for layer in trace.layers
    ]
    return (*rows, _rest(rows, passes, [part for part in parts if not part.layer and kernels]))


def _median_step(capture: Capture, found: Sequence[Piece]) -> tuple[int, dict[str, int]]:
    """Return the number of the step of median length, and the length of its passes in ns."""
    lengths = _by_kernels(found) if capture.kernels else _by_phases(capture)
    ordered = sorted(lengths, key=lambda step: sum(lengths[step].values()))
    chosen = ordered[(len(ordered) - 1) // 2]
    return chosen, lengths[chosen]


def _by_phases(capture: Capture) -> dict[int, dict[str, int]]:
    """Return the lengths of passes on the host, by step."""
    lengths: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for step, phase, length in Moments(capture.host).lengths():
        if phase in _PASSES:
            lengths[step][_PASSES[phase]] += length
    return dict(lengths)


def _by_kernels(found: Sequence[Piece]) -> dict[int, dict[str, int]]:
    """Return the lengths of passes on the device, by step; each lasts until the next one's first kernel."""
    lengths: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for step, own in groupby(sorted(found, key=lambda piece: piece.step), key=lambda piece: piece.step):
        kernels = [piece for piece in own if piece.phase in _PASSES]
        ends = [piece.begin for piece in kernels[1:]]
        ends.append(max((piece.begin + piece.time for piece in kernels), default=0))
        for piece, end in zip(kernels, ends, strict=True):
            lengths[step][_PASSES[piece.phase]] += end - piece.begin
    return dict(lengths)


def _parts(found: Sequence[Piece], trace: Trace, *, apart: bool) -> Iterator[_Part]:
    """Yield what each piece was for; with *apart* the names of kernels tell gradients apart."""
    gradients = _of_products(found, trace)
    within: defaultdict[int, list[Piece]] = defaultdict(list)
    for piece in found:
        if piece.product is not None:
            within[piece.product].append(piece)
    by_name: dict[int, Gradient] = {}
    for product, inner in within.items():
        if apart and gradients.get(product) is Gradient.BOTH:
            by_name |= zip(map(id, inner), both_apart([piece.name for piece in inner]), strict=True)
    for piece in found:
        if piece.phase in _PASSES:
            gradient = by_name.get(id(piece)) or gradients.get(piece.product or -1)
            yield _Part(piece.layer, piece.name, gradient or _pass_of(piece), piece.time)


def _of_products(found: Sequence[Piece], trace: Trace) -> dict[int, Gradient]:
    """Return what each product computes; nothing for layers where the trace saw other products."""
    ran: defaultdict[str, dict[int, None]] = defaultdict(dict)
    for piece in found:
        if piece.product is not None:
            ran[piece.layer][piece.product] = None
    known = gradients_of(trace)
    return {
        product: gradient
        for layer, products in ran.items()
        if len(products) == len(known.get(layer, ()))
        for product, gradient in zip(products, known[layer], strict=True)
    }


def _pass_of(piece: Piece) -> str:
    return _BACKWARD if piece.layer and piece.backward else _PASSES[piece.phase]


def _row(name: str, parts: Sequence[_Part], trace: Trace, *, kernels: bool) -> LayerTime:
    time = Counter[str]()
    for part in parts:
        time[part.pass_name] += part.time
    training = trace.setup.training
    apart = Gradient.DATA in time or Gradient.WEIGHT in time
    return LayerTime(
        name=name,
        forward_ms=time[_FORWARD] / _NS_IN_MS,
        backward_ms=(time.total() - time[_FORWARD]) / _NS_IN_MS if training else None,
        dgrad_ms=time[Gradient.DATA] / _NS_IN_MS if apart else None,
        wgrad_ms=time[Gradient.WEIGHT] / _NS_IN_MS if apart else None,
        kernels=_kernels(parts) if kernels else (),
    )


def _rest(rows: Sequence[LayerTime], passes: dict[str, int], parts: Sequence[_Part]) -> LayerTime:
    """Return the row of what is no layer's, out of the length of each pass."""
    forward, backward, optimizer = (
        passes[name] / _NS_IN_MS if name in passes else None for name in (_FORWARD, _BACKWARD, _OPTIMIZER)
    )
    return LayerTime(
        name="",
        forward_ms=None if forward is None else forward - sum(row.forward_ms or 0 for row in rows),
        backward_ms=None if backward is None else backward - sum(row.backward_ms or 0 for row in rows),
        optimizer_ms=optimizer,
        kernels=_kernels(parts),
    )


def _kernels(parts: Iterable[_Part]) -> tuple[Kernel, ...]:
    """Return what ran, the longest first."""
    time, calls = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for part in parts:
        time[part.name, part.pass_name] += part.time
        calls[part.name, part.pass_name] += 1
    return tuple(
        Kernel(name, pass_name, calls[name, pass_name], spent / _NS_IN_MS)
        for (name, pass_name), spent in time.most_common()
    )
