"""Making a report: each network is predicted, profiled and put through the grid."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from vggprof.compare import Profile, compare, profile, profile_on, timed
from vggprof.measurement import Measurement
from vggprof.memory.forecast import Card, Forecast, Software
from vggprof.memory.report import MemoryReport
from vggprof.memory.report import report as memory_report
from vggprof.report.grid import Slice, setups, slices
from vggprof.report.published import published
from vggprof.report.values import Report, Study
from vggprof.trace import Optimizer, Setup, Trace
from vggprof.trace.traces import Traces


@dataclass(frozen=True, slots=True)
class Asked:
    """One network that a report is about."""

    arch: str
    setup: Setup
    traces: Callable[[Setup], Trace]
    search: bool = True  # whether other batches and optimizers can be traced


def made(  # noqa: PLR0913 - what a report needs
    asked: Sequence[Asked],
    software: Software,
    *,
    cards: Sequence[Card],
    choices: Sequence[Card],
    optimizers: Sequence[Optimizer],
    commands: tuple[str, ...],
    measurements: Sequence[Measurement] = (),
    finish: Callable[[MemoryReport, Forecast, Asked], MemoryReport] = lambda answer, *_: answer,
) -> Report:
    """Return the report of *asked*, with verdicts on *cards* and a grid over *choices* and *optimizers*.

    *commands* are those that give the same again, *measurements* what times are taken from, and *finish* adds
    to what is predicted on *cards*. Raises UsageError where no measurement is of what was asked.
    """
    grid = partial(_grid, software, choices, optimizers, search=all(each.search for each in asked))
    studies = tuple(_study(each, software, cards, finish=finish, grid=partial(grid, each)) for each in asked)
    profiles: tuple[Profile, ...] = tuple(study.profile for study in studies)
    if measurements:
        profiles = timed(profiles, measurements)
        studies = tuple(replace(study, profile=each) for study, each in zip(studies, profiles, strict=True))
    return Report(studies, compare(profiles) if len(profiles) > 1 else None, commands)


def _study(
    asked: Asked,
    software: Software,
    cards: Sequence[Card],
    *,
    finish: Callable[[MemoryReport, Forecast, Asked], MemoryReport],
    grid: Callable[[], Iterator[Slice]],
) -> Study:
    setup, alone = asked.setup, len(cards) == 1
    with _forecast(asked, software, setup) as forecast:
        forecast.start(cards)
        answer = memory_report(forecast, setup.batch, cards, search=asked.search, record=alone)
        answer = finish(answer, forecast, asked)
        shown = (
            replace(profile_on(forecast, setup.batch, cards[0], search=False), card=answer.single)
            if alone
            else profile(forecast.traces(setup.batch))
        )
    return Study(shown, answer, tuple(grid()), published(answer.arch))


def _grid(
    software: Software,
    choices: Sequence[Card],
    optimizers: Sequence[Optimizer],
    asked: Asked,
    *,
    search: bool,
) -> Iterator[Slice]:
    chosen = setups(asked.setup, optimizers) if search else (asked.setup,)
    return slices(partial(_forecast, asked, software), chosen, choices, search=search)


def _forecast(asked: Asked, software: Software, setup: Setup) -> Forecast:
    return Forecast(Traces(lambda batch: asked.traces(replace(setup, batch=batch))), software)
