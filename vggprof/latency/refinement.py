"""Coefficients of a generation, drawn to what was measured on one GPU: a posterior of few factors.

A logarithm of a measured time is that of the predicted one, moved by what the GPU's factors do to it, and off
by what is the network's own and by noise. Factors are drawn to 1 as narrowly as the interval's spread says
that GPUs lie about their generation; each measurement moves them by as much as it is worth against that
(Bayesian linear regression, solved a row at a time as a Kalman filter; the prices bend, so it is repeated
about what was found).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, fsum, log, sqrt
from typing import Final, TypeAlias

from vggprof.latency.coefficients import Spread
from vggprof.latency.factors import Factor, Factors
from vggprof.latency.interval import LARGE_BATCH, interval

Vector: TypeAlias = tuple[float, ...]

# Of the variance of errors (their logarithms) on a GPU that no coefficient has seen, so much is common to its
# rows, the rest a network's own: published times say 0.49, and 0.50 within a dtype (docs/latency.md).
SHARED: Final = 0.5
# How a GPU's factors go together: its clock, its cooling and its software are in all of them. The errors that
# are left are within 1 % of the least from 0.5 to 1.
_TOGETHER: Final = 0.5
# The interval of 80 % of a normal distribution ends at so many deviations.
_Z_80: Final = 1.2816
# Of the own variance so many times' worth is believed before any was measured.
_BELIEVED: Final = 8
_ROUNDS: Final = 4
_STEP: Final = 0.02  # of a factor's logarithm, for derivatives
_FACTORS: Final = tuple(Factor)
_OF_SMALL: Final = frozenset({Factor.LAUNCH, Factor.HOST})


@dataclass(frozen=True, slots=True)
class Time:
    """One time that was measured; *noise* is the deviation of its logarithm.

    Times of one network that are of the same (*of*), however many, count as one.
    """

    ms: float
    noise: float
    of: str = "step"


@dataclass(frozen=True, slots=True)
class Evidence:
    """Times of one run of one network; *name* tells people of it: ``vgg16 at batch 32, 100 steps``.

    *model* gives the milliseconds of each of *times* under any factors.
    """

    name: str
    network: str
    batch: int
    times: tuple[Time, ...]
    model: Callable[[Factors], Vector]


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of a GPU before anything was measured on it."""

    spread: Spread
    measured: bool  # whether anything of its generation was fitted to

    def own(self, batch: int) -> float:
        """Return the variance that is a network's own, which nothing measured of others takes away."""
        return (1 - SHARED) * _variance(batch, self.spread, measured=True)

    def shared(self, factor: Factor) -> float:
        """Return the variance of the logarithm of *factor*."""
        batch = 1 if factor in _OF_SMALL else LARGE_BATCH
        total = _variance(batch, self.spread, measured=self.measured)
        return total - self.own(batch)

    @property
    def covariance(self) -> tuple[Vector, ...]:
        """Of the factors' logarithms; the host's is independent of the GPU's."""
        return tuple(tuple(self._both(one, other) for other in _FACTORS) for one in _FACTORS)

    def _both(self, one: Factor, other: Factor) -> float:
        if one is other:
            return self.shared(one)
        if Factor.HOST in (one, other):
            return 0.0
        return _TOGETHER * sqrt(self.shared(one) * self.shared(other))


@dataclass(frozen=True, slots=True)
class Refinement:
    """What measurements made of the factors of one GPU."""

    prior: Prior
    logs: Vector  # of the factors, in their order
    covariance: tuple[Vector, ...]
    scale: float  # of all variances, by how the measurements lie about what was found
    sources: tuple[str, ...]  # names of what was measured

    @property
    def factors(self) -> dict[Factor, float]:
        """How many times as long each takes as the generation's coefficients say."""
        return dict(zip(_FACTORS, map(exp, self.logs), strict=True))

    def narrowing(self, slopes: Vector, batch: int) -> float:
        """Return by what power an interval's factor is to be taken; 1 where nothing was measured.

        *slopes* are the derivatives of the logarithm of a time by those of the factors.
        """
        own = self.prior.own(batch)
        before = _along(self.prior.covariance, slopes) + own
        return sqrt(self.scale * (_along(self.covariance, slopes) + own) / before)


