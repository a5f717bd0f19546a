"""What a kernel takes on one GPU: the larger of arithmetic and traffic, and what comes on top of both."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

from vggprof.devices import Device
from vggprof.latency.clock import clock_hz
from vggprof.latency.coefficients import Coefficients, Generation
from vggprof.latency.tiles import Engine, fill
from vggprof.latency.work import Math, Part, Traffic, Way, Work

# Kepler's SMX has 192 lanes and four schedulers of 32: more than 128 are busy only where a scheduler finds
# two independent instructions (NVIDIA, Kepler GK110 whitepaper, "Quad Warp Scheduler").
_SCHEDULED_LANES: Final = 128
# A kernel of a CUDA graph, its start included (NVIDIA technical blog, "Getting Started with CUDA Graphs").
GRAPH_LAUNCH_US: Final = 3.4
_TENSOR = frozenset({Math.TENSOR, Math.TENSOR_PRODUCT})


class Bound(StrEnum):
    """What a kernel's time is made of, for the most part."""

    COMPUTE = "compute"
    MEMORY = "memory"
    LAYOUT = "layout"
    LAUNCH = "launch"


@dataclass(frozen=True, slots=True)
class Price:
    """Seconds of one kernel."""

    work: Work
    way: Way
    compute_s: float
    memory_s: float  # beside the arithmetic
    around_s: float  # before and after it
    layout_s: float
    launch_s: float
    ideal_s: float  # of the operator's own multiply-adds, at the peak of the units that run them

    @property
    def total_s(self) -> float:
        """How long the GPU is busy with it."""
        return max(self.compute_s, self.memory_s) + self.around_s + self.layout_s + self.launch_s

    @property
    def bound(self) -> Bound:
        """Where most of the time goes."""
        parts = parts_of(self)
        return max(parts, key=lambda bound: parts[bound])


def parts_of(price: Price) -> dict[Bound, float]:
    """Return the seconds of *price* by what they go into; they sum to its total."""
    computing = price.compute_s >= price.memory_s
    return {
        Bound.COMPUTE: price.compute_s if computing else 0.0,
        Bound.MEMORY: price.around_s + (0.0 if computing else price.memory_s),
        Bound.LAYOUT: price.layout_s,
        Bound.LAUNCH: price.launch_s,
    }


@dataclass(frozen=True)
class Pricer:
    """Prices work on *device*; *graph* where kernels are launched by a CUDA graph."""

    device: Device
    coefficients: Coefficients
    graph: bool = False

    @cached_property
    def generation(self) -> Generation:
        """What GPUs of this generation reach."""
        return self.coefficients.of(self.device.architecture)

    @cached_property
    def clock_hz(self) -> float:
        """What the SMs run at under load."""
        return clock_hz(self.device, self.generation)

    @cached_property
    def launch_s(self) -> float:
        """What a kernel takes at least."""
        launch_us = self.generation.launch_us
        return 1e-6 * (min(launch_us, GRAPH_LAUNCH_US) if self.graph else launch_us)

    def engine(self, math: Math) -> Engine:
        """Return the units that run *math*."""
        sms, tensor = self.device.sm_count, self.device.tensor_fma_per_sm
        if math in _TENSOR and tensor is not None:
            return Engine(sms, tensor, 2)
        if math is Math.TF32 and tensor is not None:
            return Engine(sms, tensor // 2, 4)
        return Engine(sms, min(self.device.limits.cores_per_sm, _SCHEDULED_LANES), 4)

    def price(self, work: Work) -> Price:
        """Return the price of the quickest way; of the only one where a library named it."""
        return min((self.priced(work, way) for way in work.ways), key=lambda price: price.total_s)

    def priced(self, work: Work, way: Way) -> Price:
        """Return the price of one *way* to do *work*."""
        return Price(
            work=work,
            way=way,
            compute_s=self._compute_s(work.part, way),
            memory_s=way.nbytes / self._rate(way.traffic),
            around_s=way.around_bytes / self._rate(Traffic.TRANSFORM),
            layout_s=way.layout_bytes / self._rate(Traffic.LAYOUT),
            launch_s=way.launches * self.launch_s,
            ideal_s=0.0 if way.math is None else work.macs / self._peak(self.engine(way.math)),
        )

    def _compute_s(self, part: Part, way: Way) -> float:
        if way.math is None or way.product is None:
            return 0.0
        engine = self.engine(way.math)
        reached = self.generation.math[way.math] * fill(way.product, engine) * self._peak(engine)
        return way.product.macs * self.coefficients.pass_factor(part, way.math) / reached

    def _peak(self, engine: Engine) -> float:
        """Multiply-adds a second."""
        return engine.sm_count * engine.macs_per_clock * self.clock_hz

    def _rate(self, traffic: Traffic) -> float:
        """Bytes a second."""
        return self.device.bandwidth_bytes_per_s * self.generation.traffic[traffic]
