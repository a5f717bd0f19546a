"""Memory formats that the meta device forgets and CUDA keeps."""

from typing import Any

import torch
from torch import Tensor

from vggprof.trace import is_channels_last

_aten = torch.ops.aten
_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}

# Operators whose CUDA kernels give their outputs the memory format that the arguments at these positions
# suggest: cuDNN convolutions by input or weight (cudnn_conv_suggest_memory_format, ATen/native/ConvUtils.h),
# poolings and batch norm by their input (ATen/native/cuda/*Pool*.cu, ATen/native/cudnn/BatchNorm.cpp).
_FOLLOWS = {
    _aten.convolution.default: (0, 1),
    _aten.convolution_backward.default: (1, 2),
    _aten.max_pool2d_with_indices.default: (0,),
    _aten.max_pool2d_with_indices_backward.default: (1,),
    _aten.avg_pool2d.default: (0,),
    _aten.avg_pool2d_backward.default: (1,),
    _aten._adaptive_avg_pool2d.default: (0,),
    _aten._adaptive_avg_pool2d_backward.default: (1,),
    _aten.cudnn_batch_norm.default: (0,),
    _aten.cudnn_batch_norm_backward.default: (0,),
    _aten.native_batch_norm.default: (0,),
    _aten.native_batch_norm_backward.default: (1,),
}


def with_cuda_layout(func: Any, args: tuple[Any, ...], result: Any) -> Any:
    """Return *result* of *func* in the memory format that CUDA would give it."""
    positions = _FOLLOWS.get(func)
    if positions is None or not any(_suggests_channels_last(args[position]) for position in positions):
        return result
    if isinstance(result, Tensor):
        return _as_channels_last(result)
    return tuple(_as_channels_last(tensor) for tensor in result)


def suggested_format(tensor: Tensor) -> torch.memory_format:
    """Return the memory format that torch reads out of the strides of *tensor*."""
    if not is_channels_last(tuple(tensor.shape), tensor.stride()):
        return torch.contiguous_format
    return _CHANNELS_LAST[tensor.dim()]


def _suggests_channels_last(tensor: Tensor) -> bool:
    """Whether cuDNN would run in channels_last; in float64 it never does."""
    return tensor.dtype is not torch.float64 and is_channels_last(tuple(tensor.shape), tensor.stride())


def _as_channels_last(tensor: Tensor | None) -> Tensor | None:
    """Return a tensor like *tensor* in channels_last; one without channels and pixels as it is."""
    if tensor is None or tensor.dim() not in _CHANNELS_LAST:
        return tensor
    return torch.empty_like(tensor, memory_format=_CHANNELS_LAST[tensor.dim()])
