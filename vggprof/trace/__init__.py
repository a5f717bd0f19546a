"""The trace: what one training does, in plain values."""

from vggprof.trace.layout import is_channels_last
from vggprof.trace.setup import Amp, Dtype, Layout, Mode, Optimizer, Setup, ZeroGrad
from vggprof.trace.values import (
    ITEM_BYTES,
    Argument,
    Born,
    Event,
    Freed,
    Kind,
    Layer,
    Mark,
    Operand,
    Operator,
    Parameter,
    Phase,
    Ran,
    Shape,
    Storage,
    Trace,
)

__all__ = [
    "ITEM_BYTES",
    "Amp",
    "Argument",
    "Born",
    "Dtype",
    "Event",
    "Freed",
    "Kind",
    "Layer",
    "Layout",
    "Mark",
    "Mode",
    "Operand",
    "Operator",
    "Optimizer",
    "Parameter",
    "Phase",
    "Ran",
    "Setup",
    "Shape",
    "Storage",
    "Trace",
    "ZeroGrad",
    "is_channels_last",
]
