"""A combination of changes that fits, where the cheapest takes too long to find: what saves most first."""

from collections.abc import Iterator, Sequence
from itertools import chain

from vggprof.errors import VggprofError
from vggprof.memory.advice.changes import (
    Autocast,
    Case,
    Change,
    Checkpoint,
    InPlace,
    Pieces,
    Price,
    changed,
    cost,
    price,
)
from vggprof.memory.advice.meter import Meter
from vggprof.memory.advice.space import Axis, Space


def combined(case: Case, space: Space, meter: Meter) -> tuple[Change, ...]:
    """Return changes that together make *case* fit, none to be left out; empty where none were found.

    Changes of what is learned are combined only where the others are not enough. Nothing says that there is
    no cheaper combination.
    """
    learned = [axis for axis in space.axes if price(axis[0]) is Price.LEARNING]
    others = [axis for axis in space.axes if axis not in learned]
    for axes in (others, [*others, *learned]):
        if _hopeless(case, axes, meter):
            continue
        enough = _grown(case, list(_ranked(case, axes, meter)), meter)
        less = _fewer_pieces(case, _needed(case, enough, meter), space, meter)
        for changes in filter(None, (less, enough)):
            if meter.fits(changed(case, changes)):
                return changes
    return ()


def _hopeless(case: Case, axes: Sequence[Axis], meter: Meter) -> bool:
    """Whether not even the tensors fit with the most of all in *axes* that keeps less of them."""
    most = [max(axis, key=lambda each: cost((each,))) for axis in axes]
    if any(price(each) is Price.LEARNING for each in most):
        return False
    less = tuple(each for each in most if isinstance(each, (InPlace, Pieces, Checkpoint)))
    half = tuple(each for each in most if isinstance(each, Autocast))
    try:
        cases = [changed(case, less), changed(case, (*less, *half))]
        return all(meter.least_bytes(each.setup) > meter.room_bytes for each in cases)
    except VggprofError:  # the network cannot be run so
        return False


def _ranked(case: Case, axes: Sequence[Axis], meter: Meter) -> Iterator[Change]:
    """Yield of each axis the change that needs least, those that need least first, if less than *case*."""
    asked = meter.need_bytes(case)
    needs = [
        min(
            ((_need(case, (change,), meter), -at, change) for at, change in enumerate(_few(axis))),
            key=lambda each: each[:2],
        )
        for axis in axes
    ]
    for need, _, change in sorted(needs, key=lambda each: each[0]):
        if need < asked:
            yield change


def _few(axis: Axis) -> Axis:
    """Return the changes of *axis* to compare: of pieces the most, of stages all at once."""
    return (
        axis
        if price(axis[0]) in (Price.FREE, Price.LEARNING)
        else (max(axis, key=lambda each: cost((each,))),)
    )


def _need(case: Case, changes: Sequence[Change], meter: Meter) -> float:
    try:
        return meter.need_bytes(changed(case, changes))
    except VggprofError:  # the network cannot be run so
        return float("inf")


def _grown(case: Case, ranked: Sequence[Change], meter: Meter) -> tuple[Change, ...]:
    """Return changes of *ranked*, taken one by one while they save something, that are enough; or none."""
    chosen: tuple[Change, ...] = ()
    least = _need(case, (), meter)
    for change in ranked:
        more = (*chosen, change)
        if meter.seems_to_fit(changed(case, more)):
            return more
        need = _need(case, more, meter)
        if need < least:
            chosen, least = more, need
    return ()


def _needed(case: Case, changes: tuple[Change, ...], meter: Meter) -> tuple[Change, ...]:
    """Return *changes* without those, the dearest first, that can be left out."""
    for change in sorted(changes, key=lambda each: cost((each,)), reverse=True):
        without = tuple(each for each in changes if each != change)
        if without and meter.seems_to_fit(changed(case, without)):
            changes = without
    return changes


def _fewer_pieces(case: Case, changes: tuple[Change, ...], space: Space, meter: Meter) -> tuple[Change, ...]:
    """Return *changes* with the fewest pieces that are enough."""
    most = next((each for each in changes if isinstance(each, Pieces)), None)
    if most is None:
        return changes
    others = tuple(each for each in changes if each != most)
    pieces = (each for each in chain(*space.axes) if isinstance(each, Pieces) and each.count < most.count)
    for fewer in sorted(pieces, key=lambda each: each.count):
        if meter.seems_to_fit(changed(case, (*others, fewer))):
            return (*others, fewer)
    return changes
