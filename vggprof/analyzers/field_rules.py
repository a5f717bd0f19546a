"""How each operator changes what its operands see of the input: one rule a kind of operator."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from vggprof.analyzers import operators
from vggprof.analyzers.operators import base, names
from vggprof.analyzers.windows import Beyond, Reach, Reaches, enlarge, slide, spread, union
from vggprof.trace import Argument, Layer, Operand, Operator

Known: TypeAlias = Sequence[tuple[Operand, Reaches]]  # operands that come from the input; at least one
Rule: TypeAlias = Callable[[Operator, Known], Reaches | None]


def next_reaches(op: Operator, known: Known, layer: Layer | None) -> Reaches | None:
    """Return what the outputs of *op* reach, given what its operands do; None for nothing of the input."""
    name = base(op.name)
    if name in operators.FACTORY:
        return None
    if name in _PER_TOKEN_OR_ALL and layer is not None and _keeps_positions(layer):
        return joined(op, known)
    return _RULES.get(name, _without_rule)(op, known)


def joined(op: Operator, known: Known) -> Reaches:
    """Everything that comes together at one place."""
    axes = max(len(reaches) for _, reaches in known)
    if any(len(reaches) != axes for _, reaches in known):
        return _without_rule(op, known)
    return tuple(union(reaches[axis] for _, reaches in known) for axis in range(axes))


def _everything(op: Operator, known: Known) -> Reaches:
    return (Beyond.WHOLE,) * len(known[0][1])


def _without_rule(op: Operator, known: Known) -> Reaches:
    """Nothing is known any more, unless everything was seen already."""
    return tuple(Beyond.WHOLE if reach is Beyond.WHOLE else Beyond.UNDEFINED for reach in known[0][1])


def _keeps_positions(layer: Layer) -> bool:
    """Whether a linear layer works at each position on its own: samples, positions, features."""
    return any(len(shape) > 2 for shape in layer.input_shapes)


def _per_axis(value: Argument, axes: int) -> tuple[int, ...]:
    """Return torch's one number for all axes, or one for each."""
    several = value if isinstance(value, tuple) else (value,)
    numbers = tuple(number for number in several if isinstance(number, int))
    return numbers * axes if len(numbers) == 1 else numbers


def _argument(op: Operator, name: str, *, default: Argument) -> Argument:
    """Value of an argument; calls leave out trailing arguments that have their schema's default."""
    value = dict(op.arguments).get(name, default)
    return default if value in ((), None) else value


def _swept(op: Operator, known: Known, *, kernel: tuple[int, ...], transposed: bool) -> Reaches:
    """Sweep a kernel over the first operand, which may lack leading axes of the kernel's, of extent 1."""
    axes, (_, reaches) = len(kernel), known[0]
    if len(reaches) > axes:
        return _without_rule(op, known)
    dilation = _per_axis(_argument(op, "dilation", default=1), axes)
    stride = _per_axis(_argument(op, "stride", default=1 if _is_convolution(op) else kernel), axes)
    padding = _padding(op, kernel, dilation)
    motion = spread if transposed else slide
    steps = list(zip(kernel, stride, padding, dilation, strict=True))[axes - len(reaches) :]
    return tuple(
        motion(reach, size=size, stride=step, padding=pad, dilation=gap)
        for reach, (size, step, pad, gap) in zip(reaches, steps, strict=True)
    )


def _is_convolution(op: Operator) -> bool:
    return op.input("weight") is not None


