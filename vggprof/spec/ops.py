"""The operators a spec can name: a closed set of plain values, every number resolved.

Input sizes are not here: channels or features that come in follow from the layer before, and torch knows.
Defaults are those of torch.nn; a pool's stride, which torch takes from the kernel, is always said.
"""

from dataclasses import dataclass, field

from vggprof.spec.kinds import (
    Count,
    Extent,
    Groups,
    Margin,
    MarginOrSame,
    Pixels,
    Probability,
    Small,
    Switch,
)
from vggprof.spec.place import Place


@dataclass(frozen=True, slots=True)
class Conv:
    """Convolution to *channels*; ``groups="depthwise"`` means one group per input channel."""

    channels: Count
    kernel: Extent
    stride: Extent = (1, 1)
    padding: MarginOrSame = (0, 0)
    dilation: Extent = (1, 1)
    groups: Groups = 1
    bias: Switch = True


@dataclass(frozen=True, slots=True)
class ConvTranspose:
    """Transposed convolution to *channels*."""

    channels: Count
    kernel: Extent
    stride: Extent = (1, 1)
    padding: Margin = (0, 0)
    output_padding: Margin = (0, 0)
    dilation: Extent = (1, 1)
    groups: Groups = 1
    bias: Switch = True


@dataclass(frozen=True, slots=True)
class Linear:
    """Fully connected layer to *features*."""

    features: Count
    bias: Switch = True


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalisation over each channel (or feature, after a flatten)."""

    eps: Small = 1e-5
    momentum: Probability = 0.1
    affine: Switch = True
    track_running_stats: Switch = True


@dataclass(frozen=True, slots=True)
class Lrn:
    """Local response normalisation across *size* channels; as in torch, *alpha* is divided by *size*."""

    size: Count
    alpha: Small = 1e-4
    beta: Small = 0.75
    k: Small = 1.0


@dataclass(frozen=True, slots=True)
class MaxPool:
    """Max pooling."""

    kernel: Extent
    stride: Extent
    padding: Margin = (0, 0)
    dilation: Extent = (1, 1)
    ceil_mode: Switch = False


@dataclass(frozen=True, slots=True)
class AvgPool:
    """Average pooling."""

    kernel: Extent
    stride: Extent
    padding: Margin = (0, 0)
    ceil_mode: Switch = False
    count_include_pad: Switch = True


@dataclass(frozen=True, slots=True)
class LpPool:
    """Power-average pooling: the *norm*-th root of the sum of *norm*-th powers."""

    kernel: Extent
    stride: Extent
    norm: Small = 2.0
    ceil_mode: Switch = False


@dataclass(frozen=True, slots=True)
class AdaptiveAvgPool:
    """Average pooling to *size* pixels, whatever comes in; size 1 is global average pooling."""

    size: Pixels


@dataclass(frozen=True, slots=True)
class AdaptiveMaxPool:
    """Max pooling to *size* pixels, whatever comes in."""

    size: Pixels


@dataclass(frozen=True, slots=True)
class Dropout:
    """Dropout of single elements with probability *p* while training."""

    p: Probability = 0.5
    inplace: Switch = False


@dataclass(frozen=True, slots=True)
class Flatten:
    """Channels, height and width to one row of features."""


@dataclass(frozen=True, slots=True)
class Relu:
    """max(0, x)."""

    inplace: Switch = False


@dataclass(frozen=True, slots=True)
class Relu6:
    """min(max(0, x), 6)."""

    inplace: Switch = False


@dataclass(frozen=True, slots=True)
class LeakyRelu:
    """x where positive, else *slope* times x."""

    slope: Small = 0.01
    inplace: Switch = False


@dataclass(frozen=True, slots=True)
class Elu:
    """x where positive, else *alpha* times (exp(x) - 1)."""

    alpha: Small = 1.0
    inplace: Switch = False


@dataclass(frozen=True, slots=True)
class Gelu:
    """x times the normal distribution function of x."""


@dataclass(frozen=True, slots=True)
class Silu:
    """x times sigmoid(x), also called swish."""

    inplace: Switch = False


@dataclass(frozen=True, slots=True)
class Hardswish:
    """x times relu6(x + 3) / 6."""

    inplace: Switch = False


@dataclass(frozen=True, slots=True)
class Hardsigmoid:
    """relu6(x + 3) / 6."""

    inplace: Switch = False


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True, slots=True)
class Tanh:
    """Hyperbolic tangent."""


@dataclass(frozen=True, slots=True)
class Softmax:
    """Softmax over the channels (or features)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What comes in goes out."""


@dataclass(frozen=True, slots=True)
class Branch:
    """One way from the layer before to a join; without layers it is the identity."""

    name: str
    layers: tuple["Layer", ...]


@dataclass(frozen=True, slots=True)
class Add:
    """Sum of branches of one shape, in the order written; *inplace* adds onto the first."""

    branches: tuple[Branch, ...]
    inplace: Switch = False


@dataclass(frozen=True, slots=True)
class Concat:
    """Branches one after the other along the channels."""

    branches: tuple[Branch, ...]


@dataclass(frozen=True, slots=True)
class Multiply:
    """Product of branches; a size of 1 stretches, as the gate of squeeze-and-excitation does."""

    branches: tuple[Branch, ...]


Join = Add | Concat | Multiply
Convolution = Conv | ConvTranspose
Pool = MaxPool | AvgPool | LpPool
AdaptivePool = AdaptiveAvgPool | AdaptiveMaxPool
Activation = (
    Relu
    | Relu6
    | LeakyRelu
    | Elu
    | Gelu
    | Silu
    | Hardswish
    | Hardsigmoid
    | Sigmoid
    | Tanh
    | Softmax
    | Identity
)
Leaf = Convolution | Linear | BatchNorm | Lrn | Pool | AdaptivePool | Dropout | Flatten | Activation
Op = Leaf | Join


@dataclass(frozen=True, slots=True)
class Layer:
    """One named operator: *name* is its path in the network (``layer1.0.conv1``), *at* where it stands."""

    name: str
    op: Op
    at: Place = field(compare=False)
