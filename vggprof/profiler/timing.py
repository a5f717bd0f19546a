"""Timing steps: clocks of the device and the host, warm-up by time, and as many samples as are needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Protocol

import torch

from vggprof.measurement import Samples, Timing
from vggprof.measurement.statistics import median_interval, quantile
from vggprof.profiler.plan import Plan
from vggprof.trace import Phase

# Fewer samples say little about their spread.
_ENOUGH = 10
# Steps may take a minute each on a CPU: after so much time a few of them are enough.
_LONG_S, _FEW = 20.0, 3
_NS_IN_MS, _NS_IN_S = 1e6, 1e9

# Names of `Timing` for the phases; the loss belongs to the forward pass.
_PARTS = {
    Phase.FORWARD: "forward",
    Phase.LOSS: "forward",
    Phase.BACKWARD: "backward",
    Phase.OPTIMIZER: "optimizer",
}


class Clock(Protocol):
    """Takes times of what is done on a device."""

    name: str

    def now(self) -> float:
        """Return a handle for this moment, on the device."""

    def wait(self) -> None:
        """Wait until the device has done everything that it was asked to do."""

    def ms(self, begin: float, end: float) -> float:
        """Return the time between two moments of the last `wait` or before it."""


class HostClock:
    """The host's own, for steps that run on the CPU."""

    name = "monotonic"

    def now(self) -> float:
        """Return nanoseconds."""
        return perf_counter_ns()

    def wait(self) -> None:
        """Return at once: what was called is done."""

    def ms(self, begin: float, end: float) -> float:
        """Return the difference in milliseconds."""
        return (end - begin) / _NS_IN_MS


class CudaClock:
    """CUDA events on the current stream."""

    name = "cuda events"

    def __init__(self) -> None:
        self._events: list[torch.cuda.Event] = []

    def now(self) -> float:
        """Return the place of a new event."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        self._events.append(event)
        return len(self._events) - 1

    def wait(self) -> None:
        """Wait for the device."""
        torch.cuda.synchronize()

    def ms(self, begin: float, end: float) -> float:
        """Return the time between two events."""
        return float(self._events[int(begin)].elapsed_time(self._events[int(end)]))


class Stopwatch:
    """Times the phases of a loop; an observer of its stage."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._phases: list[tuple[Phase, float, float]] = []

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Run a phase and note when it began and ended."""
        begin = self._clock.now()
        yield
        self._phases.append((phase, begin, self._clock.now()))

    def time(self, step: Callable[[], None]) -> dict[str, float]:
        """Run a step on a device that is idle, and return what it took and its parts, in milliseconds.

        ``host_step`` is what the host took until everything was issued.
        """
        clock = self._clock
        self._phases.clear()
        clock.wait()
        host, begin = perf_counter_ns(), clock.now()
        step()
        end, issued = clock.now(), perf_counter_ns()
        clock.wait()
        times = defaultdict(float, step=clock.ms(begin, end), host_step=(issued - host) / _NS_IN_MS)
        for phase, began, ended in self._phases:
            if phase in _PARTS:
                times[_PARTS[phase]] += clock.ms(began, ended)
        return dict(times)


def warm_up(step: Callable[[], None], clock: Clock, seconds: float) -> None:
    """Run steps for *seconds*, and one at least: clocks rise, libraries choose, caches fill."""
    end = perf_counter_ns() + seconds * _NS_IN_S
    while True:
        step()
        clock.wait()
        if perf_counter_ns() >= end:
            return


def timed(
    step: Callable[[], dict[str, float]], plan: Plan, throttled: Callable[[], bool], *, clock: str
) -> Timing:
    """Repeat *step*, which times itself, until its median is known as well as *plan* wants.

    *throttled* says after each step whether the GPU held itself back.
    """
    taken: list[dict[str, float]] = []
    marked: list[int] = []
    end = perf_counter_ns() + _LONG_S * _NS_IN_S
    while len(taken) < plan.steps and not _enough([each["step"] for each in taken], plan.target_spread, end):
        taken.append(step())
        if throttled():
            marked.append(len(taken) - 1)
    parts = {
        name: Samples(tuple(each[name] for each in taken), tuple(marked))
        for name in taken[0]
        if name != "host_step" or clock != HostClock.name
    }
    converged = _known(parts["step"].values_ms, plan.target_spread)
    capped = not converged and len(taken) < plan.steps
    return Timing(clock=clock, converged=converged, capped=capped, **parts)


def _enough(values: Sequence[float], target: float, end: float) -> bool:
    """Whether no more samples are needed; their spread is looked at now and then, for that takes a while."""
    n = len(values)
    if n >= _FEW and perf_counter_ns() > end:
        return True
    return n >= _ENOUGH and n % (n // _ENOUGH * 2) == 0 and _known(values, target)


def _known(values: Sequence[float], target: float) -> bool:
    """Whether the bootstrap interval of the median is no wider than *target* of it; never for one sample."""
    if len(values) < 2:
        return False
    low, high = median_interval(values)
    return high - low <= target * quantile(sorted(values), 0.5)
