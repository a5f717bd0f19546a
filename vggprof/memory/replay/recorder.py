"""An allocator that writes down what torch's would record."""

from dataclasses import dataclass

from vggprof.memory.allocator import Allocator, AllocatorConfig, Block, OutOfMemory, SegmentAction
from vggprof.memory.replay.snapshot import Action, DeviceTrace, TraceEvent


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a trace, and the bytes it is about: of the block or the segment; 0 where memory is out."""

    event: TraceEvent
    nbytes: int


class Recorder(Allocator):
    """An allocator with the trace of what it did."""

    __slots__ = ("entries",)

    def __init__(
        self,
        config: AllocatorConfig | None = None,
        capacity_bytes: int | None = None,
        *,
        total_bytes: int | None = None,
        limit_bytes: int | None = None,
    ) -> None:
        self.entries: list[Entry] = []
        super().__init__(
            config,
            capacity_bytes,
            total_bytes=total_bytes,
            limit_bytes=limit_bytes,
            listener=self._hear,
        )

    def malloc(self, size: int, stream: int = 0) -> Block | OutOfMemory:
        """Allocate as ``Allocator.malloc`` does; memory that is out is an entry too."""
        block = super().malloc(size, stream)
        if isinstance(block, OutOfMemory):
            self.entries.append(Entry(TraceEvent(Action.OOM, 0, block.rounded_bytes, stream), 0))
        else:
            self._write(Action.ALLOC, block)
        return block

    def free(self, block: Block) -> None:
        """Free a block: two entries, as torch writes them."""
        self.request_free(block)
        self.complete_free(block)

    def request_free(self, block: Block) -> None:
        """Free a block that other streams still use."""
        super().request_free(block)
        self._write(Action.FREE_REQUESTED, block)

    def complete_free(self, block: Block) -> None:
        """Make a block reusable; it is written down before it merges with its neighbours."""
        if block.busy and not block.allocated:
            self._write(Action.FREE_COMPLETED, block)
        super().complete_free(block)

    def trace(self) -> DeviceTrace:
        """Return everything so far as the trace of device 0, with its segments as they are now."""
        events = tuple(entry.event for entry in self.entries)
        return DeviceTrace(0, events, self.segments(), self.config, begins_empty=True)

    def _write(self, action: Action, block: Block) -> None:
        event = TraceEvent(action, block.address, block.requested, block.stream)
        self.entries.append(Entry(event, block.size))

    def _hear(self, action: SegmentAction, address: int, size: int, stream: int) -> None:
        self.entries.append(Entry(TraceEvent(Action(action.value), address, size, stream), size))
