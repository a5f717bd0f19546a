"""What a training takes on one GPU, whether it fits, and where it fails if it does not."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from vggprof.devices import Device, Range
from vggprof.memory.allocator import AllocatorConfig
from vggprof.memory.allocator.rules import ROUND_LARGE_BYTES
from vggprof.memory.run import Answers, End, Failure, Machine, Run, run
from vggprof.memory.search import least_capacity
from vggprof.memory.timeline import Timeline
from vggprof.memory.workspaces.plans import NoAnswer

_LIKELY = (End.LIKELY,)

# Runs with sizes spread over their ranges, where some are not known.
_SPREAD_RUNS = 4


class Status(StrEnum):
    """Whether a training fits on a GPU."""

    FITS = "FITS"  # at the low, the likely and the high end of what is not known
    TIGHT = "TIGHT"  # at one end or two
    OOM = "OOM"  # at none


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes that may not be known exactly; *likely* is None where only the ends are known."""

    low: int
    likely: int | None
    high: int

    @property
    def exact(self) -> bool:
        """Whether the ends are one."""
        return self.low == self.high


@dataclass(frozen=True, slots=True)
class Room:
    """What a process can have on a GPU: what is usable, less what others hold and its own context."""

    device: Device
    config: AllocatorConfig
    context: Range  # what the process holds outside the allocator
    held_by_others_bytes: int = 0
    limit_bytes: int | None = None  # torch.cuda.set_per_process_memory_fraction

    @property
    def usable(self) -> Range:
        """Bytes that the process can have in all."""
        return self.device.usable - Range.exact(self.held_by_others_bytes)

    def machine(self, end: End) -> Machine:
        """Return what is left for the allocator; the low end of need meets the most room."""
        usable, context = self.usable, self.context
        match end:
            case End.LOW:
                left = usable.high - context.low
            case End.LIKELY:
                left = usable.likely - context.likely
            case End.HIGH:
                left = usable.low - context.high
        return Machine(self.config, max(left, 0), self.device.usable.likely, self.limit_bytes)

    @property
    def endless(self) -> Machine:
        """The same GPU with memory without end: what the training would take."""
        return Machine(self.config, None, self.device.usable.likely)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a training takes on one GPU and how that ends."""

    device: Device
    status: Status
    peak_allocated: Estimate
    peak_reserved: Estimate
    context: Range
    process: Estimate  # reserved and context, end by end
    usable: Range  # that the process can have in all
    shown: Run  # at the likely end: on this GPU where it fits, else on one without end
    machine: Machine  # that `shown` ran on
    failure: Failure | None
    unanswered: tuple[str, ...] = ()  # why cuDNN could not answer, where it could not

    @property
    def usable_bytes(self) -> int:
        """What is likely usable."""
        return self.usable.likely

    @property
    def spare_bytes(self) -> int:
        """Bytes that stay free (at the high end if no other is known); negative where they miss."""
        likely = self.process.likely
        return self.usable_bytes - (self.process.high if likely is None else likely)

    @property
    def oom_message(self) -> str | None:
        """The text of PyTorch's error with ``?`` for what cannot be known; None where it does not fail."""
        return None if self.failure is None else self.failure.message


def predict(timeline: Timeline, answers: Answers, room: Room) -> Prediction:
    """Run *timeline* with cuDNN's *answers* on the GPU of *room*, at both ends of what is not known."""
    exact = _is_exact(timeline, answers)
    needed = {end: run(timeline, answers, room.endless, end) for end in (_LIKELY if exact else End)}
    ends = {end: needed[End.LIKELY if exact else end] for end in End}
    unanswered = _unanswered(timeline, answers)
    pressed = {end: _pressed(timeline, answers, room.machine(end), end, ends[end]) for end in End}
    status = _status(pressed)
    shown = {end: pressed[end] if pressed[end].fits else ends[end] for end in End}
    outside = {End.LOW: room.context.low, End.LIKELY: room.context.likely, End.HIGH: room.context.high}
    reserved = [shown[end].peak_reserved_bytes for end in End]
    process = [size + outside[end] for size, end in zip(reserved, End, strict=True)]
    if not exact:
        most = room.machine(End.HIGH).capacity_bytes if status is Status.FITS else None
        spread = _spread(timeline, answers, replace(room.endless, capacity_bytes=most))
        reserved += spread
        process += [min(spread) + room.context.low, max(spread) + room.context.high]
    return Prediction(
        device=room.device,
        status=status,
        peak_allocated=_estimate([shown[end].peak_allocated_bytes for end in End], answered=not unanswered),
        peak_reserved=_estimate(reserved, answered=not unanswered),
        context=room.context,
        process=_estimate(process, answered=not unanswered),
        usable=room.usable,
        shown=shown[End.LIKELY],
        machine=room.machine(End.LIKELY) if pressed[End.LIKELY].fits else room.endless,
        failure=pressed[End.LOW].failure if status is Status.OOM else None,
        unanswered=unanswered,
    )


