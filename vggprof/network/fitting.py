"""Why a layer does not fit what comes in: what came, and what it wanted."""

from collections.abc import Sequence

from vggprof.network.leaves import Shape
from vggprof.spec import ops


def by(shape: Sequence[int]) -> str:
    """Return *shape* as specs write it: ``64x56x56``, or ``4096 features``."""
    return "x".join(map(str, shape)) if len(shape) > 1 else f"{shape[0]} features"


def misfit(op: ops.Leaf, shape: Shape) -> str | None:
    """Return what *op* wants instead of *shape*, where torch would take it for something else."""
    match op:
        case ops.Linear() if len(shape) == 3:
            return f"gets {by(shape)}, but linear wants a row of features; put `flatten` before it"
        case ops.Conv() | ops.ConvTranspose() if len(shape) == 3:
            return _groups(op, shape[0])
        case (
            ops.Conv()
            | ops.ConvTranspose()
            | ops.Lrn()
            | ops.MaxPool()
            | ops.AvgPool()
            | ops.LpPool()
            | ops.AdaptiveAvgPool()
            | ops.AdaptiveMaxPool()
        ) if len(shape) == 1:
            return f"gets {by(shape)}, but wants channels x height x width"
        case _:
            return None


def _groups(op: ops.Convolution, channels: int) -> str | None:
    if op.groups == "depthwise":
        if op.channels % channels == 0:
            return None
        return f"gets {channels} channels, and depthwise wants a multiple of them out, not {op.channels}"
    if channels % op.groups == 0:
        return None
    return f"gets {channels} channels, but {op.groups} groups want a multiple of {op.groups}"


def too_small(op: ops.Op, shape: Shape) -> str | None:
    """Return why *shape* has too few pixels for *op*, after torch refused it; None where that is not why."""
    match op:
        case ops.Conv(padding=(int() as down, int() as right)) | ops.MaxPool(padding=(down, right)):
            wanted = (
                op.dilation[0] * (op.kernel[0] - 1) + 1 - 2 * down,
                op.dilation[1] * (op.kernel[1] - 1) + 1 - 2 * right,
            )
        case ops.AvgPool():
            wanted = (op.kernel[0] - 2 * op.padding[0], op.kernel[1] - 2 * op.padding[1])
        case ops.LpPool():
            wanted = op.kernel
        case _:
            return None
    if shape[1] >= wanted[0] and shape[2] >= wanted[1]:
        return None
    way_out = "enlarge `input`, or pool less before it"
    return f"gets {by(shape)}, but wants {by(wanted)} pixels at least; {way_out}"


def branches_differ(op: ops.Join, shapes: Sequence[Shape]) -> str | None:
    """Return how the *shapes* that the branches of *op* give do not go together."""
    first = shapes[0]
    match op:
        case ops.Add():
            fits = all(shape == first for shape in shapes)
            wanted = "add wants them equal"
        case ops.Concat():
            fits = all(len(shape) == len(first) and shape[1:] == first[1:] for shape in shapes)
            wanted = "concat wants them equal but for the channels"
        case ops.Multiply():
            ranks_match = all(len(shape) == len(first) for shape in shapes)
            fits = ranks_match and all(len(set(sizes) - {1}) <= 1 for sizes in zip(*shapes, strict=True))
            wanted = "multiply wants each size equal, or 1"
    if fits:
        return None
    given = ", ".join(f"{branch.name} {by(shape)}" for branch, shape in zip(op.branches, shapes, strict=True))
    return f"its branches give {given}; {wanted}"
