"""One run of a timeline on one device: does it fit, what does it take, and where does it end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import TypeAlias, assert_never

from vggprof.memory.allocator import Allocator, AllocatorConfig, Block, BlockState, OutOfMemory, oom_message
from vggprof.memory.place import Place, place_of
from vggprof.memory.timeline import Allocate, Ask, Hold, Release, Timeline, TimelineEvent
from vggprof.memory.workspaces.actions import Workspace
from vggprof.memory.workspaces.benchmark import Search, search
from vggprof.memory.workspaces.plans import Answer, NoAnswer, Plan, Workspaces
from vggprof.trace import Mark, Phase

# More than any device has.
ENDLESS_BYTES = 2**60

Answers: TypeAlias = Mapping[Workspace, Workspaces]


class End(Enum):
    """Which end of what is not known is taken."""

    LOW = "low"
    LIKELY = "likely"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class MarkPoint:
    """What is held when a phase ends."""

    step: int | None
    phase: str  # name of the mark
    allocated_bytes: int
    reserved_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """The allocation that found no memory."""

    place: Place
    oom: OutOfMemory
    of_cudnn: Workspace | None = None  # every plan for which asked for more than there was

    @property
    def message(self) -> str:
        """What PyTorch raises; run_single_conv in ATen/native/cudnn/Conv_v8.cpp swallows lack of memory."""
        if self.of_cudnn is not None:
            way = "FIND" if self.of_cudnn.settings.benchmark else "GET"
            return f"{way} was unable to find an engine to execute this computation"
        return oom_message(self.oom)


@dataclass(frozen=True, slots=True)
class Held:
    """What is allocated at one moment for one purpose."""

    need: int | None  # index into Timeline.needs; None for cuDNN's workspace
    operator: int | None
    requested_bytes: int
    block_bytes: int


@dataclass(frozen=True, slots=True)
class Top:
    """What is held when most is allocated, the first time."""

    held: tuple[Held, ...]
    reserved_bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """What a device's allocator went through, up to the end or to the failure."""

    peak_allocated_bytes: int
    peak_reserved_bytes: int
    peak: Place  # of what is allocated
    peak_event: int
    requested: tuple[int, ...]  # bytes of every allocation asked for, in order, refused ones too
    marks: tuple[MarkPoint, ...]
    retries: int
    failure: Failure | None

    @property
    def fits(self) -> bool:
        """Whether every allocation got its memory."""
        return self.failure is None


@dataclass(frozen=True, slots=True)
class Machine:
    """What a run runs on: the allocator's settings and the bytes it can have (None: no end)."""

    config: AllocatorConfig
    capacity_bytes: int | None = None
    total_bytes: int | None = None
    limit_bytes: int | None = None


def run(timeline: Timeline, answers: Answers, machine: Machine, end: End = End.LIKELY) -> Run:
    """Replay *timeline* with cuDNN's *answers* on *machine*, up to the first allocation that fails."""
    replay = Replaying(timeline, answers, machine, end)
    failed = replay.replay(len(timeline.events))
    return Run(
        peak_allocated_bytes=replay.allocator.counters.allocated_peak,
        peak_reserved_bytes=replay.allocator.counters.reserved_peak,
        peak=place_of(timeline, replay.peak_event),
        peak_event=replay.peak_event,
        requested=tuple(replay.requested),
        marks=tuple(replay.marks),
        retries=replay.allocator.stats.alloc_retries,
        failure=failed,
    )


def at_peak(timeline: Timeline, answers: Answers, machine: Machine, ran: Run, end: End = End.LIKELY) -> Top:
    """Replay up to the peak of *ran*, a run of the same, and say what is held there."""
    replay = Replaying(timeline, answers, machine, end)
    replay.replay(ran.peak_event + 1, keep_last=True)
    return Top(tuple(replay.live.values()), replay.allocator.reserved_bytes)


