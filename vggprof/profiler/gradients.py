"""Data gradient or weight gradient: which of them a product in the backward pass computes."""

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum

from vggprof.profiler.attribution import PRODUCTS
from vggprof.trace import Operator, Phase, Trace


class Gradient(StrEnum):
    """What is computed; the words are those of `Kernel.pass_name`."""

    DATA = "dgrad"
    WEIGHT = "wgrad"
    BOTH = "backward"  # or something else


def gradients_of(trace: Trace) -> dict[str, tuple[Gradient, ...]]:
    """Return for each layer with products in its backward pass what each of them computes, in order."""
    products: defaultdict[str, list[Operator]] = defaultdict(list)
    for op in trace.step_operators(0):
        if op.phase is Phase.BACKWARD and op.layer is not None and _kind(op) in PRODUCTS:
            products[trace.layers[op.layer].name].append(op)
    weights = _weight_shapes(trace)
    return {name: tuple(_of_products(ops, weights.get(name, frozenset()))) for name, ops in products.items()}


def both_apart(kernels: Sequence[str]) -> list[Gradient]:
    """Return what each kernel of a convolution's whole backward works for, by their names, in order.

    torch asks cuDNN for the data gradient first (cudnn_convolution_backward in ConvShared.cpp of
    ATen/native/cudnn), and cuDNN names the kernels that multiply. Those before the first or after the last
    one serve it, as do conversions: into NHWC before a product, back to NCHW after it. The gradient of a bias
    comes last and counts with the weight's. What lies between two products and says nothing is
    `Gradient.BOTH`, and so is everything where not both of them are named.
    """
    said = [_said(name) for name in kernels]
    if not {Gradient.DATA, Gradient.WEIGHT} <= set(said):
        return [Gradient.BOTH] * len(said)
    return [
        own or _near(said[:place], said[place + 1 :], name)
        for place, (own, name) in enumerate(zip(said, kernels, strict=True))
    ]


def _near(before: Sequence[Gradient | None], after: Sequence[Gradient | None], name: str) -> Gradient:
    last = next((one for one in reversed(before) if one), None)
    following = next((one for one in after if one), None)
    if last is following or last is None or following is None:
        return last or following or Gradient.BOTH
    if "nchwToNhwc" in name:
        return following
    return last if "nhwcToNchw" in name else Gradient.BOTH


def _said(kernel: str) -> Gradient | None:
    return next((one for one in (Gradient.DATA, Gradient.WEIGHT) if one.value in kernel.lower()), None)


def _kind(op: Operator) -> str:
    return op.name.split(".")[1]


def _of_products(ops: Sequence[Operator], weights: frozenset[tuple[int, ...]]) -> list[Gradient]:
    """Return what each product computes.

    A convolution's operator says it. A linear layer computes the data gradient first, the order of `mat1` and
    `mat2` (`self` and `mat2`) in tools/autograd/derivatives.yaml; where only one is computed, the weight
    gradient is the one with the weight's shape.
    """
    if all(_kind(op) == "convolution_backward" for op in ops):
        return [_of_convolution(op) for op in ops]
    if len(ops) % 2 == 0:
        return [Gradient.DATA, Gradient.WEIGHT] * (len(ops) // 2)
    alone = {op.outputs[0].shape for op in ops} <= weights
    return [Gradient.WEIGHT if alone else Gradient.DATA] * len(ops)


def _of_convolution(op: Operator) -> Gradient:
    mask = op.argument("output_mask")
    assert isinstance(mask, tuple)
    match mask[:2]:
        case (True, False):
            return Gradient.DATA
        case (False, True):
            return Gradient.WEIGHT
        case _:
            return Gradient.BOTH


def _weight_shapes(trace: Trace) -> dict[str, frozenset[tuple[int, ...]]]:
    """Return the shapes of each layer's own parameters, as they are and transposed."""
    shapes: defaultdict[str, set[tuple[int, ...]]] = defaultdict(set)
    for parameter in trace.parameters:
        shapes[parameter.name.rpartition(".")[0]] |= {parameter.shape, parameter.shape[::-1]}
    return {layer.name: frozenset(shapes[layer.module]) for layer in trace.layers if layer.module in shapes}
