"""What measurements on a GPU make of the times that are predicted for it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from vggprof.compare.machine import software_of
from vggprof.devices import Device
from vggprof.errors import UsageError
from vggprof.latency.coefficients import coefficients
from vggprof.latency.evidence import evidence, tells
from vggprof.latency.predict import Stopwatch
from vggprof.latency.refinement import Evidence, Prior, Refinement, refine
from vggprof.measurement import Measurement
from vggprof.trace import Setup, Trace
from vggprof.trace.traces import Traces


@dataclass(frozen=True, slots=True)
class Refining:
    """What came of measurements for one GPU; *notes* say which could not be used, and why."""

    refinement: Refinement | None
    notes: tuple[str, ...] = ()


def refining(
    measurements: Iterable[Measurement], device: Device, trace: Callable[[str, Setup], Trace]
) -> Refining:
    """Return what those of *measurements* that were made on a *device* make of its coefficients.

    *trace* gives the trace of a network in a setup. A network that cannot be traced here is left out, with a
    note.
    """
    told: list[Evidence] = []
    notes: list[str] = []
    for each in measurements:
        if tells(each, device):
            try:
                told.append(_evidence(each, device, trace))
            except UsageError as error:
                notes.append(f"The measurement of {each.conditions.arch} is not used: {error}")
    if not told:
        return Refining(None, tuple(notes))
    fitted = coefficients()
    prior = Prior(fitted.spread, fitted.of(device.architecture).measured)
    return Refining(refine(told, prior), tuple(notes))


def _evidence(measurement: Measurement, device: Device, trace: Callable[[str, Setup], Trace]) -> Evidence:
    asked = measurement.conditions
    traces = Traces(lambda batch: trace(asked.arch, replace(asked.setup, batch=batch)))
    with Stopwatch(traces, software_of(measurement), execution=asked.execution) as watch:
        return evidence(measurement, watch, device)


def measured_gpus(measurements: Sequence[Measurement]) -> str:
    """Return the names of the devices of *measurements*, each once."""
    return ", ".join(dict.fromkeys(each.environment.device_name for each in measurements))
