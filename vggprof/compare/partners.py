"""Which of two networks' layers are the same layer."""

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def partners(
    first: Sequence[_T], second: Sequence[_T], alike: Callable[[_T], Hashable]
) -> tuple[list[tuple[_T, _T]], list[_T], list[_T]]:
    """Return pairs of those that are *alike*, the k-th with the k-th, then the others of each, in order."""
    waiting: defaultdict[Hashable, deque[int]] = defaultdict(deque)
    for at, each in enumerate(second):
        waiting[alike(each)].append(at)
    pairs, alone, taken = list[tuple[_T, _T]](), list[_T](), set[int]()
    for each in first:
        places = waiting[alike(each)]
        if places:
            taken.add(places[0])
            pairs.append((each, second[places.popleft()]))
        else:
            alone.append(each)
    return pairs, alone, [each for at, each in enumerate(second) if at not in taken]
