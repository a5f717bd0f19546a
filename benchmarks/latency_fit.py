"""Fits the coefficients of vggprof/latency: the prices of `pricing`, as arrays, and their derivatives.

A coefficient is a share of a peak, held between 0 and 1 by the logistic function, or a time or a clock,
held above 0 by the exponential one. A generation's share is that of all generations and a deviation;
deviations are drawn towards 0 (ridge), so that a generation about which nothing was measured takes the common
share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from latency_kernels import Kernel
from latency_rows import Row, work_of
from numpy.typing import NDArray

from vggprof.devices import find_device
from vggprof.latency.coefficients import Coefficients, Generation, Spread
from vggprof.latency.host import host_weight
from vggprof.latency.pricing import Pricer
from vggprof.latency.work import Math, Part, Traffic, Work

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

GENERATIONS = ("Kepler", "Maxwell", "Pascal", "Volta", "Turing", "Ampere")
# Tensor cores and the kernels for them are the same whatever they multiply, so one share stands for all.
TIED = {Math.TF32: Math.TENSOR, Math.TENSOR_PRODUCT: Math.TENSOR}
# Depthwise kernels are in no row: what torch's own reach, about, of the fp32 lanes.
NATIVE_SHARE = 0.05
FITTED = tuple(math for math in Math if math not in TIED and math is not Math.NATIVE)
TRAFFIC = tuple(Traffic)
# Kinds of kernels whose backward passes share a factor.
KINDS = {
    Math.DIRECT: "direct",
    Math.WINOGRAD: "winograd",
    Math.WINOGRAD_4: "winograd",
    Math.FFT: "winograd",
    Math.TENSOR: "tensor",
    Math.TF32: "tensor",
}
FACTORS = tuple((kind, part) for kind in sorted(set(KINDS.values())) for part in (Part.DGRAD, Part.WGRAD))
# What the host takes for an operator, by framework. MXNet updates parameters from Python, one after another.
HOSTS = {"pytorch": 30e-6, "torch7": 12e-6, "mxnet": 30e-6, "mxnet, training": 30e-6, "tensorflow": 12e-6}
_HOST_OF = {"pytorch-ngc": "pytorch", "timm": "pytorch"}
# The same card with another connector goes with it when it is left out.
SAME_CARD = {"A100 PCIe 80GB": "A100 SXM4 40GB", "Tesla P100 PCIe 16GB": "Tesla P100 SXM2 16GB"}

# Where the search begins and what the coefficients are drawn to: shares of a peak that benchmarks of single
# kernels report.
SHARES: dict[Math | Traffic, float] = {
    Math.DIRECT: 0.6,
    Math.WINOGRAD: 0.6,
    Math.WINOGRAD_4: 0.6,
    Math.FFT: 0.4,
    Math.TENSOR: 0.6,
    Math.PRODUCT: 0.7,
    Traffic.OPERAND: 0.75,
    Traffic.STREAM: 0.8,
    Traffic.NORM: 0.7,
    Traffic.BIAS_GRADIENT: 0.5,
    Traffic.HALF_NORM: 0.4,
    Traffic.TRANSFORM: 0.5,
    Traffic.POOL: 0.5,
    Traffic.POOL_BACKWARD: 0.4,
    Traffic.LAYOUT: 0.7,
}
# Clocks in GHz that desktop cards of a generation were seen to hold under load, about, whatever their boost.
CLOCKS = {"Kepler": 0.9, "Maxwell": 1.2, "Pascal": 1.8, "Volta": 1.63, "Turing": 1.8, "Ampere": 1.9}


def unit_coefficients() -> Coefficients:
    """Return coefficients under which a price is the ideal one, and a launch a second."""
    ideal = Generation(
        name="ideal",
        measured=True,
        math=dict.fromkeys(Math, 1.0),
        traffic=dict.fromkeys(Traffic, 1.0),
        launch_us=1e6,
        desktop_clock_khz=None,
        desktop_over_boost=1.0,
    )
    return Coefficients("", (), {"other": ideal}, {}, 0.0, Spread(1.0, 1.0, 1.0))


@dataclass
class Table:
    """Ways of kernels of rows, as lists that become arrays.

    A row's works stand together, and so do a work's ways. A row ends with the name of its cell or, where it
    is a single convolution, of its machine.
    """

    way: list[tuple[float, ...]] = field(default_factory=list)
    work: list[tuple[float, ...]] = field(default_factory=list)
    row: list[tuple[Any, ...]] = field(default_factory=list)

    def net(self, row: Row) -> None:
        """Add a whole network."""
        trace, works = work_of(row)
        hosts: dict[int, float] = {}
        host, last = 0.0, trace.steps - 1
        for index, operator in enumerate(trace.operators):
            if operator.step == last and operator.phase in row.phases:
                host += host_weight(operator)
                hosts[index] = host
        said = (row.ms, list(HOSTS).index(host_of(row)), row.copied_bytes, 0, row.cell)
        self._add(row.gpu, works, hosts, said)

    def kernel(self, kernel: Kernel) -> None:
        """Add a single convolution."""
        said = (kernel.ms, 0, 0, 1, (kernel.gpu,))
        self._add(kernel.gpu, (kernel.work,), {}, said)

    def _add(self, gpu: str, works: Sequence[Work], hosts: dict[int, float], said: tuple[Any, ...]) -> None:
        device = find_device(gpu)
        pricer = Pricer(device, unit_coefficients())
        number, generation = len(self.row), GENERATIONS.index(device.architecture)
        desktop = device.form in ("desktop", "workstation")
        held = SAME_CARD.get(gpu, gpu)
        self.row.append((held, generation, desktop, device.boost_khz / 1e6, *said))
        for work in works:
            self.work.append((number, hosts.get(work.operator, 0.0)))
            for way in work.ways:
                price = pricer.priced(work, way)
                times = (price.compute_s, price.memory_s, price.around_s, price.layout_s, price.launch_s)
                kinds = (_math(way.math), TRAFFIC.index(way.traffic), _factor(way.math, work.part))
                self.way.append((len(self.work) - 1, number, *kinds, *times))


def host_of(row: Row) -> str:
    """Return whose host *row* ran on, among HOSTS."""
    name = _HOST_OF.get(row.framework, row.framework)
    return "mxnet, training" if (name, row.mode) == ("mxnet", "train") else name


def _math(math: Math | None) -> int:
    """Return the number of the share: those that are tied have one; -1 for none, -2 for a fixed one."""
    if math is None:
        return -1
    return -2 if math is Math.NATIVE else FITTED.index(TIED.get(math, math))


def _factor(math: Math | None, part: Part) -> int:
    """Return the number of the backward pass's factor; -1 for none."""
    if math not in KINDS or part not in (Part.DGRAD, Part.WGRAD):
        return -1
    return FACTORS.index((KINDS[math], part))
