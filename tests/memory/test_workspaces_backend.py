"""Which implementation runs a convolution, against torch's own choice.

Torch chooses for fake CUDA tensors without a GPU, where its build has CUDA. It then takes the device for one
older than Volta, and says that cuDNN cannot dilate.
"""

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from vggprof.memory.workspaces.backend import ConvBackend, select_backend
from vggprof.memory.workspaces.convolution import ConvProblem, CudnnSettings, Pass, Strided
from vggprof.memory.workspaces.formats import MemoryFormat, empty

CUDNN = 92600
NO_DEVICE = (6, 1)
DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
}


def _problem(
    image: tuple[int, ...],
    weight: tuple[int, ...],
    dtype: str = "float32",
    order: MemoryFormat = MemoryFormat.CONTIGUOUS,
    *,
    groups: int = 1,
    stride: int = 1,
    dilation: int = 1,
    transposed: bool = False,
    output_padding: int = 0,
    enabled: bool = True,
) -> ConvProblem:
    axes = len(image) - 2
    result = Strided.contiguous((image[0], weight[0], *(1,) * axes))  # its size is of no concern here
    return ConvProblem(
        Pass.FORWARD,
        dtype,
        empty(image, order),
        empty(weight, MemoryFormat.CONTIGUOUS),
        result,
        (1,) * axes,
        (stride,) * axes,
        (dilation,) * axes,
        groups=groups,
        transposed=transposed,
        output_padding=(output_padding,) * axes if transposed else (),
        settings=CudnnSettings(enabled=enabled),
    )


def _torchs_choice(problem: ConvProblem) -> str:
    dtype = DTYPES[problem.dtype]
    torch.backends.cudnn.enabled = problem.settings.enabled
    try:
        with FakeTensorMode():
            image, weight = (
                torch.empty_strided(t.shape, t.strides, dtype=dtype, device="cuda")
                for t in (problem.input, problem.weight)
            )
            choice = torch._C._select_conv_backend(
                image,
                weight,
                None,
                list(problem.stride),
                list(problem.padding),
                list(problem.dilation),
                problem.transposed,
                list(problem.output_padding or (0,) * len(problem.stride)),
                problem.groups,
                None,
            )
    finally:
        torch.backends.cudnn.enabled = True
    return str(choice.name)


@pytest.mark.skipif(torch.version.cuda is None, reason="this torch was built without CUDA")
@pytest.mark.skipif(torch.cuda.is_available(), reason="torch would choose for the GPU that is here")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_choice_is_torchs(data: st.DataObject) -> None:
    axes = data.draw(st.integers(1, 3))
    groups = data.draw(st.sampled_from([1, 2, 4]))
    ins, outs = (groups * data.draw(st.sampled_from([1, 2, 8])) for _ in range(2))
    transposed = data.draw(st.booleans())
    kernel = data.draw(st.sampled_from([1, 3]))
    stride, dilation = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))
    order = data.draw(st.sampled_from(list(MemoryFormat))) if axes > 1 else MemoryFormat.CONTIGUOUS
    weight = (ins, outs // groups) if transposed else (outs, ins // groups)
    output_padding = data.draw(st.integers(0, 2))
    dtype = data.draw(st.sampled_from(sorted(DTYPES)))
    assume(dilation == 1 or (order is MemoryFormat.CHANNELS_LAST and dtype != "float64"))
    problem = _problem(
        (data.draw(st.integers(0, 2)), ins, *(8,) * axes),
        (*weight, *(kernel,) * axes),
        dtype,
        order,
        groups=groups,
        stride=stride,
        dilation=dilation,
        transposed=transposed,
        output_padding=output_padding,
        enabled=data.draw(st.booleans()),
    )
    chosen = select_backend(problem, capability=NO_DEVICE, cudnn_version=CUDNN)
    assert chosen.value == _torchs_choice(problem)


def test_dilated_convolutions_are_cudnns() -> None:
    problem = _problem((8, 64, 14, 14), (64, 64, 3, 3), dilation=2)
    assert select_backend(problem, capability=(7, 5), cudnn_version=CUDNN) is ConvBackend.CUDNN


# bfloat16 needs Ampere: supportsBFloat16ConvolutionWithCuDNNv8.
@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), ConvBackend.SLOW_2D), ((8, 0), ConvBackend.CUDNN)]
)
def test_bfloat16_by_capability(capability: tuple[int, int], expected: ConvBackend) -> None:
    problem = _problem((8, 64, 14, 14), (64, 64, 3, 3), "bfloat16")
    assert select_backend(problem, capability=capability, cudnn_version=CUDNN) is expected


