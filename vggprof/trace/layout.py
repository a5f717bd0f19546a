"""What torch reads out of strides."""

from vggprof.trace.values import Shape


def is_channels_last(shape: Shape, strides: Shape) -> bool:
    """Whether torch would suggest channels_last for a tensor of *shape* with *strides*.

    The rule of is_channels_last_strides_2d and _3d in c10/core/MemoryFormat.h: strides must not fall from the
    channels over the inner axes to the batch; where both orders describe the memory equally well (one
    channel, or one pixel with plain strides) plain order wins.
    """
    if len(shape) not in (4, 5) or strides[1] == 0:
        return False
    smallest = 0
    for axis in (1, *range(len(shape) - 1, 1, -1), 0):
        if shape[axis] == 0 or strides[axis] < smallest:
            return False
        if axis == 0 and smallest == strides[1]:
            return False
        smallest = strides[axis] * max(shape[axis], 1)
    return True
