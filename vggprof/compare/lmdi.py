"""Log-mean Divisia index decomposition: a ratio of two sums as a product of factors, with nothing left over.

LMDI-I: B. W. Ang, "Decomposition analysis for policymaking in energy: which is the preferred method?",
Energy Policy 32 (2004), 1131-1139; "The LMDI approach to decomposition analysis: a practical guide", Energy
Policy 33 (2005), 867-871. With A the sum of a, B the sum of b, and every a and b a product of factors x,

    ln(B / A) = sum over terms and factors of L(a, b) / L(A, B) x ln(x_b / x_a)
    L(a, b) = (b - a) / ln(b / a)

Zeros follow the analytical limit (Ang, Zhang, Choi 1998, Energy 23, 489-495): where a term is 0 in one
network, L(a, b) ln(b / a) is b - a, and all of it goes to the first factor that is 0 there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import log, log1p, prod

from vggprof.compare.causes import Cause


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor of a term in the first network and in the second; neither is negative."""

    cause: Cause
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Term:
    """One term of both sums: *weight* times the product of its factors."""

    stage: str | None
    factors: tuple[Factor, ...]
    weight: float = 1.0

    @property
    def first(self) -> float:
        """What it is in the first network."""
        return self.weight * prod(factor.first for factor in self.factors)

    @property
    def second(self) -> float:
        """What it is in the second network."""
        return self.weight * prod(factor.second for factor in self.factors)


@dataclass(frozen=True, slots=True)
class Part:
    """What one cause in one stage adds to the natural logarithm of a ratio."""

    cause: Cause
    stage: str | None  # None for what belongs to no layer
    value: float


def log_mean(a: float, b: float) -> float:
    """Return the logarithmic mean of two numbers that are not negative; 0 where either is 0."""
    low, high = sorted((a, b))
    if not low or low == high:
        return low
    return (high - low) / log1p((high - low) / low)


def decompose(terms: Iterable[Term], *, first: float, second: float) -> tuple[Part, ...]:
    """Return what each cause in each stage adds to ln(*second* / *first*), the sums of *terms*.

    Empty where either sum is 0: such a ratio is no product. Parts of 0 are left out; the others come in the
    order of the terms.
    """
    if not first or not second:
        return ()
    whole = log_mean(first, second)
    sums: dict[tuple[str | None, Cause], float] = {}
    for term in terms:
        for cause, amount in _amounts(term):
            key = term.stage, cause
            sums[key] = sums.get(key, 0.0) + amount / whole
    return tuple(Part(cause, stage, value) for (stage, cause), value in sums.items() if value)


def _amounts(term: Term) -> Iterator[tuple[Cause, float]]:
    """Yield what each factor adds to the difference of *term*; they sum to it."""
    a, b = term.first, term.second
    if a and b:
        mean = log_mean(a, b)
        for factor in term.factors:
            yield factor.cause, mean * log(factor.second / factor.first)
    elif a or b:
        vanishing = (f for f in term.factors if not (f.second if a else f.first))
        yield next(vanishing).cause, b - a
