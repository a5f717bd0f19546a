"""Multiply-accumulates of one operator, from shapes alone.

Convention: MACs are those of convolutions and matrix products, forward and backward. Bias, activations,
pooling, normalization and everything else in `operators.WITHOUT_MACS` count 0. A FLOP count is twice this,
and only views say so. Masks are not looked into: attention counts every pair of positions, causal or not.
"""

from collections.abc import Callable
from functools import partial
from math import prod

from vggprof.analyzers.operators import WITHOUT_MACS, base
from vggprof.trace import Operand, Operator


def operator_macs(op: Operator) -> int | None:
    """Multiply-accumulates of *op*; 0 for what has none by convention, None for what has no rule."""
    name = base(op.name)
    rule = _RULES.get(name)
    if rule is not None:
        return rule(op)
    return 0 if name in WITHOUT_MACS else None


def _operand(op: Operator, *names: str) -> Operand:
    """First tensor argument with one of *names*, which the operator's schema has."""
    found = next((operand for name in names if (operand := op.input(name)) is not None), None)
    assert found is not None, f"{op.name} without {' or '.join(names)}"
    return found


def _slides(positions: Operand, weight: Operand) -> int:
    """MACs of a kernel that is applied once at each of *positions*: samples x extents x weight's elements.

    Groups need no care: the weight of a grouped convolution holds the channels of one group only. A tensor
    without a batch axis is one sample.
    """
    axes = len(weight.shape) - 2
    samples, extents = positions.shape[: -axes - 1], positions.shape[-axes:]
    return prod(samples) * prod(extents) * weight.elements


def _convolution(op: Operator, *, transposed: bool | None = None) -> int:
    """Convolution: at each output position; a transposed one at each input position."""
    if transposed is None:
        transposed = bool(dict(op.arguments).get("transposed", False))
    return _slides(_operand(op, "input", "self") if transposed else op.outputs[0], _operand(op, "weight"))


def _convolution_backward(op: Operator) -> int:
    """Return the forward's MACs for each of data and weight gradient that is asked for; bias has none."""
    transposed, mask = op.argument("transposed"), op.argument("output_mask")
    assert isinstance(mask, tuple)
    forward = _slides(_operand(op, "input" if transposed else "grad_output"), _operand(op, "weight"))
    return forward * sum(map(bool, mask[:2]))


def _product(op: Operator, *, left: str, right: str) -> int:
    """Matrix product (..., m, k) x (..., k, n): m x k numbers meet n columns; a vector is one column."""
    factor = _operand(op, right)
    return _operand(op, left).elements * (factor.shape[-1] if len(factor.shape) > 1 else 1)


def _linear(op: Operator) -> int:
    """(..., k) with a weight of (n, k), or (k) for one output."""
    weight = _operand(op, "weight")
    return _operand(op, "input").elements * (weight.shape[0] if len(weight.shape) > 1 else 1)


def _matmul(op: Operator) -> int:
    """Any product that broadcasts: each output number sums over the inner axis."""
    return op.outputs[0].elements * _operand(op, "self").shape[-1]


def _attention(op: Operator, *, query: int = 1, value: int = 1) -> int:
    """Softmax(Q K^T) V over (..., heads, positions, channels); every pair of positions, every query head.

    *query* and *value* say how many products run over the channels of each: forward one and one; backward
    recomputes Q K^T and makes the gradients of scores, Q, K and V, so three and two.
    """
    q, k, v = (_operand(op, name) for name in ("query", "key", "value"))
    pairs = prod(q.shape[:-1]) * k.shape[-2]
    return pairs * (query * q.shape[-1] + value * v.shape[-1])


_attention_backward = partial(_attention, query=3, value=2)
_transposed = partial(_convolution, transposed=True)


_RULES: dict[str, Callable[[Operator], int]] = {
    **dict.fromkeys(
        ("convolution", "_convolution", "_convolution_mode", "convolution_overrideable"), _convolution
    ),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),  # whole in inference mode only
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed),
    **dict.fromkeys(
        ("cudnn_convolution", "cudnn_convolution_relu", "cudnn_convolution_add_relu"), _convolution
    ),
    "cudnn_convolution_transpose": _transposed,
    "convolution_backward": _convolution_backward,
    "mm": partial(_product, left="self", right="mat2"),
    "_int_mm": partial(_product, left="self", right="mat2"),
    "_scaled_mm": partial(_product, left="self", right="mat2"),
    "bmm": partial(_product, left="self", right="mat2"),
    "addmm": partial(_product, left="mat1", right="mat2"),
    "_addmm_activation": partial(_product, left="mat1", right="mat2"),
    "baddbmm": partial(_product, left="batch1", right="batch2"),
    "addbmm": partial(_product, left="batch1", right="batch2"),
    "mv": partial(_product, left="self", right="vec"),
    "addmv": partial(_product, left="mat", right="vec"),
    "dot": partial(_product, left="self", right="tensor"),
    "vdot": partial(_product, left="self", right="other"),
    "linear": _linear,
    "matmul": _matmul,
    "scaled_dot_product_attention": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_flash_attention_backward": _attention_backward,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_efficient_attention_backward": _attention_backward,
    "_scaled_dot_product_cudnn_attention": _attention,
    "_scaled_dot_product_cudnn_attention_backward": _attention_backward,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
    "_scaled_dot_product_fused_attention_overrideable_backward": _attention_backward,
}
