"""A recorded trace replayed through the simulator, and how far the two agree."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from vggprof.memory.allocator import (
    Allocator,
    AllocatorConfig,
    Block,
    MarkPoint,
    OutOfMemory,
    Segment,
    Stats,
    Tie,
)
from vggprof.memory.allocator.events import mark_point
from vggprof.memory.replay.ages import Ages
from vggprof.memory.replay.recorded_device import RecordedDevice
from vggprof.memory.replay.snapshot import Action, DeviceTrace, TraceEvent
from vggprof.memory.replay.start import starting_segments

# One torch release for each rule of ties: what to try where a file does not tell its release.
RELEASES = ((2, 15), (2, 11), (2, 12))


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The first event at which simulator and recording part."""

    event: int  # index in the trace
    what: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """How much of a recorded trace the simulator gives again."""

    allocations: int
    addresses_matched: int
    segments_recorded: int  # cudaMalloc'ed segments and mapped pages that came during the trace
    segments_matched: int
    releases_recorded: int  # the same that went
    releases_matched: int
    ooms_recorded: int
    ooms_matched: int
    # Whether every block at the end is where it was; None where the file does not tell.
    layout_matched: bool | None
    disagreement: Disagreement | None
    config: AllocatorConfig  # settings and rules it was replayed under
    stats: Stats
    marks: tuple[MarkPoint, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing differs."""
        return self.disagreement is None and self.layout_matched is not False

    @property
    def tie(self) -> Tie:
        """The rule of ties that it was replayed under."""
        return self.config.tie


def settings_of(trace: DeviceTrace) -> AllocatorConfig:
    """Return the settings a trace ran under: as it says, or torch's, expandable where its segments are."""
    if trace.config is not None:
        return trace.config
    maps = any(event.action is Action.SEGMENT_MAP for event in trace.events)
    return AllocatorConfig(
        expandable_segments=maps or any(segment.is_expandable for segment in trace.segments)
    )


def check_trace(
    trace: DeviceTrace,
    *,
    config: AllocatorConfig | None = None,
    torch: tuple[int, int] | None = None,
    total_bytes: int | None = None,
    marks: Sequence[tuple[str, int]] = (),
) -> Agreement:
    """Replay *trace* from the state it began in and compare every address and segment.

    *torch* is the release that recorded it; None tries each rule of ties and takes the one that agrees best.
    *marks* are names with the number of events before them. *total_bytes* is the size of the device, which
    matters only to expandable segments that nearly fill it. Raises FileFormatError for a trace that
    contradicts itself.
    """
    config = settings_of(trace) if config is None else config
    best: Agreement | None = None
    for release in RELEASES if torch is None else (torch,):
        found = _Check(trace, replace(config, torch=release), total_bytes, marks).run()
        if best is None or _score(found) > _score(best):
            best = found
        if found.complete:
            break
    assert best is not None
    return best


def _score(agreement: Agreement) -> tuple[bool, int, int]:
    return agreement.complete, agreement.addresses_matched, agreement.segments_matched


class _Check:
    """One replay of a trace under one rule of ties."""

    def __init__(
        self,
        trace: DeviceTrace,
        config: AllocatorConfig,
        total_bytes: int | None,
        marks: Sequence[tuple[str, int]],
    ) -> None:
        self.trace = trace
        self.config = config
        self.device = RecordedDevice(trace.events)
        self.allocator = Allocator(
            config, total_bytes=total_bytes, driver=self.device, listener=self.device.hear
        )
        start = starting_segments(trace, config)
        self.blocks: dict[int, Block] = self.allocator.restore(start)
        self.ages = Ages(self.allocator, set(range(1, len(start) + 1)))
        self.waiting: list[TraceEvent] = []  # segment events that the next allocation will explain
        self.matched = self.ooms = 0
        self.disagreement: Disagreement | None = None
        self.marks = sorted(marks, key=lambda mark: mark[1])
        self.points: list[MarkPoint] = []

    def run(self) -> Agreement:
        """Go through the trace."""
        for index, event in enumerate(self.trace.events):
            self._note_marks(index)
            try:
                self._step(index, event)
            except KeyError:  # two blocks at one address: only after the two have parted
                if self.disagreement is None:
                    raise
                break
        self._empty_cache(len(self.trace.events))
        self._note_marks(len(self.trace.events))
        return self._agreement()

    def _step(self, index: int, event: TraceEvent) -> None:
        match event.action:
            case Action.SEGMENT_ALLOC | Action.SEGMENT_FREE | Action.SEGMENT_MAP | Action.SEGMENT_UNMAP:
                self.waiting.append(event)
            case Action.ALLOC | Action.OOM:
                self._allocate(index, event)
            case Action.FREE_REQUESTED:
                self._empty_cache(index)
                self._free(index, event, completed=False)
            case Action.FREE_COMPLETED:
                self._free(index, event, completed=True)
            case Action.SNAPSHOT | Action.ANNOTATE | Action.USER_DEFINED:
                self._empty_cache(index)
            case _:
                assert_never(event.action)

    def _allocate(self, index: int, event: TraceEvent) -> None:
        """Allocate as recorded; a cache that is given back though it would do was emptied by hand."""
        releases = [e for e in self.waiting if e.action in (Action.SEGMENT_FREE, Action.SEGMENT_UNMAP)]
        needless = len(releases) == len(self.waiting) and event.action is Action.ALLOC
        if releases and (needless or self.allocator.fits_cached(event.size_bytes, event.stream)):
            rest = [e for e in self.waiting if e not in releases]
            self.waiting = releases
            self._empty_cache(index)
            self.waiting = rest
        if event.action is Action.ALLOC and not self.waiting:
            self.ages.learn(event.size_bytes, event.stream, event.address)
        self.device.begin(index, self.waiting, refuses=event.action is Action.OOM)
        self.waiting = []
        block = self.allocator.malloc(event.size_bytes, event.stream)
        self._settle(index)
        if isinstance(block, OutOfMemory):
            self.ooms += event.action is Action.OOM
            if event.action is not Action.OOM:
                self._differ(
                    index, f"{event.size_bytes} bytes were found at {event.address:#x}; here memory is out"
                )
        elif event.action is Action.OOM:
            self._differ(
                index, f"{event.size_bytes} bytes were not found; here they are at {block.address:#x}"
            )
            self.allocator.free(block)
        else:
            self._compare(index, event, block)

    def _compare(self, index: int, event: TraceEvent, block: Block) -> None:
        if block.address == event.address:
            self.matched += 1
        else:
            where = f"{event.address:#x}; here they are at {block.address:#x}"
            self._differ(index, f"{event.size_bytes} bytes were put at {where}")
            block = self._put_right(event, block)
        self.blocks[event.address] = block

    def _put_right(self, event: TraceEvent, block: Block) -> Block:
        """Move an allocation to where it was recorded: the next one is judged from the recorded state."""
        self.allocator.free(block)
        moved = self.allocator.malloc_at(event.address, event.size_bytes, event.stream)
        if moved is not None:
            return moved
        again = self.allocator.malloc(event.size_bytes, event.stream)
        assert isinstance(again, Block)
        return again

    def _free(self, index: int, event: TraceEvent, *, completed: bool) -> None:
        block = self.blocks.get(event.address)
        if block is None or (not block.allocated and not completed):
            self._differ(index, f"{event.action.value} of {event.address:#x}, where nothing is allocated")
            return
        if block.allocated:
            self.allocator.request_free(block)
        if completed:
            self.allocator.complete_free(block)
            del self.blocks[event.address]

    def _empty_cache(self, index: int) -> None:
        """Explain segments that went without an allocation: torch.cuda.empty_cache."""
        if self.waiting:
            self.device.begin(index, self.waiting, refuses=False)
            self.waiting = []
            self.allocator.empty_cache()
            self._settle(index)

    def _settle(self, index: int) -> None:
        """Compare what happened to segments with what was planned."""
        for event in self.device.leftovers():
            self._differ(
                index, f"{event.action.value} of {event.size_bytes} bytes is recorded, but not needed here"
            )
        for what in self.device.astray:
            self._differ(index, what)
        self.device.astray.clear()

    def _differ(self, index: int, what: str) -> None:
        if self.disagreement is None:
            self.disagreement = Disagreement(index, what)

    def _note_marks(self, index: int) -> None:
        while self.marks and self.marks[0][1] <= index:
            name, _ = self.marks.pop(0)
            self.points.append(mark_point(self.allocator.counters, name, index))

    def _agreement(self) -> Agreement:
        count = dict.fromkeys(Action, 0)
        for event in self.trace.events:
            count[event.action] += 1
        return Agreement(
            allocations=count[Action.ALLOC],
            addresses_matched=self.matched,
            segments_recorded=count[Action.SEGMENT_ALLOC] + count[Action.SEGMENT_MAP],
            segments_matched=self.device.grown,
            releases_recorded=count[Action.SEGMENT_FREE] + count[Action.SEGMENT_UNMAP],
            releases_matched=self.device.released,
            ooms_recorded=count[Action.OOM],
            ooms_matched=self.ooms,
            layout_matched=self._layout_matches() if self.trace.segments else None,
            disagreement=self.disagreement,
            config=self.config,
            stats=self.allocator.stats,
            marks=tuple(self.points),
        )

    def _layout_matches(self) -> bool:
        return _outline(self.allocator.segments()) == _outline(self.trace.segments)


def _outline(segments: Sequence[Segment]) -> list[tuple[object, ...]]:
    """Return where every block begins and who has it."""
    return [
        (segment.address, segment.stream, block.address, block.size_bytes, block.state)
        for segment in segments
        for block in segment.blocks
    ]
