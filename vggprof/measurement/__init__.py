"""Measurements: what real steps took, as plain values that need no torch."""

from vggprof.measurement.files import read_measurements, text_of, write_measurements
from vggprof.measurement.statistics import Summary, median_interval, summarize
from vggprof.measurement.values import (
    TIMES,
    AllocatorEvent,
    Conditions,
    Environment,
    Execution,
    Kernel,
    LayerTime,
    Measurement,
    Memory,
    MemoryMark,
    PhaseTime,
    Protocol,
    Samples,
    Sensor,
    Status,
    Timing,
    cudnn_release,
)

__all__ = [
    "TIMES",
    "AllocatorEvent",
    "Conditions",
    "Environment",
    "Execution",
    "Kernel",
    "LayerTime",
    "Measurement",
    "Memory",
    "MemoryMark",
    "PhaseTime",
    "Protocol",
    "Samples",
    "Sensor",
    "Status",
    "Summary",
    "Timing",
    "cudnn_release",
    "median_interval",
    "read_measurements",
    "summarize",
    "text_of",
    "write_measurements",
]
