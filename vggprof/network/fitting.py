"""Why a layer does not fit what comes in: what came, and what it wanted. torch decides whether; this only words it."""

from collections.abc import Sequence

from vggprof.network.leaves import Shape
from vggprof.spec import ops


def by(shape: Sequence[int]) -> str:
    """Return *shape* as specs write it: ``64x56x56``."""
    return "x".join(map(str, shape))


def misfit(op: ops.Leaf, shape: Shape) -> str | None:
    """Return what *op* wants instead of *shape*, where torch would take it for something else or say it less well."""
    match op:
        case ops.Linear() if len(shape) == 3:
            return f"{by(shape)} comes in, but linear wants a row of features; put `flatten` before it"
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
            return f"a row of {by(shape)} features comes in, but it wants channels x height x width"
        case _:
            return None


def _groups(op: ops.Convolution, channels: int) -> str | None:
    if op.groups == "depthwise":
        if op.channels % channels == 0:
            return None
        return f"{channels} channels come in, and depthwise wants a multiple of them to go out, not {op.channels}"
    if channels % op.groups == 0:
        return None
    return f"{channels} channels come in, but {op.groups} groups want a multiple of {op.groups}"


def too_small(op: ops.Op, shape: Shape) -> str | None:
    """Return why *shape* has too few pixels for *op*, after torch refused it; None where that is not why."""
    match op:
        case ops.Conv(padding="same"):
            return None
        case ops.Conv() | ops.MaxPool():
            reach = tuple(d * (k - 1) + 1 for k, d in zip(op.kernel, op.dilation, strict=True))
            wanted = tuple(r - 2 * p for r, p in zip(reach, op.padding, strict=True))  # type: ignore[arg-type]
        case ops.AvgPool():
            wanted = tuple(k - 2 * p for k, p in zip(op.kernel, op.padding, strict=True))
        case ops.LpPool():
            wanted = op.kernel
        case _:
            return None
    if shape[1] >= wanted[0] and shape[2] >= wanted[1]:
        return None
    return f"{by(shape)} comes in, but it wants {by(wanted)} pixels at least; enlarge `input` or pool less before it"


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
