"""Memory formats: which one torch picks for a convolution, and when that takes a copy."""

from enum import Enum

from vggprof.memory.workspaces.convolution import Strided
from vggprof.trace import Shape, is_channels_last


class MemoryFormat(Enum):
    """Order of a tensor's axes in memory; channels_last covers the 3-D form too."""

    CONTIGUOUS = "contiguous"
    CHANNELS_LAST = "channels_last"


def suggested(tensor: Strided) -> MemoryFormat:
    """Return the format that *tensor*'s strides suggest: TensorBase::suggest_memory_format."""
    if is_channels_last(tensor.shape, tensor.strides):
        return MemoryFormat.CHANNELS_LAST
    return MemoryFormat.CONTIGUOUS


def cudnn_format(input: Strided, weight: Strided, *, dtype: str) -> MemoryFormat:  # noqa: A002 - torch's name
    """Return the format in which cuDNN computes: cudnn_conv_suggest_memory_format in ATen/native/ConvUtils.h.

    channels_last where either tensor is, except in float64.
    """
    if dtype == "float64" or len(weight.shape) not in (4, 5):
        return MemoryFormat.CONTIGUOUS
    if MemoryFormat.CHANNELS_LAST in (suggested(input), suggested(weight)):
        return MemoryFormat.CHANNELS_LAST
    return MemoryFormat.CONTIGUOUS


def empty(shape: Shape, order: MemoryFormat) -> Strided:
    """Return a fresh tensor of *shape* in *order*, as at::empty allocates it."""
    strides = [0] * len(shape)
    step = 1
    for axis in _inner_to_outer(len(shape), order):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return Strided(shape, tuple(strides))


def is_contiguous(tensor: Strided, order: MemoryFormat) -> bool:
    """Whether *tensor* is dense in *order*; the strides of axes of size 1 do not count.

    TensorImpl::compute_contiguous and compute_channels_last_contiguous_2d in c10/core/Contiguity.h.
    """
    if tensor.elements == 0:
        return True
    step = 1
    for axis in _inner_to_outer(len(tensor.shape), order):
        if tensor.shape[axis] != 1:
            if tensor.strides[axis] != step:
                return False
            step *= tensor.shape[axis]
    return True


def contiguous(tensor: Strided, order: MemoryFormat) -> Strided:
    """Return what ``tensor.contiguous(memory_format=order)`` gives: *tensor* itself where it is dense."""
    return tensor if is_contiguous(tensor, order) else empty(tensor.shape, order)


def pinned_strides(tensor: Strided, order: MemoryFormat) -> Strided:
    """Return *tensor* with the strides of size-1 axes made what cuDNN expects.

    fixSizeOneDimStride in ATen/cudnn/Descriptors.h: the product of the sizes of all axes further in.
    """
    strides = list(tensor.strides)
    step = 1
    for axis in _inner_to_outer(len(tensor.shape), order):
        if tensor.shape[axis] == 1:
            strides[axis] = step
        else:
            step *= tensor.shape[axis]
    return Strided(tensor.shape, tuple(strides))


def _inner_to_outer(axes: int, order: MemoryFormat) -> tuple[int, ...]:
    """Axes from the one that moves fastest."""
    if order is MemoryFormat.CHANNELS_LAST:
        return (1, *range(axes - 1, 1, -1), 0)
    return tuple(range(axes - 1, -1, -1))
