"""What a training takes on one GPU, whether it fits, and where it fails if it does not."""

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from vggprof.devices import Device, Range
from vggprof.memory.allocator import AllocatorConfig, oom_message
from vggprof.memory.allocator.rules import BLOCK_BYTES, round_up
from vggprof.memory.run import Answers, End, Failure, Machine, MarkPoint, Place, Top, at_peak, run
from vggprof.memory.timeline import Ask, Timeline
from vggprof.memory.workspaces.actions import Workspace
from vggprof.memory.workspaces.plans import Answer, NoAnswer, Workspaces
from vggprof.trace import Kind

# Names of what is at the peak besides the kinds of storages.
WORKSPACES = "workspaces"
SLACK = "slack"


class Status(StrEnum):
    """Whether a training fits on a GPU."""

    FITS = "FITS"  # at the high end of what it can take
    TIGHT = "TIGHT"  # at the low end, but not at the high one
    OOM = "OOM"  # not even at the low end


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
class WorkspaceRow:
    """What cuDNN takes for one pass of one layer, for the time of the call."""

    layer: str | None
    which: str  # "forward", "dgrad" or "wgrad"
    nbytes: int | None  # None where nobody could be asked
    low_bytes: int
    high_bytes: int
    source: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a training takes on one GPU and how that ends."""

    device: Device
    status: Status
    peak_allocated: Estimate
    peak_reserved: Estimate
    context: Range
    usable_bytes: int
    peak: Place
    breakdown_bytes: dict[str, int]  # at the peak of what is allocated, by kind; they sum to it
    layer_bytes: dict[str | None, int]  # the same by layer
    fragmentation_bytes: int  # reserved but not allocated, at that peak
    marks: tuple[MarkPoint, ...]
    workspaces: tuple[WorkspaceRow, ...]
    retries: int
    failure: Failure | None

    @property
    def process(self) -> Estimate:
        """The whole process: what is reserved, and the context."""
        reserved, context = self.peak_reserved, self.context
        likely = None if reserved.likely is None else reserved.likely + context.likely
        return Estimate(reserved.low + context.low, likely, reserved.high + context.high)

    @property
    def spare_bytes(self) -> int:
        """Bytes that stay free (at the high end if no other is known); negative where they miss."""
        likely = self.process.likely
        return self.usable_bytes - (self.process.high if likely is None else likely)

    @property
    def oom_message(self) -> str | None:
        """The text of PyTorch's error with ``?`` for what cannot be known; None where it does not fail."""
        return None if self.failure is None else oom_message(self.failure.oom)


def predict(timeline: Timeline, answers: Answers, room: Room) -> Prediction:
    """Run *timeline* with cuDNN's *answers* on the GPU of *room*, at both ends of what is not known."""
    runs = [run(timeline, answers, room.machine(end), end) for end in End]
    low, high = runs[0], runs[2]
    status = Status.FITS if high.fits else Status.TIGHT if low.fits else Status.OOM
    if not high.fits:
        runs = [run(timeline, answers, room.endless, end) for end in End]
    machine = room.machine(End.LIKELY) if high.fits else room.endless
    needed, top = runs[1], at_peak(timeline, answers, machine, runs[1])
    return Prediction(
        device=room.device,
        status=status,
        peak_allocated=_estimate(timeline, answers, [r.peak_allocated_bytes for r in runs]),
        peak_reserved=_estimate(timeline, answers, [r.peak_reserved_bytes for r in runs]),
        context=room.context,
        usable_bytes=room.usable.likely,
        peak=needed.peak,
        breakdown_bytes=_by_kind(timeline, top),
        layer_bytes=_by_layer(timeline, top),
        fragmentation_bytes=top.reserved_bytes - needed.peak_allocated_bytes,
        marks=needed.marks,
        workspaces=_workspaces(timeline, answers),
        retries=needed.retries,
        failure=low.failure if status is Status.OOM else None,
    )


def fits(timeline: Timeline, answers: Answers, room: Room) -> bool:
    """Whether *timeline* likely fits; what is not known counts at its high end."""
    return run(timeline, answers, room.machine(End.LIKELY)).fits


def _estimate(timeline: Timeline, answers: Answers, ends: list[int]) -> Estimate:
    """Return what runs at the three ends gave; nothing is likely where somebody's answer is missing."""
    known = not any(isinstance(answers[ask], NoAnswer) for ask in timeline.asked)
    known = known and all(need.low_bytes == need.high_bytes for need in timeline.needs)
    return Estimate(min(ends), ends[1] if known else None, max(ends))


def _by_kind(timeline: Timeline, top: Top) -> dict[str, int]:
    """Divide the peak among kinds of storages, workspaces, and what blocks have beyond 512-byte rounding."""
    sums = dict.fromkeys([*(kind.value for kind in Kind), WORKSPACES, SLACK], 0)
    for held in top.held:
        kind = None if held.need is None else timeline.needs[held.need].kind
        rounded = round_up(held.requested_bytes, BLOCK_BYTES)
        sums[WORKSPACES if kind is None else kind.value] += rounded
        sums[SLACK] += held.block_bytes - rounded
    return sums


def _by_layer(timeline: Timeline, top: Top) -> dict[str | None, int]:
    """Divide the peak among layers; None is what belongs to none."""
    layers, operators = timeline.trace.layers, timeline.trace.operators
    sums: defaultdict[str | None, int] = defaultdict(int)
    for held in top.held:
        if held.need is not None:
            layer = timeline.needs[held.need].layer
        else:
            layer = None if held.operator is None else operators[held.operator].layer
        sums[None if layer is None else layers[layer].name] += held.block_bytes
    return dict(sums)


def _workspaces(timeline: Timeline, answers: Answers) -> tuple[WorkspaceRow, ...]:
    """List what each layer's passes take, once however many steps there are."""
    rows: dict[tuple[str | None, Workspace], WorkspaceRow] = {}
    for event in timeline.events:
        if isinstance(event, Ask):
            layer = timeline.trace.operators[event.operator].layer
            name = None if layer is None else timeline.trace.layers[layer].name
            rows.setdefault((name, event.workspace), _row(name, event.workspace, answers[event.workspace]))
    return tuple(rows.values())


def _row(layer: str | None, workspace: Workspace, answer: Workspaces) -> WorkspaceRow:
    which = workspace.query.operation.value
    match answer:
        case Answer(_, source, low, high):
            return WorkspaceRow(layer, which, answer.nbytes, low, high, source)
        case NoAnswer(reason, low, high):
            return WorkspaceRow(layer, which, None, low, high, reason)
        case _:
            assert_never(answer)
