"""Rules for operators that are no convolutions, the native convolutions, and the ledger."""

import pytest
import torch

from vggprof.memory.workspaces.actions import Action, Give, Output, Take, Unknown
from vggprof.memory.workspaces.backend import ConvBackend
from vggprof.memory.workspaces.blas import BlasTarget
from vggprof.memory.workspaces.convolution import ConvProblem, Pass, Strided
from vggprof.memory.workspaces.device import DeviceProperties
from vggprof.memory.workspaces.formats import MemoryFormat, empty
from vggprof.memory.workspaces.harmless import HARMLESS
from vggprof.memory.workspaces.native_convolutions import backward, forward
from vggprof.memory.workspaces.scratch import (
    Target,
    base_name,
    bias_gradient,
    script,
    unknown_operators,
)
from vggprof.trace import Argument, Operand, Operator, Phase

RTX_3060 = DeviceProperties(
    "NVIDIA GeForce RTX 3060", (8, 6), 28, 1_777_000, 7_501_000, 2_359_296, 12_622_168_064
)
TARGET = Target(RTX_3060, (2, 15))
C, L = MemoryFormat.CONTIGUOUS, MemoryFormat.CHANNELS_LAST


def _operand(
    name: str,
    shape: tuple[int, ...],
    order: MemoryFormat = C,
    dtype: str = "float32",
    *,
    expanded: bool = False,
) -> Operand:
    strides = (0,) * len(shape) if expanded else empty(shape, order).strides
    return Operand(name, 0, shape, strides, dtype)


def _operator(name: str, inputs: tuple[Operand, ...], outputs: int = 1, **arguments: Argument) -> Operator:
    results = tuple(Operand("out", 10 + i, (1,), (1,), "float32") for i in range(outputs))
    return Operator(f"aten.{name}", 0, Phase.FORWARD, None, inputs, results, tuple(arguments.items()))


def _told(actions: tuple[Action, ...] | None) -> list[str]:
    assert actions is not None
    words = []
    for action in actions:
        match action:
            case Take(name, nbytes, _):
                words.append(f"{name} {nbytes}")
            case Give(name):
                words.append(f"give {name}")
            case Output(index):
                words.append(f"output {index}")
            case Unknown(name, low, high, _):
                words.append(f"{name} {low}..{high}")
    return words


@pytest.mark.parametrize(
    "name", ["relu_.default", "add.Tensor", "view.default", "cat.default", "_foreach_add_.List"]
)
def test_most_operators_take_nothing(name: str) -> None:
    assert script(_operator(name, (_operand("self", (8, 8)),)), TARGET) == ()


def test_operators_without_a_rule_are_in_the_ledger() -> None:
    operators = [
        _operator("relu.default", (_operand("self", (8,)),)),
        _operator("sort.default", (_operand("self", (8,)),)),
        _operator("_foreach_norm.Scalar", (_operand("self", (8,)),)),
        _operator("sort.default", (_operand("self", (9,)),)),
        _operator("sum.default", (_operand("self", (8,), dtype="int64"),)),
        _operator("convolution.default", ()),
    ]
    assert unknown_operators(operators, TARGET) == (
        "aten._foreach_norm.Scalar",
        "aten.sort.default",
        "aten.sum.default",
    )


def test_every_harmless_name_is_an_operator_of_torch() -> None:
    known = {
        name.split("::")[1].split(".")[0].removesuffix("_") for name in torch._C._dispatch_get_all_op_names()
    }
    assert known >= HARMLESS


def test_names_lose_overload_and_mark() -> None:
    assert base_name(_operator("add_.Tensor", ())) == "add"
    assert base_name(_operator("_log_softmax.default", ())) == "_log_softmax"


# (32, 64, 224, 224) by hand in test_workspaces_reductions; 28 * 1536/512 = 84 blocks of room here.
def test_a_bias_gradient_is_a_sum() -> None:
    gradient = Strided.contiguous((32, 64, 224, 224))
    assert _told(bias_gradient(gradient, dtype="float32", device=RTX_3060)) == [
        "output 2",
        "partial sums 0 3328",
        "semaphores 0 256",
        "give semaphores 0",
        "give partial sums 0",
    ]
    small = Strided.contiguous((2, 64, 7, 7))
    assert _told(bias_gradient(small, dtype="float32", device=RTX_3060)) == ["output 2"]


@pytest.mark.parametrize("dim", [(0, 2, 3), (0, -2, -1)])
def test_sums_over_axes(dim: tuple[int, ...]) -> None:
    operator = _operator("sum.dim_IntList", (_operand("self", (32, 64, 224, 224)),), dim=dim, keepdim=True)
    assert _told(script(operator, TARGET))[:3] == ["output 0", "partial sums 0 3328", "semaphores 0 256"]


def test_the_mean_of_everything() -> None:
    operator = _operator("mean.default", (_operand("self", (2**20,)),))
    # one output; 2**20 / 512 = 2,048 values a thread, room 84, 16 values at least: 84 blocks
    assert _told(script(operator, TARGET))[:3] == ["output 0", "partial sums 0 336", "semaphores 0 4"]


def test_dropout_makes_its_mask_first() -> None:
    operator = _operator("native_dropout.default", (_operand("input", (8, 8)),), outputs=2)
    assert _told(script(operator, TARGET)) == ["output 1", "output 0"]


def test_pools_copy_what_is_not_dense() -> None:
    dense = _operand("self", (8, 16, 4, 4), L)
    gradient = _operand("grad_output", (8, 16, 2, 2), C)
    indices = _operand("indices", (8, 16, 2, 2), L, "int64")
    assert script(_operator("max_pool2d_with_indices.default", (dense,), 2), TARGET) == ()
    operator = _operator("max_pool2d_with_indices_backward.default", (gradient, dense, indices))
    assert _told(script(operator, TARGET)) == [
        "output 0",
        "copy of grad_output 2048",
        "give copy of grad_output",
    ]


