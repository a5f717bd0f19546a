"""A measurement beside its prediction: two columns, and what lies between them; neither moves the other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from vggprof.analyzers import LayerTable, TensorMemory, layer_table, tensor_memory
from vggprof.compare.machine import card_of, software_of
from vggprof.compare.parting import Parting, first_parting
from vggprof.compare.work import LayerWork, Rest, Work, launch_bound, layer_works, rests, step_works
from vggprof.devices import Device, devices_named
from vggprof.errors import UsageError
from vggprof.latency.interval import Interval
from vggprof.latency.predict import Latency, LayerLatency, Stopwatch
from vggprof.measurement import Execution, Measurement, Protocol, summarize
from vggprof.memory.forecast import Card, Forecast
from vggprof.memory.recording import record
from vggprof.memory.report import MemoryReport, report
from vggprof.memory.run import End
from vggprof.memory.verdict import Estimate
from vggprof.trace import Trace

_NO_TIME_ON_CPU = "No time is predicted for the CPU: prices are of the kernels of GPUs."
_TIME = "Times are predicted from what is known of the GPU's generation, with no measurement of its own."
_TENSORS_ON_CPU = (
    "On the CPU no allocator is predicted: the prediction is of tensors alone, the measurement of the whole "
    "process, with Python and torch in it."
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that is predicted, measured, or both; None is what is not known."""

    name: str  # "peak_allocated_bytes"
    predicted: Estimate | None
    measured: int | None

    @property
    def difference(self) -> int | None:
        """Measured less predicted; None where one of them is not known."""
        if self.measured is None or self.predicted is None or self.predicted.likely is None:
            return None
        return self.measured - self.predicted.likely

    @property
    def within(self) -> bool | None:
        """Whether what was measured lies between the ends of the prediction; None as for `difference`."""
        if self.measured is None or self.predicted is None:
            return None
        return self.predicted.low <= self.measured <= self.predicted.high


_PREDICTED_TIMES = ("forward", "backward", "optimizer", "step")


@dataclass(frozen=True, slots=True)
class PartTime:
    """The time of a step or a part of it, in milliseconds."""

    name: str  # of `vggprof.measurement.TIMES`
    predicted: Interval | None
    measured_ms: float | None  # the median

    @property
    def difference_ms(self) -> float | None:
        """Measured less predicted; None where one of them is not known."""
        if self.predicted is None or self.measured_ms is None:
            return None
        return self.measured_ms - self.predicted.likely

    @property
    def within(self) -> bool | None:
        """Whether what was measured lies in the predicted interval; None where one of them is not known."""
        if self.predicted is None or self.measured_ms is None:
            return None
        return self.predicted.low <= self.measured_ms <= self.predicted.high


@dataclass(frozen=True, slots=True)
class MeasuredReport:
    """A measurement, and what was predicted for its network on its machine; None where that cannot be."""

    measurement: Measurement
    layers: LayerTable | None = None
    tensors: TensorMemory | None = None
    device: Device | None = None  # the GPU it was measured on
    memory: MemoryReport | None = None  # predicted, for that GPU
    latency: Latency | None = None  # predicted, where prices know the GPU and how it was run
    parting: Parting | None = None
    events_compared: bool = False  # whether `parting` was looked for
    notes: tuple[str, ...] = ()

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What is set side by side: those of the GPU's allocator, or tensors and process on the CPU."""
        return tuple(self._of_gpu() if self.measurement.conditions.device == "cuda" else self._of_cpu())

    @property
    def times(self) -> tuple[PartTime, ...]:
        """Forward, backward, optimizer and step beside their prediction.

        What the protocol of passes calls a step has no optimizer in it: nothing is predicted of it.
        """
        return tuple(self._times())

    @property
    def layer_latencies(self) -> dict[str, LayerLatency]:
        """What is predicted of each layer; empty where no time is."""
        return {} if self.latency is None else {layer.name: layer for layer in self.latency.layers}

    def _times(self) -> Iterator[PartTime]:
        measured = self.measurement.times
        whole = self.measurement.conditions.protocol is Protocol.STEPS
        for name in _PREDICTED_TIMES:
            samples = measured.get(name)
            likely = getattr(self.latency, name, None) if whole or name in ("forward", "backward") else None
            yield PartTime(name, likely, None if samples is None else summarize(samples).median_ms)

    @property
    def works(self) -> tuple[Work, ...]:
        """The MACs of each part of a step that was timed, and how fast they went."""
        return () if self.layers is None else step_works(self.measurement, self.layers)

    @property
    def layer_works(self) -> tuple[LayerWork, ...]:
        """Each layer's time, with its MACs and bytes moved where the trace has that layer."""
        return layer_works(self.measurement, self.layers, self.device)

    @property
    def launch_bound(self) -> bool | None:
        """Whether the GPU waits for the host; None where that is not known."""
        return launch_bound(self.measurement)

    @property
    def rests(self) -> tuple[Rest, ...]:
        """What of the step's time no layer accounts for."""
        return rests(self.measurement)

    @property
    def largest_batch(self) -> int | None:
        """The largest batch that is predicted to fit; None where that was not searched for."""
        card = None if self.memory is None else self.memory.single
        return None if card is None else card.largest_batch

    def _of_gpu(self) -> Iterator[Quantity]:
        held, card = self.measurement.memory, None if self.memory is None else self.memory.single
        predicted = None if card is None else card.prediction
        context = None if predicted is None else predicted.context
        for name, estimate in (
            ("peak_allocated_bytes", None if predicted is None else predicted.peak_allocated),
            ("peak_reserved_bytes", None if predicted is None else predicted.peak_reserved),
            (
                "context_bytes",
                None if context is None else Estimate(context.low, context.likely, context.high),
            ),
            ("process_bytes", None if predicted is None else predicted.process),
        ):
            yield Quantity(name, estimate, None if held is None else getattr(held, name))

    def _of_cpu(self) -> Iterator[Quantity]:
        held = self.measurement.memory
        if self.tensors is not None:
            peak = self.tensors.peak.allocated_bytes
            yield Quantity("tensors_bytes", Estimate(peak, peak, peak), None)
        yield Quantity("process_bytes", None, None if held is None else held.process_bytes)