def _padding(op: Operator, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[int, ...]:
    """Return the padding before the first pixel: of "same" the smaller half (Convolution.cpp)."""
    padding = _argument(op, "padding", default=0)
    if padding == "same":
        return tuple(gap * (size - 1) // 2 for size, gap in zip(kernel, dilation, strict=True))
    return _per_axis(0 if padding == "valid" else padding, len(kernel))


def _convolution(op: Operator, known: Known, *, transposed: bool = False) -> Reaches:
    weight = op.input("weight")
    if weight is None:
        return _without_rule(op, known)
    turned = transposed or bool(_argument(op, "transposed", default=False))
    return _swept(op, known, kernel=weight.shape[2:], transposed=turned)


def _pooling(op: Operator, known: Known, *, axes: int) -> Reaches:
    kernel = _per_axis(_argument(op, "kernel_size", default=1), axes)
    return _swept(op, known, kernel=kernel, transposed=False)


def _adaptive_pooling(op: Operator, known: Known) -> Reaches:
    """Even windows where one extent divides the other, the whole input where one output is left."""
    return _rescaled(op, known, shrink=_evenly, grow=enlarge)


def _evenly(reach: Reach, *, factor: int, output: int) -> Reach:
    return Beyond.WHOLE if output == 1 else slide(reach, size=factor, stride=factor)


def _nearest(op: Operator, known: Known) -> Reaches:
    return _rescaled(op, known, shrink=None, grow=enlarge)


def _interpolation(op: Operator, known: Known) -> Reaches:
    if _argument(op, "align_corners", default=False):
        return _without_rule(op, known)
    return _rescaled(op, known, shrink=None, grow=partial(enlarge, linear=True))


def _rescaled(
    op: Operator, known: Known, *, shrink: Callable[..., Reach] | None, grow: Callable[..., Reach] | None
) -> Reaches:
    """Scale each axis by the whole factor between its extents, down or up; undefined where there is none."""
    operand, reaches = known[0]

    def rescaled(reach: Reach, before: int, after: int) -> Reach:
        if before == after or reach is Beyond.WHOLE:
            return reach
        if shrink and before % after == 0:
            return shrink(reach, factor=before // after, output=after)
        return grow(reach, factor=after // before) if grow and after % before == 0 else Beyond.UNDEFINED

    axes = len(reaches)
    return tuple(map(rescaled, reaches, operand.shape[-axes:], op.outputs[0].shape[-axes:]))


def _unshuffled(op: Operator, known: Known) -> Reaches:
    factor = _argument(op, "downscale_factor", default=1)
    assert isinstance(factor, int)
    return tuple(slide(reach, size=factor, stride=factor) for reach in known[0][1])


def _padded(op: Operator, known: Known) -> Reaches:
    """Pixels added before the first: they count as outside, whether zeros, mirrored or repeated ones."""
    pads = _per_axis(_argument(op, "pad", default=_argument(op, "padding", default=0)), 2)
    reaches = known[0][1]
    before = (*pads[::2], *(0 for _ in reaches))[: len(reaches)]  # the last axis comes first
    return tuple(
        slide(reach, size=1, padding=pad) for reach, pad in zip(reaches, reversed(before), strict=True)
    )


def _reduction(op: Operator, known: Known) -> Reaches:
    """Over the channels at each place, or over every place; over some axes of several it is not followed."""
    operand, reaches = known[0]
    rank, axes = len(operand.shape), len(reaches)
    dims = {dim % rank for dim in _per_axis(_argument(op, "dim", default=tuple(range(rank))), 1)}
    if dims <= {rank - axes - 1}:
        return reaches
    return _everything(op, known) if dims >= set(range(rank - axes, rank)) else _without_rule(op, known)


def _concatenation(op: Operator, known: Known) -> Reaches:
    """Side by side at each place; one behind the other along an axis gives no even windows."""
    return joined(op, known) if _axis_of_dim(op, known) is None else _without_rule(op, known)


def _along_channels(op: Operator, known: Known) -> Reaches:
    return known[0][1] if _axis_of_dim(op, known) is None else _without_rule(op, known)


def _slice(op: Operator, known: Known) -> Reaches:
    """Cut along an axis: windows move by the start and lie a step apart."""
    operand, reaches = known[0]
    axis = _axis_of_dim(op, known)
    if axis is None:
        return reaches
    start, step = _argument(op, "start", default=0), _argument(op, "step", default=1)
    assert isinstance(start, int) and isinstance(step, int)
    first = start + operand.shape[axis + 2] if start < 0 else start
    cut = slide(reaches[axis], size=1, stride=step, padding=-first)
    return (*reaches[:axis], cut, *reaches[axis + 1 :])


def _axis_of_dim(op: Operator, known: Known) -> int | None:
    """Return which of the first operand's axes the argument *dim* names; None for samples and channels."""
    operand, reaches = known[0]
    dim, rank = _argument(op, "dim", default=0), len(operand.shape)
    if not isinstance(dim, int) or rank != len(reaches) + 2:
        return None
    return dim % rank - 2 if dim % rank >= 2 else None


def _same(op: Operator, known: Known) -> Reaches:
    return known[0][1]


def _rules(rule: Rule, *groups: frozenset[str]) -> dict[str, Rule]:
    return {name: rule for group in groups for name in group}


_transposed = partial(_convolution, transposed=True)
_PER_TOKEN_OR_ALL = names("mm addmm linear matmul")

_RULES: dict[str, Rule] = {
    **_rules(joined, operators.POINTWISE, operators.NORMALIZATION),
    **_rules(_same, names("_copy_from _to_copy clone contiguous copy lift_fresh_copy")),
    **_rules(_same, operators.VIEW),
    **_rules(_reduction, operators.REDUCTION),
    **_rules(_along_channels, operators.SOFTMAX, names("select split split_with_sizes")),
    **_rules(_concatenation, names("cat")),
    "slice": _slice,
    **_rules(_convolution, names("convolution _convolution _convolution_mode conv1d conv2d conv3d")),
    **_rules(_convolution, names("cudnn_convolution cudnn_convolution_relu")),
    **_rules(
        _transposed, names("conv_transpose1d conv_transpose2d conv_transpose3d cudnn_convolution_transpose")
    ),
    **_rules(_everything, names("mm addmm linear matmul bmm baddbmm scaled_dot_product_attention")),
    **_rules(
        _everything,
        frozenset(f"_scaled_dot_product_{way}_attention" for way in ("cudnn", "efficient", "flash")),
    ),
    **_rules(partial(_pooling, axes=1), names("max_pool1d max_pool1d_with_indices avg_pool1d")),
    **_rules(partial(_pooling, axes=2), names("max_pool2d max_pool2d_with_indices avg_pool2d")),
    **_rules(partial(_pooling, axes=3), names("max_pool3d max_pool3d_with_indices avg_pool3d")),
    **_rules(_adaptive_pooling, frozenset(name for name in operators.POOLING if "adaptive" in name)),
    **_rules(
        _nearest,
        frozenset(name for name in operators.RESAMPLING if "nearest" in name),
        names("pixel_shuffle"),
    ),
    **_rules(_interpolation, names("upsample_linear1d upsample_bilinear2d upsample_trilinear3d")),
    "pixel_unshuffle": _unshuffled,
    **_rules(_same, names("channel_shuffle native_channel_shuffle")),
    **_rules(_padded, frozenset(name for name in operators.RESAMPLING if "pad" in name)),
}
