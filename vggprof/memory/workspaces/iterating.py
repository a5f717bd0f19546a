"""How torch's TensorIterator lays out a reduction before its kernel runs.

TensorIteratorBase::reorder_dimensions, coalesce_dimensions, can_use_32bit_indexing and SplitUntil32Bit in
ATen/TensorIterator.cpp.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from vggprof.memory.workspaces.convolution import Strided

_INT_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the iteration; a step of 0 in the output says that it is reduced."""

    size: int
    out_bytes: int
    in_bytes: int

    @property
    def reduced(self) -> bool:
        """Whether the output has no such axis."""
        return self.out_bytes == 0


Axes = tuple[Axis, ...]


def reduction_axes(source: Strided, reduced: frozenset[int], *, in_item: int, out_item: int) -> Axes:
    """Return the axes of a reduction of *source*, the innermost first: reduced ones, then kept ones.

    *in_item* and *out_item* are the bytes of a number. Neighbours that lie like one axis are one.
    """
    kept = [axis for axis in range(len(source.shape)) if axis not in reduced]
    steps = {axis: out_item * prod(source.shape[later] for later in kept if later > axis) for axis in kept}
    axes = [
        Axis(size, steps.get(axis, 0), stride * in_item)
        for axis, (size, stride) in enumerate(zip(source.shape, source.strides, strict=True))
    ]
    return _coalesced(_ordered(axes[::-1]))


def _ordered(axes: list[Axis]) -> list[Axis]:
    """Sort by insertion, as the comparison is not a total order."""
    for end in range(1, len(axes)):
        current = end
        for before in range(end - 1, -1, -1):
            comparison = _compare(axes[before], axes[current])
            if comparison > 0:
                axes[before], axes[current] = axes[current], axes[before]
                current = before
            elif comparison < 0:
                break
    return axes


def _compare(first: Axis, second: Axis) -> int:
    """Return what should_swap returns: 1 where *second* belongs further in, -1 where not, 0 undecided."""
    if first.reduced != second.reduced:
        return 1 if second.reduced else -1
    for mine, others in ((first.out_bytes, second.out_bytes), (first.in_bytes, second.in_bytes)):
        if mine == 0 or others == 0:
            continue
        if mine != others:
            return 1 if mine > others else -1
        if first.size > second.size:
            return 1
    return 0


def _coalesced(axes: list[Axis]) -> Axes:
    merged = axes[:1]
    for axis in axes[1:]:
        last = merged[-1]
        alike = last.size * last.out_bytes == axis.out_bytes and last.size * last.in_bytes == axis.in_bytes
        if last.size == 1:
            merged[-1] = axis
        elif axis.size == 1 or alike:
            merged[-1] = replace(last, size=last.size * axis.size)
        else:
            merged.append(axis)
    return tuple(merged)


def in_32_bits(axes: Axes) -> bool:
    """Whether the kernel's 32-bit indices reach every byte."""
    if prod(axis.size for axis in axes) > _INT_MAX:
        return False
    ends = (sum((axis.size - 1) * step for axis, step in steps) for steps in _steps(axes))
    return all(1 + end <= _INT_MAX for end in ends)


def _steps(axes: Axes) -> tuple[list[tuple[Axis, int]], list[tuple[Axis, int]]]:
    return [(axis, axis.out_bytes) for axis in axes], [(axis, axis.in_bytes) for axis in axes]


def pieces(axes: Axes) -> Iterator[Axes]:
    """Yield the parts, in order, that 32-bit indices divide an iteration into; itself where it is small."""
    rest = [axes]
    while rest:
        part = rest.pop()
        if in_32_bits(part):
            yield part
        else:
            rest += _halves(part)


def _halves(axes: Axes) -> tuple[Axes, Axes]:
    """Return the second and the first half of *axes* along the axis of the greatest extent."""
    extents = [
        ((axis.size - 1) * step, number)
        for number, axis in reversed(list(enumerate(axes)))
        for step in (axis.out_bytes, axis.in_bytes)
    ]
    _, widest = max(extents, key=lambda extent: extent[0])
    size = axes[widest].size
    parts = [
        (*axes[:widest], replace(axes[widest], size=part), *axes[widest + 1 :])
        for part in (size - size // 2, size // 2)
    ]
    return parts[0], parts[1]
