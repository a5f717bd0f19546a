"""Every run of a recorded file under other allocator settings, or on a smaller card."""

from dataclasses import dataclass
from pathlib import Path

from vggprof.errors import DeviceError, FileFormatError, UsageError
from vggprof.memory.allocator import (
    AllocatorConfig,
    Stats,
    allocator_config_text,
    parse_allocator_config,
)
from vggprof.memory.replay.files import ReplayedRun, replayed_traces
from vggprof.memory.replay.snapshot import DeviceTrace
from vggprof.memory.replay.start import starting_segments
from vggprof.memory.replay.what_if import WhatIf, what_if

_SOURCE = "the allocator settings"


@dataclass(frozen=True, slots=True)
class Supposition:
    """What is other than recorded.

    Raises DeviceError for a card without memory.
    """

    settings: str | None = None  # all of PYTORCH_ALLOC_CONF; None: as recorded
    changes: str = ""  # options in the same form, on top of that
    memory_bytes: int | None = None  # what the allocator can have; None: no end

    def __post_init__(self) -> None:
        if self.memory_bytes is not None and self.memory_bytes <= 0:
            raise DeviceError("a GPU cannot have 0 B of memory; give a size like 10.5GiB")

    def config(self, recorded: AllocatorConfig) -> AllocatorConfig:
        """Return the settings to try. Raises UsageError for what torch refuses or this cannot try."""
        text = allocator_config_text(recorded) if self.settings is None else self.settings
        both = ",".join(filter(None, (text, self.changes)))
        config = parse_allocator_config(both, recorded.torch, source=_SOURCE)
        if config.memory_fraction < 1 and self.memory_bytes is None:
            raise UsageError(
                f"{_SOURCE}: per_process_memory_fraction is a share of the card, and no recording tells "
                "its size; give it with --gpu-memory"
            )
        return config


@dataclass(frozen=True, slots=True)
class SupposedRun:
    """One recorded run, and how it would have gone."""

    recorded: ReplayedRun
    events: int  # in the recording
    began_bytes: int  # allocated when the recording began
    found: WhatIf

    @property
    def recorded_stats(self) -> Stats:
        """What the replay of the recording itself counts."""
        return self.recorded.agreement.stats

    @property
    def recorded_fragmentation_bytes(self) -> int:
        """Bytes by which the recorded peak of what is reserved exceeds that of what is allocated."""
        stats = self.recorded_stats
        return stats.peak_reserved_bytes - stats.peak_allocated_bytes

    @property
    def limit_bytes(self) -> int | None:
        """The memory limit that is tried; None without one."""
        return self.found.config.limit_bytes(self.found.capacity_bytes)

    @property
    def idle_threshold(self) -> bool:
        """Whether garbage_collection_threshold is set and, without a memory limit, does nothing."""
        return self.found.config.garbage_collection_threshold > 0 and self.limit_bytes is None


@dataclass(frozen=True, slots=True)
class SupposedFile:
    """Every run of one file, in its order; there is at least one."""

    path: str
    supposition: Supposition
    runs: tuple[SupposedRun, ...]


def suppose(path: str | Path, supposition: Supposition) -> SupposedFile:
    """Return the runs of the file at *path* as they would have gone.

    Raises FileFormatError as ``replay_file`` does, and UsageError for settings that torch refuses.
    """
    runs = tuple(_supposed(path, run, trace, supposition) for run, trace in replayed_traces(path))
    return SupposedFile(str(path), supposition, runs)


def _supposed(
    path: str | Path, run: ReplayedRun, trace: DeviceTrace, supposition: Supposition
) -> SupposedRun:
    memory = supposition.memory_bytes
    config = supposition.config(run.agreement.config)
    try:
        found = what_if(trace, config, memory, total_bytes=memory)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from error
    began = sum(segment.allocated_bytes for segment in starting_segments(trace, run.agreement.config))
    return SupposedRun(run, len(trace.events), began, found)
