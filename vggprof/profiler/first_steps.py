"""Memory of the first steps on a GPU: the allocator's marks, peaks and events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from vggprof.measurement import AllocatorEvent, Memory, MemoryMark
from vggprof.trace import Phase

# Actions that say what was held; requests to free, snapshots and the like are left out.
_ACTIONS = frozenset(
    {"alloc", "free_completed", "segment_alloc", "segment_free", "segment_map", "segment_unmap", "oom"}
)
# Far more than three steps of any network.
_MOST_EVENTS = 2_000_000


class AllocatorLog:
    """Marks what torch's CUDA allocator holds at the end of each phase; an observer of a stage.

    It begins with an allocator that holds nothing: what was freed before goes back to the driver.
    """

    def __init__(self) -> None:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.memory._record_memory_history(enabled="all", context=None, max_entries=_MOST_EVENTS)
        self._marks: list[MemoryMark] = []
        self._entries: list[int] = []  # of the history, before each mark
        self._step: int | None = None
        self.mark("start")

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Run a phase and mark its end."""
        if phase is Phase.INPUT and self._last != Phase.BACKWARD.mark:
            self._step = 0 if self._step is None else self._step + 1
        yield
        self.mark(phase.mark)

    @property
    def _last(self) -> str:
        return self._marks[-1].phase

    def mark(self, phase: str) -> None:
        """Write down what is held now."""
        torch.cuda.synchronize()
        stats = torch.cuda.memory_stats()
        held = (
            stats.get(f"{kind}_bytes.all.{when}", 0)
            for when in ("current", "peak")
            for kind in ("allocated", "reserved")
        )
        self._marks.append(MemoryMark(self._step, phase, *held))
        self._entries.append(len(_history()))

    def end(self, snapshot_file: str | None) -> None:
        """Record no more; *snapshot_file* gets torch's own snapshot of what there was."""
        if snapshot_file is not None:
            torch.cuda.memory._dump_snapshot(snapshot_file)  # type: ignore[no-untyped-call]
        torch.cuda.memory._record_memory_history(enabled=None)

    @property
    def reserved_bytes(self) -> int:
        """What the allocator holds of the driver now."""
        return torch.cuda.memory_reserved()

    def memory(self) -> Memory:
        """Return what was seen."""
        stats, history = torch.cuda.memory_stats(), _history()
        kept = [entry["action"] in _ACTIONS for entry in history]
        return Memory(
            peak_allocated_bytes=stats["allocated_bytes.all.peak"],
            peak_reserved_bytes=stats["reserved_bytes.all.peak"],
            marks=tuple(self._marks),
            events=tuple(map(_event, (e for e, keep in zip(history, kept, strict=True) if keep))),
            event_marks=tuple(sum(kept[:entries]) for entries in self._entries),
            retries=stats["num_alloc_retries"],
        )


def _history() -> list[dict[str, Any]]:
    traces: list[list[dict[str, Any]]] = torch.cuda.memory._snapshot()["device_traces"]
    return traces[torch.cuda.current_device()] if traces else []


def _event(entry: dict[str, Any]) -> AllocatorEvent:
    """Return an entry of the history; an OOM has no address (TraceEntry in torch/csrc/cuda/Module.cpp)."""
    address = None if entry["action"] == "oom" else entry["addr"]
    return AllocatorEvent(entry["action"], entry["size"], address)
