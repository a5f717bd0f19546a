"""MACs of single operators: by hand, and as properties of their shapes."""

from collections.abc import Mapping
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_builder import operator

from vggprof.analyzers import operator_macs
from vggprof.trace import Operator, Shape

BACKWARD_MASKS = [
    ((True, True, True), 2),
    ((False, True, True), 1),
    ((True, False, False), 1),
    ((False,) * 3, 0),
]


def convolution(
    x: Shape, weight: Shape, out: Shape, *, transposed: bool = False, groups: int = 1
) -> Operator:
    return operator(
        "aten.convolution.default", {"input": x, "weight": weight}, out, transposed=transposed, groups=groups
    )


def convolution_backward(
    x: Shape, weight: Shape, out: Shape, *, mask: tuple[bool, ...], transposed: bool = False
) -> Operator:
    return operator(
        "aten.convolution_backward.default",
        {"grad_output": out, "input": x, "weight": weight},
        x,
        weight,
        transposed=transposed,
        output_mask=mask,
    )


CONVOLUTIONS = {
    # VGG's conv1_1: each of 224 x 224 outputs of 64 channels sums 3 channels x 9 taps:
    # 2 x 50,176 x 64 x 27 = 173,408,256; the published 86.7 million an image.
    "vgg conv1_1": (convolution((2, 3, 224, 224), (64, 3, 3, 3), (2, 64, 224, 224)), 173_408_256),
    # AlexNet conv2 in two groups: 27 x 27 x 256 outputs, each from 48 of 96 channels x 25 taps = 223,948,800.
    "two groups": (
        convolution((1, 96, 27, 27), (256, 48, 5, 5), (1, 256, 27, 27), groups=2),
        223_948_800,
    ),
    # Depthwise 3x3: 32 channels x 112 x 112 outputs x 9 taps = 3,612,672.
    "depthwise": (
        convolution((1, 32, 112, 112), (32, 1, 3, 3), (1, 32, 112, 112), groups=32),
        3_612_672,
    ),
    # One axis: 4 samples x 10 outputs x 8 channels x 5 channels x 3 taps = 4,800.
    "one axis": (convolution((4, 5, 12), (8, 5, 3), (4, 8, 10)), 4_800),
    # Three axes: 2 x 3 x 3 outputs x 2 channels x 1 channel x 8 taps = 288.
    "three axes": (convolution((1, 1, 3, 4, 4), (2, 1, 2, 2, 2), (1, 2, 2, 3, 3)), 288),
    # Transposed, 2x up: each of 4 x 4 inputs of 6 channels reaches 3 channels x 4 taps: 16 x 6 x 12 = 1,152.
    # Counted at the 8 x 8 outputs it would be 4 times as much.
    "transposed": (
        convolution((1, 6, 4, 4), (6, 3, 2, 2), (1, 3, 8, 8), transposed=True),
        1_152,
    ),
    # Without a batch axis, as inference mode passes it on: 8 x 8 outputs x 4 x 3 channels x 9 taps = 6,912.
    "unbatched": (
        operator("aten.conv2d.default", {"input": (3, 8, 8), "weight": (4, 3, 3, 3)}, (4, 8, 8)),
        6_912,
    ),
    "same padding": (
        operator(
            "aten.conv2d.padding",
            {"input": (1, 3, 8, 8), "weight": (4, 3, 3, 3)},
            (1, 4, 8, 8),
            padding="same",
        ),
        6_912,
    ),
    "cudnn": (
        operator(
            "aten.cudnn_convolution.default", {"self": (1, 3, 8, 8), "weight": (4, 3, 3, 3)}, (1, 4, 8, 8)
        ),
        6_912,
    ),
    # 3 x 3 inputs x 2 channels x 5 channels x 4 taps = 360, not 6 x 6 outputs x ... = 1,440.
    "cudnn transposed": (
        operator(
            "aten.cudnn_convolution_transpose.default",
            {"self": (1, 2, 3, 3), "weight": (2, 5, 2, 2)},
            (1, 5, 6, 6),
        ),
        360,
    ),
}


