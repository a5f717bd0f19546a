"""How long a step of a network takes, layer by layer, from whoever knows: a measurement or a prediction."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from vggprof.latency.predict import Latency
from vggprof.measurement import LayerTime, Measurement, Protocol, Status
from vggprof.trace import Setup


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of one step, and of its layers; *source* says who knows."""

    step_ms: float
    layer_ms: Mapping[str, float]  # all passes together
    source: str
    assumptions: tuple[str, ...] = ()  # that a prediction of them rests on


def predicted_times(latency: Latency, assumptions: tuple[str, ...]) -> Times:
    """Return the likely times of *latency*; the optimizer's belong to no layer."""
    layers = {layer.name: layer.total_ms for layer in latency.layers}
    return Times(latency.step.likely, layers, f"predicted for {latency.device.name}", assumptions)


def measured_times(measurements: Iterable[Measurement], arch: str, setup: Setup) -> Times | None:
    """Return the times of the last of *measurements* that is of *arch* in *setup*; None where none is.

    What the protocol of passes calls a step has no optimizer in it, and is none.
    """
    found = [each for each in measurements if _is_of(each, arch, setup)]
    known = ((each, step) for each in reversed(found) if (step := _step_ms(each)) is not None)
    for each, step_ms in known:
        layers = {layer.name: sum(_passes(layer)) for layer in each.layers if layer.name}
        return Times(step_ms, layers, f"measured on {each.environment.device_name}")
    return None


def _is_of(measurement: Measurement, arch: str, setup: Setup) -> bool:
    asked = measurement.conditions
    whole = measurement.status is Status.OK and asked.protocol is Protocol.STEPS
    return whole and asked.arch == arch and asked.setup == setup


def _step_ms(measurement: Measurement) -> float | None:
    """Return the median step; of a file that tells phases alone the sum of theirs."""
    if measurement.timing is not None:
        return median(measurement.timing.step.values_ms)
    phases = [phase.median_ms for phase in measurement.phases if phase.clock != "host"]
    return sum(phases) if phases else None


def _passes(layer: LayerTime) -> Iterator[float]:
    yield from filter(None, (layer.forward_ms, layer.backward_ms, layer.optimizer_ms))
