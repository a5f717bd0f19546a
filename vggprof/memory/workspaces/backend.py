"""Which of its implementations torch takes for a convolution on CUDA.

_select_conv_backend and ConvParams in ATen/native/Convolution.cpp, torch 2.11 to 2.15. What is not of CUDA
(MIOpen, oneDNN, MPS) is left out, and so is TORCH_CUDNN_V8_API_DISABLED.
"""

from enum import Enum
from math import prod

from vggprof.memory.workspaces.convolution import ConvProblem, Strided, as_2d
from vggprof.memory.workspaces.formats import MemoryFormat, cudnn_format
from vggprof.trace import Shape

_INT_MAX = 2**31 - 1


class ConvBackend(Enum):
    """An implementation; the values are the names of torch's own enumeration."""

    CUDNN = "Cudnn"
    CUDNN_TRANSPOSE = "CudnnTranspose"
    DEPTHWISE_2D = "CudaDepthwise2d"
    DEPTHWISE_3D = "CudaDepthwise3d"
    SLOW_2D = "Slow2d"
    SLOW_DILATED_2D = "SlowDilated2d"
    SLOW_DILATED_3D = "SlowDilated3d"
    SLOW_TRANSPOSE_2D = "SlowTranspose2d"
    SLOW_TRANSPOSE_3D = "SlowTranspose3d"
    EMPTY = "Empty"


def select_backend(problem: ConvProblem, *, capability: tuple[int, int], cudnn_version: int) -> ConvBackend:
    """Return the implementation that runs *problem*; *cudnn_version* is as cuDNN says it, 91900 for 9.19.0.

    The same for all three passes.
    """
    problem = as_2d(problem)
    if 0 in problem.input.shape[:2]:
        return ConvBackend.EMPTY
    flat = len(problem.input.shape) == 4
    if _is_depthwise(problem):
        if _takes_cudnn_depthwise(problem, capability, cudnn_version):
            return ConvBackend.CUDNN
        return ConvBackend.DEPTHWISE_2D if flat else ConvBackend.DEPTHWISE_3D
    if _takes_cudnn(problem, capability, cudnn_version):
        return ConvBackend.CUDNN_TRANSPOSE if problem.transposed else ConvBackend.CUDNN
    return _slow(problem, flat=flat)


def _slow(problem: ConvProblem, *, flat: bool) -> ConvBackend:
    """Return the implementation by matrix products that is left."""
    if problem.transposed:
        return ConvBackend.SLOW_TRANSPOSE_2D if flat else ConvBackend.SLOW_TRANSPOSE_3D
    if not flat:
        return ConvBackend.SLOW_DILATED_3D
    return ConvBackend.SLOW_DILATED_2D if _is_dilated(problem) else ConvBackend.SLOW_2D


def _is_depthwise(problem: ConvProblem) -> bool:
    """Every input channel has filters of its own: is_depthwise."""
    channels = problem.input.shape[1]
    return (
        not problem.transposed and channels == problem.groups > 1 and problem.weight.shape[0] % channels == 0
    )


def _takes_cudnn(problem: ConvProblem, capability: tuple[int, int], cudnn_version: int) -> bool:
    """Whether cuDNN takes a convolution that is not depthwise: use_cudnn."""
    if not problem.settings.enabled:
        return False
    if _is_too_large_to_split(problem) and cudnn_version < 90300:
        return False
    if problem.dtype == "bfloat16" and capability < (8, 0):  # supportsBFloat16ConvolutionWithCuDNNv8
        return False
    output_padding = problem.output_padding or (0,) * len(problem.stride)
    return all(padding < stride for padding, stride in zip(output_padding, problem.stride, strict=True))


def _takes_cudnn_depthwise(problem: ConvProblem, capability: tuple[int, int], cudnn_version: int) -> bool:
    """Whether cuDNN takes a depthwise convolution: use_cudnn_depthwise.

    All of them in channels_last; else only float16 ones of some shapes.
    """
    if not problem.settings.enabled:
        return False
    order = cudnn_format(problem.input, problem.weight, dtype=problem.dtype)
    if not (_indexed_in_32_bits(problem.input) and _indexed_in_32_bits(problem.weight)):
        broken = order is MemoryFormat.CHANNELS_LAST and 91000 < cudnn_version < 91500
        return cudnn_version >= 90300 and not broken
    if order is MemoryFormat.CHANNELS_LAST:
        return True
    return (
        problem.dtype == "float16"
        and capability >= (7, 0)  # supportsDepthwiseConvolutionWithCuDNN
        and _takes_cudnn(problem, capability, cudnn_version)
        and len(problem.input.shape) == 4
        and not _is_dilated(problem)
        and (problem.stride[0] == problem.stride[1] or problem.input.shape[2] == 1)
        and problem.input.shape[1] >= 32
        and _fast_depthwise(problem.input.shape, problem.weight.shape, problem.stride[1])
    )


def _fast_depthwise(image: Shape, weight: Shape, stride: int) -> bool:
    """Whether cuDNN was found faster than the native kernel: check_cudnn_depthwise_workload_with_filter."""
    batch, channels, height, width = image
    filters = weight[3]
    if height == 1 and stride == 1:
        return True
    if weight[2] != filters or filters not in (1, 3, 5) or width < 7 or stride not in (1, 2):
        return False
    if stride == 1:
        return True
    if filters == 1:
        return width <= 28 if batch == 1 else batch <= 16 and channels >= 128 and width <= 7
    return batch == 1 or channels >= 512 or (channels >= 256 and width >= 28)


def _is_dilated(problem: ConvProblem) -> bool:
    return any(step != 1 for step in problem.dilation)


def _is_too_large_to_split(problem: ConvProblem) -> bool:
    """Whether one image alone, going in or coming out, has more elements than an int counts."""
    return any(prod(tensor.shape[1:]) > _INT_MAX for tensor in (problem.input, problem.output))


def _indexed_in_32_bits(tensor: Strided) -> bool:
    """Whether all elements have offsets that fit an int: canUse32BitIndexMath."""
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    return tensor.elements < _INT_MAX and last < _INT_MAX
