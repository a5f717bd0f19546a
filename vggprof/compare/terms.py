"""Work and activations of two networks as terms of one decomposition: layers with their partners, in factors.

Layers meet those of their own kind of operator: all of them in order, or those of one scale of the input.
Two that are alike in every factor are partners, and make no difference. Of n others in one network and m in
the other, the k-th covers the k-th part of the way, and two are partners as far as their parts overlap. Where
n and m are equal each has one partner; where not, n and m are a factor of their own, the depth, and nothing
is left over.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import TypeAlias

from vggprof.analyzers import LayerRow
from vggprof.compare.causes import Cause
from vggprof.compare.lmdi import Factor, Term
from vggprof.compare.partners import partners
from vggprof.compare.profile import Profile
from vggprof.compare.scales import scales


class Alignment(StrEnum):
    """Which layers of two networks are held against each other."""

    ORDER = "order"  # those as far along the way from the input
    RESOLUTION = "resolution"  # those at one scale of the input, in order


@dataclass(frozen=True, slots=True)
class Amount:
    """What one layer has of a quantity, as a product of factors."""

    row: LayerRow
    stage: str
    halvings: int  # how often the input was halved
    factors: tuple[tuple[Cause, float], ...]

    @property
    def value(self) -> float:
        """The product."""
        return prod(value for _, value in self.factors)


_Key: TypeAlias = tuple[str, int | None]


def mac_amounts(profile: Profile) -> Iterator[Amount]:
    """Yield the forward MACs of each layer that has some, the classifier's left out."""
    for amount in _amounts(profile, [row for row in profile.table.rows if row.macs]):
        area = profile.kernel_areas.get(amount.row.name, 1)
        samples, positions, _ = _extents(amount.row)
        channels = amount.row.macs / (samples * positions * area)
        yield _with(amount, samples, positions, (Cause.KERNEL_SIZE, area), (Cause.WIDTH, channels))


def output_amounts(profile: Profile) -> Iterator[Amount]:
    """Yield the bytes of the outputs of each layer, the classifier's left out."""
    return _byte_amounts(profile, {row.name: row.output_bytes for row in profile.table.rows})


def saved_amounts(profile: Profile) -> Iterator[Amount]:
    """Yield the bytes that each layer saves, the classifier's and pooling indices left out."""
    indices = profile.index_bytes
    return _byte_amounts(
        profile, {row.name: row.saved_bytes - indices.get(row.name, 0) for row in profile.table.rows}
    )


def partnered(first: Sequence[Amount], second: Sequence[Amount], alignment: Alignment) -> Iterator[Term]:
    """Yield the terms whose sums are those of *first* and of *second*.

    Layers without a partner: where resolutions are aligned, a scale finer than all of the other network's is
    RESOLUTION. Else what has no MACs and is of a kind that the other network lacks is OTHER_LAYERS, and all
    else DEPTH.
    """
    ours, theirs = _grouped(first, alignment), _grouped(second, alignment)
    for key in dict.fromkeys((*theirs, *ours)):
        pairs, a, b = partners(ours.get(key, []), theirs.get(key, []), lambda amount: amount.factors)
        yield from (Term(each.stage, (Factor(Cause.DEPTH, each.value, each.value),)) for _, each in pairs)
        if a and b:
            yield from _overlapping(a, b)
        else:
            yield from (Term(e.stage, (Factor(_alone(e, second, alignment), e.value, 0),)) for e in a)
            yield from (Term(e.stage, (Factor(_alone(e, first, alignment), 0, e.value),)) for e in b)


def overlaps(first: int, second: int) -> Iterator[tuple[int, int, int]]:
    """Yield which of *first* and *second* equal parts of one length overlap, and by how much of 1 / both."""
    i = j = done = 0
    while i < first and j < second:
        end = min((i + 1) * second, (j + 1) * first)
        yield i, j, end - done
        done = end
        i, j = i + ((i + 1) * second == end), j + ((j + 1) * first == end)


def _overlapping(first: Sequence[Amount], second: Sequence[Amount]) -> Iterator[Term]:
    n, m = len(first), len(second)
    for i, j, share in overlaps(n, m):
        pairs = zip(first[i].factors, second[j].factors, strict=True)
        factors = (Factor(cause, a, b) for (cause, a), (_, b) in pairs)
        yield Term(second[j].stage, (*factors, Factor(Cause.DEPTH, n, m)), weight=share / (n * m))


def _alone(amount: Amount, others: Sequence[Amount], alignment: Alignment) -> Cause:
    finest = min((other.halvings for other in others), default=0)
    if alignment is Alignment.RESOLUTION and amount.halvings < finest:
        return Cause.RESOLUTION
    known = amount.row.macs or amount.row.op in {other.row.op for other in others}
    return Cause.DEPTH if known else Cause.OTHER_LAYERS


def _grouped(amounts: Sequence[Amount], alignment: Alignment) -> dict[_Key, list[Amount]]:
    groups: defaultdict[_Key, list[Amount]] = defaultdict(list)
    for amount in amounts:
        groups[amount.row.op, None if alignment is Alignment.ORDER else amount.halvings].append(amount)
    return dict(groups)


def _amounts(profile: Profile, rows: Sequence[LayerRow]) -> Iterator[Amount]:
    of_stage, said = scales(profile.table), profile.scales()
    for row in rows:
        halvings = of_stage[row.stage]
        if halvings is not None:
            yield Amount(row, said[row.name], halvings, ())


def _byte_amounts(profile: Profile, nbytes: dict[str, int]) -> Iterator[Amount]:
    for amount in _amounts(profile, profile.table.rows):
        samples, positions, channels = _extents(amount.row)
        item = nbytes[amount.row.name] / (samples * positions * channels)
        yield _with(amount, samples, positions, (Cause.WIDTH, channels), (Cause.ITEM_BYTES, item))


def _with(amount: Amount, samples: int, positions: int, *others: tuple[Cause, float]) -> Amount:
    factors = ((Cause.BATCH, float(samples)), (Cause.RESOLUTION, float(positions)), *others)
    return Amount(amount.row, amount.stage, amount.halvings, factors)


def _extents(row: LayerRow) -> tuple[int, int, int]:
    """Return samples, positions and channels of what a layer gives; 1 for what it does not have."""
    shape = row.output_shape or ()
    return prod(shape[:1]) or 1, prod(shape[2:]) or 1, prod(shape[1:2]) or 1
