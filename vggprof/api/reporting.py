"""What the API does for a report: which GPUs it is about, which one can choose, and what gives it again."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from vggprof.api.advice import with_advice
from vggprof.command import command_line, memory_command
from vggprof.measurement import Measurement
from vggprof.memory.forecast import Card, Forecast
from vggprof.memory.report import MemoryReport
from vggprof.report import Asked, Report, made
from vggprof.report.grid import OPTIMIZERS
from vggprof.target import Target
from vggprof.trace import Optimizer

# What a page lets one choose besides the GPU that was asked about: common cards of 4, 8, 12 and 24 GiB.
COMMON = ("GeForce GTX 1650", "GeForce RTX 4060", "GeForce RTX 3060 12GB", "GeForce RTX 4090")
_SIZE = re.compile(r"\d+(\.\d+)?\s*[KMGT]i?B", re.IGNORECASE)


def report_on(  # noqa: PLR0913 - what can be asked
    asked: Sequence[Asked],
    target: Target,
    *,
    gpus: Sequence[str] | None = None,
    optimizers: Sequence[Optimizer] | None = None,
    measurements: Sequence[Measurement] = (),
    more: Sequence[str] = (),
) -> Report:
    """Return the report of *asked* on the card of *target*, or the several cards where it names none.

    *gpus* are those that one can choose besides: names, or sizes (``8GiB``) that the card may have instead;
    by default common ones beside a single card. *optimizers* likewise, by default one for each amount of
    state. *more* are further words of the command line. Raises DeviceError for a GPU that nobody knows,
    GpuUnavailable for one that is not here.
    """
    cards = target.cards()
    more = (*more, *(word for gpu in gpus or () for word in ("--beside", gpu)))
    if gpus is None:
        gpus = COMMON if len(cards) == 1 else ()
    if optimizers is not None:
        more = (*more, "--optimizers", ",".join(optimizers))

    def finish(answer: MemoryReport, forecast: Forecast, one: Asked) -> MemoryReport:
        return with_advice(answer, forecast, target=target, traces=one.traces if one.search else None)

    return made(
        asked,
        target.software(),
        cards=cards,
        choices=tuple(_choices(cards, target, gpus)),
        optimizers=OPTIMIZERS if optimizers is None else optimizers,
        commands=tuple(_commands(asked, target, more)) if all(one.search for one in asked) else (),
        measurements=measurements,
        finish=finish,
    )


def _choices(cards: Sequence[Card], target: Target, gpus: Sequence[str]) -> Iterator[Card]:
    """Yield *cards* and those that *gpus* name, each GPU once."""
    named = [card for gpu in gpus for card in _named(target, gpu).cards()]
    seen = set[str]()
    for card in (*cards, *named):
        if card.device.name not in seen:
            seen.add(card.device.name)
            yield card


def _named(target: Target, gpu: str) -> Target:
    if _SIZE.fullmatch(gpu):
        return replace(target, gpu_memory=gpu)
    return replace(target, gpu=gpu, gpu_memory=None)


def _commands(asked: Sequence[Asked], target: Target, more: Sequence[str]) -> Iterator[str]:
    archs, setup = [one.arch for one in asked], asked[0].setup
    yield command_line("report", archs, setup, target, *more, "-o", ".")
    if len(archs) > 1:
        yield command_line("compare", archs, setup, target)
    for arch in archs:
        yield memory_command(arch, setup, target)
        if len(target.cards()) == 1:
            yield command_line("latency", [arch], setup, target)
        yield command_line("layers", [arch], setup, Target())
