"""What the API says of advice: which question each change leads to, and the answers."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from vggprof.memory.allocator import allocator_config_text
from vggprof.memory.forecast import Forecast
from vggprof.memory.report import MemoryReport
from vggprof.memory.verdict import Status
from vggprof.target import Target
from vggprof.trace import Setup, Trace
from vggprof.trace.setup import DEFAULTS

if TYPE_CHECKING:
    from vggprof.memory.advice import Case


def with_advice(
    answer: MemoryReport,
    forecast: Forecast,
    *,
    target: Target,
    traces: Callable[[Setup], Trace] | None,
    always: bool = False,
) -> MemoryReport:
    """Return *answer*, which *forecast* gave of *target*, with what would help.

    Without that where there are several cards, or where it fits, unless *always*. *traces* makes the trace of
    another setup; None for a trace that a program made of a module of its own.
    """
    only = answer.single
    if only is None or (only.prediction.status is Status.FITS and not always):
        return answer
    from vggprof.api.variants import Variants
    from vggprof.memory.advice import advise

    asked = forecast.traces(answer.setup.batch)
    with _uncollected():
        advised = advise(
            forecast,
            asked,
            only.card,
            only.prediction,
            traces=None if traces is None else Variants(answer.arch, steps=asked.steps, otherwise=traces),
            command=lambda case: None if traces is None else _command(answer, case, target, forecast),
        )
    return replace(answer, advice=advised)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile: a search makes many values, and no cycles; a look at all takes 0.2 s."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _command(answer: MemoryReport, case: "Case", target: Target, forecast: Forecast) -> str:
    """Return what asks about *case*; the allocator's settings are named where they are others than asked."""
    from vggprof.command import memory_command

    asked = forecast.software.allocator
    changed = replace(
        target,
        allocator=target.allocator if case.allocator == asked else allocator_config_text(case.allocator),
        deterministic=case.settings.deterministic,
        benchmark=case.settings.benchmark,
    )
    told = [name for name in DEFAULTS if getattr(case.setup, name) != getattr(answer.setup, name)]
    return memory_command(answer.arch, case.setup, changed, told=told)
