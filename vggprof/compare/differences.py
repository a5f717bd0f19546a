"""Differences of two networks by layer and kind, in whole numbers that sum to those of the totals."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

from vggprof.analyzers import LayerRow
from vggprof.compare.causes import Cause
from vggprof.compare.profile import Profile

# What each layer has, by kind; None is what belongs to no layer.
_Cells: TypeAlias = dict[str, dict[str | None, int]]


@dataclass(frozen=True, slots=True)
class Difference:
    """What a layer and its partner in the first network have of one kind; None where there is no partner.

    Both are None for what belongs to no layer.
    """

    quantity: str
    kind: str  # a cause, or "unexecuted" for parameters that no layer reads
    stage: str | None
    first_layer: str | None
    second_layer: str | None
    first: int
    second: int

    @property
    def value(self) -> int:
        """How much more the second network has."""
        return self.second - self.first


@dataclass(frozen=True, slots=True)
class Partners:
    """A layer of each network at one scale; None where a network has no further one of this operator."""

    stage: str
    first: LayerRow | None
    second: LayerRow | None


def partners(first: Profile, second: Profile) -> tuple[Partners, ...]:
    """Pair layers: at each scale of the input the n-th of an operator with the n-th of the same operator."""
    ours, theirs = _by_place(first), _by_place(second)
    return tuple(
        Partners(stage, a, b)
        for stage, op in dict.fromkeys((*theirs, *ours))
        for a, b in zip_longest(ours.get((stage, op), ()), theirs.get((stage, op), ()))
    )


def differences(first: Profile, second: Profile) -> tuple[Difference, ...]:
    """Return where totals and peaks differ, by layer and kind; what neither network has is left out.

    For each quantity of `cells` the values sum to the difference of the totals.
    """
    pairs = [(pair.stage, _name(pair.first), _name(pair.second)) for pair in partners(first, second)]
    ours, theirs = cells(first), cells(second)
    return tuple(
        Difference(quantity, kind, stage, a, b, had, has)
        for quantity in theirs
        if quantity in ours
        for kind in dict.fromkeys((*theirs[quantity], *ours[quantity]))
        for stage, a, b in (*pairs, (None, None, None))
        for had, has in ((_of(ours[quantity], kind, a, b), _of(theirs[quantity], kind, b, a)),)
        if had or has
    )


def cells(profile: Profile) -> dict[str, _Cells]:
    """Return each quantity by kind and layer; None is what belongs to no layer."""
    rows, totals, indices = profile.table.rows, profile.table.totals, profile.index_bytes
    by_quantity: dict[str, _Cells] = {
        "params": {
            Cause.PARAMETERS: {row.name: row.params for row in rows},
            "unexecuted": {None: totals.unexecuted_params},
        },
        "macs": {"forward": {row.name: row.macs for row in rows}},
        "macs_backward": {"backward": {row.name: row.macs_backward for row in rows}},
        "output_bytes": {"outputs": {row.name: row.output_bytes for row in rows}},
        "saved_bytes": {
            Cause.SAVED_ACTIVATIONS: {row.name: row.saved_bytes - indices.get(row.name, 0) for row in rows},
            Cause.POOLING_INDICES: {row.name: indices.get(row.name, 0) for row in rows},
        },
        "peak_allocated_bytes": _by_cause(profile),
    }
    reserved = profile.peak_reserved_bytes
    if reserved is not None:
        fragments = by_quantity["peak_allocated_bytes"].pop(Cause.FRAGMENTATION, {})
        by_quantity["peak_reserved_bytes"] = {
            "allocated": {None: profile.peak_allocated_bytes},
            Cause.FRAGMENTATION: fragments,
        }
    return by_quantity


def _by_cause(profile: Profile) -> _Cells:
    by_cause: defaultdict[str, dict[str | None, int]] = defaultdict(dict)
    for share in profile.shares:
        by_cause[share.cause][share.layer] = share.nbytes
    return by_cause


def _of(by_kind: _Cells, kind: str, layer: str | None, partner: str | None) -> int:
    """Return what *layer* has: nothing if only its partner is there; without both, what belongs to none."""
    if layer is None and partner is not None:
        return 0
    return by_kind.get(kind, {}).get(layer, 0)


def _name(row: LayerRow | None) -> str | None:
    return None if row is None else row.name


def _by_place(profile: Profile) -> dict[tuple[str, str], list[LayerRow]]:
    rows: defaultdict[tuple[str, str], list[LayerRow]] = defaultdict(list)
    said = profile.scales()
    for row in profile.table.rows:
        rows[said[row.name], row.op].append(row)
    return rows
