"""Which ways single convolutions of others' measurements can have been done in: by hand."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from vggprof.latency.work import Math
from vggprof.memory.workspaces.convolution import Pass

pytest.importorskip("numpy")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def every() -> Iterator[list[Any]]:
    """Return all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
        yield list(import_module("latency_kernels").kernels())


def ways(kernel: Any, **changed: object) -> set[str]:  # noqa: ANN401 - of a module that is found at run time
    """Return the ways of *kernel* with its fields *changed*."""
    return {way.math.value for way in replace(kernel, **changed).work.ways}


def dense(every: list[Any], which: Pass) -> Any:  # noqa: ANN401
    """Return a pass with a kernel of 3 x 3 that cuDNN's sixth release made with Winograd."""
    return next(
        kernel
        for kernel in every
        if (kernel.conv.which, kernel.algorithm, kernel.conv.dtype) == (which, "WINOGRAD", "float32")
        and kernel.cudnn.startswith("6")
    )


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("WINOGRAD", "winograd"),
        ("WINOGRAD_NONFUSED", "winograd_4"),
        ("FFT_TILING", "fft"),
        ("IMPLICIT_PRECOMP_GEMM", "direct"),
        ("maxwell_scudnn_winograd_128x128_ldg1_ldg4_relu_tile148t_nt_v0", "winograd"),
        ("cudnn::winograd_nonfused::winogradforwarddata4x4", "winograd_4"),
        ("fft2d_r2c_16x16", "fft"),
        ("maxwell_scudnn_128x64_relu_small_nn_v1", "direct"),
    ],
)
def test_the_algorithm_of_a_forward_pass_is_the_one_that_is_told(
    every: list[Any], name: str, way: str
) -> None:
    assert ways(dense(every, Pass.FORWARD), algorithm=name) == {way}


@pytest.mark.parametrize(
    ("which", "cudnn", "expected"),
    [
        (Pass.DGRAD, "5", {"direct", "winograd"}),
        (Pass.DGRAD, "6.0.21", {"direct", "winograd"}),
        (Pass.DGRAD, "7.6.2.24", {"direct", "winograd", "winograd_4", "fft"}),
        (Pass.WGRAD, "5", {"direct"}),
        (Pass.WGRAD, "6.0.21", {"direct", "winograd_4", "fft"}),
    ],
)
def test_backward_passes_have_what_their_release_recommends(
    every: list[Any], which: Pass, cudnn: str, expected: set[str]
) -> None:
    assert ways(dense(every, which), cudnn=cudnn) == expected


def test_odd_channels_have_no_tensor_cores(every: list[Any]) -> None:
    halves = [kernel for kernel in every if kernel.conv.dtype == "float16"]
    odd = [kernel for kernel in halves if kernel.conv.x[1] % 8 or kernel.conv.y[1] % 8]
    assert len(halves) > len(odd) > 10
    assert all(ways(kernel) == {"tensor"} for kernel in halves if kernel not in odd)
    assert not any("tensor" in ways(kernel) for kernel in odd)


def test_half_precision_leaves_no_time_for_a_copy_into_another_layout(every: list[Any]) -> None:
    # 16 images of 256 channels of 56 x 56, to 64: 32 MB read and written, and 51 more with a copy of the
    # input.
    (kernel,) = (
        each
        for each in every
        if each.gpu == "Tesla V100 SXM2 16GB"
        and (each.conv.which, each.conv.dtype) == (Pass.FORWARD, "float16")
        and (each.conv.x, each.conv.w, each.conv.stride[0]) == ((16, 256, 56, 56), (64, 256, 1, 1), 1)
    )
    moved = 900e9 * 1e-3 * kernel.ms  # at most: the memory's bandwidth
    assert 32e6 < moved < 83e6
    assert all(each.conv.channels_last == (each.conv.dtype == "float16") for each in every)


def test_implicit_products_are_taken_to_have_had_one_tile(every: list[Any]) -> None:
    def tiles(gpu: str, channels: int, which: Pass = Pass.FORWARD) -> set[tuple[tuple[int, int], ...]]:
        return {
            way.product.tiles
            for kernel in every
            if kernel.gpu == gpu and kernel.conv.which is which and kernel.conv.dtype == "float32"
            for way in kernel.work.ways
            if way.math is Math.DIRECT and way.product.n == channels and kernel.conv.taps > 1
        }

    # Up to Pascal one of 128 channels, where they fill it, from Volta on for weights alone.
    wide, narrow, thin = ((128, 128),), ((128, 64),), ((128, 32),)
    for gpu, many in (("Tesla M40", wide), ("Tesla V100 SXM2 16GB", narrow)):
        assert [tiles(gpu, n) for n in (512, 64, 32)] == [{many}, {narrow}, {thin}]
        assert tiles(gpu, 512, Pass.WGRAD) == {wide}
    named = [kernel for kernel in every if "scudnn_128x32_relu" in kernel.algorithm]
    assert len(named) > 20
    assert all(way.product.tiles == thin for kernel in named for way in kernel.work.ways)


def test_the_fft_of_whole_images_is_left_out(every: list[Any]) -> None:
    told = {
        (kernel.gpu, kernel.conv.which)
        for kernel in every
        if kernel.algorithm == "FFT" and kernel.cudnn == "5"
    }
    assert told == {
        (gpu, Pass.WGRAD) for gpu in ("Tesla M40", "GeForce GTX TITAN X (Maxwell)", "TITAN X (Pascal)")
    }


def test_no_implicit_product_of_the_v100_is_beyond_its_peak(every: list[Any]) -> None:
    from vggprof.devices import find_device  # noqa: PLC0415

    def peak(gpu: str) -> float:
        device = find_device(gpu)
        return 2000.0 * device.sm_count * device.limits.cores_per_sm * device.boost_khz

    reached = max(
        2000 * kernel.conv.macs / kernel.ms
        for kernel in every
        if kernel.gpu == "Tesla V100 SXM2 16GB"
        and kernel.conv.dtype == "float32"
        and {way.math for way in kernel.work.ways} == {Math.DIRECT}
    )
    assert peak("Tesla V100 PCIe 16GB") < reached < peak("Tesla V100 SXM2 16GB")


def test_what_was_timed_with_the_launch_is_without_it(every: list[Any]) -> None:
    timed = [kernel for kernel in every if kernel.gpu == "A100 PCIe 80GB"]
    assert len(timed) > 400
    assert all(way.launches == 0 for kernel in timed for way in kernel.work.ways)
    # With two launches of fused Winograd a call takes 0.035 + 2 x 0.03 = 0.095 ms, with four of the other
    # 0.155 ms; what is left is twice that at least.
    for name, call in (("scudnn_winograd", 0.095), ("winograd_nonfused", 0.155)):
        least = min(kernel.ms for kernel in timed if name in kernel.algorithm)
        assert 2 * call < least < 2.5 * call
