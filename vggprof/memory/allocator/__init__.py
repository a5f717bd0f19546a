"""torch's CUDA caching allocator, simulated on plain values."""

from vggprof.memory.allocator.blocks import Block
from vggprof.memory.allocator.config import AllocatorConfig, Reserve
from vggprof.memory.allocator.driver import Driver, SimulatedDevice
from vggprof.memory.allocator.events import (
    Alloc,
    EmptyCache,
    Event,
    Free,
    FreeCompleted,
    FreeRequested,
    Mark,
    MarkPoint,
    Replay,
    replay,
    replay_on,
)
from vggprof.memory.allocator.heap import Listener, SegmentAction
from vggprof.memory.allocator.layout import BlockInfo, BlockState, Segment
from vggprof.memory.allocator.outcome import OutOfMemory, Refusal, format_size, oom_message
from vggprof.memory.allocator.parsing import OPTIONS, allocator_config_from, parse_allocator_config
from vggprof.memory.allocator.rules import Tie
from vggprof.memory.allocator.simulator import Allocator
from vggprof.memory.allocator.stats import Stats
from vggprof.memory.allocator.writing import allocator_config_text

__all__ = [
    "OPTIONS",
    "Alloc",
    "Allocator",
    "AllocatorConfig",
    "Block",
    "BlockInfo",
    "BlockState",
    "Driver",
    "EmptyCache",
    "Event",
    "Free",
    "FreeCompleted",
    "FreeRequested",
    "Listener",
    "Mark",
    "MarkPoint",
    "OutOfMemory",
    "Refusal",
    "Replay",
    "Reserve",
    "Segment",
    "SegmentAction",
    "SimulatedDevice",
    "Stats",
    "Tie",
    "allocator_config_from",
    "allocator_config_text",
    "format_size",
    "oom_message",
    "parse_allocator_config",
    "replay",
    "replay_on",
]
