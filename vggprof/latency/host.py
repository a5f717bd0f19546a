"""Two clocks of a step: the host that launches operators, and the GPU that runs their kernels."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vggprof.analyzers.forward import is_view
from vggprof.latency.pricing import Price
from vggprof.trace import Operator, Phase

# A view costs the host this much of what an operator costs that launches a kernel.
_VIEW = 0.15


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Seconds of one step, by phase, on the clock of the wall."""

    by_phase: Mapping[Phase, float]
    waiting_s: float  # that the GPU has nothing to do, because the host is behind

    @property
    def total_s(self) -> float:
        """The whole step."""
        return sum(self.by_phase.values())


def run_queue(
    operators: Iterable[tuple[int, Operator]], prices: Mapping[int, tuple[Price, ...]], *, host_s: float
) -> Elapsed:
    """Run *operators* (by index) one after another: the GPU begins one when the host has launched it.

    Both begin together and the step ends when both are done, as where a program waits for the GPU after each
    step. With a *host_s* of 0 the host is never behind.
    """
    host = gpu = waiting = 0.0
    ends: dict[Phase, float] = {}
    for index, operator in operators:
        host += host_s * host_weight(operator)
        for price in prices.get(index, ()):
            waiting += max(0.0, host - gpu)
            gpu = max(gpu, host) + price.total_s
        ends[operator.phase] = max(gpu, host)
    return Elapsed(_between(ends), waiting)


def host_weight(operator: Operator) -> float:
    """Return what *operator* costs the host, against one that launches a kernel."""
    return _VIEW if is_view(operator) else 1.0


def _between(ends: Mapping[Phase, float]) -> dict[Phase, float]:
    """Return how long each phase takes from the time at which each ends, in order."""
    lengths, before = {}, 0.0
    for phase, end in ends.items():
        lengths[phase] = end - before
        before = end
    return lengths
