"""A measurement of a GPU as evidence: its times, and what the prices make of the same work."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import fsum, sqrt
from typing import Final

from vggprof.devices import Device, devices_named
from vggprof.latency.factors import Factors
from vggprof.latency.predict import Stopwatch
from vggprof.latency.pricing import Bound, Price
from vggprof.latency.refinement import Evidence, Time, Vector
from vggprof.latency.work import Work
from vggprof.measurement import Execution, Measurement, Protocol, Samples, Status, summarize
from vggprof.trace import Amp, Dtype, Layout, Phase, Trace

# A single sample says nothing of how far it scatters: it is taken for so far off (as a deviation of its
# logarithm), and the mean of n for less by the root of n.
_SAMPLE: Final = 0.1
# The ends of an interval of 95 % of a normal distribution lie so many deviations apart; its
# quartiles so many.
_ENDS_95, _QUARTILES = 2 * 1.96, 1.349
# The deviation of a median against that of a mean: sqrt(pi / 2).
_MEDIAN: Final = 1.2533
_PHASES: Final = {
    "forward": (Phase.FORWARD, Phase.LOSS),
    "backward": (Phase.BACKWARD,),
    "optimizer": (Phase.OPTIMIZER,),
}
# What bounds layers, as far as their times are told apart.
_KINDS: Final = {
    Bound.COMPUTE: "compute",
    Bound.MEMORY: "memory",
    Bound.LAYOUT: "memory",
    Bound.LAUNCH: "launch",
}


def tells(measurement: Measurement, device: Device) -> bool:
    """Whether *measurement* tells times of steps on *device* that a prediction knows of.

    It ended well, in eager mode or as a CUDA graph, by the protocol of steps, on a GPU of that name; of
    models that share a name, on the one with the nearest memory.
    """
    asked = measurement.conditions
    return (
        measurement.status is Status.OK
        and asked.device == "cuda"
        and asked.execution is not Execution.COMPILE
        and asked.protocol is Protocol.STEPS
        and bool(measurement.timing or _step_of_phases(measurement))
        and _is_of(measurement, device)
    )


def _is_of(measurement: Measurement, device: Device) -> bool:
    environment = measurement.environment
    known, total = devices_named(environment.device_name), environment.total_memory_bytes
    if total is None:
        return device in known
    nearest = min(known, key=lambda each: abs(each.usable.likely - total), default=None)
    return nearest is not None and nearest.name == device.name


def evidence(measurement: Measurement, watch: Stopwatch, device: Device) -> Evidence:
    """Return what *measurement* tells of *device*; it must be one that `tells` times of it.

    *watch* predicts its network in its setup, with the software and the execution of the measurement, from
    coefficients that nothing was done to.
    """
    conditions = measurement.conditions
    setup = conditions.setup
    model = _Model.of(watch, watch.traces(setup.batch), device)
    told = tuple(_told(measurement, model))
    kept = replace(model, parts=tuple(part for part, _ in told))
    return Evidence(
        name=_say(measurement),
        network=f"{conditions.arch} {replace(setup, batch=1)} {conditions.execution}",
        batch=setup.batch,
        times=tuple(time for _, time in told),
        model=kept.ms,
    )


def _say(measurement: Measurement) -> str:
    """Return ``vgg16 at batch 32, training, amp fp16, 100 steps``."""
    asked, timing, phases = measurement.conditions, measurement.timing, measurement.phases
    setup = asked.setup
    steps = phases[0].n if timing is None else len(timing.step.values_ms)
    words = (
        f"{asked.arch} at batch {setup.batch}",
        "training" if setup.training else "inference",
        "" if setup.amp is Amp.OFF else f"amp {setup.amp}",
        "" if setup.dtype is Dtype.FP32 else str(setup.dtype),
        "" if setup.layout is Layout.CONTIGUOUS else str(setup.layout),
        "" if asked.execution is Execution.EAGER else str(asked.execution),
        f"{steps} step{'' if steps == 1 else 's'}",
    )
    return ", ".join(filter(None, words))


@dataclass(frozen=True, slots=True)
class _Part:
    """Phases of the step, or kernels of layers."""

    phases: tuple[Phase, ...] = ()
    layers: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _Model:
    """One step of one network, to be priced under any factors."""

    watch: Stopwatch
    trace: Trace
    device: Device
    work: tuple[Work, ...]
    parts: tuple[_Part, ...] = ()

    @classmethod
    def of(cls, watch: Stopwatch, trace: Trace, device: Device) -> "_Model":
        return cls(watch, trace, device, watch.work(trace, device))

    def ms(self, factors: Factors) -> Vector:
        """Return the milliseconds of each part."""
        ran = self.watch.run(self.trace, self.device, self.work, factors)
        phases, layers = ran.elapsed.by_phase, defaultdict[int | None, float](float)
        for price in ran.prices:
            layers[price.work.layer] += price.total_s
        seconds = (
            (*(phases.get(phase, 0.0) for phase in part.phases), *map(layers.__getitem__, part.layers))
            for part in self.parts
        )
        return tuple(1000 * fsum(each) for each in seconds)

    def prices(self) -> tuple[Price, ...]:
        """Return the prices that nothing was done to."""
        return self.watch.run(self.trace, self.device, self.work).prices


def _told(measurement: Measurement, model: _Model) -> Iterator[tuple[_Part, Time]]:
    """Yield the times of phases, else of the step, and of layers by what bounds them."""
    times = measurement.times
    phases = [name for name in _PHASES if name in times]
    if len(phases) > 1:
        for name in phases:
            yield _Part(phases=_PHASES[name]), _time(times[name])
    elif "step" in times:
        yield _Part(phases=tuple(Phase)), _time(times["step"])
    else:
        known = _step_of_phases(measurement)
        assert known is not None
        yield _Part(phases=tuple(Phase)), known
    yield from _layers(measurement, model)


def _layers(measurement: Measurement, model: _Model) -> Iterator[tuple[_Part, Time]]:
    """Yield the sums of layers that are bound by the same, of those that both know.

    They are of a single step, which is off by as much as steps scatter.
    """
    measured = {
        layer.name: (layer.forward_ms or 0.0) + (layer.backward_ms or 0.0) for layer in measurement.layers
    }
    step = measurement.times.get("step")
    noise = _SAMPLE if step is None else _scatter(step)
    by_layer: defaultdict[int | None, list[Price]] = defaultdict(list)
    for price in model.prices() if measured else ():
        by_layer[price.work.layer].append(price)
    kinds: defaultdict[str, list[int]] = defaultdict(list)
    for index, layer in enumerate(model.trace.layers):
        if measured.get(layer.name) and by_layer[index]:
            longest = max(by_layer[index], key=lambda price: price.total_s)
            kinds[_KINDS[longest.bound]].append(index)
    for kind, found in kinds.items():
        total = fsum(measured[model.trace.layers[index].name] for index in found)
        yield _Part(layers=frozenset(found)), Time(total, noise, f"{kind} layers")


def _time(samples: Samples) -> Time:
    """Return the median, and by how much it may be off: by its interval, and for few samples more."""
    summary = summarize(samples)
    ends = (summary.median_high_ms - summary.median_low_ms) / (_ENDS_95 * summary.median_ms)
    return Time(summary.median_ms, sqrt(ends**2 + _SAMPLE**2 / summary.n))


def _scatter(samples: Samples) -> float:
    """Return the deviation of the logarithm of one sample, and what is not known of it."""
    summary = summarize(samples)
    return sqrt((summary.std_ms / summary.median_ms) ** 2 + _SAMPLE**2 / summary.n)


def _step_of_phases(measurement: Measurement) -> Time | None:
    """Return the step of a file that tells phases alone: their sum; None where it tells none of the GPU."""
    phases = [phase for phase in measurement.phases if phase.clock != "host" and phase.n]
    if not phases:
        return None
    step = fsum(phase.median_ms for phase in phases)
    off = (_MEDIAN * (phase.p75_ms - phase.p25_ms) / _QUARTILES / sqrt(phase.n) for phase in phases)
    return Time(step, sqrt(fsum(each**2 for each in off) / step**2 + _SAMPLE**2 / phases[0].n))
