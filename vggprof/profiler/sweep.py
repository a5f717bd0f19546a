"""Several measurements: of given batches, or of those on the way to the largest that fits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from vggprof.errors import UsageError, VggprofError
from vggprof.measurement import Measurement, Status
from vggprof.memory.search import largest_batch
from vggprof.profiler.plan import Request

Measure: TypeAlias = Callable[[Request], Measurement]
Done: TypeAlias = Callable[[Measurement], None]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Measurements by their batch; *interrupted* ones are those that were done until then."""

    measurements: tuple[Measurement, ...]
    interrupted: bool = False
    not_kept: VggprofError | None = None  # why not all of them are in the store

    @property
    def failures(self) -> tuple[Measurement, ...]:
        """Those that crashed or did not end in time; running out of memory is an answer."""
        return tuple(each for each in self.measurements if each.status in (Status.CRASHED, Status.TIMEOUT))

    @property
    def missing(self) -> tuple[str, ...]:
        """Why something that was asked for besides the times is not there, of those that were done."""
        done = (each for each in self.measurements if each.status is Status.OK)
        return tuple(each.message for each in done if each.message is not None)


def of_batches(request: Request, batches: Sequence[int], measure: Measure, done_with: Done) -> Sweep:
    """Measure *request* at each batch and give each to *done_with*; what fails is a measurement too.

    Raises UsageError, before any work is done, for a batch that cannot be run or is named twice, or where
    each of several would write the same file.
    """
    twice = [batch for place, batch in enumerate(batches) if batch in batches[:place]]
    if twice:
        raise UsageError(f"batch {twice[0]} is named twice; name each once")
    if len(batches) > 1 and (request.plan.trace_file or request.plan.snapshot_file):
        raise UsageError("a trace and a snapshot are of one measurement; name one batch")
    requests, done = [request.at(batch) for batch in batches], list[Measurement]()
    try:
        for each in requests:
            done.append(measure(each))
            done_with(done[-1])
    except KeyboardInterrupt:
        if not done:
            raise
    return Sweep(tuple(done), interrupted=len(done) < len(batches))


def to_the_largest(request: Request, measure: Measure, done_with: Done) -> Sweep:
    """Measure briefly at doubled, then bisected batches, and at the largest that fits as *request* plans.

    *done_with* gets the last one. The search ends early at a failure that is not for want of memory.
    """
    done: dict[int, Measurement] = {}
    brief = replace(request, plan=request.plan.brief())

    def fits(batch: int) -> bool:
        done[batch] = measure(brief.at(batch))
        if done[batch].status not in (Status.OK, Status.OOM):
            raise _NoEdge
        return done[batch].status is Status.OK

    interrupted = False
    try:
        largest = largest_batch(fits)
        if largest:
            done[largest] = measure(request.at(largest))
            done_with(done[largest])
    except _NoEdge:
        pass
    except KeyboardInterrupt:
        if not done:
            raise
        interrupted = True
    return Sweep(tuple(done[batch] for batch in sorted(done)), interrupted)


class _NoEdge(Exception):  # noqa: N818 - ends a search, and is seen nowhere else
    """A batch failed for another reason than memory."""
