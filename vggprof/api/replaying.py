"""Recorded runs, replayed through the allocator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vggprof.units import parse_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from vggprof.memory.replay.files import ReplayedFile
    from vggprof.memory.replay.supposed import SupposedFile


def replay(path: str | Path) -> ReplayedFile:
    """Return a recorded run (a pickled memory snapshot, or an event file) replayed through the allocator.

    No code of the file ever runs. Raises FileFormatError for a file that is no such recording.
    """
    from vggprof.memory.replay.files import replay_file

    return replay_file(path)


def what_if(
    path: str | Path, *, allocator: str | None = None, changes: str = "", gpu_memory: str | None = None
) -> SupposedFile:
    """Return how a recorded run would have gone under other allocator settings, or on a smaller card.

    *allocator* is what PYTORCH_ALLOC_CONF says instead of what was recorded, *changes* more of the same on
    top of it; *gpu_memory* is what PyTorch can have there (``8GiB``), by default without end. Raises as
    `replay` does, and UsageError for what torch or common sense refuses.
    """
    from vggprof.memory.replay.supposed import Supposition, suppose

    memory_bytes = None if gpu_memory is None else parse_bytes(gpu_memory)
    return suppose(path, Supposition(allocator, changes, memory_bytes))
