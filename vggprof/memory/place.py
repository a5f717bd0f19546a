"""Where in a training something happens."""

from dataclasses import dataclass
from itertools import islice

from vggprof.memory.timeline import Allocate, Ask, Hold, Release, Timeline
from vggprof.trace import Mark, Operator, Phase


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the training something happens."""

    step: int | None  # None while the model moves in
    phase: Phase
    layer: str | None  # whose operator runs; None outside of the network
    op: str | None  # None where the loop itself moves something in


def place_of(timeline: Timeline, number: int) -> Place:
    """Say where in the training event *number* is."""
    operator = _operator_at(timeline, number)
    if operator is not None:
        layer = None if operator.layer is None else timeline.trace.layers[operator.layer].name
        return Place(operator.step, operator.phase, layer, operator.name)
    coming = (event for event in islice(timeline.events, number, None) if isinstance(event, Mark))
    mark = next(coming, Mark(None, Phase.MODEL))
    return Place(mark.step, mark.phase, None, None)


def _operator_at(timeline: Timeline, number: int) -> Operator | None:
    match timeline.events[number]:
        case Allocate(need) | Release(need) | Hold(need, _):
            operator = timeline.needs[need].operator
        case Ask(_, operator):
            pass
        case Mark():
            return None
    return None if operator is None else timeline.trace.operators[operator]