class Replaying:
    """An allocator on its way through a timeline; *make* makes the allocator."""

    def __init__(
        self,
        timeline: Timeline,
        answers: Answers,
        machine: Machine,
        end: End,
        *,
        make: Callable[..., Allocator] = Allocator,
    ) -> None:
        self.allocator = make(
            machine.config,
            machine.capacity_bytes,
            total_bytes=machine.total_bytes,
            limit_bytes=machine.limit_bytes,
        )
        self.marks: list[MarkPoint] = []
        self.live: dict[object, Held] = {}
        self.requested: list[int] = []
        self.peak_event = 0
        self._capacity_bytes = machine.capacity_bytes
        self._timeline = timeline
        self._answers = answers
        self._end = end
        self._blocks: dict[object, Block] = {}
        self._ran: dict[tuple[Workspace, bool], Plan] = {}  # cuDNN's plan cache, one a thread

    def replay(
        self, count: int, *, keep_last: bool = False, watch: Callable[[int], None] | None = None
    ) -> Failure | None:
        """Replay the first *count* events; *keep_last* leaves the last one's workspace allocated.

        *watch* hears the number of each event when it has been carried out or has failed.
        """
        peak, last = 0, count - 1 if keep_last else -1
        for number, event in enumerate(islice(self._timeline.events, count)):
            refused = self._event(event, keep=number == last)
            if watch is not None:
                watch(number)
            if refused is not None:
                asked = event.workspace if isinstance(event, Ask) else None
                of_cudnn = asked if asked and isinstance(self._answers[asked], Answer) else None
                return Failure(place_of(self._timeline, number), refused, of_cudnn)
            if self.allocator.counters.allocated_peak > peak:
                peak, self.peak_event = self.allocator.counters.allocated_peak, number
        return None

    def _event(self, event: TimelineEvent, *, keep: bool) -> OutOfMemory | None:
        match event:
            case Allocate(need):
                return self._allocate(need, need)
            case Release(need):
                self._free(need)
            case Hold(need, key):
                return None if key in self._blocks else self._allocate(need, key)
            case Ask(workspace, operator):
                return self._workspace(workspace, operator, keep=keep)
            case Mark(step, phase):
                allocated, reserved = self.allocator.allocated_bytes, self.allocator.reserved_bytes
                self.marks.append(MarkPoint(step, phase.mark, allocated, reserved))
            case _:
                assert_never(event)
        return None

    def _allocate(self, need: int, key: object) -> OutOfMemory | None:
        wanted = self._timeline.needs[need]
        nbytes = self._between(wanted.low_bytes, wanted.high_bytes)
        if nbytes == 0:
            return None
        block = self._malloc(nbytes)
        if isinstance(block, OutOfMemory):
            return block
        self._blocks[key] = block
        self.live[key] = Held(need, wanted.operator, nbytes, block.size)
        return None

    def _malloc(self, nbytes: int) -> Block | OutOfMemory:
        self.requested.append(nbytes)
        return self.allocator.malloc(nbytes)

    def _free(self, key: object) -> None:
        block = self._blocks.pop(key, None)
        if block is not None:
            del self.live[key]
            self.allocator.free(block)

    def _workspace(self, workspace: Workspace, operator: int, *, keep: bool) -> OutOfMemory | None:
        """Try cuDNN's plans in torch's order: run_single_conv in ATen/native/cudnn/Conv_v8.cpp.

        A plan that ran before is tried first; one whose workspace cannot be allocated is passed over.
        """
        answer = self._answers[workspace]
        backward = self._timeline.trace.operators[operator].phase is Phase.BACKWARD
        if workspace.settings.benchmark and isinstance(answer, Answer):
            self._search(answer, workspace, (workspace, backward))
        refused: OutOfMemory | None = None
        for plan, nbytes in self._plans(answer, self._ran.get((workspace, backward))):
            block = self._malloc(nbytes) if nbytes else None
            if isinstance(block, OutOfMemory):
                refused = block
                continue
            if plan is not None:
                self._ran[workspace, backward] = plan
            if block is not None and keep:
                self.live[workspace] = Held(None, operator, nbytes, block.size)
            elif block is not None:
                self.allocator.free(block)
            return None
        return refused

    def _search(self, answer: Answer, workspace: Workspace, key: tuple[Workspace, bool]) -> None:
        """Take what cudnn.benchmark's search takes, the first time, and settle on a plan.

        Where the largest workspace cannot be had, torch halves it until it can (Conv_v8.cpp); then all that
        is cached goes back to the device.
        """
        if key in self._ran:
            return
        found = search(
            answer, workspace.settings, free_bytes=self._free_bytes(), block_bytes=self._largest_block()
        )
        size = found.held_bytes
        while size:
            block = self._malloc(size)
            if not isinstance(block, OutOfMemory):
                self.allocator.free(block)
                break
            size //= 2
            found = search(answer, workspace.settings, free_bytes=0, block_bytes=size)
        self.allocator.empty_cache()
        if found.timed:
            self._ran[key] = min(found.timed, key=self._rank(found))

    def _rank(self, found: Search) -> Callable[[Plan], int]:
        """Order the plans that compete: the end's own comes first."""
        match self._end:
            case End.LOW:
                return lambda plan: plan.workspace_bytes
            case End.LIKELY:
                return found.timed.index
            case End.HIGH:
                return lambda plan: -plan.workspace_bytes

    def _free_bytes(self) -> int:
        capacity = self._capacity_bytes
        return ENDLESS_BYTES if capacity is None else max(capacity - self.allocator.reserved_bytes, 0)

    def _largest_block(self) -> int:
        segments = self.allocator.segments()
        return max(
            (b.size_bytes for s in segments for b in s.blocks if b.state is BlockState.INACTIVE), default=0
        )

    def _plans(self, answer: Workspaces, ran: Plan | None) -> list[tuple[Plan | None, int]]:
        match answer:
            case NoAnswer(_, low, high):
                return [(None, self._between(low, high))]
            case Answer(plans, _, low, high) if low == high or ran is not None or self._end is End.LIKELY:
                first = [] if ran is None else [ran]
                return [(plan, plan.workspace_bytes) for plan in (*first, *plans)]
            case Answer(_, _, low, high):
                return [(None, self._between(low, high))]
            case _:
                assert_never(answer)

    def _between(self, low: int, high: int) -> int:
        """Return the bytes that count; what is not known has no likely size and counts at its high end."""
        return low if self._end is End.LOW else high
