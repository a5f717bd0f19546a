"""What operators but convolutions take besides their outputs: a rule for each, and a ledger of the rest.

ATen/native/cuda of torch 2.11 to 2.15. Most operators take nothing; those of which that is known are named,
so that an operator with no rule is told from one that needs none.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from vggprof.memory.workspaces import products, reductions
from vggprof.memory.workspaces.actions import Action, Output, Script, Tape, Unknown
from vggprof.memory.workspaces.blas import BlasSettings, BlasTarget
from vggprof.memory.workspaces.convolution import Strided
from vggprof.memory.workspaces.device import DeviceProperties
from vggprof.memory.workspaces.formats import MemoryFormat, is_contiguous, suggested
from vggprof.memory.workspaces.harmless import HARMLESS
from vggprof.trace import ITEM_BYTES, Operand, Operator

# Operators with rules elsewhere: `cudnn_calls` and `native_convolutions`.
CONVOLUTIONS = frozenset({"convolution", "convolution_backward"})


@dataclass(frozen=True, slots=True)
class Target:
    """The GPU, the torch release and the environment of a training."""

    device: DeviceProperties
    torch: tuple[int, int]
    blas: BlasSettings = field(default_factory=BlasSettings)

    @property
    def products(self) -> BlasTarget:
        """What decides the workspaces of matrix products."""
        return BlasTarget(self.device.capability, self.torch, self.blas)


def script(operator: Operator, target: Target) -> Script | None:
    """Return what *operator*, no convolution, does to memory; () where it makes its outputs and no more.

    None where there is no rule for it: it belongs in the ledger of what was left out.
    """
    name = base_name(operator)
    if name in products.PRODUCTS:
        return products.script(operator, target.products)
    if name in _RULES:
        return _RULES[name](operator, target)
    if name.startswith("_foreach_") and name not in _FOREACH_REDUCTIONS:
        return ()
    return () if name in HARMLESS else None


def unknown_operators(operators: Iterable[Operator], target: Target) -> tuple[str, ...]:
    """Return the names of those of *operators* that there is no rule for, each once."""
    candidates = [operator for operator in operators if base_name(operator) not in CONVOLUTIONS]
    return tuple(sorted({operator.name for operator in candidates if script(operator, target) is None}))


def base_name(operator: Operator) -> str:
    """Return the name without namespace, overload and in-place mark: "add" for aten.add_.Tensor."""
    return operator.name.split(".")[1].removesuffix("_")


def bias_gradient(gradient: Strided, *, dtype: str, device: DeviceProperties) -> tuple[Action, ...]:
    """Return how a convolution's backward pass ends: output 2, the sum of *gradient* over all but channels.

    convolution_backward in ATen/native/Convolution.cpp, for cuDNN and the native 2-D depthwise kernels.
    """
    others = frozenset(axis for axis in range(len(gradient.shape)) if axis != 1)
    summed = reductions.scratch(gradient, others, dtype=dtype, out_dtype=dtype, device=device)
    return (Output(2), *(summed or ()))


def _reduction(operator: Operator, target: Target) -> Script | None:
    """Return what sums and means do, over some axes or all."""
    source, result = operator.input("self"), operator.outputs[0]
    assert source is not None
    axes = dict(operator.arguments).get("dim")
    chosen = axes if isinstance(axes, tuple) else () if axes is None else (axes,)
    reduced = {axis % len(source.shape) for axis in chosen if isinstance(axis, int) and source.shape}
    summed = reductions.scratch(
        _layout(source),
        frozenset(reduced or range(len(source.shape))),
        dtype=source.dtype,
        out_dtype=result.dtype,
        device=target.device,
    )
    return None if summed is None else (Output(0), *summed)


def _copies(names: tuple[str, ...], like: str | None, operator: Operator, _: Target) -> Script:
    """Return outputs, then copies of those of the inputs *names* that are not dense.

    Dense in the format that the strides of *like* suggest, or in plain order where that is None.
    """
    model = operator.input(like) if like else None
    order = suggested(_layout(model)) if model else MemoryFormat.CONTIGUOUS
    tape = Tape("uint8")
    with tape.scope():
        tape.actions += [Output(index) for index in range(len(operator.outputs))]
        for operand in (operand for name in names if (operand := operator.input(name))):
            if not is_contiguous(_layout(operand), order):
                tape.take(f"copy of {operand.name}", operand.nbytes, f"{operand.name} is not {order.value}")
    return tuple(tape.actions) if len(tape.actions) > len(operator.outputs) else ()


def _adaptive_pool_backward(operator: Operator, target: Target) -> Script:
    """Copy a gradient that is not dense, in plain order only: in channels_last the kernel follows strides."""
    source = operator.input("self")
    if source is None or suggested(_layout(source)) is MemoryFormat.CHANNELS_LAST:
        return ()
    return _copies(("grad_output",), "self", operator, target)


def _native_dropout(operator: Operator, _: Target) -> Script:
    """Put the mask first: dropout_cuda in Dropout.cu."""
    return (Output(1), Output(0)) if len(operator.outputs) == 2 else ()


def _batch_norm(operator: Operator, target: Target) -> Script:
    """Return what batch norm takes: nothing for plain tensors, partial statistics in channels_last.

    Recorded traces of trainings with contiguous tensors show neither a workspace nor a reserve of cuDNN's. In
    channels_last both libraries let thread blocks meet in memory: bounded here by two float32 numbers a
    channel and multiprocessor, taken once the outputs are there.
    """
    source = operator.input("input")
    assert source is not None
    gradient = operator.input("grad_output") or operator.input("grad_out")
    tape = Tape(source.dtype)
    order = suggested(_layout(source))
    with tape.scope():
        if gradient is not None and not is_contiguous(_layout(gradient), order):
            tape.take("copy of gradient", gradient.nbytes, f"gradient is not {order.value}")
        tape.actions += [Output(index) for index in range(len(operator.outputs))]
        if order is MemoryFormat.CHANNELS_LAST and dict(operator.arguments).get("training", True):
            most = 2 * ITEM_BYTES["float32"] * source.shape[1] * target.device.sm_count
            tape.actions.append(Unknown("partial statistics", 0, most, "batch norm in channels_last"))
    return tuple(tape.actions) if len(tape.actions) > len(operator.outputs) else ()


def _layout(operand: Operand) -> Strided:
    return Strided(operand.shape, operand.strides)


# Foreach functions that reduce have buffers for it; the others pass pointers as kernel arguments.
_FOREACH_REDUCTIONS = frozenset({"_foreach_norm", "_foreach_max", "_foreach_powsum"})
_RULES: dict[str, Callable[[Operator, Target], Script | None]] = {
    "sum": _reduction,
    "mean": _reduction,
    "native_dropout": _native_dropout,
    "cudnn_batch_norm": _batch_norm,
    "cudnn_batch_norm_backward": _batch_norm,
    "native_batch_norm": _batch_norm,
    "native_batch_norm_backward": _batch_norm,
    # DilatedMaxPool2d.cu, AveragePool2d.cu, AdaptiveAveragePooling.cu: in the input's format
    "max_pool2d_with_indices": partial(_copies, ("self",), "self"),
    "max_pool2d_with_indices_backward": partial(_copies, ("grad_output", "self", "indices"), "self"),
    "avg_pool2d": partial(_copies, ("self",), "self"),
    "avg_pool2d_backward": partial(_copies, ("self", "grad_output"), "self"),
    "_adaptive_avg_pool2d": partial(_copies, ("self",), "self"),
    "_adaptive_avg_pool2d_backward": _adaptive_pool_backward,
    # SoftMax.cu: host_softmax and host_softmax_backward
    "_softmax": partial(_copies, ("self",), None),
    "_log_softmax": partial(_copies, ("self",), None),
    "_softmax_backward_data": partial(_copies, ("grad_output", "output"), None),
    "_log_softmax_backward_data": partial(_copies, ("grad_output", "output"), None),
}