def test_softmax_copies_an_expanded_gradient() -> None:
    inputs = (_operand("grad_output", (8, 10), expanded=True), _operand("output", (8, 10)))
    told = _told(script(_operator("_log_softmax_backward_data.default", inputs), TARGET))
    assert told == ["output 0", "copy of grad_output 320", "give copy of grad_output"]


def test_batch_norm_takes_nothing_where_tensors_are_plain() -> None:
    inputs = (_operand("input", (8, 16, 4, 4)), _operand("weight", (16,)))
    assert script(_operator("cudnn_batch_norm.default", inputs, 4, training=True), TARGET) == ()
    assert script(_operator("native_batch_norm.default", inputs, 3, training=True), TARGET) == ()


# Bounded by two float32 numbers a channel and multiprocessor: 2 * 4 * 16 * 28 = 3,584.
def test_batch_norm_in_channels_last_is_bounded() -> None:
    inputs = (_operand("input", (8, 16, 4, 4), L), _operand("weight", (16,)))
    training = _operator("cudnn_batch_norm.default", inputs, 4, training=True)
    assert _told(script(training, TARGET))[-1] == "partial statistics 0..3584"
    assert script(_operator("cudnn_batch_norm.default", inputs, 4, training=False), TARGET) == ()
    gradient = _operand("grad_output", (8, 16, 4, 4), C)
    backwards = _operator("cudnn_batch_norm_backward.default", (*inputs, gradient), 3)
    assert _told(script(backwards, TARGET)) == [
        "copy of gradient 8192",
        "output 0",
        "output 1",
        "output 2",
        "partial statistics 0..3584",
        "give copy of gradient",
    ]


X, W, Y = (2, 8, 10, 10), (8, 1, 3, 3), (2, 8, 8, 8)


def _depthwise(output: Strided) -> ConvProblem:
    image, weight = Strided.contiguous(X), Strided.contiguous(W)
    return ConvProblem(Pass.FORWARD, "float32", image, weight, output, (0, 0), (1, 1), (1, 1), groups=8)


BLAS = BlasTarget((8, 6), (2, 15))


def test_depthwise_kernels_make_the_weights_gradient_first() -> None:
    problem = _depthwise(Strided.contiguous(Y))
    assert _told(forward(problem, ConvBackend.DEPTHWISE_2D, BLAS)) == ["output 0"]
    script = backward(problem, ConvBackend.DEPTHWISE_2D, BLAS, wants_input=True, wants_weight=True)
    assert _told(script) == ["output 1", "output 0"]


def test_depthwise_kernels_copy_an_expanded_gradient_once() -> None:
    problem = _depthwise(Strided(Y, (0, 0, 0, 0)))
    script = backward(problem, ConvBackend.DEPTHWISE_2D, BLAS, wants_input=True, wants_weight=True)
    assert _told(script) == ["copy of gradient 4096", "output 1", "output 0", "give copy of gradient"]


# cuDNN switched off: one image of (64, 14, 14) unfolds to 64 * 9 rows of 14 * 14 columns, 4 bytes each.
def test_slow_convolutions_unfold_an_image() -> None:
    image, weight = Strided.contiguous((4, 64, 14, 14)), Strided.contiguous((32, 64, 3, 3))
    output = Strided.contiguous((4, 32, 14, 14))
    problem = ConvProblem(Pass.FORWARD, "float32", image, weight, output, (1, 1), (1, 1), (1, 1))
    columns = ["columns 451584", "cuBLAS workspace 8519680", "give cuBLAS workspace", "give columns"]
    assert _told(forward(problem, ConvBackend.SLOW_2D, BLAS)) == ["output 0", *columns]
    script = backward(problem, ConvBackend.SLOW_2D, BLAS, wants_input=True, wants_weight=True)
    assert _told(script) == ["output 0", "output 1", *columns]


def test_slow_pointwise_convolutions_need_not_unfold() -> None:
    image, weight = Strided.contiguous((4, 64, 14, 14)), Strided.contiguous((32, 64, 1, 1))
    output = Strided.contiguous((4, 32, 14, 14))
    problem = ConvProblem(Pass.FORWARD, "float32", image, weight, output, (0, 0), (1, 1), (1, 1))
    assert "columns" not in " ".join(_told(forward(problem, ConvBackend.SLOW_2D, BLAS)))


def test_slow_transposed_convolutions_unfold_the_output() -> None:
    image, weight = Strided.contiguous((4, 32, 7, 7)), Strided.contiguous((32, 16, 2, 2))
    output = Strided.contiguous((4, 16, 14, 14))
    problem = ConvProblem(
        Pass.FORWARD, "float32", image, weight, output, (0, 0), (2, 2), (1, 1), transposed=True
    )
    # 16 * 4 rows, 7 * 7 columns, 4 bytes
    assert "columns 12544" in _told(forward(problem, ConvBackend.SLOW_TRANSPOSE_2D, BLAS))


def test_slow_groups_are_bounded() -> None:
    image, weight = Strided.contiguous((4, 64, 14, 14)), Strided.contiguous((32, 32, 3, 3))
    output = Strided.contiguous((4, 32, 14, 14))
    problem = ConvProblem(Pass.FORWARD, "float32", image, weight, output, (1, 1), (1, 1), (1, 1), groups=2)
    assert _told(forward(problem, ConvBackend.SLOW_2D, BLAS))[-1] == "groups 0..100352"
