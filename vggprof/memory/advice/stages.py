"""Which stages to checkpoint: no more than are needed."""

from collections.abc import Iterator
from itertools import chain, combinations

from vggprof.memory.advice.changes import Case, Change, Checkpoint, changed
from vggprof.memory.advice.meter import Meter
from vggprof.memory.advice.space import Space

# Sets of stages that are traced.
_TRIES = 3
# Sets of more stages than these are not gone through: there are 2^n of them.
_MAX_STAGES = 8


def needed_stages(case: Case, changes: tuple[Change, ...], space: Space, meter: Meter) -> tuple[Change, ...]:
    """Return *changes*, with which *case* fits, with stages checkpointed that cost less and are enough.

    Sets of stages are tried from the cheapest on, without those that a bound rules out, up to a few traces.
    """
    whole = next((each for each in changes if isinstance(each, Checkpoint)), None)
    if whole is None:
        return changes
    traced = meter.traced
    cheaper = (each for each in _sets(space) if each.macs < whole.macs)
    for fewer in sorted(cheaper, key=lambda each: each.macs):
        if meter.traced - traced >= _TRIES:
            break
        tried = tuple(fewer if each is whole else each for each in changes)
        if meter.fits(changed(case, tried)):
            return tried
    return changes


def _sets(space: Space) -> Iterator[Checkpoint]:
    """Yield every set of stages but that of all."""
    ones = [
        each for each in chain(*space.axes) if isinstance(each, Checkpoint) and each.stages != ("stages",)
    ]
    if len(ones) > _MAX_STAGES:
        yield from ones
        return
    for count in range(1, len(ones)):
        for some in combinations(ones, count):
            names = tuple(name for each in some for name in each.stages)
            yield Checkpoint(names, sum(each.macs for each in some))
