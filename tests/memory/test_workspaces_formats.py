"""Memory formats against torch itself: what a convolution is computed in, and when that copies."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vggprof.memory.workspaces.convolution import Strided
from vggprof.memory.workspaces.formats import (
    MemoryFormat,
    contiguous,
    empty,
    is_contiguous,
    pinned_strides,
    suggested,
)

_TORCH = {
    (4, MemoryFormat.CONTIGUOUS): torch.contiguous_format,
    (4, MemoryFormat.CHANNELS_LAST): torch.channels_last,
    (5, MemoryFormat.CONTIGUOUS): torch.contiguous_format,
    (5, MemoryFormat.CHANNELS_LAST): torch.channels_last_3d,
}
_SHAPES = st.lists(st.integers(1, 4), min_size=4, max_size=5)
_ORDERS = st.sampled_from(list(MemoryFormat))


def _layout(tensor: torch.Tensor) -> Strided:
    return Strided(tuple(tensor.shape), tuple(tensor.stride()))


@given(shape=_SHAPES, order=_ORDERS)
def test_empty_has_torchs_strides(shape: list[int], order: MemoryFormat) -> None:
    made = torch.empty(shape, memory_format=_TORCH[len(shape), order])
    assert empty(tuple(shape), order) == _layout(made)


@given(shape=_SHAPES, order=_ORDERS, axes=st.randoms(use_true_random=False))
def test_contiguous_is_torchs_on_permuted_tensors(
    shape: list[int], order: MemoryFormat, axes: object
) -> None:
    permutation = list(range(len(shape)))
    axes.shuffle(permutation)  # type: ignore[attr-defined]
    tensor = torch.empty(shape).permute(permutation)
    torch_order = _TORCH[len(shape), order]
    assert is_contiguous(_layout(tensor), order) == tensor.is_contiguous(memory_format=torch_order)
    assert contiguous(_layout(tensor), order) == _layout(tensor.contiguous(memory_format=torch_order))


@given(shape=st.lists(st.integers(0, 4), max_size=3))
def test_tensors_of_few_axes(shape: list[int]) -> None:
    made = torch.empty(shape)
    assert empty(tuple(shape), MemoryFormat.CONTIGUOUS) == _layout(made)
    assert is_contiguous(_layout(made), MemoryFormat.CONTIGUOUS)


def test_expanded_tensors_are_not_contiguous() -> None:
    gradient = _layout(torch.ones(()).expand(2, 3, 4, 4))
    assert suggested(gradient) is MemoryFormat.CONTIGUOUS
    assert not is_contiguous(gradient, MemoryFormat.CONTIGUOUS)


# By hand from fixSizeOneDimStride: a size-1 axis gets the product of the sizes further in; others stay.
@pytest.mark.parametrize(
    ("shape", "strides", "order", "expected"),
    [
        # a 1x1 weight in channels_last: channels first (256), then two size-1 axes, then the outermost
        ((64, 256, 1, 1), (256, 1, 1, 1), MemoryFormat.CHANNELS_LAST, (256, 1, 256, 256)),
        ((64, 256, 1, 1), (256, 1, 1, 1), MemoryFormat.CONTIGUOUS, (256, 1, 1, 1)),
        # batch 1: its stride is that of the whole
        ((1, 3, 4, 5), (999, 20, 5, 1), MemoryFormat.CONTIGUOUS, (60, 20, 5, 1)),
        ((1, 1, 4, 5), (7, 7, 5, 1), MemoryFormat.CHANNELS_LAST, (20, 1, 5, 1)),
    ],
)
def test_strides_of_size_one_axes_are_pinned(
    shape: tuple[int, ...], strides: tuple[int, ...], order: MemoryFormat, expected: tuple[int, ...]
) -> None:
    assert pinned_strides(Strided(shape, strides), order).strides == expected
