"""Recorded runs of torch's allocator: read, replayed, and tried under other settings."""

from vggprof.memory.replay.check import Agreement, Disagreement, check_trace, settings_of
from vggprof.memory.replay.predicted import (
    Frame,
    PredictedTrace,
    predict_trace,
    snapshot_dictionary,
    write_snapshot,
)
from vggprof.memory.replay.recorded import RecordedRun, read_recorded
from vggprof.memory.replay.snapshot import Action, DeviceTrace, TraceEvent, read_snapshot, snapshot_of
from vggprof.memory.replay.start import starting_segments
from vggprof.memory.replay.unpickle import load_plain
from vggprof.memory.replay.what_if import WhatIf, what_if

__all__ = [
    "Action",
    "Agreement",
    "DeviceTrace",
    "Disagreement",
    "Frame",
    "PredictedTrace",
    "RecordedRun",
    "TraceEvent",
    "WhatIf",
    "check_trace",
    "load_plain",
    "predict_trace",
    "read_recorded",
    "read_snapshot",
    "settings_of",
    "snapshot_dictionary",
    "snapshot_of",
    "starting_segments",
    "what_if",
    "write_snapshot",
]
