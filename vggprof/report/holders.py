"""A GPU that was full before the first step: what the training can have held of it, and what others must."""

from collections import Counter
from dataclasses import dataclass

from vggprof.devices import Device, Range
from vggprof.memory.forecast import Card, Forecast
from vggprof.memory.verdict import Status, least_process_bytes
from vggprof.trace import Kind, Trace


@dataclass(frozen=True, slots=True)
class Filled:
    """One card on which an allocation found no memory while a training was set up."""

    device: Device
    status: Status  # of the training with the card to itself
    own_bytes: int  # what it can hold at most before its first step
    step_bytes: int  # what its steps reserve at most; on a card without end where they likely do not fit
    # That they likely get through with where that is less; None where they likely fit.
    least_bytes: int | None
    left: Range  # of the card, beside the context

    @property
    def others(self) -> Range:
        """What others must hold at least for the card to be full by then; 0 where nobody else has to."""
        return Range(
            *(max(0, end - self.own_bytes) for end in (self.left.low, self.left.likely, self.left.high))
        )


def who_filled(forecast: Forecast, batch: int, card: Card, *, copies: int = 1) -> Filled:
    """Return who can have filled *card* by the time that the training at *batch* is set up, before a step.

    By then it holds the model, the optimizer's state, which some frameworks set up ahead, and a batch;
    *copies* of each, for initial values may lie beside what they are copied to.
    """
    prediction = forecast.predict(batch, card)
    line, answers, room = forecast.asked(batch, card)
    fits = prediction.machine.capacity_bytes is not None
    least = None if fits else least_process_bytes(line, answers, room, prediction) - room.context.likely
    model = next(mark.reserved_bytes for mark in prediction.shown.marks if mark.step is None)
    return Filled(
        device=card.device,
        status=prediction.status,
        own_bytes=copies * (model + _ahead_bytes(forecast.traces(batch))),
        step_bytes=prediction.shown.peak_reserved_bytes,
        least_bytes=least,
        left=room.usable - room.context,
    )


def _ahead_bytes(trace: Trace) -> int:
    """Return the bytes of the optimizer's state and of one step's batch."""
    sums = Counter[Kind]()
    for storage in trace.storages:
        sums[storage.kind] += storage.nbytes
    return sums[Kind.OPTIMIZER] + sums[Kind.INPUT] // trace.steps
