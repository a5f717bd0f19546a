"""Analyzers: what a trace says, as plain values; no torch here."""

from vggprof.analyzers.layer_table import (
    Biggest,
    LayerGroup,
    LayerRow,
    LayerTable,
    Totals,
    Unruled,
    layer_table,
)
from vggprof.analyzers.macs import operator_macs
from vggprof.analyzers.receptive_field import Field, receptive_fields
from vggprof.analyzers.stages import CLASSIFIER, Stage, layer_stages
from vggprof.analyzers.tensor_memory import (
    BLOCK_BYTES,
    Live,
    MarkBytes,
    Peak,
    Share,
    TensorMemory,
    block_bytes,
    live_series,
    tensor_memory,
)

__all__ = [
    "BLOCK_BYTES",
    "CLASSIFIER",
    "Biggest",
    "Field",
    "LayerGroup",
    "LayerRow",
    "LayerTable",
    "Live",
    "MarkBytes",
    "Peak",
    "Share",
    "Stage",
    "TensorMemory",
    "Totals",
    "Unruled",
    "block_bytes",
    "layer_stages",
    "layer_table",
    "live_series",
    "operator_macs",
    "receptive_fields",
    "tensor_memory",
]
