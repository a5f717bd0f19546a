"""How long a step takes on a GPU that is not here, kernel by kernel."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from vggprof.devices import Device
from vggprof.errors import UsageError
from vggprof.latency.coefficients import Coefficients, coefficients
from vggprof.latency.factors import Factors, with_factors
from vggprof.latency.host import Elapsed, run_queue
from vggprof.latency.interval import Interval, interval
from vggprof.latency.lowering import Lowering, Units
from vggprof.latency.pricing import Bound, Price, Pricer, parts_of
from vggprof.latency.refinement import Refinement, slopes
from vggprof.latency.work import CONVOLUTIONS, Part, Work
from vggprof.measurement import Execution
from vggprof.memory.forecast import Software, properties_of
from vggprof.memory.rules import Platform
from vggprof.memory.workspaces import scratch
from vggprof.memory.workspaces.actions import Script, Workspace
from vggprof.memory.workspaces.advisor import Advisor
from vggprof.trace import Operator, Phase, Trace


@dataclass(frozen=True, slots=True)
class LayerLatency:
    """What the kernels of one layer take in one step; None for a pass that it has not."""

    name: str
    op: str
    forward_ms: float
    dgrad_ms: float | None
    wgrad_ms: float | None
    bound: Bound | None  # None where it runs no kernel
    share_of_peak: float | None  # of its multiply-adds at the units' peak; None where it has none
    algorithms: tuple[str, ...]  # of its convolutions and products, each once

    @property
    def total_ms(self) -> float:
        """All its kernels."""
        return self.forward_ms + (self.dgrad_ms or 0.0) + (self.wgrad_ms or 0.0)


@dataclass(frozen=True, slots=True)
class Latency:
    """How long one step takes on one GPU; inference has neither backward pass nor optimizer."""

    device: Device
    measured: bool  # whether times of its generation were fitted to
    batch: int
    images: int  # of one step: several batches where gradients are accumulated
    execution: Execution
    forward: Interval  # with the loss
    backward: Interval | None
    optimizer: Interval | None
    step: Interval
    busy_ms: float  # that the GPU runs kernels
    bounds_ms: Mapping[Bound, float]  # what these milliseconds go into; they sum to `busy_ms`
    host_bound: bool  # the GPU waits for the host for more than a tenth of the step
    layers: tuple[LayerLatency, ...]
    named: int  # convolution passes whose algorithm cuDNN named
    ruled: int  # those whose algorithm a rule chose
    refined: Refinement | None = None  # by what was measured on this GPU

    @property
    def images_per_s(self) -> float:
        """Images a second, at the likely time."""
        return 1000 * self.images / self.step.likely


@dataclass(frozen=True, slots=True)
class Ran:
    """The kernels of a step, in order, and how it went by."""

    prices: tuple[Price, ...]
    elapsed: Elapsed


class Stopwatch:
    """Predicts steps of one network and setup at any batch; close it, or use it in a with statement.

    *refined* has, by the name of a GPU, what measurements on it made of the coefficients. Raises UsageError
    for torch.compile, which makes other kernels of a network.
    """

    def __init__(
        self,
        traces: Callable[[int], Trace],
        software: Software,
        *,
        execution: Execution = Execution.EAGER,
        fitted: Coefficients | None = None,
        refined: Mapping[str, Refinement] | None = None,
    ) -> None:
        if execution is Execution.COMPILE:
            raise UsageError(
                "torch.compile makes kernels of its own, which have no price; take eager or graph"
            )
        self.execution = execution
        self.fitted = fitted or coefficients()
        self.traces = traces
        self._refined = refined or {}
        self._software = software
        self._advisor = Advisor(software.cudnn)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._advisor.close()

    def predict(self, batch: int, device: Device) -> Latency:
        """Return what a step at *batch* takes on *device*."""
        return self.of_trace(self.traces(batch), device)

    def of_trace(self, trace: Trace, device: Device) -> Latency:
        """Return what the last step of *trace* takes on *device*."""
        work, refinement = self.work(trace, device), self._refined.get(device.name)
        if refinement is None:
            ran = self.run(trace, device, work)
            return _latency(self, trace, device, ran=ran)

        def step_s(factors: Factors) -> tuple[float]:
            return (self.run(trace, device, work, factors).elapsed.total_s,)

        _, (row,) = slopes(step_s, refinement.logs)
        narrowed = refinement.narrowing(row, trace.setup.batch)
        ran = self.run(trace, device, work, refinement.factors)
        return replace(_latency(self, trace, device, ran=ran, narrowed=narrowed), refined=refinement)

    def run(
        self, trace: Trace, device: Device, work: tuple[Work, ...], factors: Factors | None = None
    ) -> "Ran":
        """Return what the *work* of the last step of *trace* takes on *device*, with *factors* of its own."""
        fitted = with_factors(self.fitted, device.architecture, factors) if factors else self.fitted
        graph, last = self.execution is Execution.GRAPH, trace.steps - 1
        prices = tuple(map(Pricer(device, fitted, graph=graph).price, work))
        numbered = [(index, op) for index, op in enumerate(trace.operators) if op.step == last]
        host_s = 0.0 if graph else 1e-6 * fitted.host_us
        return Ran(prices, run_queue(numbered, _by_operator(prices), host_s=host_s))

    def work(self, trace: Trace, device: Device) -> tuple[Work, ...]:
        """Return the work of the last step of *trace*, as torch would run it on *device*."""
        rule = self._platform(device).script
        scripts: dict[int, Script] = {}

        def script(operator: Operator) -> Script:
            return scripts.get(id(operator)) or scripts.setdefault(id(operator), rule(operator))

        last = trace.steps - 1
        convolving = (op for op in trace.operators if op.step == last and "convolution" in op.name)
        asked = [action for op in convolving for action in script(op) if isinstance(action, Workspace)]
        answers = self._advisor.answers(asked, properties_of(device))
        units = units_of(device, tf32=self._software.settings.allow_tf32)
        return Lowering(trace, script, answers, units).step(last)

    def _platform(self, device: Device) -> Platform:
        library = self._software.cudnn.library
        major, minor, patch = (9, 0, 0) if library is None else library.numbers[:3]
        return Platform(
            target=scratch.Target(properties_of(device), self._software.torch, self._software.blas),
            cudnn_version=major * 10_000 + minor * 100 + patch,
            settings=self._software.settings,
        )


def units_of(device: Device, *, tf32: bool) -> Units:
    """Return the units of *device* that torch's convolutions run on."""
    tensor = device.tensor_fma_per_sm is not None
    return Units(tensor, tensor and tf32 and device.capability >= (8, 0))


