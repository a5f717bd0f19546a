"""A time and how far off it may be."""

from dataclasses import dataclass
from typing import Final

from vggprof.errors import UsageError
from vggprof.latency.coefficients import Spread

# Below this batch a step is made of short kernels, of which less is known.
LARGE_BATCH: Final = 12


@dataclass(frozen=True, slots=True)
class Interval:
    """Milliseconds; 80 of 100 measurements are expected between the ends."""

    low: float
    likely: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.likely <= self.high:
            raise UsageError(f"{self.low} to {self.likely} to {self.high} ms is no interval")


def interval(likely: float, *, batch: int, spread: Spread, measured: bool, narrowed: float = 1.0) -> Interval:
    """Return the interval around *likely* ms: a factor up and down.

    It is wider for small batches, and where nothing was *measured* of the GPU's generation. *narrowed* is the
    power that the factor is taken by, where the GPU itself was measured.
    """
    factor = spread.large if batch >= LARGE_BATCH else spread.small
    if not measured:
        factor *= spread.unmeasured
    factor **= narrowed
    return Interval(likely / factor, likely, likely * factor)
