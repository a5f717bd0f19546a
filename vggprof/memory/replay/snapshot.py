"""Recorded snapshots of torch's allocator as values.

The dictionary that ``torch.cuda.memory._snapshot()`` returns: torch/cuda/memory.py describes it,
``THCPModule_memorySnapshot`` in torch/csrc/cuda/Module.cpp builds it.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from vggprof.errors import FileFormatError, UsageError, did_you_mean
from vggprof.memory.allocator import (
    AllocatorConfig,
    BlockInfo,
    BlockState,
    Segment,
    parse_allocator_config,
)
from vggprof.memory.replay.unpickle import load_plain

DEFAULT_POOL = (0, 0)  # blocks outside it belong to CUDA graphs or torch.cuda.MemPool


class Action(Enum):
    """What one entry of a trace says; ``TraceEntry::Action`` in c10/core/CachingDeviceAllocator.h."""

    ALLOC = "alloc"
    FREE_REQUESTED = "free_requested"
    FREE_COMPLETED = "free_completed"
    SEGMENT_ALLOC = "segment_alloc"
    SEGMENT_FREE = "segment_free"
    SEGMENT_MAP = "segment_map"
    SEGMENT_UNMAP = "segment_unmap"
    OOM = "oom"
    SNAPSHOT = "snapshot"
    ANNOTATE = "annotate"  # metadata put on an allocation afterwards; in torch 2.15
    USER_DEFINED = "user_defined"  # names of code ranges; in torch 2.6


_ACTIONS = {action.value: action for action in Action}
_STATES = {state.value: state for state in BlockState} | {"active_awaiting_free": BlockState.AWAITING_FREE}


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One entry of a trace."""

    action: Action
    address: int  # of the block or segment; for OOM the bytes the device had free
    size_bytes: int  # as requested for blocks; for OOM rounded
    stream: int


@dataclass(frozen=True, slots=True)
class DeviceTrace:
    """What was recorded of one device: the trace, and the segments at its end."""

    device: int
    events: tuple[TraceEvent, ...]
    segments: tuple[Segment, ...]
    config: AllocatorConfig | None  # the settings it ran under; None where the file does not tell
    begins_empty: bool = False  # recorded from the first allocation on; the end need not be known then


def read_snapshot(path: Path) -> tuple[DeviceTrace, ...]:
    """Return what the pickled snapshot at *path* tells, a value for each device that did anything.

    No code from the file ever runs. Raises FileFormatError, in one line, for a file that is no such snapshot.
    """
    return snapshot_of(load_plain(path), str(path))


def snapshot_of(data: object, name: str) -> tuple[DeviceTrace, ...]:
    """Return the devices of a snapshot dictionary; *name* begins what FileFormatError says."""
    top = _dictionary(data, f"{name}: the snapshot")
    traces = _list(top, "device_traces", name)
    segments = [
        _segment(item, f"{name}: segments[{at}]") for at, item in enumerate(_list(top, "segments", name))
    ]
    config = _config(top, name)
    devices = []
    for device in sorted({*range(len(traces)), *(owner for owner, _ in segments)}):
        where = f"{name}: device_traces[{device}]"
        entries = traces[device] if device < len(traces) else []
        if not isinstance(entries, list):
            raise FileFormatError(f"{where} must be a list")
        events = tuple(_event(entry, where, at) for at, entry in enumerate(entries))
        mine = tuple(sorted((s for owner, s in segments if owner == device), key=lambda s: s.address))
        if events or mine:
            devices.append(DeviceTrace(device, events, mine, config))
    if not devices:
        raise FileFormatError(
            f"{name}: holds no segments and no trace; record with _record_memory_history first"
        )
    return tuple(devices)


