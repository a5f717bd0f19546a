"""Advice for a training that does not fit: each change replayed, and the cheapest combination that fits."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby, islice

from vggprof.errors import VggprofError
from vggprof.memory.advice.changes import Case, Change, Checkpoint, MaxSplit, Pieces, changed, cost
from vggprof.memory.advice.greedy import combined
from vggprof.memory.advice.meter import Meter
from vggprof.memory.advice.search import Found, cheapest
from vggprof.memory.advice.space import Space, space_of, stage_bytes
from vggprof.memory.advice.stages import needed_stages
from vggprof.memory.advice.words import cost_words, how, name
from vggprof.memory.advice.work import work_of
from vggprof.memory.forecast import Card, Forecast
from vggprof.memory.verdict import Estimate, Prediction, Status
from vggprof.trace import Setup, Trace

# Share of the asked process: what saves less, and does not make it fit, is not worth a line.
CLEARLY = 0.05


@dataclass(frozen=True, slots=True)
class Advice:
    """One change, or several together, and what the training comes to with them."""

    changes: tuple[Change, ...]
    name: str
    command: str | None  # that gives this very prediction; None where no command can ask for it
    saves_bytes: int  # of the process
    prediction: Prediction
    cost: str
    extra_macs: int  # that a step computes beyond what it did
    how: tuple[str, ...]  # lines of code and environment variables, one a change

    @property
    def fits(self) -> bool:
        """Whether it surely fits then."""
        return self.prediction.status is Status.FITS


@dataclass(frozen=True, slots=True)
class Advised:
    """Everything that helps, what saves most first."""

    advice: tuple[Advice, ...]
    cheapest: Advice | None  # of those known to make it fit; None where nothing does, or nothing has to
    searched: Found | None  # among which combinations; None where nothing has to be changed
    endless: bool = False  # whether savings count against a card without end: what was asked does not fit


def advise(  # noqa: PLR0913 - a training, where it runs, and how it comes out
    forecast: Forecast,
    asked: Trace,
    card: Card,
    prediction: Prediction,
    *,
    traces: Callable[[Setup], Trace] | None,
    command: Callable[[Case], str | None],
) -> Advised:
    """Return what would make *asked* fit on *card*, where it comes to *prediction*.

    *traces* makes the trace of another setup; None where there is none to be had. *command* writes the
    command line that asks about a case. Where it fits as it is, what saves clearly is still told.
    """
    case = Case(asked.setup, forecast.software.settings, forecast.software.allocator)
    space = space_of(case, asked, card.device.capability, retraced=traces is not None)
    meter = Meter(forecast, card, (case, asked, prediction), traces or (lambda _setup: asked))
    adviser = _Adviser(case, meter, command)
    advice: dict[tuple[Change, ...], Advice] = {}
    for change in _singles(case, space, meter):
        with suppress(VggprofError):  # the network cannot be run so
            advice[(change,)] = adviser.advice((change,))
    _leave_out_stage(advice)
    found = None if prediction.status is Status.FITS else cheapest(case, space, meter)
    if found and not found.complete:
        fitting = [changes for changes, each in advice.items() if each.fits]
        found = replace(found, changes=_best_known(fitting, space) or combined(case, space, meter))
    if found:
        found = replace(found, changes=needed_stages(case, found.changes, space, meter))
    best = adviser.advice(found.changes) if found and found.changes else None
    if best is not None:
        advice[best.changes] = best
    helping = [each for each in advice.values() if each is best or adviser.helps(each)]
    helping.sort(key=lambda each: (-each.saves_bytes, cost(each.changes)))
    return Advised(tuple(helping), best, found, endless=prediction.machine.capacity_bytes is None)


def _best_known(fitting: Sequence[tuple[Change, ...]], space: Space) -> tuple[Change, ...]:
    """Return the cheapest single change of *fitting*; the first of several; () if none fits."""
    singles = list(space.singles)  # the cheapest first
    return min(fitting, key=lambda changes: singles.index(changes[0]), default=())


def _leave_out_stage(advice: dict[tuple[Change, ...], Advice]) -> None:
    """Take away checkpoints of single stages that are not enough, where that of all saves as much."""
    checkpoints = [each for each in advice.values() if isinstance(each.changes[0], Checkpoint)]
    every = max(checkpoints, key=_macs, default=None)
    for one in checkpoints:
        if every is not None and one is not every and not one.fits and one.saves_bytes <= every.saves_bytes:
            del advice[one.changes]


def _macs(advice: Advice) -> int:
    return advice.extra_macs


def _singles(case: Case, space: Space, meter: Meter) -> Iterator[Change]:
    """Yield the single changes to tell of; of several that differ in a number, those that matter.

    Of pieces those are the fewest that are enough; of stages all, and the one that has most at the peak; of
    the sizes above which blocks are not split the one that saves most.
    """
    for kind, group in groupby(sorted(space.singles, key=_kind), key=_kind):
        cases = {change: changed(case, (change,)) for change in group}
        if kind == Pieces.__name__:
            yield from islice((change for change, of in cases.items() if meter.fits(of)), 1)
        elif kind == Checkpoint.__name__:
            yield from _stages(
                [change for change in cases if isinstance(change, Checkpoint)], case, space, meter
            )
        elif kind == MaxSplit.__name__:
            yield min(cases, key=lambda change: meter.prediction(cases[change]).process.high)
        else:
            yield from cases


def _stages(checkpoints: Sequence[Checkpoint], case: Case, space: Space, meter: Meter) -> Iterator[Change]:
    """Yield the checkpoint of all stages, that of the one with most at the peak, and the fewest that fit."""
    *ones, every = sorted(checkpoints, key=lambda each: "stages" in each.stages)
    yield every
    if not ones:
        return
    held = stage_bytes(meter.trace(case.setup))
    one = max(ones, key=lambda each: held[each.text])
    yield one
    enough = next((each for each in (one, every) if meter.fits(changed(case, (each,)))), None)
    if enough is not None and not meter.fits(case):
        yield from (each for each in needed_stages(case, (enough,), space, meter) if each not in (one, every))


def _kind(change: Change) -> str:
    return type(change).__name__


def _saves(asked: Estimate, changed: Estimate) -> int:
    """Return by how much less *changed* is: where it likely is, by that, and else at the high ends.

    What surely fits, where what was asked does not, is less at the high end.
    """
    high = asked.high - changed.high
    if asked.likely is None or changed.likely is None:
        return high
    likely = asked.likely - changed.likely
    return likely if likely > 0 else high


class _Adviser:
    """Puts into words what was measured."""

    def __init__(self, case: Case, meter: Meter, command: Callable[[Case], str | None]) -> None:
        self._case = case
        self._meter = meter
        self._command = command
        self._asked = meter.prediction(case)
        self._work = work_of(meter.trace(case.setup))

    def helps(self, advice: Advice) -> bool:
        """Whether *advice* is worth a line: it makes it fit, or saves clearly."""
        needed = self._asked.status is not Status.FITS
        return (needed and advice.fits) or advice.saves_bytes >= CLEARLY * self._asked.process.high

    def advice(self, changes: tuple[Change, ...]) -> Advice:
        """Return the advice to make *changes*, which were measured."""
        case = changed(self._case, changes)
        prediction, work = self._meter.prediction(case), work_of(self._meter.trace(case.setup))
        words = [cost_words(change, case, before=self._work, after=work) for change in changes]
        return Advice(
            changes=changes,
            name=" + ".join(name(change, case) for change in changes),
            command=self._command(case),
            saves_bytes=_saves(self._asked.process, prediction.process),
            prediction=prediction,
            cost="; ".join(dict.fromkeys(words)),
            extra_macs=sum(change.macs for change in changes if isinstance(change, Checkpoint)),
            how=tuple(dict.fromkeys(how(change, case) for change in changes)),
        )
