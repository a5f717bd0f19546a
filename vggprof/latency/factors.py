"""What one GPU may do otherwise than its generation: few factors of time, each with a meaning."""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TypeAlias

from vggprof.latency.coefficients import Coefficients, Generation
from vggprof.latency.work import Math

_TENSOR = frozenset({Math.TENSOR, Math.TF32, Math.TENSOR_PRODUCT})


class Factor(StrEnum):
    """What takes longer, or shorter, on one GPU than the coefficients of its generation say."""

    LANES = "fp32_lanes"  # arithmetic on the fp32 lanes: the share of their peak, and the clock
    TENSOR = "tensor_cores"  # arithmetic on tensor cores
    TRAFFIC = "bandwidth"  # everything that is bound by the memory
    LAUNCH = "launch"  # what a kernel takes at least
    HOST = "host"  # what the host takes for an operator in eager mode


# How many times as long each takes; what is not there takes once as long.
Factors: TypeAlias = Mapping[Factor, float]


def with_factors(fitted: Coefficients, architecture: str, factors: Factors) -> Coefficients:
    """Return *fitted* with what *factors* make of the generation *architecture*, and of the host.

    A share of a peak is that of the generation over its factor: above 1 where the GPU runs faster than the
    clock and the bandwidth that its data sheet tells.
    """
    own = _generation(fitted.of(architecture), factors)
    return replace(
        fitted,
        generations={**fitted.generations, architecture: own},
        host_us=fitted.host_us * factors.get(Factor.HOST, 1.0),
    )


def _generation(generation: Generation, factors: Factors) -> Generation:
    def of(math: Math) -> float:
        return factors.get(Factor.TENSOR if math in _TENSOR else Factor.LANES, 1.0)

    traffic = factors.get(Factor.TRAFFIC, 1.0)
    return replace(
        generation,
        math={math: share / of(math) for math, share in generation.math.items()},
        traffic={kind: share / traffic for kind, share in generation.traffic.items()},
        launch_us=generation.launch_us * factors.get(Factor.LAUNCH, 1.0),
    )
