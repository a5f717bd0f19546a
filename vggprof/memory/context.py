"""What a training holds outside the allocator on a card: calibrated where that was measured, else published.

Of a calibration those stages count whose libraries the trace's operators load. A context, and activations,
pooling and a loss, every training has; convolutions load cuDNN, and its backward kernels where something is
trained; matrix products load cuBLAS; batch norm, an optimizer, channels_last and cudnn.benchmark load kernels
of their own. Half precision is not a stage but another run: under autocast the fp32 kernels are never loaded.
"""

from collections.abc import Iterator

from vggprof.devices import Device, Library, Range, context_range
from vggprof.devices.calibrations import Calibration, Run, Stage
from vggprof.memory.workspaces.products import PRODUCTS
from vggprof.memory.workspaces.scratch import base_name
from vggprof.trace import Amp, Dtype, Layout, Phase, Setup, Trace

# What a training step of a convolutional network loads, as far as published figures tell it apart.
_LIBRARIES: frozenset[Library] = frozenset({"cudnn", "cublas"})


def published_context(device: Device, cuda: tuple[int, int]) -> Range:
    """Return what a process on *device* holds outside the allocator by published figures."""
    return context_range(device, cuda, libraries=_LIBRARIES)


def calibrated_context(calibration: Calibration, trace: Trace, *, benchmark: bool) -> Range | None:
    """Return what the training of *trace* holds outside the allocator by *calibration*.

    None where a stage that it runs was not measured.
    """
    return calibration.context(run_of(trace.setup), stages_of(trace, benchmark=benchmark))


def run_of(setup: Setup) -> Run:
    """Return which of the runs of a calibration is like *setup*; bf16 is taken for fp16."""
    half = setup.amp is not Amp.OFF or setup.dtype is Dtype.FP16
    if setup.training:
        return Run.TRAIN_AMP if half else Run.TRAIN_FP32
    return Run.INFER_FP16 if half else Run.INFER_FP32


def stages_of(trace: Trace, *, benchmark: bool) -> frozenset[Stage]:
    """Return the stages whose libraries the operators of *trace* load."""
    return frozenset(_stages(trace, benchmark=benchmark))


def _stages(trace: Trace, *, benchmark: bool) -> Iterator[Stage]:
    names = {base_name(operator) for operator in trace.operators}
    yield from (Stage.CONTEXT, Stage.POOL_LOSS)
    if "convolution" in names:
        yield Stage.CONV_FORWARD
        if trace.setup.layout is Layout.CHANNELS_LAST:
            yield Stage.CHANNELS_LAST
        if benchmark:
            yield Stage.BENCHMARK
    if "convolution_backward" in names:
        yield Stage.CONV_BACKWARD
    if names & PRODUCTS.keys():
        yield Stage.LINEAR
    if any("batch_norm" in name for name in names):
        yield Stage.BATCH_NORM
    if any(operator.phase is Phase.OPTIMIZER for operator in trace.operators):
        yield Stage.OPTIMIZER