def set_beside(
    measurement: Measurement, traces: Callable[[int], Trace], *, search: bool = True
) -> MeasuredReport:
    """Return *measurement* beside what is predicted from *traces*, the trace of its network at each batch.

    With *search* the largest batch is predicted too. What cannot be predicted is left out and said so.
    """
    try:
        trace = traces(measurement.conditions.setup.batch)
    except UsageError as error:
        return MeasuredReport(measurement, notes=(f"Nothing is predicted: {error}",))
    alone = MeasuredReport(measurement, layer_table(trace), tensor_memory(trace))
    if measurement.conditions.device != "cuda":
        return replace(alone, notes=(_TENSORS_ON_CPU, _NO_TIME_ON_CPU))
    alone = _with_time(alone, traces)
    try:
        card = card_of(measurement)
        with Forecast(traces, software_of(measurement)) as forecast:
            return _beside_gpu(alone, forecast, card, search=search)
    except UsageError as error:
        return replace(alone, notes=(f"No memory is predicted: {error}", *alone.notes))


def _with_time(alone: MeasuredReport, traces: Callable[[int], Trace]) -> MeasuredReport:
    """Return *alone* with the predicted time, where the GPU is in the catalogue; else why there is none."""
    measurement = alone.measurement
    name, asked = measurement.environment.device_name, measurement.conditions
    try:
        if not devices_named(name):
            raise UsageError(f"{name} is not in the catalogue")
        with Stopwatch(traces, software_of(measurement), execution=asked.execution) as watch:
            latency = watch.predict(asked.setup.batch, card_of(measurement).device)
    except UsageError as error:
        return replace(alone, notes=(*alone.notes, f"No time is predicted: {error}"))
    return replace(alone, latency=latency, notes=(*alone.notes, _TIME))


def _beside_gpu(alone: MeasuredReport, forecast: Forecast, card: Card, *, search: bool) -> MeasuredReport:
    measurement = alone.measurement
    batch, held = measurement.conditions.setup.batch, measurement.memory
    predicted = report(forecast, batch, [card], search=search)
    compared = held is not None and bool(held.events)
    parting = None
    if held is not None and compared:
        line, answers, room = forecast.asked(batch, card)
        recording = record(line, answers, room.machine(End.LIKELY))
        parting = first_parting(recording, held)
    return replace(
        alone,
        device=card.device,
        memory=predicted,
        parting=parting,
        events_compared=compared,
        notes=(*alone.notes, *_unlike_prediction(measurement), *predicted.assumptions),
    )


def _unlike_prediction(measurement: Measurement) -> Iterator[str]:
    match measurement.conditions.execution:
        case Execution.EAGER:
            pass
        case Execution.GRAPH | Execution.COMPILE as execution:
            yield f"The memory is predicted of eager mode; what {execution.value} adds or saves is not in it."
