"""Measurements: what real steps took, as plain values that need no torch."""

from vggprof.measurement.values import (
    AllocatorEvent,
    Conditions,
    Environment,
    Execution,
    Kernel,
    LayerTime,
    Measurement,
    Memory,
    MemoryMark,
    Samples,
    Sensor,
    Status,
    Timing,
)

__all__ = [
    "AllocatorEvent",
    "Conditions",
    "Environment",
    "Execution",
    "Kernel",
    "LayerTime",
    "Measurement",
    "Memory",
    "MemoryMark",
    "Samples",
    "Sensor",
    "Status",
    "Timing",
]
