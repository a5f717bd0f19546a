"""The cheapest combination of changes that fits, found by trying them from the cheapest on."""

from dataclasses import dataclass

from vggprof.memory.advice.changes import Case, Change, changed
from vggprof.memory.advice.meter import Meter
from vggprof.memory.advice.space import Space

# Setups that may be traced for combinations, each of which takes about as long as asking for it by itself.
MAX_TRACED = 6


@dataclass(frozen=True, slots=True)
class Found:
    """How the search ended."""

    changes: tuple[Change, ...]  # empty where none fits; of stages to checkpoint those that are needed
    tried: int  # combinations replayed or ruled out, in the order of their cost
    complete: bool  # whether every cheaper combination of the space, or every one, was tried


def cheapest(case: Case, space: Space, meter: Meter) -> Found:
    """Return the cheapest combination of *space* that makes *case* fit.

    Every combination before it, in the order of their cost, was replayed or ruled out by a lower bound; so
    none of them fits, unless the search gave up before.
    """
    tried, traced = 0, meter.traced
    for changes in space.combinations():
        if meter.traced - traced >= MAX_TRACED:
            return Found((), tried, complete=False)
        tried += 1
        if meter.fits(changed(case, changes)):
            return Found(changes, tried, complete=True)
    return Found((), tried, complete=True)
