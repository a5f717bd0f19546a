"""Which layer time belongs to: operators by the call that they ran in, nodes by the call that made them."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vggprof.profiler.spans import OURS, Call, Capture, HostSpan, Ours, call_of, phase_of
from vggprof.trace import Phase

# Operators whose backward is a product, and that may compute either gradient or both.
PRODUCTS = frozenset({"convolution_backward", "mm", "addmm", "bmm", "baddbmm"})


@dataclass(frozen=True, slots=True)
class Piece:
    """Time that one operator took on the host without those inside it, or that one kernel took."""

    step: int
    phase: Phase
    layer: str  # "" for what belongs to none
    backward: bool  # for a layer: whether it is the backward pass
    product: int | None  # number of the span of the product that it is a part of, in a backward pass
    name: str
    begin: int
    time: int


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose time it is."""

    call: int | None = None
    backward: bool = False
    node: bool = False  # whether it is an autograd node's, not a forward that a checkpoint runs again
    product: int | None = None


def pieces(capture: Capture, layers: frozenset[str]) -> list[Piece]:
    """Return all time in steps, piece by piece, for the layers called *layers*; in order of its beginning.

    With kernels it is theirs; without, it is the host's, and what the host spends between operators is in
    no piece.
    """
    owned = list(_owned(capture))
    names = _layer_names(capture, [owner.call for span, owner, _ in owned if _is_operator(span)], layers)
    moments = _Moments(capture.host)
    made: list[Piece] = []
    by_cause: dict[int, Piece] = {}
    for span, owner, own_time in owned:
        place = moments.at(span.begin)
        if place is None or not _is_operator(span):
            continue
        layer = "" if owner.call is None else names.get(owner.call, "")
        piece = Piece(*place, layer, owner.backward, owner.product, span.name, span.begin, own_time)
        made.append(piece)
        by_cause[span.number] = piece
    if capture.kernels:
        made = [
            replace(
                by_cause[kernel.cause], name=kernel.name, begin=kernel.begin, time=kernel.end - kernel.begin
            )
            for kernel in capture.kernels
            if kernel.cause in by_cause
        ]
    return sorted(made, key=lambda piece: piece.begin)


def phase_times(capture: Capture, step: int) -> Iterator[tuple[Phase, int]]:
    """Yield the phases of *step*, each with the time that the host spent in it."""
    moments = _Moments(capture.host)
    for span in capture.host:
        phase, place = phase_of(span), moments.at(span.begin)
        if phase is not None and place is not None and place[0] == step:
            yield phase, span.end - span.begin


def _is_operator(span: HostSpan) -> bool:
    return not span.name.startswith(OURS)


def _owned(capture: Capture) -> Iterator[tuple[HostSpan, _Owner, int]]:
    """Yield every span with its owner and the time that it spent outside the spans in it."""
    makers = _makers(capture)
    threads: defaultdict[int, list[HostSpan]] = defaultdict(list)
    for span in sorted(capture.host, key=lambda span: (span.begin, -span.end)):
        threads[span.thread].append(span)
    for spans in threads.values():
        yield from _owned_in_thread(spans, capture.calls, makers)


def _owned_in_thread(
    spans: Sequence[HostSpan], calls: Sequence[Call], makers: Mapping[tuple[int, int], int]
) -> Iterator[tuple[HostSpan, _Owner, int]]:
    """Yield the spans of one thread, sorted by their beginning, the outer before the inner."""
    inside = Counter[int]()  # time in the spans directly within each
    owners: list[_Owner] = []
    stack: list[int] = []
    for place, span in enumerate(spans):
        while stack and spans[stack[-1]].end <= span.begin:
            stack.pop()
        if stack:
            inside[stack[-1]] += span.end - span.begin
        around = owners[stack[-1]] if stack else _Owner()
        owners.append(_owner(span, around, calls, makers))
        stack.append(place)
    for place, (span, owner) in enumerate(zip(spans, owners, strict=True)):
        yield span, owner, span.end - span.begin - inside[place]


def _owner(
    span: HostSpan, around: _Owner, calls: Sequence[Call], makers: Mapping[tuple[int, int], int]
) -> _Owner:
    call = call_of(span)
    if call is not None:
        return _Owner(call, backward=calls[call].in_backward)
    if span.runs_node:
        return _Owner(makers.get((span.node_thread, span.node)), backward=True, node=True)
    if around.node and around.product is None and span.name.removeprefix("aten::") in PRODUCTS:
        return replace(around, product=span.number)
    return around


def _makers(capture: Capture) -> dict[tuple[int, int], int]:
    """For each autograd node, by thread and sequence number, the innermost call that made it."""
    threads = {number: span.thread for span in capture.host if (number := call_of(span)) is not None}
    made: dict[tuple[int, int], int] = {}
    for number, call in reversed(tuple(enumerate(capture.calls))):  # inner calls begin after outer ones
        for node in range(call.first_node, call.end_node):
            made.setdefault((threads.get(number, 0), node), number)
    return made


def _layer_names(capture: Capture, ran: Sequence[int | None], layers: frozenset[str]) -> dict[int, str]:
    """Return the layer of each call that is one: as in a trace, a second call of ``conv`` is ``conv#2``.

    A call is a layer if it is one of a childless module, or an operator ran in it directly. Calls are counted
    anew in each step, and apart in the backward pass.
    """
    moments, told = _Moments(capture.host), set(ran)
    begins = {number: span.begin for span in capture.host if (number := call_of(span)) is not None}
    count: Counter[tuple[int, bool, str]] = Counter()
    names: dict[int, str] = {}
    for number, call in enumerate(capture.calls):
        place = moments.at(begins[number]) if number in begins else None
        if place is None or not (call.childless or number in told):
            continue
        key = (place[0], call.in_backward, call.path)
        count[key] += 1
        name = (call.path or "network") + (f"#{count[key]}" if count[key] > 1 else "")
        if name in layers:
            names[number] = name
    return names


class _Moments:
    """The steps and phases that the spans of *host* tell of."""

    def __init__(self, host: Sequence[HostSpan]) -> None:
        self._steps = sorted(span.begin for span in host if Ours.STEP.read(span.name))
        self._phases = sorted((span.begin, span.end, phase) for span in host if (phase := phase_of(span)))

    def at(self, time: int) -> tuple[int, Phase] | None:
        """Return step and phase at *time*; None outside all phases."""
        place = bisect_right(self._phases, time, key=lambda phase: phase[0]) - 1
        if place < 0 or time >= self._phases[place][1]:
            return None
        return bisect_right(self._steps, time) - 1, self._phases[place][2]
