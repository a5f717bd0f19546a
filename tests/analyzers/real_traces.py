"""Traces of real modules, for tests of what analyzers make of them."""

from collections.abc import Callable

import torch
from torch import nn

from vggprof.analyzers import LayerRow, LayerTable, layer_table
from vggprof.network import from_spec
from vggprof.spec import read_spec
from vggprof.spec.shipped import find_shipped
from vggprof.trace import Mode, Setup, Shape, Trace
from vggprof.tracing.loop import trace_network

TRAIN, INFER = Setup(batch=2), Setup(batch=2, mode=Mode.INFER)


def traced(
    make: Callable[[], nn.Module], input_shape: Shape, setup: Setup = TRAIN, *, steps: int = 1
) -> Trace:
    """Return the trace of the module that *make* makes."""
    with torch.device("meta"):
        module = make()
    return trace_network(module, input_shape, setup, arch="module", steps=steps)


def table(make: Callable[[], nn.Module], input_shape: Shape, setup: Setup = TRAIN) -> LayerTable:
    """Return the layer table of one step of the module that *make* makes."""
    return layer_table(traced(make, input_shape, setup))


def row(rows: LayerTable, name: str) -> LayerRow:
    """Return the one row of that name."""
    (found,) = (row for row in rows.rows if row.name == name)
    return found


def spec_trace(name: str, setup: Setup, *, steps: int = 1) -> Trace:
    """Return the trace of a shipped spec."""
    spec = read_spec(find_shipped(name))
    return trace_network(from_spec.build(spec), spec.input, setup, arch=name, steps=steps)
