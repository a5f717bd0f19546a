"""torch's CUDA caching allocator on plain numbers.

``DeviceCachingAllocator`` of c10/cuda/CUDACachingAllocator.cpp as of torch 2.11 to 2.15, for the default
pools of one device. Not modelled: memory pools of CUDA graphs and ``torch.cuda.MemPool``, callbacks that free
memory, and the ``cudaMallocAsync`` backend.
"""

from collections.abc import Mapping

from vggprof.memory.allocator.blocks import Block, Pool
from vggprof.memory.allocator.config import AllocatorConfig
from vggprof.memory.allocator.driver import Driver, SimulatedDevice
from vggprof.memory.allocator.expandable import expand
from vggprof.memory.allocator.heap import Heap, Listener
from vggprof.memory.allocator.layout import Segment, restore, segments_of
from vggprof.memory.allocator.outcome import OutOfMemory, Refusal
from vggprof.memory.allocator.recalled import place, reorder, ties
from vggprof.memory.allocator.release import collect_garbage, release_cached, release_oversize
from vggprof.memory.allocator.rules import BLOCK_BYTES, EXABYTE, SMALL_BYTES
from vggprof.memory.allocator.stats import Stats

_LAST = BLOCK_BYTES - 1


class Allocator:
    """The caching allocator of one device.

    *capacity_bytes* is what the device has left for this allocator (None: without end); *total_bytes* the
    size of the device as cudaMemGetInfo tells it, which memory fraction, address space and the message depend
    on. *limit_bytes* is what torch.cuda.set_per_process_memory_fraction allows; by default the one that
    *config* sets. *driver* stands for the device instead of a simulated one, *listener* hears of every
    segment.
    """

    __slots__ = ("_heap", "_plain", "_rounded", "counters")

    def __init__(  # noqa: PLR0913 - a device has that many sides
        self,
        config: AllocatorConfig | None = None,
        capacity_bytes: int | None = None,
        *,
        total_bytes: int | None = None,
        limit_bytes: int | None = None,
        driver: Driver | None = None,
        listener: Listener | None = None,
    ) -> None:
        config = AllocatorConfig() if config is None else config
        self._heap = Heap(
            config,
            SimulatedDevice(capacity_bytes) if driver is None else driver,
            total_bytes=total_bytes,
            limit_bytes=config.limit_bytes(total_bytes) if limit_bytes is None else limit_bytes,
            listener=listener,
        )
        self.counters = self._heap.counters  # to be read, where stats would take too long
        self._rounded: dict[int, int] = {}
        self._plain = not any(config.roundup_divisions)

    @property
    def config(self) -> AllocatorConfig:
        """The settings it runs under."""
        return self._heap.config

    @property
    def stats(self) -> Stats:
        """The counts so far."""
        return self._heap.counters.stats()

    @property
    def reserved_bytes(self) -> int:
        """Bytes of segments now."""
        return self.counters.reserved

    @property
    def allocated_bytes(self) -> int:
        """Bytes of live blocks now."""
        return self.counters.allocated

    def segments(self) -> tuple[Segment, ...]:
        """Return every segment with its blocks, by address."""
        return segments_of(self._heap)

    def restore(self, segments: tuple[Segment, ...]) -> dict[int, Block]:
        """Take up the state that ``segments()`` of another one returned; give its busy blocks by address.

        Only for an allocator that has not been used. The driver is not asked for the segments, it adopts
        them.
        """
        return restore(self._heap, segments)

    def reset_peaks(self) -> None:
        """Let the peaks begin anew at what is held now, like torch.cuda.reset_peak_memory_stats."""
        self._heap.counters.reset_peaks()

    def empty_cache(self) -> None:
        """Give everything cached back to the device, like torch.cuda.empty_cache."""
        release_cached(self._heap)

    def malloc(self, size: int, stream: int = 0) -> Block | OutOfMemory:
        """Allocate *size* bytes (at least 1: torch does not ask the allocator for none) for *stream*."""
        if size < 1:
            raise ValueError(f"an allocation of {size} bytes never reaches the allocator")
        heap = self._heap
        rounded = (size + _LAST) & -BLOCK_BYTES if self._plain else self._round(size)
        pool = heap.small if rounded <= SMALL_BYTES else heap.large
        block = heap.search(pool, rounded, stream)
        if block is None:
            grown = self._grow(pool, size, rounded, stream)
            if isinstance(grown, OutOfMemory):
                return grown
            block = grown
        return heap.hand_out(block, size, rounded)

    def fits_cached(self, size: int, stream: int = 0) -> bool:
        """Whether a free block would serve *size* bytes without asking the device; changes nothing."""
        return bool(self.ties(size, stream))

    def ties(self, size: int, stream: int = 0) -> list[Block]:
        """Return the equally fitting cached blocks for *size* bytes, the one that would be taken first."""
        rounded = self._heap.config.block_bytes(size)
        return ties(self._heap, self._heap.pool_of(rounded), rounded, stream)

    def reorder(self, orders: Mapping[int, int]) -> None:
        """Change how old segments are: *orders* maps their blocks' ``order`` to a new one; less is older."""
        reorder(self._heap, orders)

    def malloc_at(self, address: int, size: int, stream: int = 0) -> Block | None:
        """Allocate at *address* whatever the rules say; None where no cached block has room there."""
        heap = self._heap
        rounded = heap.config.block_bytes(size)
        block = place(heap, heap.pool_of(rounded), rounded, stream, address)
        return None if block is None else heap.hand_out(block, size, rounded)

    def free(self, block: Block) -> None:
        """Free a block that only its own stream has used."""
        self.request_free(block)
        self._heap.give_back(block)

    def request_free(self, block: Block) -> None:
        """Free a block that other streams still use (record_stream); it is active until they are done."""
        if not block.allocated:
            raise ValueError(f"{block!r} is not allocated")
        block.allocated = False
        self._heap.counters.allocated -= block.size

    def complete_free(self, block: Block) -> None:
        """Make a block reusable whose free was requested before."""
        if block.allocated or not block.busy:
            raise ValueError(f"{block!r} does not wait to be freed")
        self._heap.give_back(block)

    def _round(self, size: int) -> int:
        """Return the block for *size* bytes where roundup_power2_divisions is set."""
        rounded = self._rounded.get(size)
        if rounded is None:
            rounded = self._rounded[size] = self._heap.config.block_bytes(size)
        return rounded

    def _grow(self, pool: Pool, size: int, rounded: int, stream: int) -> Block | OutOfMemory:
        """Get memory from the device, giving back as much of the cache as it takes; the retries of malloc."""
        heap = self._heap
        if size >= EXABYTE:
            return self._out_of_memory(size, rounded, Refusal.TOO_LARGE)
        if heap.collects:
            collect_garbage(heap)
        block = self._ask(pool, rounded, stream)
        if block is None and self._rejects(rounded):
            heap.counters.rejections += 1
            return self._out_of_memory(size, rounded, Refusal.REJECTED)
        if block is None and release_oversize(heap, pool, rounded, stream):
            block = self._ask(pool, rounded, stream)
        if block is None:
            release_cached(heap)
            heap.counters.retries += 1
            block = self._ask(pool, rounded, stream)
        if block is None:
            heap.counters.ooms += 1
            return self._out_of_memory(size, rounded, Refusal.DEVICE)
        return block

    def _ask(self, pool: Pool, rounded: int, stream: int) -> Block | None:
        """``alloc_block``: ask the device, within the limit."""
        heap, segment = self._heap, self._heap.config.segment_bytes(rounded)
        if heap.limit_bytes is not None and heap.counters.reserved + segment > heap.limit_bytes:
            return None
        if self._rejects(rounded):
            return None
        if heap.expandable:
            return expand(heap, pool, stream, rounded)
        return heap.add_segment(pool, stream, segment)

    def _rejects(self, rounded: int) -> bool:
        """Whether throw_on_cudamalloc_oom refuses a segment for *rounded* bytes, limit or not."""
        config, total = self._heap.config, self._heap.total_bytes
        if not config.throw_on_cudamalloc_oom or total is None:
            return False
        needed = self._heap.counters.reserved + config.segment_bytes(rounded)
        within = self._heap.limit_bytes is None or needed <= self._heap.limit_bytes
        return within and needed > int(config.memory_fraction * total)

    def _out_of_memory(self, size: int, rounded: int, refusal: Refusal) -> OutOfMemory:
        heap = self._heap
        return OutOfMemory(
            requested_bytes=size,
            rounded_bytes=rounded,
            segment_bytes=heap.config.segment_bytes(rounded),
            allocated_bytes=heap.counters.allocated,
            reserved_bytes=heap.counters.reserved,
            limit_bytes=heap.limit_bytes,
            total_bytes=heap.total_bytes,
            refusal=refusal,
            config=heap.config,
        )
