"""Traces of one network and setup at any batch, made as seldom as possible."""

from collections.abc import Callable

from vggprof.trace.batches import BatchLine, NotLinearError
from vggprof.trace.setup import MAX_BATCH
from vggprof.trace.values import Trace


class Traces:
    """The trace at each batch: two are made, the others lie on the line through them.

    Where the network does not run the same at both, every batch asked for is traced.
    """

    def __init__(self, make: Callable[[int], Trace]) -> None:
        self._make = make
        self._made: dict[int, Trace] = {}
        self._line: BatchLine | None = None
        self._bent = False

    def __call__(self, batch: int) -> Trace:
        """Return the trace at *batch*."""
        if batch not in self._made:
            if not self._made or self._bent:
                self._made[batch] = self._make(batch)
            else:
                self._made[batch] = self._interpolated(batch)
        return self._made[batch]

    def _interpolated(self, batch: int) -> Trace:
        try:
            if self._line is None:
                self._line = self._drawn()
            return self._line.at(batch)
        except NotLinearError:
            self._bent = True
            return self._make(batch)

    def _drawn(self) -> BatchLine:
        first = next(iter(self._made))
        if 2 * first <= MAX_BATCH:
            return BatchLine(self._made[first], self._make(2 * first))
        return BatchLine(self._make(first // 2), self._made[first])
