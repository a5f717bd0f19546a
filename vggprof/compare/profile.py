"""What a comparison needs to know of one network, as one value."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from vggprof.analyzers import LayerTable, TensorMemory, layer_table, tensor_memory
from vggprof.analyzers.forward import forward_operators, is_view, kept_for_backward
from vggprof.analyzers.operators import ALLOCATION, base
from vggprof.compare.peak import PeakShare, card_shares, index_bytes, tensor_shares
from vggprof.compare.scales import say_scale, scales
from vggprof.compare.times import Times, measured_times, predicted_times
from vggprof.errors import UsageError
from vggprof.latency.answer import Wanted, answer
from vggprof.measurement import Measurement
from vggprof.memory.forecast import Card, Forecast
from vggprof.memory.report import CardReport, report
from vggprof.memory.run import at_peak
from vggprof.trace import Trace


@dataclass(frozen=True, slots=True)
class Profile:
    """One network in one setup; *shares* are of what the card reserves at most, without a card of tensors."""

    table: LayerTable
    memory: TensorMemory
    shares: tuple[PeakShare, ...]
    launches: int | None = None  # operators of a step that work on numbers; each launches a kernel or more
    kernel_areas: dict[str, int] = field(default_factory=dict)  # by layer, of those that convolve
    index_bytes: dict[str, int] = field(default_factory=dict)  # by layer, of what it saves for backward
    card: CardReport | None = None
    memory_assumptions: tuple[str, ...] = ()  # that the prediction for the card rests on
    times: Times | None = None

    @property
    def peak_allocated_bytes(self) -> int:
        """The most that is allocated on the card, unknown workspaces at their high end; else of tensors."""
        card = self.card
        return (
            self.memory.peak.allocated_bytes if card is None else card.prediction.shown.peak_allocated_bytes
        )

    @property
    def peak_reserved_bytes(self) -> int | None:
        """The most that is reserved on the card; None without one."""
        return None if self.card is None else self.card.prediction.shown.peak_reserved_bytes

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What predictions of memory and time rest on; nothing for times that are measured."""
        return (*self.memory_assumptions, *(() if self.times is None else self.times.assumptions))

    @property
    def branched(self) -> bool:
        """Whether some layer takes what several others give."""
        return any(len(row.input_shapes) > 1 for row in self.table.rows)

    def layer_ms(self) -> dict[str, float]:
        """Return the milliseconds of each layer; where together they exceed the step, so much less."""
        if self.times is None:
            return {}
        found = {row.name: self.times.layer_ms.get(row.name, 0.0) for row in self.table.rows}
        scale = min(1.0, self.times.step_ms / (sum(found.values()) or 1.0))
        return {layer: scale * ms for layer, ms in found.items()}

    def scales(self) -> dict[str, str]:
        """Return per layer the scale of the input at which it lies, as people say it."""
        of_stage = scales(self.table)
        return {row.name: say_scale(of_stage[row.stage]) for row in self.table.rows}


def profile(trace: Trace) -> Profile:
    """Return what there is to compare of *trace* where no card is known."""
    return _profile(trace, tensor_shares(trace), None)


def profile_on(forecast: Forecast, batch: int, card: Card, *, search: bool) -> Profile:
    """Return what there is to compare of running at *batch* on *card*; *search* for the largest batch."""
    reported = report(forecast, batch, (card,), search=search)
    (on_card,) = reported.cards
    shown = on_card.prediction.shown
    line, answers, _ = forecast.asked(batch, card)
    top = at_peak(line, answers, on_card.prediction.machine, shown)
    latency = answer(forecast.traces, (card,), line.trace.setup, software=forecast.software, wanted=Wanted())
    return replace(
        _profile(line.trace, card_shares(line, top, shown.peak_reserved_bytes), on_card),
        memory_assumptions=reported.assumptions,
        times=predicted_times(latency.cards[0], latency.assumptions),
    )


def timed(profiles: Sequence[Profile], measurements: Sequence[Measurement]) -> tuple[Profile, ...]:
    """Return *profiles* with the times that *measurements* say, and no others, so that like meets like.

    Raises UsageError where that is so for all of them.
    """
    with_times = tuple(
        replace(each, times=measured_times(measurements, each.table.arch, each.table.setup))
        for each in profiles
    )
    if all(each.times is None for each in with_times):
        held = sorted({f"{m.conditions.arch} at batch {m.conditions.setup.batch}" for m in measurements})
        raise UsageError(
            "no measurement is of what is compared, in its setup; there are those of " + ", ".join(held)
        )
    return with_times


def _profile(trace: Trace, shares: tuple[PeakShare, ...], card: CardReport | None) -> Profile:
    names = [layer.name for layer in trace.layers]
    indices = index_bytes(trace, kept_for_backward(trace))
    return Profile(
        table=layer_table(trace),
        memory=tensor_memory(trace),
        shares=shares,
        launches=_launches(trace),
        kernel_areas={names[layer]: area for layer, area in _kernel_areas(trace)},
        index_bytes={names[layer]: nbytes for layer, nbytes in indices.items()},
        card=card,
    )


def _launches(trace: Trace) -> int:
    """Return how many operators of the last step do more than set memory aside or look at it otherwise."""
    step = trace.step_operators(trace.steps - 1)
    return sum(base(op.name) not in ALLOCATION and not is_view(op) for op in step)


def _kernel_areas(trace: Trace) -> Iterator[tuple[int, int]]:
    """Yield layers that convolve, with the area of their kernel; of several convolutions the last one's."""
    for op in forward_operators(trace):
        weight = op.input("weight")
        if op.layer is not None and weight is not None and "conv" in base(op.name):
            yield op.layer, prod(weight.shape[2:])
