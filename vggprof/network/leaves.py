"""Operators of a spec as torch modules on the meta device."""

from typing import assert_never

from torch import nn

from vggprof.network.joins import Add, Concat, Multiply
from vggprof.spec import ops

Shape = tuple[int, ...]  # of one image: (channels, height, width), or (features,)


def module_of(op: ops.Op, shape: Shape) -> nn.Module:  # noqa: PLR0911 - one return a kind of operator
    """Return the module for *op* where *shape* comes in, on meta; raises what torch raises."""
    match op:
        case ops.Conv() | ops.ConvTranspose():
            return _convolution(op, shape[0])
        case ops.Linear():
            return nn.Linear(shape[0], op.features, bias=op.bias, device="meta")
        case ops.BatchNorm():
            return _batch_norm(op, shape)
        case ops.Lrn():
            return nn.LocalResponseNorm(op.size, alpha=op.alpha, beta=op.beta, k=op.k)
        case ops.MaxPool() | ops.AvgPool() | ops.LpPool() | ops.AdaptiveAvgPool() | ops.AdaptiveMaxPool():
            return _pool(op)
        case ops.Dropout():
            return nn.Dropout(op.p, inplace=op.inplace)
        case ops.Flatten():
            return nn.Flatten()
        case ops.Add():
            return Add(inplace=op.inplace)
        case ops.Concat():
            return Concat()
        case ops.Multiply():
            return Multiply()
        case _:
            return _activation(op)


def _convolution(op: ops.Convolution, channels: int) -> nn.Module:
    groups = channels if op.groups == "depthwise" else op.groups
    match op:
        case ops.Conv():
            return nn.Conv2d(
                channels,
                op.channels,
                op.kernel,
                stride=op.stride,
                padding=op.padding,
                dilation=op.dilation,
                groups=groups,
                bias=op.bias,
                device="meta",
            )
        case ops.ConvTranspose():
            return nn.ConvTranspose2d(
                channels,
                op.channels,
                op.kernel,
                stride=op.stride,
                padding=op.padding,
                output_padding=op.output_padding,
                groups=groups,
                bias=op.bias,
                dilation=op.dilation,
                device="meta",
            )
        case _:
            assert_never(op)


def _batch_norm(op: ops.BatchNorm, shape: Shape) -> nn.Module:
    kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
    return kind(
        shape[0],
        eps=op.eps,
        momentum=op.momentum,
        affine=op.affine,
        track_running_stats=op.track_running_stats,
        device="meta",
    )


def _pool(op: ops.Pool | ops.AdaptivePool) -> nn.Module:
    match op:
        case ops.MaxPool():
            return nn.MaxPool2d(op.kernel, op.stride, op.padding, op.dilation, ceil_mode=op.ceil_mode)
        case ops.AvgPool():
            return nn.AvgPool2d(
                op.kernel,
                op.stride,
                op.padding,
                ceil_mode=op.ceil_mode,
                count_include_pad=op.count_include_pad,
            )
        case ops.LpPool():
            return nn.LPPool2d(op.norm, op.kernel, op.stride, ceil_mode=op.ceil_mode)
        case ops.AdaptiveAvgPool():
            return nn.AdaptiveAvgPool2d(op.size)
        case ops.AdaptiveMaxPool():
            return nn.AdaptiveMaxPool2d(op.size)
        case _:
            assert_never(op)


def _activation(op: ops.Activation) -> nn.Module:  # noqa: PLR0911, PLR0912 - one line an activation
    match op:
        case ops.Relu():
            return nn.ReLU(op.inplace)
        case ops.Relu6():
            return nn.ReLU6(op.inplace)
        case ops.LeakyRelu():
            return nn.LeakyReLU(op.slope, op.inplace)
        case ops.Elu():
            return nn.ELU(op.alpha, op.inplace)
        case ops.Gelu():
            return nn.GELU()
        case ops.Silu():
            return nn.SiLU(op.inplace)
        case ops.Hardswish():
            return nn.Hardswish(op.inplace)
        case ops.Hardsigmoid():
            return nn.Hardsigmoid(op.inplace)
        case ops.Sigmoid():
            return nn.Sigmoid()
        case ops.Tanh():
            return nn.Tanh()
        case ops.Softmax():
            return nn.Softmax(dim=1)
        case ops.Identity():
            return nn.Identity()
        case _:
            assert_never(op)