def _by_operator(prices: tuple[Price, ...]) -> dict[int, tuple[Price, ...]]:
    found: defaultdict[int, tuple[Price, ...]] = defaultdict(tuple)
    for price in prices:
        found[price.work.operator] += (price,)
    return found


def _latency(watch: Stopwatch, trace: Trace, device: Device, *, ran: Ran, narrowed: float = 1.0) -> Latency:
    measured = watch.fitted.of(device.architecture).measured
    prices, elapsed = ran.prices, ran.elapsed

    def within(*phases: Phase) -> Interval:
        seconds = sum(elapsed.by_phase.get(phase, 0.0) for phase in phases)
        return interval(
            1000 * seconds,
            batch=trace.setup.batch,
            spread=watch.fitted.spread,
            measured=measured,
            narrowed=narrowed,
        )

    training = trace.setup.training
    named = [price.work.named for price in prices if price.way.math in CONVOLUTIONS]
    return Latency(
        device=device,
        measured=measured,
        batch=trace.setup.batch,
        images=trace.setup.batch * trace.setup.accumulate,
        execution=watch.execution,
        forward=within(Phase.FORWARD, Phase.LOSS),
        backward=within(Phase.BACKWARD) if training else None,
        optimizer=within(Phase.OPTIMIZER) if training else None,
        step=within(*Phase),
        busy_ms=1000 * sum(price.total_s for price in prices),
        bounds_ms=_bounds_ms(prices),
        host_bound=elapsed.waiting_s > elapsed.total_s / 10,
        layers=tuple(_layers(trace, prices)),
        named=sum(named),
        ruled=len(named) - sum(named),
    )


def _bounds_ms(prices: tuple[Price, ...]) -> dict[Bound, float]:
    sums = dict.fromkeys(Bound, 0.0)
    for price in prices:
        for bound, seconds in parts_of(price).items():
            sums[bound] += 1000 * seconds
    return sums


def _layers(trace: Trace, prices: tuple[Price, ...]) -> list[LayerLatency]:
    by_layer: defaultdict[int, list[Price]] = defaultdict(list)
    for price in prices:
        if price.work.layer is not None:
            by_layer[price.work.layer].append(price)
    return [_layer(layer.name, layer.op, by_layer[index]) for index, layer in enumerate(trace.layers)]


def _layer(name: str, op: str, prices: list[Price]) -> LayerLatency:
    total = sum(price.total_s for price in prices)
    ideal = sum(price.ideal_s for price in prices)
    bounds = _bounds_ms(tuple(prices))
    return LayerLatency(
        name=name,
        op=op,
        forward_ms=_part_ms(prices, Part.FORWARD) or 0.0,
        dgrad_ms=_part_ms(prices, Part.DGRAD),
        wgrad_ms=_part_ms(prices, Part.WGRAD),
        bound=max(bounds, key=lambda bound: bounds[bound]) if prices else None,
        share_of_peak=ideal / total if ideal else None,
        algorithms=tuple(dict.fromkeys(price.way.math.value for price in prices if price.way.math)),
    )


def _part_ms(prices: list[Price], part: Part) -> float | None:
    found = [price.total_s for price in prices if price.work.part is part]
    return 1000 * sum(found) if found else None
