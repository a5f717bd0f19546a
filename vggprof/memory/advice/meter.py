"""Measuring: a changed training is traced and replayed on the card, once, unless it surely does not fit."""

from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import replace

from vggprof.analyzers import Live, live_series
from vggprof.errors import VggprofError
from vggprof.memory.advice.changes import Case
from vggprof.memory.forecast import Card, Forecast
from vggprof.memory.run import Answers, End, run
from vggprof.memory.timeline import Timeline
from vggprof.memory.verdict import Prediction, Room, Status, predict
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.trace import Kind, Setup, Trace
from vggprof.trace.traces import Traces

# What is there when the optimizer steps, whatever was done about activations: positions in `Live.by_kind`.
_STAYING = tuple(
    place
    for place, kind in enumerate(Kind)
    if kind in (Kind.PARAMETER, Kind.BUFFER, Kind.GRADIENT, Kind.OPTIMIZER)
)


class Meter:
    """Predictions of changed trainings on one card, asked of the cuDNN worker that *forecast* has.

    *traces* makes the trace of a setup.
    """

    def __init__(
        self,
        forecast: Forecast,
        card: Card,
        asked: Case,
        prediction: Prediction,
        traces: Callable[[Setup], Trace],
    ) -> None:
        self.traced = 0  # setups traced so far
        self._forecast = forecast
        self._card = card
        self._setup = asked.setup
        self._make = traces
        self._room = _most_bytes(card, prediction)
        self._traces: dict[Setup, Trace | VggprofError] = {}
        self._predictions: dict[Case, Prediction] = {asked: prediction}
        self._asked: dict[tuple[Setup, CudnnSettings], tuple[Timeline, Answers, Room]] = {}
        self._lines: dict[Setup, Traces] = {}
        self._floors: dict[tuple[Setup, Callable[[Trace], int]], int] = {}

    def trace(self, setup: Setup) -> Trace:
        """Return the trace of *setup*. Raises VggprofError where the network cannot be run so."""
        if setup not in self._traces:
            self.traced += 1
            try:
                self._traces[setup] = self._make(setup)
            except VggprofError as error:  # no stages, nothing to freeze, a type that a layer does not take
                self._traces[setup] = error
        found = self._traces[setup]
        if isinstance(found, VggprofError):
            raise found
        return found

    def prediction(self, case: Case) -> Prediction:
        """Return what *case* comes to on the card. Raises VggprofError where it cannot be run."""
        if case not in self._predictions:
            self._predictions[case] = predict(*self._asked_of(case, self.trace(case.setup)))
        return self._predictions[case]

    def fits(self, case: Case) -> bool:
        """Whether *case* surely fits; what cannot is told without a replay, and often without a trace.

        What stays between steps is there however activations are dealt with, and all that is alive at once
        has to be reserved. More than two pieces of a batch are not tried where two do not fit, nor
        channels_last, which makes no tensor smaller, where the tensors do not fit without it.
        """
        try:
            return (
                self._once(self._bare(case.setup), _staying_bytes) <= self._room
                and self._order_may_fit(case.setup)
                and self._pieces_may_fit(case)
                and self._once(case.setup, _live_bytes) <= self._room
                and self._replays(case)
            )
        except VggprofError:
            return False

    def need_bytes(self, case: Case) -> int:
        """Return what *case* reserves where there is memory without end, at the high end; of pieces two.

        Raises VggprofError where it cannot be run.
        """
        line, answers, room = self._asked_of(case, self._few(case.setup))
        return run(line, answers, room.endless, End.HIGH).peak_reserved_bytes

    def _replays(self, case: Case) -> bool:
        """Whether *case* gets through where all unknown turns out badly, and its prediction is FITS."""
        if case not in self._predictions and not self._gets_through(case, self.trace(case.setup)):
            return False
        return self.prediction(case).status is Status.FITS

    def _gets_through(self, case: Case, trace: Trace) -> bool:
        """Whether *trace* runs with the settings of *case* at the high end, in one run."""
        line, answers, room = self._asked_of(case, trace)
        return run(line, answers, room.machine(End.HIGH), End.HIGH).fits

    def _asked_of(self, case: Case, trace: Trace) -> tuple[Timeline, Answers, Room]:
        """Return what *trace* asks with the settings of *case*; the allocator changes nothing about that."""
        key = trace.setup, case.settings
        if key not in self._asked:
            changed = copy(self._forecast)  # it shares the workers
            changed.traces = lambda _batch: trace
            changed.software = replace(changed.software, settings=case.settings)
            self._asked[key] = changed.asked(trace.setup.batch, self._card)
        line, answers, room = self._asked[key]
        return line, answers, replace(room, config=case.allocator)

    def _bare(self, setup: Setup) -> Setup:
        """Return the asked setup with what *setup* learns, and how: what stays is theirs in common."""
        return replace(self._setup, optimizer=setup.optimizer, freeze=setup.freeze)

    def _once(self, setup: Setup, floor: Callable[[Trace], int]) -> int:
        """Return *floor* of the trace of *setup*, computed once."""
        key = setup, floor
        if key not in self._floors:
            self._floors[key] = floor(self.trace(setup))
        return self._floors[key]

    def _order_may_fit(self, setup: Setup) -> bool:
        """Whether whole batches of *setup*, if in another order, have tensors that fit in the one asked."""
        asked = replace(setup, layout=self._setup.layout)
        if asked == setup or setup.batch != self._setup.batch:
            return True
        return self._once(asked, _live_bytes) <= self._room

    def _pieces_may_fit(self, case: Case) -> bool:
        """Whether *case*, if it has pieces, is worth tracing: a trace of many pieces is long.

        A tensor has a + b x batch bytes, so that a piece has no less than its share of what the whole has,
        in the order that was asked.
        """
        setup, batch = case.setup, self._setup.batch
        pieces = batch // setup.batch
        whole = replace(setup, batch=batch, accumulate=self._setup.accumulate, layout=self._setup.layout)
        if pieces == 1:
            return True
        if _shared_bytes(self.trace(whole), pieces=pieces) > self._room:
            return False
        return pieces == 2 or self._gets_through(case, self._few(setup))

    def _few(self, setup: Setup) -> Trace:
        """Return the trace of *setup*, of more than two pieces that of two, from the line over batches.

        The third piece finds what the second found: gradients, and weights that did not change.
        """
        if self._setup.batch // setup.batch <= 2:
            return self.trace(setup)
        line = replace(setup, batch=1, accumulate=min(setup.accumulate, 2))
        if line not in self._lines:
            self._lines[line] = Traces(lambda batch: self.trace(replace(line, batch=batch)))
            self._lines[line](self._setup.batch // 2)  # where there is often a trace to begin at
        return self._lines[line](setup.batch)


def _most_bytes(card: Card, asked: Prediction) -> int:
    """Return the most that can be reserved on *card* at the high end of need.

    The context is that of every setup, unless the card was calibrated: then it depends on what is run, and
    nothing is taken off for it.
    """
    context = asked.context.high if card.calibration is None else 0
    most = card.device.usable.low - card.held_by_others_bytes - context
    return most if card.limit_bytes is None else min(most, card.limit_bytes)


def _live_bytes(trace: Trace) -> int:
    """Return the most that tensors of *trace* take at one moment."""
    return max((sum(live.by_kind) for live in live_series(trace)), default=0)


def _shared_bytes(trace: Trace, *, pieces: int) -> int:
    """Return the same where of all that does not stay only a share is there."""
    return max(
        (_staying(live) + (sum(live.by_kind) - _staying(live)) // pieces for live in live_series(trace)),
        default=0,
    )


def _staying_bytes(trace: Trace) -> int:
    """Return what parameters, buffers, gradients and optimizer state take when the last step has ended."""
    return max((_staying(live) for live in deque(live_series(trace), maxlen=1)), default=0)


def _staying(live: Live) -> int:
    return sum(live.by_kind[place] for place in _STAYING)