# By hand through check_cudnn_depthwise_workload_with_filter: float16, 3x3 or 5x5, stride 1 is cuDNN's from
# width 7 on; stride 2 only with batch 1, 512 channels, or 256 channels at width 28.
@pytest.mark.parametrize(
    ("image", "kernel", "stride", "expected"),
    [
        ((32, 64, 56, 56), 3, 1, ConvBackend.CUDNN),
        ((32, 64, 6, 6), 3, 1, ConvBackend.DEPTHWISE_2D),
        ((32, 16, 56, 56), 3, 1, ConvBackend.DEPTHWISE_2D),  # fewer than 32 channels
        ((32, 64, 56, 56), 7, 1, ConvBackend.DEPTHWISE_2D),
        ((32, 256, 28, 28), 3, 2, ConvBackend.CUDNN),
        ((32, 256, 27, 27), 3, 2, ConvBackend.DEPTHWISE_2D),
        ((32, 512, 14, 14), 5, 2, ConvBackend.CUDNN),
        ((1, 32, 14, 14), 3, 2, ConvBackend.CUDNN),
        ((1, 32, 28, 28), 1, 2, ConvBackend.CUDNN),
        ((1, 32, 29, 29), 1, 2, ConvBackend.DEPTHWISE_2D),
        ((16, 128, 7, 7), 1, 2, ConvBackend.CUDNN),
        ((17, 128, 7, 7), 1, 2, ConvBackend.DEPTHWISE_2D),
        ((32, 64, 56, 56), 3, 3, ConvBackend.DEPTHWISE_2D),
    ],
)
def test_float16_depthwise_convolutions(
    image: tuple[int, ...], kernel: int, stride: int, expected: ConvBackend
) -> None:
    channels = image[1]
    problem = _problem(image, (channels, 1, kernel, kernel), "float16", groups=channels, stride=stride)
    assert select_backend(problem, capability=(8, 6), cudnn_version=CUDNN) is expected


@pytest.mark.parametrize(
    ("dtype", "order", "expected"),
    [
        ("float32", MemoryFormat.CONTIGUOUS, ConvBackend.DEPTHWISE_2D),
        ("float32", MemoryFormat.CHANNELS_LAST, ConvBackend.CUDNN),
        ("bfloat16", MemoryFormat.CONTIGUOUS, ConvBackend.DEPTHWISE_2D),
        ("float64", MemoryFormat.CHANNELS_LAST, ConvBackend.DEPTHWISE_2D),
    ],
)
def test_depthwise_by_dtype_and_format(dtype: str, order: MemoryFormat, expected: ConvBackend) -> None:
    problem = _problem((32, 64, 56, 56), (64, 1, 3, 3), dtype, order, groups=64)
    assert select_backend(problem, capability=(9, 0), cudnn_version=CUDNN) is expected


# 2**31 elements: the native depthwise kernels cannot index them, cuDNN can since 9.3, but for some versions
# in channels_last.
@pytest.mark.parametrize(
    ("version", "order", "expected"),
    [
        (90201, MemoryFormat.CONTIGUOUS, ConvBackend.DEPTHWISE_2D),
        (91100, MemoryFormat.CONTIGUOUS, ConvBackend.CUDNN),
        (91100, MemoryFormat.CHANNELS_LAST, ConvBackend.DEPTHWISE_2D),
        (91500, MemoryFormat.CHANNELS_LAST, ConvBackend.CUDNN),
    ],
)
def test_depthwise_beyond_32_bits(version: int, order: MemoryFormat, expected: ConvBackend) -> None:
    problem = _problem((2**11, 64, 128, 128), (64, 1, 3, 3), order=order, groups=64)
    assert problem.input.elements == 2**31
    assert select_backend(problem, capability=(9, 0), cudnn_version=version) is expected
