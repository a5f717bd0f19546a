"""Scratch memory of sums and means, by hand from Reduce.cuh."""

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vggprof.memory.workspaces.actions import Give, Take
from vggprof.memory.workspaces.convolution import Strided
from vggprof.memory.workspaces.device import DeviceProperties
from vggprof.memory.workspaces.formats import MemoryFormat, empty
from vggprof.memory.workspaces.iterating import Axis, in_32_bits, pieces, reduction_axes
from vggprof.memory.workspaces.reductions import scratch

H200 = DeviceProperties("NVIDIA H200", (9, 0), 132, 1_980_000, 3_750_000, 52_428_800, 151_397_597_184)
T4 = DeviceProperties("Tesla T4", (7, 5), 40, 1_590_000, 5_001_000, 4_194_304, 15_828_320_256)


def _taken(
    source: Strided,
    reduced: set[int],
    device: DeviceProperties = H200,
    *,
    dtype: str = "float32",
    out_dtype: str | None = None,
) -> list[int]:
    actions = scratch(source, frozenset(reduced), dtype=dtype, out_dtype=out_dtype or dtype, device=device)
    assert actions is not None
    assert sum(isinstance(a, Take) for a in actions) == sum(isinstance(a, Give) for a in actions)
    return [action.nbytes for action in actions if isinstance(action, Take)]


# Gradient of the bias of VGG-16's first layers, (32, 64, 224, 224): 64 outputs of 1,605,632 values.
# Innermost is reduced (224*224 values in a row, then 32 images); two reduced axes, so no vectors. Blocks of
# 32 x 16 threads share one output: 1,605,632 / 512 = 3,136 values a thread, more than 256, so blocks share
# too. Room on an H200: 132 * 2048/512 = 528 blocks, 9 an output; at most 256 values a thread wants 13. So
# 64 * 13 partial sums of 4 bytes, and 64 semaphores.
def test_bias_gradient_of_a_large_convolution() -> None:
    gradient = Strided.contiguous((32, 64, 224, 224))
    assert _taken(gradient, {0, 2, 3}) == [64 * 13 * 4, 64 * 4]


# A T4 has room for 40 * 1024/512 = 80 blocks: two an output, but 13 keep a thread to 256 values.
def test_the_device_has_a_say_only_where_there_is_room() -> None:
    gradient = Strided.contiguous((32, 64, 224, 224))
    assert _taken(gradient, {0, 2, 3}, T4) == [64 * 13 * 4, 64 * 4]
    # 16 outputs of 1,605,632: 80 / 16 = 5 blocks each on a T4, 33 on an H200; still 13 at least.
    gradient = Strided.contiguous((32, 16, 224, 224))
    assert _taken(gradient, {0, 2, 3}, T4) == [16 * 13 * 4, 16 * 4]
    assert _taken(gradient, {0, 2, 3}, H200) == [16 * 33 * 4, 16 * 4]


# Deep layers: (32, 512, 14, 14) has 6,272 values an output, 13 a thread: one block does.
def test_small_sums_take_nothing() -> None:
    assert _taken(Strided.contiguous((32, 512, 14, 14)), {0, 2, 3}) == []
    assert _taken(Strided.contiguous((32, 1000)), {0}) == []
    assert _taken(Strided((), ()), set()) == []


# The whole of 2**24 numbers: one axis, one output, so four values are loaded at once and blocks are 512 wide
# (the height has one output to offer): 2**24 / 512 = 32,768 values a thread. The split over warps needs
# block height * 16 = 16 values, so it is one. Room 528, so 528 blocks: 2,112 bytes and one semaphore.
def test_sum_over_everything() -> None:
    assert _taken(Strided.contiguous((2**24,)), {0}) == [528 * 4, 4]


# In channels_last the outputs are innermost: each thread sums four channels, 64 / 4 = 16 threads wide and
# 128 / 16 = 8 high. 1,605,632 / 8 = 200,704 values a thread; the grid is one block, room 132 * 16 = 2,112.
# Partial sums by thread: 64 outputs * 2,112 blocks * 16 threads * 4 at once, 4 bytes each.
def test_channels_last_sums_channels_side_by_side() -> None:
    gradient = empty((32, 64, 224, 224), MemoryFormat.CHANNELS_LAST)
    assert _taken(gradient, {0, 2, 3}) == [64 * 2112 * 16 * 4 * 4, 4]


