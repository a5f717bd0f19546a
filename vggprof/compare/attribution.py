"""Ratios of two networks split over stages and causes, exactly."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import exp
from typing import TypeAlias, TypeVar

from vggprof.analyzers import CLASSIFIER
from vggprof.compare.causes import Cause
from vggprof.compare.lmdi import Factor, Part, Term, decompose
from vggprof.compare.partners import partners
from vggprof.compare.profile import Profile
from vggprof.compare.terms import (
    Alignment,
    mac_amounts,
    output_amounts,
    partnered,
    saved_amounts,
)

Key = TypeVar("Key")


class Quantity(StrEnum):
    """What is split; called like the field of the totals."""

    MACS = "macs"
    OUTPUT_BYTES = "output_bytes"
    SAVED_BYTES = "saved_bytes"
    PEAK_ALLOCATED_BYTES = "peak_allocated_bytes"
    PEAK_RESERVED_BYTES = "peak_reserved_bytes"
    STEP_MS = "step_ms"


@dataclass(frozen=True, slots=True)
class Split:
    """Why one network has more or less of a quantity than the first: the parts sum to ln(second / first).

    Without parts where either has none of it.
    """

    quantity: Quantity
    first: float
    second: float
    parts: tuple[Part, ...]

    @property
    def ratio(self) -> float | None:
        """The second over the first; None where there is no ratio."""
        return self.second / self.first if self.first else None

    @property
    def causes(self) -> dict[Cause, float]:
        """Factor by which each cause multiplies the quantity; their product is the ratio."""
        sums = _sums((part.cause, part.value) for part in self.parts)
        return {cause: exp(sums[cause]) for cause in Cause if cause in sums}

    @property
    def stages(self) -> dict[str | None, float]:
        """Factor by which what lies in each stage multiplies the quantity; their product is the ratio."""
        return {stage: exp(value) for stage, value in _sums((p.stage, p.value) for p in self.parts).items()}


def alignment_of(first: Profile, second: Profile) -> Alignment:
    """Return how two networks are aligned unless it is said.

    By resolution where either has branches, or where both compute at the same scales of the input: what they
    do there is then what differs. Else in order.
    """
    ours, theirs = ({*each.scales().values()} - {CLASSIFIER} for each in (first, second))
    if first.branched or second.branched or ours == theirs:
        return Alignment.RESOLUTION
    return Alignment.ORDER


def splits(first: Profile, second: Profile, alignment: Alignment) -> tuple[Split, ...]:
    """Return every quantity of *second* against *first*, split; what is not known of both is left out."""
    return (
        _of_layers(Quantity.MACS, first, second, alignment),
        _of_layers(Quantity.OUTPUT_BYTES, first, second, alignment),
        _of_layers(Quantity.SAVED_BYTES, first, second, alignment),
        *_of_memory(first, second),
        *_of_time(first, second),
    )


_AMOUNTS = {
    Quantity.MACS: mac_amounts,
    Quantity.OUTPUT_BYTES: output_amounts,
    Quantity.SAVED_BYTES: saved_amounts,
}
# What one cause has of a quantity in one stage.
_Cells: TypeAlias = dict[tuple[str | None, Cause], float]


def _of_layers(quantity: Quantity, first: Profile, second: Profile, alignment: Alignment) -> Split:
    ours, theirs = (list(_AMOUNTS[quantity](profile)) for profile in (first, second))
    terms = [
        *partnered(ours, theirs, alignment),
        *_cell_terms(_wholes(quantity, first), _wholes(quantity, second)),
    ]
    totals = (getattr(profile.table.totals, quantity.value) for profile in (first, second))
    return _split(quantity, terms, *totals)


def _wholes(quantity: Quantity, profile: Profile) -> _Cells:
    """Return what is one cause each, by stage: the classifier, and pooling indices of what is saved."""
    cells: defaultdict[tuple[str | None, Cause], float] = defaultdict(int)
    said = profile.scales()
    for row in profile.table.rows:
        indices = profile.index_bytes.get(row.name, 0) if quantity is Quantity.SAVED_BYTES else 0
        cells[said[row.name], Cause.POOLING_INDICES] += indices
        if row.stage == CLASSIFIER:
            cells[CLASSIFIER, Cause.CLASSIFIER] += getattr(row, quantity.value) - indices
    return cells


def _of_memory(first: Profile, second: Profile) -> Iterator[Split]:
    """Yield the peak of what is allocated, and on a card of what is reserved: cells of kind and stage."""
    ours, theirs = _held(first), _held(second)
    allocated = [_without(Cause.FRAGMENTATION, cells) for cells in (ours, theirs)]
    peaks = first.peak_allocated_bytes, second.peak_allocated_bytes
    yield _split(Quantity.PEAK_ALLOCATED_BYTES, _cell_terms(*allocated), *peaks)
    if first.peak_reserved_bytes is not None and second.peak_reserved_bytes is not None:
        peaks = first.peak_reserved_bytes, second.peak_reserved_bytes
        yield _split(Quantity.PEAK_RESERVED_BYTES, _cell_terms(ours, theirs), *peaks)


def _held(profile: Profile) -> _Cells:
    cells: defaultdict[tuple[str | None, Cause], float] = defaultdict(int)
    said = profile.scales()
    for share in profile.shares:
        cells[None if share.layer is None else said[share.layer], share.cause] += share.nbytes
    return cells


def _without(cause: Cause, cells: _Cells) -> _Cells:
    return {key: value for key, value in cells.items() if key[1] is not cause}


def _of_time(first: Profile, second: Profile) -> Iterator[Split]:
    """Yield the time of a step: at each scale MACs of both ways, and milliseconds for each of them.

    Layers that both have are held against each other; where only one network has others at a scale, or
    others with MACs, all their time is more work.
    """
    if first.times is None or second.times is None:
        return
    pairs, ours, theirs = partners(_spent(first), _spent(second), lambda spent: spent.layer)
    terms = [Term(a.scale, (Factor(Cause.TIME_PER_MAC, a.ms, b.ms),)) for a, b in pairs]
    for scale in dict.fromkeys(each.scale for each in (*theirs, *ours)):
        terms.append(_time_term(scale, *(_summed(scale, others) for others in (ours, theirs))))
    outside = (each.times.step_ms - sum(each.layer_ms().values()) for each in (first, second) if each.times)
    terms.append(Term(None, (Factor(Cause.OUTSIDE, *(max(ms, 0.0) for ms in outside)),)))
    yield _split(Quantity.STEP_MS, terms, first.times.step_ms, second.times.step_ms)


@dataclass(frozen=True, slots=True)
class _Spent:
    """What a layer does, and how long it takes for that."""

    layer: tuple[object, ...]  # equal for layers that do the same at the same scale
    scale: str
    macs: int
    ms: float


def _spent(profile: Profile) -> list[_Spent]:
    said, layer_ms = profile.scales(), profile.layer_ms()
    found = []
    for row in profile.table.rows:
        scale, macs = said[row.name], row.macs + row.macs_backward
        does = (scale, row.op, row.input_shapes, row.output_shape, row.params, macs)
        found.append(_Spent(does, scale, macs, layer_ms[row.name]))
    return found


def _summed(scale: str, spent: Iterable[_Spent]) -> tuple[int, float]:
    """Return the MACs and the milliseconds at *scale*."""
    found = [each for each in spent if each.scale == scale]
    return sum(each.macs for each in found), sum(each.ms for each in found)


def _time_term(stage: str, first: tuple[int, float], second: tuple[int, float]) -> Term:
    (macs, ms), (other_macs, other_ms) = first, second
    if not macs or not other_macs or not ms or not other_ms:
        return Term(stage, (Factor(Cause.MORE_WORK, ms, other_ms),))
    work = Factor(Cause.MORE_WORK, macs, other_macs)
    return Term(stage, (work, Factor(Cause.TIME_PER_MAC, ms / macs, other_ms / other_macs)))


def _cell_terms(first: _Cells, second: _Cells) -> Iterator[Term]:
    for stage, cause in dict.fromkeys((*second, *first)):
        key = stage, cause
        yield Term(stage, (Factor(cause, first.get(key, 0), second.get(key, 0)),))


def _split(quantity: Quantity, terms: Iterable[Term], first: float, second: float) -> Split:
    return Split(quantity, first, second, decompose(terms, first=first, second=second))


def _sums(parts: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    sums: defaultdict[Key, float] = defaultdict(float)
    for key, value in parts:
        sums[key] += value
    return dict(sums)
