"""Predictions: memory, whether it fits, what would help, and how long a step takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from vggprof.api.advice import with_advice
from vggprof.api.networks import Subject, retracing, trace_arch, trace_of
from vggprof.errors import UsageError
from vggprof.memory.forecast import Card, Forecast, Software
from vggprof.memory.gate import Gate
from vggprof.memory.report import MemoryReport
from vggprof.memory.report import report as memory_report
from vggprof.target import Target
from vggprof.trace import Setup, Trace
from vggprof.trace.setup import word
from vggprof.trace.traces import Traces
from vggprof.units import parse_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from vggprof.latency.report import LatencyReport


def memory(
    what: Subject, setup: Setup | None = None, target: Target | None = None, *, record: bool = False
) -> MemoryReport:
    """Return what training takes on the GPU of *target*, on the one that is here, or on a ladder of cards.

    With *record* every allocation comes with it, for a plot or a snapshot; that needs a single GPU.
    Raises as `layers` does, DeviceError for a GPU that nobody knows, GpuUnavailable for one that is not here.
    """
    target = target or Target()
    cards = target.cards()
    if record and len(cards) != 1:
        raise UsageError(
            "a snapshot or a plot needs a card, and no GPU is here; name one with --gpu, or its size with "
            "--gpu-memory"
        )
    finish = partial(with_advice, target=target, traces=retracing(what))
    search = isinstance(what, str)
    return predicted_memory(
        what, setup, cards, target.software(), search=search, record=record, finish=finish
    )


def advise(what: Subject, setup: Setup | None = None, target: Target | None = None) -> MemoryReport:
    """Return what training takes on the card of *target*, and what would make it fit or take clearly less.

    Of a trace that a program made only settings can be changed. Raises as `memory` does, and UsageError where
    there is no card.
    """
    target = target or Target()
    cards = target.cards()
    if len(cards) != 1:
        raise UsageError(
            "advice needs a card, and no GPU is here; name one with --gpu, or its size with --gpu-memory"
        )
    finish = partial(with_advice, target=target, traces=retracing(what), always=True)
    return predicted_memory(what, setup, cards, target.software(), search=False, finish=finish)


def check(
    what: Subject,
    setup: Setup | None = None,
    target: Target | None = None,
    *,
    max_memory: str | None = None,
    allow_tight: bool = False,
) -> Gate:
    """Return whether training fits the GPU of *target* and its process keeps within *max_memory* (``8GiB``).

    With *max_memory* alone a card of that size is meant, on every machine; else the GPU that is here.
    Raises as `memory` does, and UsageError where there is no card to hold it against.
    """
    target = target or Target()
    limit = None if max_memory is None else parse_bytes(max_memory)
    if limit is not None and target.gpu is None and target.gpu_memory is None:
        target = replace(target, gpu_memory=max_memory)
    cards = target.cards()
    if len(cards) != 1:
        raise UsageError(
            "a check needs a card, and no GPU is here; name one with --gpu, its size with --gpu-memory, "
            "or a limit with --max-memory"
        )
    answer = predicted_memory(what, setup, cards, target.software(), search=False)
    return Gate(answer, limit, allow_tight=allow_tight)


def latency(  # noqa: PLR0913 - what can be asked
    what: Subject,
    setup: Setup | None = None,
    target: Target | None = None,
    *,
    execution: str = "eager",
    changes: bool = False,
    curve: bool = False,
    dataset_size: int | None = None,
    measurements: str | Path | None = None,
) -> LatencyReport:
    """Return how long a step takes on the GPU of *target*, on the one that is here, or on a ladder of cards.

    *execution* is ``eager`` or ``graph``. With *changes* it says what would gain how much, with *curve* it
    has the times over batch sizes, with *dataset_size* the time of an epoch of so many images; these need a
    single GPU, and the first two an ARCH text. What `calibrate` measured on such a GPU with that torch
    draws the times to it, and so do those of *measurements*, a file or the name of a run. Raises as `memory`
    does, as `find` does for *measurements*, and UsageError where they have no time of the GPU.
    """
    from vggprof.api.refining import refined_cards
    from vggprof.latency.answer import Wanted, answer
    from vggprof.measurement import Execution

    if (changes or curve) and not isinstance(what, str):
        raise UsageError("a trace has one batch and one setup; changes and a curve need an ARCH")
    target, first = target or Target(), trace_of(what, setup)
    retraced = retracing(what)

    def at(batch: int) -> Trace:
        other = retraced is not None and batch != first.setup.batch
        return retraced(replace(first.setup, batch=batch)) if other and retraced else first

    wanted = Wanted(word(Execution, execution), changes=changes, curve=curve, dataset_images=dataset_size)
    cards = target.cards()
    refined, notes = refined_cards(cards, measurements)
    found = answer(
        Traces(at),
        cards,
        first.setup,
        software=target.software(),
        wanted=wanted,
        retraced=retraced,
        refined=refined,
    )
    return replace(found, assumptions=(*found.assumptions, *notes))


def predicted_memory(  # noqa: PLR0913 - what a report can have
    what: Subject,
    setup: Setup | None,
    cards: Sequence[Card],
    software: Software,
    *,
    search: bool,
    record: bool = False,
    finish: Callable[[MemoryReport, Forecast], MemoryReport] = lambda answer, _forecast: answer,
) -> MemoryReport:
    """Return what training takes on *cards*, with whatever *finish* adds to it. Raises as `memory` does."""
    with forecasting(what, setup, cards, software) as (forecast, batch):
        return finish(memory_report(forecast, batch, cards, search=search, record=record), forecast)


@contextmanager
def forecasting(
    what: Subject, setup: Setup | None, cards: Sequence[Card], software: Software
) -> Iterator[tuple[Forecast, int]]:
    """Yield the forecast of *what* and the batch that is asked about."""

    def at(batch: int) -> Trace:
        if isinstance(what, str) and batch != asked.setup.batch:
            return trace_arch(what, replace(asked.setup, batch=batch))
        return asked

    with Forecast(Traces(at), software) as forecast:
        asked = trace_of(what, setup, first=lambda: forecast.start(cards))
        yield forecast, asked.setup.batch
