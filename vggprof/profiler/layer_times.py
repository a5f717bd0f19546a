"""Times of layers from what torch.profiler saw of a few steps."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vggprof.measurement import Kernel, LayerTime
from vggprof.profiler.attribution import Piece, phase_times, pieces
from vggprof.profiler.gradients import Gradient, both_apart, gradients_of
from vggprof.profiler.spans import Capture
from vggprof.trace import Phase, Trace

_NS_IN_MS = 1e6
_FORWARD, _BACKWARD, _OPTIMIZER = "forward", "backward", "optimizer"
# What a phase counts as; the loss belongs to the forward pass, and what arrives from the host to none.
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


@dataclass(frozen=True, slots=True)
class Profiled:
    """The layers of one step, and all of it where the host ran it: more, by what was between operators."""

    layers: tuple[LayerTime, ...]
    whole: LayerTime | None


def profiled_step(capture: Capture, trace: Trace, *, kernels: bool) -> Profiled:
    """Return the times of every layer of *trace* in the step whose layers took the median time together.

    The last row is called "": what the loss, the optimizer and the rest of the loop ran. Time in which no
    kernel and, on the CPU, no operator ran is in no row. With *kernels* every row lists what ran.
    """
    layers = [layer.name for layer in trace.layers]
    parts = _parts(pieces(capture, frozenset(layers)), trace, apart=bool(capture.kernels))
    steps: defaultdict[int, list[_Part]] = defaultdict(list)
    for step, part in parts:
        steps[step].append(part)
    chosen = _median(steps)
    rows: defaultdict[str, list[_Part]] = defaultdict(list)
    for part in steps[chosen]:
        rows[part.layer].append(part)
    training = trace.setup.training
    made = tuple(_row(name, rows[name], training=training, kernels=kernels) for name in (*layers, ""))
    return Profiled(made, None if capture.kernels else _whole(capture, chosen, training=training))


def _median(steps: Mapping[int, Sequence[_Part]]) -> int:
    """Return the step whose parts took the median time together, the lower one of two."""
    ordered = sorted(steps, key=lambda step: sum(part.time for part in steps[step]))
    return ordered[(len(ordered) - 1) // 2] if ordered else 0


def _whole(capture: Capture, step: int, *, training: bool) -> LayerTime:
    times = Counter[str]()
    for phase, time in phase_times(capture, step):
        if phase in _PASSES:
            times[_PASSES[phase]] += time
    return LayerTime(
        name="",
        forward_ms=times[_FORWARD] / _NS_IN_MS,
        backward_ms=times[_BACKWARD] / _NS_IN_MS if training else None,
        optimizer_ms=times[_OPTIMIZER] / _NS_IN_MS if training else None,
    )


def _parts(found: Sequence[Piece], trace: Trace, *, apart: bool) -> Iterator[tuple[int, _Part]]:
    """Yield the step of each piece and what it was for; with *apart* kernels' names tell gradients apart."""
    gradients = _of_products(found, trace)
    within: defaultdict[int, list[Piece]] = defaultdict(list)
    for piece in found:
        if apart and piece.product is not None and gradients.get(piece.product) is Gradient.BOTH:
            within[piece.product].append(piece)
    by_name: dict[int, Gradient] = {}
    for inner in within.values():
        by_name |= zip(map(id, inner), both_apart([piece.name for piece in inner]), strict=True)
    for piece in found:
        if piece.phase in _PASSES:
            gradient = by_name.get(id(piece)) or gradients.get(piece.product or -1)
            yield piece.step, _Part(piece.layer, piece.name, gradient or _pass_of(piece), piece.time)


def _of_products(found: Sequence[Piece], trace: Trace) -> dict[int, Gradient]:
    """Return what each product computes; nothing for layers where the trace saw other products."""
    ran: defaultdict[tuple[int, str], dict[int, None]] = defaultdict(dict)
    for piece in found:
        if piece.product is not None:
            ran[piece.step, piece.layer][piece.product] = None
    known = gradients_of(trace)
    return {
        product: gradient
        for (_, layer), products in ran.items()
        if len(products) == len(known.get(layer, ()))
        for product, gradient in zip(products, known[layer], strict=True)
    }


def _pass_of(piece: Piece) -> str:
    return _BACKWARD if piece.layer and piece.backward else _PASSES[piece.phase]


def _row(name: str, parts: Sequence[_Part], *, training: bool, kernels: bool) -> LayerTime:
    """Return the row of a layer, or of what is none; only there is the optimizer."""
    times = Counter[str]()
    for part in parts:
        times[part.pass_name] += part.time
    backward = times[_BACKWARD] + times[Gradient.DATA] + times[Gradient.WEIGHT]
    return LayerTime(
        name=name,
        forward_ms=times[_FORWARD] / _NS_IN_MS,
        backward_ms=backward / _NS_IN_MS if training else None,
        dgrad_ms=times[Gradient.DATA] / _NS_IN_MS if Gradient.DATA in times else None,
        wgrad_ms=times[Gradient.WEIGHT] / _NS_IN_MS if Gradient.WEIGHT in times else None,
        optimizer_ms=times[_OPTIMIZER] / _NS_IN_MS if training and not name else None,
        kernels=_kernels(parts) if kernels else (),
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
