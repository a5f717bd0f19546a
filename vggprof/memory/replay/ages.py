"""How old the segments are that were there before a recording began: learnt from the choices it shows.

From torch 2.13 on, the older of two segments serves first (Tie.SEGMENT). A snapshot does not tell ages. So
each time several free blocks of one size could serve, the one that the recording took tells that its segment
is older than the others' segments; a choice that contradicts what was learnt before is a disagreement.
"""

from vggprof.memory.allocator import Allocator, Tie


class Ages:
    """What is known of the order of the segments that were there at the start."""

    def __init__(self, allocator: Allocator, orders: set[int]) -> None:
        self._allocator = allocator
        self._younger: dict[int, set[int]] = {order: set() for order in orders}
        self._active = allocator.config.tie is Tie.SEGMENT and len(orders) > 1

    def learn(self, size: int, stream: int, address: int) -> None:
        """Hear that a request of *size* bytes was served at *address*, before it is replayed."""
        if not self._active:
            return
        candidates = self._allocator.ties(size, stream)
        chosen = next((block.order for block in candidates if block.address == address), None)
        if chosen not in self._younger:
            return
        others = {block.order for block in candidates} & set(self._younger) - {chosen}
        if any(self._older(other, chosen) for other in others):
            return
        self._younger[chosen] |= others
        if candidates[0].order != chosen:
            self._sort()

    def _older(self, one: int, other: int) -> bool:
        """Whether *one* is known to be older than *other*."""
        seen, ahead = set(), [one]
        while ahead:
            at = ahead.pop()
            if other in self._younger[at]:
                return True
            if at not in seen:
                seen.add(at)
                ahead.extend(self._younger[at])
        return False

    def _sort(self) -> None:
        """Give the segments new numbers that keep every known relation, and otherwise their order."""
        older: dict[int, set[int]] = {order: set() for order in self._younger}
        for order, younger in self._younger.items():
            for each in younger:
                older[each].add(order)
        places, left = sorted(self._younger), sorted(self._younger)
        numbers: dict[int, int] = {}
        for place in places:
            order = next(each for each in left if older[each] <= numbers.keys())
            left.remove(order)
            numbers[order] = place
        self._allocator.reorder(numbers)
        self._younger = {
            numbers[order]: {numbers[each] for each in younger} for order, younger in self._younger.items()
        }