# Half-precision sums are kept in float32.
def test_float16_sums_in_float32() -> None:
    gradient = Strided.contiguous((32, 64, 224, 224))
    assert _taken(gradient, {0, 2, 3}, dtype="float16") == [64 * 13 * 4, 64 * 4]
    assert _taken(gradient, {0, 2, 3}, dtype="float64") == [64 * 13 * 8, 64 * 4]
    assert _taken(gradient, {0, 2, 3}, dtype="float16", out_dtype="float32") == [64 * 13 * 4, 64 * 4]
    source = Strided.contiguous((8, 8))
    assert scratch(source, frozenset({0}), dtype="int64", out_dtype="int64", device=T4) is None
    assert scratch(source, frozenset({0}), dtype="float64", out_dtype="float32", device=T4) is None


# 256 images of 64*224*224 float32 are 3.3 GB: beyond 32-bit offsets, so the sum runs over two halves of 128
# images, each with scratch of its own (128 * 50,176 / 512 = 12,544 values a thread, 49 blocks).
def test_sums_beyond_32_bit_offsets_run_in_halves() -> None:
    gradient = Strided.contiguous((256, 64, 224, 224))
    half = [64 * 49 * 4, 64 * 4]
    assert _taken(gradient, {0, 2, 3}) == half + half


# In float16 256 images fit; 512 do not, and then the sums of the halves meet in float32: 64 * 4 bytes.
def test_float16_halves_meet_in_float32() -> None:
    assert _taken(Strided.contiguous((256, 64, 224, 224)), {0, 2, 3}, dtype="float16")[0] == 64 * 98 * 4
    taken = _taken(Strided.contiguous((512, 64, 224, 224)), {0, 2, 3}, dtype="float16")
    assert taken == [64 * 4, 64 * 98 * 4, 64 * 4, 64 * 98 * 4, 64 * 4]


def test_axes_are_ordered_and_joined() -> None:
    axes = reduction_axes(Strided.contiguous((32, 64, 7, 7)), frozenset({0, 2, 3}), in_item=4, out_item=4)
    assert axes == (Axis(49, 0, 4), Axis(32, 0, 64 * 49 * 4), Axis(64, 4, 49 * 4))


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    reduced=st.sets(st.integers(0, 4)),
    order=st.randoms(use_true_random=False),
)
def test_axes_keep_every_number(shape: list[int], reduced: set[int], order: object) -> None:
    """However a tensor lies, its numbers and outputs stay as many, and reduced axes lie inside."""
    axes = list(range(len(shape)))
    order.shuffle(axes)  # type: ignore[attr-defined]
    dense = Strided.contiguous([shape[axis] for axis in axes])
    strides = [0] * len(shape)
    for position, axis in enumerate(axes):
        strides[axis] = dense.strides[position]
    chosen = frozenset(axis for axis in reduced if axis < len(shape))
    found = reduction_axes(Strided(tuple(shape), tuple(strides)), chosen, in_item=4, out_item=4)
    assert prod(axis.size for axis in found) == prod(shape)
    kept = [size for axis, size in enumerate(shape) if axis not in chosen]
    assert prod(axis.size for axis in found if not axis.reduced) == prod(kept)
    large = [axis.reduced for axis in found if axis.size > 1]
    assert large == sorted(large, reverse=True)


@given(
    st.lists(st.integers(1, 2**12), min_size=1, max_size=4).filter(lambda shape: prod(shape) < 2**36),
    st.sets(st.integers(0, 3)),
)
def test_pieces_are_small_and_whole(shape: list[int], reduced: set[int]) -> None:
    chosen = frozenset(axis for axis in reduced if axis < len(shape))
    axes = reduction_axes(Strided.contiguous(shape), chosen, in_item=4, out_item=4)
    parts = list(pieces(axes))
    assert all(in_32_bits(part) for part in parts)
    assert sum(prod(axis.size for axis in part) for part in parts) == prod(shape)


@pytest.mark.parametrize("width", [1, 127, 128, 1000, 4096])
def test_rows_of_any_width(width: int) -> None:
    """A mean over each of many rows needs no meeting of blocks: one block has a whole row."""
    assert _taken(Strided.contiguous((4096, width)), {1}) == []