@pytest.mark.parametrize(("op", "macs"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolution_by_hand(op: Operator, macs: int) -> None:
    assert operator_macs(op) == macs


PRODUCTS = {
    # VGG's first linear layer: 2 x 25,088 inputs meet 4,096 outputs = 205,520,896.
    "addmm": ({"self": (4096,), "mat1": (2, 25088), "mat2": (25088, 4096)}, (2, 4096), 205_520_896),
    "mm": ({"self": (3, 4), "mat2": (4, 5)}, (3, 5), 60),
    "bmm": ({"self": (7, 3, 4), "mat2": (7, 4, 5)}, (7, 3, 5), 420),
    "baddbmm": ({"self": (7, 3, 5), "batch1": (7, 3, 4), "batch2": (7, 4, 5)}, (7, 3, 5), 420),
    # Seven products that are added up.
    "addbmm": ({"self": (3, 5), "batch1": (7, 3, 4), "batch2": (7, 4, 5)}, (3, 5), 420),
    "mv": ({"self": (3, 4), "vec": (4,)}, (3,), 12),
    "addmv": ({"self": (3,), "mat": (3, 4), "vec": (4,)}, (3,), 12),
    "dot": ({"self": (9,), "tensor": (9,)}, (), 9),
    "linear": ({"input": (2, 6, 4), "weight": (5, 4), "bias": (5,)}, (2, 6, 5), 240),
    # One weight row: (2, 4) meets (4) = 8.
    "linear to one": ({"input": (2, 4), "weight": (4,)}, (2,), 8),
    # Broadcast: two samples share one right factor: 2 x 3 x 5 outputs of 4 products = 120.
    "matmul": ({"self": (2, 3, 4), "other": (4, 5)}, (2, 3, 5), 120),
}


@pytest.mark.parametrize(("name", "case"), PRODUCTS.items(), ids=PRODUCTS)
def test_matrix_product_by_hand(name: str, case: tuple[Mapping[str, Shape], Shape, int]) -> None:
    inputs, out, macs = case
    assert operator_macs(operator(f"aten.{name.partition(' ')[0]}.default", inputs, out)) == macs


# 2 samples, 3 heads, 5 queries, 7 keys, 4 channels, values of 6: 2 x 3 x 5 x 7 = 210 pairs.
ATTENTION: dict[str, Shape] = {"query": (2, 3, 5, 4), "key": (2, 3, 7, 4), "value": (2, 3, 7, 6)}


@pytest.mark.parametrize("way", ["flash_attention", "efficient_attention", "cudnn_attention"])
def test_attention_by_hand(way: str) -> None:
    # Forward: scores 210 x 4, values 210 x 6. Backward: scores again, and the gradients of queries and keys,
    # 3 x 210 x 4, of the scores and the values, 2 x 210 x 6.
    forward = operator(f"aten._scaled_dot_product_{way}.default", ATTENTION, (2, 3, 5, 6))
    gradients = (ATTENTION["query"], ATTENTION["key"], ATTENTION["value"])
    backward = operator(
        f"aten._scaled_dot_product_{way}_backward.default",
        {"grad_out": (2, 3, 5, 6), **ATTENTION},
        *gradients,
    )
    assert operator_macs(forward) == 210 * (4 + 6)
    assert operator_macs(backward) == 210 * (3 * 4 + 2 * 6)


@pytest.mark.parametrize(("mask", "times"), BACKWARD_MASKS)
def test_backward_costs_the_forward_for_each_gradient_asked_for(mask: tuple[bool, ...], times: int) -> None:
    # A depthwise layer: torch's flop counter would say 32 times as much for the weight gradient.
    x, weight = (1, 32, 112, 112), (32, 1, 3, 3)
    assert operator_macs(convolution_backward(x, weight, x, mask=mask)) == times * 3_612_672


@pytest.mark.parametrize(("mask", "times"), BACKWARD_MASKS)
def test_backward_of_a_transposed_convolution_is_counted_at_its_input(
    mask: tuple[bool, ...], times: int
) -> None:
    backward = convolution_backward((1, 6, 4, 4), (6, 3, 2, 2), (1, 3, 8, 8), mask=mask, transposed=True)
    assert operator_macs(backward) == times * 1_152


@pytest.mark.parametrize(
    "name",
    [
        "aten.relu_.default",
        "aten.max_pool2d_with_indices.default",
        "aten.cudnn_batch_norm.default",
        "aten.threshold_backward.default",
        "aten._foreach_addcdiv_.ScalarList",
        "aten.sum.dim_IntList",
        "aten._unsafe_view.default",
        "aten.native_dropout.default",
        "aten.nll_loss_backward.default",
    ],
)
def test_by_convention_only_convolutions_and_products_have_macs(name: str) -> None:
    assert operator_macs(operator(name, {"self": (2, 8, 8)}, (2, 8, 8))) == 0


@pytest.mark.parametrize(
    "name", ["aten._cdist_forward.default", "torchvision.deform_conv2d.default", "mine.relu.x"]
)
def test_an_operator_without_a_rule_has_no_number(name: str) -> None:
    assert operator_macs(operator(name, {"self": (2, 8, 8)}, (2, 8, 8))) is None


def test_the_bias_of_a_linear_layer_is_not_counted() -> None:
    bare = operator("aten.mm.default", {"self": (2, 25088), "mat2": (25088, 4096)}, (2, 4096))
    assert operator_macs(bare) == PRODUCTS["addmm"][2]


small = st.integers(1, 5)


@given(st.data())
def test_macs_are_linear_in_the_batch_and_divided_by_groups(data: st.DataObject) -> None:
    batch, groups, inner, outer = (data.draw(small) for _ in range(4))
    axes = data.draw(st.integers(1, 3))
    kernel, extents = (tuple(data.draw(small) for _ in range(axes)) for _ in range(2))
    transposed = data.draw(st.booleans())

    def macs(samples: int, parts: int) -> int:
        x, out = (samples, inner * groups, *extents), (samples, outer * groups, *extents)
        first, second = (inner * groups, outer * groups) if transposed else (outer * groups, inner * groups)
        weight = (first, second // parts, *kernel)
        counted = operator_macs(convolution(x, weight, out, transposed=transposed, groups=parts))
        assert counted is not None
        return counted

    assert macs(batch, 1) == batch * macs(1, 1)
    assert macs(batch, groups) * groups == macs(batch, 1)
    assert macs(1, 1) == prod(extents) * prod(kernel) * inner * outer * groups**2
