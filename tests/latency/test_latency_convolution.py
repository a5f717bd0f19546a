"""Convolutions as products and as ways: by hand."""

from dataclasses import replace

import pytest

from vggprof.latency.convolution import Conv, named_way, ways
from vggprof.latency.work import BLAS_TILES, Math, Product
from vggprof.memory.workspaces.convolution import Pass
from vggprof.memory.workspaces.plans import Plan


def conv(which: Pass = Pass.FORWARD, *, dtype: str = "float32", last: bool = False, stride: int = 1) -> Conv:
    """64 to 128 channels, 3 x 3, batch 2, 56 x 56 or 28 x 28."""
    side = 56 // stride
    return Conv(
        which=which,
        dtype=dtype,
        x=(2, 64, 56, 56),
        w=(128, 64, 3, 3),
        y=(2, 128, side, side),
        stride=(stride, stride),
        dilation=(1, 1),
        channels_last=last,
    )


def test_the_forward_product_has_pixels_channels_and_taps() -> None:
    # 2 x 56 x 56 = 6,272 pixels, 128 channels out, 64 x 9 = 576 numbers for each.
    assert conv().product() == Product(6272, 128, 576)
    assert conv().product().macs == conv().macs


def test_the_data_gradient_exchanges_channels() -> None:
    assert conv(Pass.DGRAD).product() == Product(6272, 64, 128 * 9)


def test_a_strided_data_gradient_takes_twice_the_forward() -> None:
    # Of each axis one position of two is skipped: 1,152 taps x 784 / 3,136 pixels = 288 meet a pixel, twice.
    assert conv(Pass.DGRAD, stride=2).product() == Product(6272, 64, 576)
    assert conv(Pass.DGRAD, stride=2).product().macs == 2 * conv(stride=2).macs


def test_the_weight_gradient_sums_over_pixels_in_pieces() -> None:
    # 6,272 pixels in pieces of 256 or more: at most 24.
    assert conv(Pass.WGRAD).product() == Product(576, 128, 6272, splits=24)


def test_grouped_channels_meet_only_their_own() -> None:
    grouped = replace(conv(), x=(2, 64, 8, 8), w=(64, 16, 3, 3), y=(2, 64, 8, 8))
    assert grouped.product() == Product(128, 16, 144, count=4)
    assert grouped.product().macs == grouped.macs


def test_fp32_has_winograd_where_kernels_are_3x3_and_dense() -> None:
    found = {way.math: way for way in ways(conv(), tensor_cores=True, tf32=False)}
    assert set(found) == {Math.DIRECT, Math.WINOGRAD, Math.WINOGRAD_4, Math.FFT}
    # F(2x2): 28 x 28 tiles an image, of 16 multiplications: 49 blocks of 4 x 4 tiles of both images, four
    # rows of the product to each tile and four columns to each channel.
    assert found[Math.WINOGRAD].product == Product(49 * 128, 512, 64, tiles=((128, 128),))
    # F(4x4): 2 x 14 x 14 tiles of 36.
    small = ((128, 128), (64, 64), (128, 32), (32, 128))
    assert found[Math.WINOGRAD_4].product == Product(392, 128, 64, count=36, tiles=small)
    # 2.25 and 4 times fewer multiplications than the sum that defines it.
    macs = conv().macs
    winograds = (found[Math.DIRECT], found[Math.WINOGRAD], found[Math.WINOGRAD_4])
    assert [macs / way.product.macs for way in winograds if way.product] == [1, 2.25, 4]


def test_blocks_of_winograd_lie_over_several_small_images() -> None:
    def rows(images: int, side: int) -> int:
        made = replace(conv(), x=(images, 64, side, side), y=(images, 128, side, side))
        found = {way.math: way.product for way in ways(made, tensor_cores=False, tf32=False)}
        product = found[Math.WINOGRAD]
        assert product is not None
        return product.m // 128

    # 7 x 7 results are 4 x 4 tiles: half a block of 32, so that a block takes two images, or one alone.
    assert [rows(images, 7) for images in (1, 2, 3, 4)] == [1, 1, 2, 2]
    # 14 x 14 are 7 x 7 tiles: 49 of 64, in two blocks of 4 x 8.
    assert [rows(images, 14) for images in (1, 2)] == [2, 4]


def test_winograd_in_one_kernel_transforms_the_weights_before() -> None:
    for which in (Pass.FORWARD, Pass.DGRAD):
        found = {way.math: way for way in ways(conv(which), tensor_cores=False, tf32=False)}
        # 9 numbers are read and 16 written for each of 64 x 128 kernels.
        assert found[Math.WINOGRAD].around_bytes == 64 * 128 * 25 * 4


def test_winograd_through_memory_moves_tensors_and_weights_as_tiles() -> None:
    # Of 64 and 128 channels 2 x 14 x 14 tiles of 36 numbers each, 64 x 128 kernels of 36, and both tensors.
    # The transform of the weights, which their gradient has not, takes twice as long a byte.
    tiles, weights = 2 * 14 * 14 * 36 * (64 + 128) * 4, 64 * 128 * 36 * 4
    tensors = 2 * 56 * 56 * (64 + 128) * 4
    for which, times in ((Pass.FORWARD, 2), (Pass.DGRAD, 2), (Pass.WGRAD, 1)):
        found = {way.math: way for way in ways(conv(which), tensor_cores=False, tf32=False)}
        assert found[Math.WINOGRAD_4].nbytes == tiles + weights
        assert found[Math.WINOGRAD_4].around_bytes == tensors + tiles + times * weights


