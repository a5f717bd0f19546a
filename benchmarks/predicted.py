"""What is predicted for each measurement, by the versions of torch and cuDNN that are at hand."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import assert_never

from measured import Kind, Row, rows

from vggprof.api import trace_arch
from vggprof.memory.forecast import Card, Forecast, Software
from vggprof.memory.run import Answers, Held, Run, at_peak, run
from vggprof.memory.timeline import Timeline
from vggprof.memory.verdict import Room, predict
from vggprof.memory.workspaces.launch import find_frontend
from vggprof.memory.workspaces.plans import NoAnswer
from vggprof.target import Target
from vggprof.trace import Mark, Optimizer, Phase, Setup, Trace
from vggprof.trace.traces import Traces
from vggprof.units import MIB

TORCHES = ("2.11", "2.15")


@cache
def softwares() -> dict[str, Software]:
    """Return those of `TORCHES` whose cuDNN can be asked here, by the names that the page gives them."""
    found = {release: Target(torch=release).software({}) for release in TORCHES}
    return {
        f"torch {release}, cuDNN {software.cudnn.wanted}": software
        for release, software in found.items()
        if software.cudnn.exact and find_frontend()
    }


@cache
def traces_of(arch: str, optimizer: Optimizer) -> Traces:
    """Return the traces of the reference loop."""
    return Traces(lambda batch: trace_arch(arch, Setup(batch=batch, optimizer=optimizer)))


@dataclass(frozen=True, slots=True)
class Asked:
    """What the allocator is asked for one row under one software."""

    line: Timeline
    answers: Answers
    room: Room

    @property
    def bare(self) -> "Asked":
        """The same, had no convolution taken a workspace."""
        return replace(self, answers={ask: NoAnswer("none", 0, 0) for ask in self.answers})

    def run(self, capacity_bytes: int | None = None) -> Run:
        """Return what happens where the allocator can have *capacity_bytes*; None is all it wants."""
        return run(self.line, self.answers, replace(self.room.endless, capacity_bytes=capacity_bytes))

    def held(self, phase: Phase) -> tuple[Held, ...]:
        """Return what is held when *phase* of the first step ends."""
        stopped = replace(self.run(), peak_event=self.line.events.index(Mark(0, phase)))
        return at_peak(self.line, self.answers, self.room.endless, stopped).held


@cache
def asked(row: Row, name: str) -> Asked:
    """Return what the reference loop comes to for *row* under the software called *name*."""
    return run_as(row, softwares()[name], traces_of(row.arch, row.optimizer))


def run_as(row: Row, software: Software, traces: Callable[[int], Trace]) -> Asked:
    """Return what a loop comes to whose trace at each batch is that of *traces*."""
    with Forecast(traces, software) as forecast:
        return Asked(*forecast.asked(row.batch, Card(row.device)))


@dataclass(frozen=True, slots=True)
class Compared:
    """A measurement beside its prediction, in bytes; the ends where it has a range."""

    what: str
    measured: int
    predicted: int
    low: int
    high: int

    @property
    def off(self) -> float:
        """By how many percent the prediction is too high."""
        return 100 * (self.predicted / self.measured - 1)

    @property
    def inside(self) -> bool:
        """Whether the measurement lies between the ends."""
        return self.low <= self.measured <= self.high


def whole_gpu(row: Row, found: Asked) -> Compared:
    """Compare with what NVML would show: the process, and what the driver keeps for itself."""
    process, kept = predict(found.line, found.answers, found.room).process, row.device.reserved_by_driver
    assert process.likely is not None
    ends = process.likely + kept.likely, process.low + kept.low, process.high + kept.high
    return Compared("whole GPU", row.nbytes, *ends)


def compared(row: Row, found: Asked) -> Compared:
    """Compare *row* with that part of its prediction that it measured."""
    match row.kind:
        case Kind.GPU:
            return whole_gpu(row, found)
        case Kind.GROWTH:
            reserved = predict(found.line, found.answers, found.room).peak_reserved
            assert reserved.likely is not None
            return Compared("reserved", row.nbytes, reserved.likely, reserved.low, reserved.high)
        case Kind.ALLOCATED:
            ran = found.run()
            grown = ran.peak_allocated_bytes - ran.marks[0].allocated_bytes
            return Compared("growth of allocated", row.nbytes - row.start_bytes, grown, grown, grown)
        case Kind.RESERVED:
            room = row.device.usable.likely - held_by_others(row)
            last = found.run(room).marks[-1].reserved_bytes
            return Compared(f"reserved, of {room // MIB:,} MiB to be had", row.nbytes, last, last, last)
        case Kind.FORWARD:
            marks = {(mark.step, mark.phase): mark.allocated_bytes for mark in found.run().marks}
            grown = marks[0, Phase.FORWARD.mark] - marks[0, Phase.INPUT.mark]
            return Compared("first forward pass", row.nbytes, grown, grown, grown)
        case Kind.UNUSABLE:
            raise ValueError(f"row {row.number} measured nothing that is predicted")
        case _:
            assert_never(row.kind)


def held_by_others(row: Row) -> int:
    """Return what NVML showed at the same moment beyond what torch had reserved, less the driver's share."""
    (whole,) = (other for other in rows(Kind.UNUSABLE) if other.model == row.model)
    return whole.nbytes - row.nbytes - row.device.reserved_by_driver.likely
