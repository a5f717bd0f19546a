"""Predicted traces: what torch's allocator would record, as a value and in the form of torch's snapshots."""

import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vggprof.memory.allocator import (
    AllocatorConfig,
    BlockInfo,
    BlockState,
    Event,
    Replay,
    Segment,
    allocator_config_text,
    replay_on,
)
from vggprof.memory.replay.recorder import Recorder
from vggprof.memory.replay.snapshot import Action, DeviceTrace, TraceEvent

_GROWTH = (Action.SEGMENT_ALLOC, Action.SEGMENT_MAP)


@dataclass(frozen=True, slots=True)
class Frame:
    """A line of a call stack, as torch's tools show it."""

    name: str
    filename: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class PredictedTrace:
    """The trace of a replayed program."""

    trace: DeviceTrace
    sources: tuple[int, ...]  # for each entry of the trace the index of the event that it comes from
    replay: Replay


def predict_trace(
    events: Iterable[Event],
    config: AllocatorConfig | None = None,
    capacity_bytes: int | None = None,
    *,
    total_bytes: int | None = None,
    limit_bytes: int | None = None,
) -> PredictedTrace:
    """Replay *events* and write down what torch would; the last entry is the OOM where memory runs out.

    Raises ValueError for events that cannot be, as ``replay`` does.
    """
    recorder = Recorder(config, capacity_bytes, total_bytes=total_bytes, limit_bytes=limit_bytes)
    sources: list[int] = []
    done = replay_on(recorder, _counted(events, recorder, sources), {})
    if done.oom_event is not None:
        sources += [done.oom_event] * (len(recorder.entries) - len(sources))
    return PredictedTrace(recorder.trace(), tuple(sources), done)


def _counted(events: Iterable[Event], recorder: Recorder, sources: list[int]) -> Iterator[Event]:
    """Hand on *events*, and note for each entry that one of them brought which one it was."""
    for index, event in enumerate(events):
        yield event
        sources += [index] * (len(recorder.entries) - len(sources))


def write_snapshot(path: Path, trace: DeviceTrace, frames: Sequence[Sequence[Frame]] = ()) -> None:
    """Write *trace* to *path* as torch.cuda.memory._dump_snapshot writes one; see ``snapshot_dictionary``."""
    path.write_bytes(snapshot_bytes(trace, frames))


def snapshot_bytes(trace: DeviceTrace, frames: Sequence[Sequence[Frame]] = ()) -> bytes:
    """Return the bytes of the file that ``write_snapshot`` writes."""
    return pickle.dumps(snapshot_dictionary(trace, frames), protocol=4)


def snapshot_dictionary(trace: DeviceTrace, frames: Sequence[Sequence[Frame]] = ()) -> dict[str, Any]:
    """Return *trace* in the form of torch.cuda.memory._snapshot(), which torch's own tools read.

    *frames* holds a call stack for each entry of the trace, or nothing. Times are the entries' numbers.
    """
    stacks: list[list[dict[str, Any]]] = [[_frame(frame) for frame in stack] for stack in frames]
    stacks += [[] for _ in range(len(trace.events) - len(stacks))]
    blocks: dict[int, list[dict[str, Any]]] = {}
    segments: dict[int, list[dict[str, Any]]] = {}
    for event, stack in zip(trace.events, stacks, strict=True):
        if event.action is Action.ALLOC:
            blocks[event.address] = stack
        elif event.action in _GROWTH:
            segments.setdefault(event.address, stack)
    traces: list[list[dict[str, Any]]] = [[] for _ in range(trace.device + 1)]
    traces[trace.device] = [
        _event(event, number, stack)
        for number, (event, stack) in enumerate(zip(trace.events, stacks, strict=True))
    ]
    text = allocator_config_text(trace.config or AllocatorConfig())
    return {
        "segments": [_segment(s, trace.device, segments.get(s.address, []), blocks) for s in trace.segments],
        "device_traces": traces,
        "allocator_settings": {"PYTORCH_CUDA_ALLOC_CONF": text},
        "external_annotations": [],
    }


def _frame(frame: Frame) -> dict[str, Any]:
    return {"name": frame.name, "filename": frame.filename, "line": frame.line}


def _event(event: TraceEvent, number: int, stack: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "action": event.action.value,
        "device_free" if event.action is Action.OOM else "addr": event.address,
        "size": event.size_bytes,
        "stream": event.stream,
        "time_us": number,
        "frames": stack,
    }


def _segment(
    segment: Segment,
    device: int,
    stack: list[dict[str, Any]],
    stacks: dict[int, list[dict[str, Any]]],
) -> dict[str, Any]:
    active = [block for block in segment.blocks if block.state is not BlockState.INACTIVE]
    return {
        "device": device,
        "address": segment.address,
        "total_size": segment.size_bytes,
        "allocated_size": segment.allocated_bytes,
        "active_size": sum(block.size_bytes for block in active),
        "requested_size": sum(block.requested_bytes for block in active),
        "stream": segment.stream,
        "segment_type": "small" if segment.is_small else "large",
        "segment_pool_id": (0, 0),
        "is_expandable": segment.is_expandable,
        "frames": stack,
        "blocks": [_block(block, stacks) for block in segment.blocks],
    }


def _block(block: BlockInfo, stacks: dict[int, list[dict[str, Any]]]) -> dict[str, Any]:
    used = block.state is not BlockState.INACTIVE
    return {
        "address": block.address,
        "size": block.size_bytes,
        "requested_size": block.requested_bytes,
        "state": block.state.value,
        "frames": stacks.get(block.address, []) if used else [],
    }