def test_tiles_of_32_of_a_3x3_kernel_keep_30_for_the_fft() -> None:
    found = {way.math: way for way in ways(conv(), tensor_cores=False, tf32=False)}
    # Two tiles an axis for 56; 32 x 17 frequencies, each a complex product: four real ones.
    complex_tiles = ((64, 64), (64, 32), (32, 64), (32, 32))
    assert found[Math.FFT].product == Product(8, 128, 4 * 64, count=32 * 17, tiles=complex_tiles)


def test_small_images_have_a_tile_of_16_each_for_the_fft() -> None:
    def frequencies(side: int, which: Pass = Pass.FORWARD) -> int:
        made = replace(conv(which), x=(2, 64, side, side), y=(2, 128, side, side))
        found = {way.math: way.product for way in ways(made, tensor_cores=False, tf32=False)}
        product = found[Math.FFT]
        assert product is not None
        return product.count

    # 14 results of a 3 x 3 kernel are made of 16 numbers, 15 of 17.
    assert [frequencies(side) for side in (13, 14, 15)] == [16 * 9, 16 * 9, 32 * 17]
    assert frequencies(14, Pass.DGRAD) == 16 * 9


def test_weights_have_no_winograd_in_one_kernel_and_larger_tiles() -> None:
    found = {way.math: way for way in ways(conv(Pass.WGRAD), tensor_cores=False, tf32=False)}
    assert set(found) == {Math.DIRECT, Math.WINOGRAD_4, Math.FFT}
    tiles = ((256, 128), (128, 128), (128, 64), (128, 32))
    assert found[Math.DIRECT].product == Product(576, 128, 6272, splits=24, tiles=tiles)
    # 2 x 14 x 14 = 392 tiles are summed, in one piece of 256 or more.
    kernels = ((256, 128), (128, 128), (128, 64), (64, 128), (64, 64))
    assert found[Math.WINOGRAD_4].product == Product(64, 128, 392, count=36, splits=1, tiles=kernels)
    fft = found[Math.FFT].product
    assert fft is not None
    assert fft.tiles == ((64, 64), (64, 32), (32, 64), (32, 32))
    pointwise = replace(conv(Pass.WGRAD), w=(128, 64, 1, 1))
    (direct,) = ways(pointwise, tensor_cores=False, tf32=False)
    assert direct.product == Product(64, 128, 6272, splits=24, tiles=((256, 128), (128, 128)))


def test_kernels_wider_than_a_tile_have_no_fft() -> None:
    for side, expected in ((32, {Math.DIRECT, Math.FFT}), (33, {Math.DIRECT})):
        wide = replace(conv(), w=(128, 64, side, side))
        assert {way.math for way in ways(wide, tensor_cores=False, tf32=False)} == expected


def test_5x5_kernels_have_winograd_through_memory() -> None:
    wide = replace(conv(), w=(128, 64, 5, 5))
    found = {way.math: way for way in ways(wide, tensor_cores=False, tf32=False)}
    assert set(found) == {Math.DIRECT, Math.WINOGRAD_4, Math.FFT}
    # F(5x5, 5x5): 12 x 12 tiles an image cover 56 x 56, 9 x 9 multiplications each.
    product = found[Math.WINOGRAD_4].product
    assert product is not None
    assert replace(product, tiles=BLAS_TILES) == Product(288, 128, 64, count=81)


def test_a_stride_leaves_only_the_product() -> None:
    assert [way.math for way in ways(conv(stride=2), tensor_cores=False, tf32=False)] == [Math.DIRECT]


def test_contiguous_half_precision_is_copied_for_tensor_cores() -> None:
    (contiguous,) = ways(conv(dtype="float16"), tensor_cores=True, tf32=False)
    (last,) = ways(conv(dtype="float16", last=True), tensor_cores=True, tf32=False)
    # The input, 2 x 64 x 56 x 56 numbers of 2 bytes, is read and written.
    assert (contiguous.math, contiguous.layout_bytes) == (Math.TENSOR, 2 * 2 * 64 * 56 * 56 * 2)
    assert (last.math, last.layout_bytes) == (Math.TENSOR, 0)


def test_without_tensor_cores_half_precision_runs_on_the_lanes() -> None:
    found = ways(conv(dtype="float16"), tensor_cores=False, tf32=False)
    assert {way.math for way in found} == {Math.DIRECT, Math.WINOGRAD, Math.WINOGRAD_4, Math.FFT}


@pytest.mark.parametrize(
    ("notes", "math"),
    [
        (("TENSOR_CORE",), Math.TF32),
        (("WINOGRAD", "WINOGRAD_TILE_4x4"), Math.WINOGRAD),
        (("WINOGRAD", "WINOGRAD_TILE_6x6"), Math.WINOGRAD_4),
        ((), Math.DIRECT),
    ],
)
def test_the_notes_of_a_plan_name_the_way(notes: tuple[str, ...], math: Math) -> None:
    assert named_way(conv(), Plan("eng1_k2=1", 0, notes, fallback=False)).math is math


def test_a_plan_for_weights_that_names_winograd_goes_through_memory() -> None:
    plan = Plan("eng1", 0, ("WINOGRAD", "WINOGRAD_TILE_4x4"), fallback=False)
    assert named_way(conv(Pass.WGRAD), plan).math is Math.WINOGRAD_4


def test_a_plan_without_room_copies_nothing() -> None:
    assert named_way(conv(), Plan("eng1", 0, ("TENSOR_CORE",), fallback=False)).layout_bytes == 0
    roomy = named_way(conv(), Plan("eng1", 2**30, ("TENSOR_CORE",), fallback=False))
    assert roomy.layout_bytes == 2 * 2 * 64 * 56 * 56 * 4
