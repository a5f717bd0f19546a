"""Dots of layers in a picture, with their names."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from vggprof.views.svg import COLOURS, LETTER, Logarithmic, pixels, text, words

_RADIUS = 4.5


@dataclass(frozen=True, slots=True)
class Dot:
    """One layer of one network; *said* is what one reads who points at it."""

    x: float
    y: float
    network: int
    layer: str
    said: str


@dataclass(frozen=True, slots=True)
class _Place:
    dot: Dot
    x: float  # pixels
    y: float
    radius: float


def dots_of(found: Sequence[Dot], x: Logarithmic, y: Logarithmic) -> Iterator[str]:
    """Yield the dots, all of them to be seen, and the names of layers where there is room for one."""
    places = _placed(found, x, y)
    yield from _dots(places)
    yield from _names(places, x)


def _placed(found: Sequence[Dot], x: Logarithmic, y: Logarithmic) -> list[_Place]:
    """Return where each dot lies; where several networks' meet, each lies within the one before it."""
    meeting = defaultdict[tuple[int, int], set[int]](set)
    for dot in found:
        meeting[round(x(dot.x)), round(y(dot.y))].add(dot.network)
    return [
        _Place(dot, x(dot.x), y(dot.y), _RADIUS + 1.5 * sum(each > dot.network for each in networks))
        for dot in found
        for networks in (meeting[round(x(dot.x)), round(y(dot.y))],)
    ]


def _dots(places: Sequence[_Place]) -> Iterator[str]:
    for place in places:
        where = f'cx="{pixels(place.x)}" cy="{pixels(place.y)}" r="{pixels(place.radius)}"'
        colour = COLOURS[place.dot.network % len(COLOURS)]
        yield f'<circle {where} fill="{colour}"><title>{words(place.dot.said)}</title></circle>'


def _names(places: Sequence[_Place], x: Logarithmic) -> Iterator[str]:
    """Yield the layer's name right or left of a dot wherever there is room, and at no place twice."""
    taken = [_around(each.x - each.radius, each.y, 2 * each.radius) for each in places]
    first = {(round(each.x), round(each.y), each.dot.layer): each for each in reversed(places)}
    for place in reversed(first.values()):
        wide, gap = LETTER * len(place.dot.layer), place.radius + 4
        for start, anchor in ((place.x + gap, "start"), (place.x - gap - wide, "end")):
            box = _around(start, place.y, wide)
            if x.start < box[0] and box[1] < x.stop and not any(_overlap(box, each) for each in taken):
                taken.append(box)
                at = start if anchor == "start" else start + wide
                yield text(at, place.y + 4, place.dot.layer, anchor=anchor, extra=' class="name"')
                break


_Box: TypeAlias = tuple[float, float, float, float]  # left, right, top, bottom


def _around(left: float, middle: float, wide: float) -> _Box:
    return left, left + wide, middle - 6, middle + 6


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
