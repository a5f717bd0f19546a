"""Measuring: a changed training is traced and replayed on the card, once, unless it surely does not fit."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace

from vggprof.errors import VggprofError
from vggprof.memory.advice.changes import Case
from vggprof.memory.advice.floors import Floors
from vggprof.memory.forecast import Card, Forecast
from vggprof.memory.run import Answers, End, run
from vggprof.memory.timeline import Timeline
from vggprof.memory.verdict import Prediction, Room, Status, predict
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.trace import Setup, Trace

# What the third piece of a batch finds, the second found: gradients, and weights that did not change.
_FEW = 2


class Meter:
    """Predictions of changed trainings on one card, asked of the cuDNN worker that *forecast* has.

    What was *asked* has a trace and a prediction; *traces* makes the trace of another setup.
    """

    def __init__(
        self,
        forecast: Forecast,
        card: Card,
        asked: tuple[Case, Trace, Prediction],
        traces: Callable[[Setup], Trace],
    ) -> None:
        case, trace, prediction = asked
        self.traced = 0  # setups traced so far; pieces of one size count once, however many there are
        self._forecast = forecast
        self._card = card
        self._setup = case.setup
        self._make = traces
        self.room_bytes = _most_bytes(card, prediction)  # that can be reserved
        self._traces: dict[Setup, Trace | VggprofError] = {case.setup: trace}
        self._predictions: dict[Case, Prediction] = {case: prediction}
        self._asked: dict[tuple[Setup, CudnnSettings], tuple[Timeline, Answers, Room]] = {}
        self._through: dict[Case, bool] = {}
        self._short: set[Setup] = set()
        self._floors: dict[Setup, Floors] = {}
        self._least: dict[tuple[Setup, int, bool, tuple[str, ...]], int] = {}

    def trace(self, setup: Setup) -> Trace:
        """Return the trace of *setup*. Raises VggprofError where the network cannot be run so."""
        if setup not in self._traces:
            few = replace(setup, accumulate=min(setup.accumulate, _FEW))
            self.traced += few not in self._short
            self._short.add(few)
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
        """Whether *case* surely fits, by its prediction; what cannot is told without one."""
        try:
            return self.seems_to_fit(case) and self.prediction(case).status is Status.FITS
        except VggprofError:
            return False

    def seems_to_fit(self, case: Case) -> bool:
        """Whether *case*, of pieces two, runs where all that is not known turns out badly.

        What cannot is told without a replay, and often without a trace.
        What stays between steps is there however activations are dealt with, and all that is alive at once
        has to be reserved. More than two pieces of a batch are not tried where two of their size do not fit,
        nor channels_last, which makes no tensor smaller, where the tensors do not fit without it, nor
        activations in place where they spare nothing when most is alive.
        """
        try:
            return (
                self.floors(self._bare(case.setup)).staying_bytes <= self.room_bytes
                and self.least_bytes(case.setup) <= self.room_bytes
                and (case in self._predictions or self._in_place_spares(case.setup))
                and self.floors(self._few(case.setup)).live_bytes <= self.room_bytes
                and self._gets_through(case)
            )
        except VggprofError:
            return False

    def need_bytes(self, case: Case) -> int:
        """Return what *case* reserves where there is memory without end, at the high end; of pieces two.

        Raises VggprofError where it cannot be run.
        """
        line, answers, room = self._asked_of(case, self.trace(self._few(case.setup)))
        return run(line, answers, room.endless, End.HIGH).peak_reserved_bytes

    def _gets_through(self, case: Case) -> bool:
        """Whether *case*, of pieces two, runs where all that is not known turns out badly, in one run."""
        if case not in self._through:
            line, answers, room = self._asked_of(case, self.trace(self._few(case.setup)))
            self._through[case] = run(line, answers, room.machine(End.HIGH), End.HIGH).fits
        return self._through[case]

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

    def floors(self, setup: Setup) -> Floors:
        """Return the bounds that follow from the trace of *setup*. Raises as `trace`."""
        if setup not in self._floors:
            self._floors[setup] = Floors(self.trace(setup))
        return self._floors[setup]

    def least_bytes(self, setup: Setup) -> int:
        """Return what tensors of *setup* take at least, by the trace of the whole batch, kept as was asked.

        Raises as `trace`.
        """
        asked = self._setup
        pieces, in_place = asked.batch // setup.batch, setup.inplace and not asked.inplace
        stages = setup.checkpointed if asked.checkpoint is None else ()
        simpler = replace(
            setup,
            batch=asked.batch,
            accumulate=asked.accumulate,
            layout=asked.layout,
            inplace=asked.inplace,
            checkpoint=asked.checkpoint,
        )
        key = simpler, pieces, in_place, stages
        if key not in self._least:
            floors = self.floors(simpler)
            self._least[key] = floors.least_bytes(pieces=pieces, in_place=in_place, checkpointed=stages)
        return self._least[key]

    def _in_place_spares(self, setup: Setup) -> bool:
        """Whether less is alive at most by running in place, if *setup* does and what was asked does not."""
        if not setup.inplace or self._setup.inplace:
            return True
        return self.least_bytes(setup) < self.least_bytes(replace(setup, inplace=False))

    def _few(self, setup: Setup) -> Setup:
        """Return *setup* with two pieces of its size, where the batch that was asked is cut in more."""
        if self._setup.batch // setup.batch <= _FEW:
            return setup
        return replace(setup, accumulate=min(setup.accumulate, _FEW))


def _most_bytes(card: Card, asked: Prediction) -> int:
    """Return the most that can be reserved on *card* at the high end of need.

    The context is that of every setup, unless the card was calibrated: then it depends on what is run, and
    nothing is taken off for it.
    """
    context = asked.context.high if card.calibration is None else 0
    most = card.device.usable.low - card.held_by_others_bytes - context
    return most if card.limit_bytes is None else min(most, card.limit_bytes)
