"""How fast the work of a network went: its MACs and bytes from the trace, its times from a measurement."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import fsum

from vggprof.analyzers import LayerRow, LayerTable
from vggprof.compare.machine import peak_flops
from vggprof.devices import Device
from vggprof.measurement import LayerTime, Measurement, Protocol, summarize


class Bound(StrEnum):
    """What a layer's forward pass would wait for on a perfect device."""

    COMPUTE = "compute"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Work:
    """MACs of a part of a step, and the time that it took."""

    part: str  # "forward", "backward" or "step"
    macs: int
    time_ms: float  # the median

    @property
    def flops_per_s(self) -> float:
        """FLOPs (2 x MACs) done in a second."""
        return _rate(2 * self.macs, self.time_ms)


@dataclass(frozen=True, slots=True)
class LayerWork:
    """One layer's time beside its work; None is what is not known, or of what the trace has no layer."""

    time: LayerTime
    row: LayerRow | None
    peak_flops: int | None = None  # operations a second that the device could do in such a layer
    bandwidth_bytes_per_s: int | None = None

    @property
    def flops_per_s(self) -> float | None:
        """FLOPs (2 x MACs) of the forward pass done in a second; None also where there are none."""
        if self.row is None or not self.row.macs or not self.time.forward_ms:
            return None
        return _rate(2 * self.row.macs, self.time.forward_ms)

    @property
    def moved_bytes_per_s(self) -> float | None:
        """Bytes of the forward pass's operands moved in a second, as if no cache kept any of them."""
        if self.row is None or not self.time.forward_ms:
            return None
        return _rate(self.row.read_bytes + self.row.written_bytes, self.time.forward_ms)

    @property
    def share_of_peak(self) -> float | None:
        """How much of what the device could do in a second was done, forward."""
        reached = self.flops_per_s
        return None if reached is None or self.peak_flops is None else reached / self.peak_flops

    @property
    def bound(self) -> Bound | None:
        """Which roof the forward pass runs against (Williams, Waterman and Patterson 2009, Roofline)."""
        intensity = None if self.row is None else self.row.arithmetic_intensity
        if intensity is None or self.peak_flops is None or self.bandwidth_bytes_per_s is None:
            return None
        ridge = self.peak_flops / self.bandwidth_bytes_per_s
        return Bound.COMPUTE if intensity >= ridge else Bound.MEMORY


def step_works(measurement: Measurement, table: LayerTable) -> tuple[Work, ...]:
    """Return the MACs and times of forward, backward and the whole step, those that were timed.

    What the protocol of passes calls a step is none of these: it has no optimizer in it.
    """
    return tuple(_step_works(measurement, table))


def _step_works(measurement: Measurement, table: LayerTable) -> Iterator[Work]:
    totals = table.totals
    macs = {
        "forward": totals.macs,
        "backward": totals.macs_backward,
        "step": totals.macs + totals.macs_backward,
    }
    if measurement.conditions.protocol is Protocol.SEED:
        del macs["step"]
    for part, samples in measurement.times.items():
        if part in macs:
            yield Work(part, macs[part], summarize(samples).median_ms)


def launch_bound(measurement: Measurement) -> bool | None:
    """Whether the GPU waits for the host: it takes as long to issue a step as the step takes, within noise.

    None where the host's time was not taken.
    """
    times = measurement.times
    if "host_step" not in times:
        return None
    return summarize(times["host_step"]).median_high_ms >= summarize(times["step"]).median_low_ms


@dataclass(frozen=True, slots=True)
class Rest:
    """What of the whole step's time no layer accounts for; negative where kernels of layers overlap."""

    part: str
    whole_ms: float  # of the profiled step on the host; on a GPU the median of those that were timed
    layers_ms: float

    @property
    def time_ms(self) -> float:
        """Whole less layers."""
        return self.whole_ms - self.layers_ms


def rests(measurement: Measurement) -> tuple[Rest, ...]:
    """Return what layers leave of each part of the step that both know."""
    return tuple(_rests(measurement))


def _rests(measurement: Measurement) -> Iterator[Rest]:
    for part in ("forward", "backward", "optimizer"):
        times = [getattr(layer, f"{part}_ms") for layer in measurement.layers]
        known = [time for time in times if time is not None]
        whole = _whole_ms(measurement, part)
        if whole is not None and known:
            yield Rest(part, whole, fsum(known))


def _whole_ms(measurement: Measurement, part: str) -> float | None:
    """Return the time of *part* that its layers are held against; None where it was not taken.

    On the host the profiler slows down what it looks at, so that it is the profiled step's own time. Kernels
    on a GPU run as fast as without it, but are launched later.
    """
    if measurement.profiled is not None:
        whole: float | None = getattr(measurement.profiled, f"{part}_ms")
        return whole
    return summarize(measurement.times[part]).median_ms if part in measurement.times else None


def layer_works(
    measurement: Measurement, table: LayerTable | None, device: Device | None
) -> tuple[LayerWork, ...]:
    """Return the layers of *measurement* in their order, each with its row of *table*."""
    rows = {} if table is None else {row.name: row for row in table.rows}
    conditions = measurement.conditions

    def work(time: LayerTime) -> LayerWork:
        row = rows.get(time.name)
        if device is None or row is None:
            return LayerWork(time, row)
        peak = peak_flops(device, conditions.setup, row.op, tf32=conditions.tf32)
        return LayerWork(time, row, peak, device.bandwidth_bytes_per_s)

    return tuple(map(work, measurement.layers))


def _rate(count: int, time_ms: float) -> float:
    return 1000 * count / time_ms if time_ms else 0.0