def _event(entry: object, trace: str, at: int) -> TraceEvent:
    where = f"{trace}[{at}]"
    if not isinstance(entry, dict):
        raise FileFormatError(f"{where} must be a dictionary")
    word = entry.get("action")
    action = _ACTIONS.get(word) if isinstance(word, str) else None
    if action is None:
        near = did_you_mean(word, tuple(_ACTIONS)) if isinstance(word, str) else ""
        raise FileFormatError(f"{where}: unknown action {word!r:.40}{near}")
    if entry.get("pool_id", DEFAULT_POOL) not in (DEFAULT_POOL, [0, 0]):
        raise FileFormatError(f"{where}: memory pools of CUDA graphs and MemPool are not modelled")
    if action is Action.ALLOC and entry.get("size") == 0:
        raise FileFormatError(f"{where}: an allocation of 0 bytes never reaches the allocator")
    return TraceEvent(
        action=action,
        address=_whole(
            entry, "device_free" if action is Action.OOM and "addr" not in entry else "addr", where
        ),
        size_bytes=_whole(entry, "size", where),
        stream=_whole(entry, "stream", where),
    )


def _segment(item: object, where: str) -> tuple[int, Segment]:
    segment = _dictionary(item, where)
    if segment.get("segment_pool_id", DEFAULT_POOL) not in (DEFAULT_POOL, [0, 0]):
        raise FileFormatError(f"{where}: memory pools of CUDA graphs and MemPool are not modelled")
    kind = segment.get("segment_type")
    if kind not in ("small", "large"):
        raise FileFormatError(f"{where}: segment_type must be 'small' or 'large', not {kind!r:.40}")
    address, size = _whole(segment, "address", where), _whole(segment, "total_size", where)
    blocks = _blocks(_list(segment, "blocks", where), address, where)
    if sum(block.size_bytes for block in blocks) != size:
        raise FileFormatError(f"{where}: its blocks do not add up to total_size")
    return _whole(segment, "device", where), Segment(
        address=address,
        size_bytes=size,
        stream=_whole(segment, "stream", where),
        is_small=kind == "small",
        is_expandable=segment.get("is_expandable") is True,
        blocks=blocks,
    )


def _blocks(items: list[Any], address: int, where: str) -> tuple[BlockInfo, ...]:
    blocks = []
    for at, item in enumerate(items):
        place = f"{where}.blocks[{at}]"
        block = _dictionary(item, place)
        state = _STATES.get(str(block.get("state")))
        if state is None:
            raise FileFormatError(f"{place}: unknown state {block.get('state')!r:.40}")
        size = _whole(block, "size", place)
        if size == 0 or block.get("address", address) != address:
            raise FileFormatError(f"{place}: the blocks of a segment must follow one another")
        blocks.append(BlockInfo(address, size, _whole(block, "requested_size", place), state))
        address += size
    return tuple(blocks)


def _config(top: dict[str, Any], name: str) -> AllocatorConfig | None:
    """Return the settings in ``allocator_settings``, which holds what was set as text."""
    settings = top.get("allocator_settings")
    text = settings.get("PYTORCH_CUDA_ALLOC_CONF") if isinstance(settings, dict) else None
    if not isinstance(text, str):
        return None
    try:
        return parse_allocator_config(text, source=f"{name}: allocator_settings")
    except UsageError as error:
        raise FileFormatError(str(error)) from None


def _dictionary(item: object, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise FileFormatError(f"{where} must be a dictionary, not {type(item).__name__}")
    return item


def _list(item: dict[str, Any], key: str, where: str) -> list[Any]:
    value = item.get(key)
    if not isinstance(value, list):
        raise FileFormatError(f"{where}: {key} must be a list" if key in item else f"{where}: has no {key}")
    return value


def _whole(item: dict[str, Any], key: str, where: str) -> int:
    """Return a whole number of up to 64 bits; older files lack a block's requested size and a device."""
    value = item.get(key, 0 if key in ("requested_size", "device", "stream") else None)
    if type(value) is not int or not 0 <= value < 2**64:
        raise FileFormatError(f"{where}: {key} must be a whole number, not {value!r:.40}")
    return value