def refine(evidence: Sequence[Evidence], prior: Prior) -> Refinement:
    """Return the factors that *evidence* and *prior* make; with no evidence all are 1."""
    count = Counter((each.network, time.of) for each in evidence for time in each.times)
    state = _State((0.0,) * len(_FACTORS), prior.covariance)
    for _ in range(_ROUNDS if evidence else 0):
        about = state.logs
        state = _State((0.0,) * len(_FACTORS), prior.covariance)
        for each in evidence:
            state = _with(state, each, about, prior=prior, count=count)
    scale = (_BELIEVED + state.surprise) / (_BELIEVED + len(count))
    return Refinement(prior, state.logs, state.covariance, scale, tuple(each.name for each in evidence))


def slopes(model: Callable[[Factors], Vector], logs: Vector) -> tuple[Vector, tuple[Vector, ...]]:
    """Return the logarithms of what *model* gives at factors of *logs*, and their derivatives by each."""
    here = _logs(model(_factors(logs)))
    columns = []
    for at in range(len(logs)):
        moved = tuple(value + _STEP * (at == place) for place, value in enumerate(logs))
        there = _logs(model(_factors(moved)))
        columns.append(tuple((b - a) / _STEP for a, b in zip(here, there, strict=True)))
    return here, tuple(zip(*columns, strict=True))


@dataclass(frozen=True, slots=True)
class _State:
    """What is known after some rows; *surprise* sums the squares of what they told anew, as expected 1."""

    logs: Vector
    covariance: tuple[Vector, ...]
    surprise: float = 0.0

    def told(self, row: Vector, off: float, variance: float, *, weight: float) -> "_State":
        """Return the state after a row that is *off*, with a *variance* of its own (Kalman's gain)."""
        reach = tuple(_dot(line, row) for line in self.covariance)
        total = _dot(row, reach) + variance
        logs = tuple(value + gain * off / total for value, gain in zip(self.logs, reach, strict=True))
        left = tuple(
            tuple(value - one * other / total for value, other in zip(line, reach, strict=True))
            for line, one in zip(self.covariance, reach, strict=True)
        )
        return _State(logs, left, self.surprise + weight * off * off / total)


def _with(
    state: _State, told: Evidence, about: Vector, *, prior: Prior, count: Counter[tuple[str, str]]
) -> _State:
    """Return *state* after all rows of *told*, whose prices are taken as straight lines through *about*."""
    here, rows = slopes(told.model, about)
    for time, predicted, row in zip(told.times, here, rows, strict=True):
        moved = tuple(a - b for a, b in zip(state.logs, about, strict=True))
        off = log(time.ms) - predicted - _dot(row, moved)
        same = count[told.network, time.of]
        variance = same * (prior.own(told.batch) + time.noise**2)
        state = state.told(row, off, variance, weight=1 / same)
    return state


def _variance(batch: int, spread: Spread, *, measured: bool) -> float:
    """Return the variance of the logarithm of a time whose interval the spread gives."""
    return (log(interval(1.0, batch=batch, spread=spread, measured=measured).high) / _Z_80) ** 2


def _factors(logs: Vector) -> Factors:
    return dict(zip(_FACTORS, map(exp, logs), strict=True))


def _logs(times: Vector) -> Vector:
    return tuple(map(log, times))


def _dot(one: Vector, other: Vector) -> float:
    return fsum(a * b for a, b in zip(one, other, strict=True))


def _along(covariance: tuple[Vector, ...], row: Vector) -> float:
    return _dot(row, tuple(_dot(line, row) for line in covariance))
