"""What repeated times say: where their middle lies, how far they scatter, and how sure the middle is."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import floor, fsum, sqrt
from random import Random

from vggprof.measurement.values import Samples

# Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3: the percentile interval, for
# which they advise 1,000 replications or more.
RESAMPLES = 1000
CONFIDENCE = 0.95
_SEED = 1  # the same samples have the same interval, everywhere and always


@dataclass(frozen=True, slots=True)
class Summary:
    """What a number of times come to, in milliseconds; throttled ones count like the others."""

    median_ms: float
    p25_ms: float
    p75_ms: float
    min_ms: float
    mean_ms: float
    std_ms: float
    n: int
    median_low_ms: float  # ends of the bootstrap interval of the median, see `CONFIDENCE`
    median_high_ms: float
    throttled: int = 0  # samples taken while the GPU held itself back

    @property
    def spread(self) -> float:
        """The distance of the quartiles as a share of the median; 0 for a median of 0.

        What torch.utils.benchmark holds against its threshold (Measurement.meets_confidence in
        torch/utils/benchmark/utils/common.py).
        """
        return (self.p75_ms - self.p25_ms) / self.median_ms if self.median_ms else 0.0


def summarize(samples: Samples) -> Summary:
    """Return what *samples* come to.

    The deviation is that of the samples themselves (divided by n, not n - 1), as TensorFlow's
    alexnet_benchmark.py prints it after its ``+/-``.
    """
    return _summary(samples.values_ms, len(samples.throttled))


@cache  # a report asks for the same samples more than once, and resampling takes a while
def _summary(values: tuple[float, ...], throttled: int) -> Summary:
    ordered = sorted(values)
    mean = fsum(ordered) / len(ordered)
    low, high = median_interval(ordered)
    return Summary(
        median_ms=quantile(ordered, 0.5),
        p25_ms=quantile(ordered, 0.25),
        p75_ms=quantile(ordered, 0.75),
        min_ms=ordered[0],
        mean_ms=mean,
        std_ms=sqrt(fsum((value - mean) ** 2 for value in ordered) / len(ordered)),
        n=len(ordered),
        median_low_ms=low,
        median_high_ms=high,
        throttled=throttled,
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which *share* of the sorted values lie, on a line between the two nearest.

    Hyndman and Fan, Sample Quantiles in Statistical Packages (1996), definition 7: that of numpy and torch.
    Raises ValueError for no values.
    """
    if not ordered:
        raise ValueError("no values have no quantile")
    place = (len(ordered) - 1) * share
    below = floor(place)
    above = min(below + 1, len(ordered) - 1)
    low, high = ordered[below], ordered[above]
    return min(low + (high - low) * (place - below), high)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the bootstrap interval of the median; a single value is both.

    The values are drawn anew, with replacement, `RESAMPLES` times; the interval holds the middle `CONFIDENCE`
    of the medians. Raises ValueError for no values.
    """
    ordered = sorted(values)
    draw, count = Random(_SEED).choices, len(ordered)
    medians = sorted(quantile(sorted(draw(ordered, k=count)), 0.5) for _ in range(RESAMPLES))
    tail = (1 - CONFIDENCE) / 2
    return quantile(medians, tail), quantile(medians, 1 - tail)
