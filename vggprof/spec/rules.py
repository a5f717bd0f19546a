"""What the options of one operator may not say together; known without the input, so told with the rest."""

from vggprof.spec import ops


def contradiction(op: ops.Op) -> str | None:
    """Return what is wrong with *op* whatever comes in, or None."""
    match op:
        case ops.Conv():
            return _same_with_stride(op) or _groups(op)
        case ops.ConvTranspose():
            return _output_padding(op) or _groups(op)
        case ops.MaxPool() | ops.AvgPool():
            return _pool_padding(op)
        case ops.Add() | ops.Concat() | ops.Multiply():
            return _clobbered_branch(op) or _clobbered_input(op)
        case _:
            return None


def _same_with_stride(op: ops.Conv) -> str | None:
    if op.padding != "same" or op.stride == (1, 1):
        return None
    return f"padding: same wants stride 1, not {_by(op.stride)}; write the padding as a number"


def _groups(op: ops.Convolution) -> str | None:
    if op.groups == "depthwise" or op.channels % op.groups == 0:
        return None
    return f"{op.channels} channels cannot be split into {op.groups} groups; a multiple of groups is wanted"


def _output_padding(op: ops.ConvTranspose) -> str | None:
    sides = zip(op.output_padding, op.stride, op.dilation, strict=True)
    if all(extra < max(stride, dilation) for extra, stride, dilation in sides):
        return None
    return f"output_padding {_by(op.output_padding)} must be smaller than the stride or the dilation"


def _pool_padding(op: ops.MaxPool | ops.AvgPool) -> str | None:
    # pool2d_shape_check, aten/src/ATen/native/Pool.h: "pad should be at most half of effective kernel size".
    reach = op.kernel
    if isinstance(op, ops.MaxPool):
        reach = (_reach(op.kernel[0], op.dilation[0]), _reach(op.kernel[1], op.dilation[1]))
    if op.padding[0] <= reach[0] // 2 and op.padding[1] <= reach[1] // 2:
        return None
    return f"padding {_by(op.padding)} is more than half of the kernel {_by(op.kernel)}"


def _reach(kernel: int, dilation: int) -> int:
    return dilation * (kernel - 1) + 1


def _clobbered_branch(op: ops.Join) -> str | None:
    for branch in op.branches:
        if branch.layers and getattr(branch.layers[0].op, "inplace", False):
            return (
                f"{branch.layers[0].name} works in place and opens the branch {branch.name!r}: it would "
                "change what the other branches read; set its inplace: false"
            )
    return None


def _clobbered_input(op: ops.Join) -> str | None:
    if not isinstance(op, ops.Add) or not op.inplace or op.branches[0].layers:
        return None
    return (
        f"inplace adds onto the first branch, {op.branches[0].name!r}, which is the input itself; "
        "write the branch that has layers first"
    )


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]}x{pair[1]}"