def _spread(timeline: Timeline, answers: Answers, machine: Machine) -> list[int]:
    """Return how much is reserved where sizes that are not known lie anywhere in their ranges.

    What is reserved does not grow with the workspaces: large ones leave segments behind that others use. So
    runs with sizes spread over their ranges, and at the high end one workspace more that nothing could reuse.
    """
    seeds = range(_SPREAD_RUNS)
    runs = [run(timeline, _mixed(answers, seed), machine).peak_reserved_bytes for seed in seeds]
    widest = max((answer.high_bytes - answer.low_bytes for answer in answers.values()), default=0)
    most = max(runs) + widest
    return [*runs, most if machine.capacity_bytes is None else min(most, machine.capacity_bytes)]


def _mixed(answers: Answers, seed: int) -> Answers:
    """Return *answers* with every size that is not known somewhere in its range, small ones more often."""
    place = random.Random(seed)
    return {
        ask: NoAnswer("", size, size)
        for ask, answer in answers.items()
        for size in (int(answer.low_bytes + (answer.high_bytes - answer.low_bytes) * place.random() ** 2),)
    }


def _status(pressed: Mapping[End, Run]) -> Status:
    """Return FITS where every end fits, OOM where none does; what fits need not grow evenly with the room."""
    outcomes = {end.fits for end in pressed.values()}
    if len(outcomes) > 1:
        return Status.TIGHT
    return Status.FITS if outcomes.pop() else Status.OOM


def _pressed(timeline: Timeline, answers: Answers, machine: Machine, end: End, free: Run) -> Run:
    """Return the run on *machine*; where all that *free* took without end is there, it is that run."""
    most = min(n for n in (machine.capacity_bytes, machine.limit_bytes) if n is not None)
    return free if free.peak_reserved_bytes <= most else run(timeline, answers, machine, end)


def least_process_bytes(timeline: Timeline, answers: Answers, room: Room, prediction: Prediction) -> int:
    """Return the least that a process gets through with; where there is more memory it takes more.

    To the allocator's 2 MiB, at the likely end. Only for a training that does not fit.
    """
    machine = room.machine(End.LIKELY)

    def through(capacity: int) -> bool:
        return run(timeline, answers, replace(machine, capacity_bytes=capacity)).fits

    least = least_capacity(
        through,
        too_little=machine.capacity_bytes or 0,
        enough=prediction.shown.peak_reserved_bytes,
        step=ROUND_LARGE_BYTES,
    )
    return least + room.context.likely


def fits(timeline: Timeline, answers: Answers, room: Room) -> bool:
    """Whether *timeline* likely fits; what is not known counts at its high end."""
    return run(timeline, answers, room.machine(End.LIKELY)).fits


def surely_fits(timeline: Timeline, answers: Answers, room: Room) -> bool:
    """Whether the verdict on *timeline* is FITS, in fewer runs than `predict` takes."""
    tightest = run(timeline, answers, room.machine(End.HIGH), End.HIGH)
    if not tightest.fits:
        return False
    if _is_exact(timeline, answers) and not tightest.retries:
        return True  # where there is more room, nothing goes another way
    return all(run(timeline, answers, room.machine(end), end).fits for end in (End.LIKELY, End.LOW))


def _unanswered(timeline: Timeline, answers: Answers) -> tuple[str, ...]:
    """Return the reasons for which there is no answer, each once."""
    found = [answers[ask] for ask in timeline.asked]
    return tuple(dict.fromkeys(answer.reason for answer in found if isinstance(answer, NoAnswer)))


def _is_exact(timeline: Timeline, answers: Answers) -> bool:
    """Whether every size is known, so that the ends are one; which plan cudnn.benchmark takes never is."""
    asked = [(ask.settings.benchmark, answers[ask]) for ask in timeline.asked]
    exact = not any(benchmark or answer.low_bytes != answer.high_bytes for benchmark, answer in asked)
    return exact and all(need.low_bytes == need.high_bytes for need in timeline.needs)


def _estimate(ends: list[int], *, answered: bool) -> Estimate:
    """Return what runs at the three ends gave; where nobody could be asked, none is likely."""
    return Estimate(min(ends), ends[1] if answered else None, max(ends))
