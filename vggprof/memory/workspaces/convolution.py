"""A convolution as torch is asked for it: one of its results, and all that decides how it is computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import prod

from vggprof.errors import UsageError
from vggprof.trace import ITEM_BYTES, Shape

# Dtypes that torch's CUDA convolutions take, by their names in a trace.
DTYPES = ("float32", "float16", "bfloat16", "float64")


class Pass(StrEnum):
    """Which result of a convolution is computed."""

    FORWARD = "forward"
    DGRAD = "dgrad"  # gradient of the input
    WGRAD = "wgrad"  # gradient of the weight


@dataclass(frozen=True, slots=True)
class Strided:
    """Shape and strides of a tensor, in elements."""

    shape: Shape
    strides: Shape

    @classmethod
    def contiguous(cls, shape: Sequence[int]) -> "Strided":
        """Return a tensor of *shape* in plain order."""
        return cls(tuple(shape), tuple(prod(shape[axis + 1 :]) for axis in range(len(shape))))

    @property
    def elements(self) -> int:
        """How many numbers it shows."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class CudnnSettings:
    """What ``torch.backends.cudnn`` is set to, and the environment where it has a say."""

    enabled: bool = True
    allow_tf32: bool = True
    deterministic: bool = False
    benchmark: bool = False
    benchmark_limit: int = 10  # plans timed at most; 0 means all
    heuristic_mode_b: bool = False  # TORCH_CUDNN_USE_HEURISTIC_MODE_B=1


@dataclass(frozen=True, slots=True)
class ConvProblem:
    """One pass of one convolution: what torch's operator is called with.

    *input*, *weight* and *output* are the operator's own tensors in all three passes; in the backward passes
    *output* has the strides of the gradient that comes in. The strides of what is computed do not matter.
    Raises UsageError where they do not belong together.
    """

    which: Pass
    dtype: str
    input: Strided  # (batch, channels, ...)
    weight: Strided  # (out, in / groups, ...); transposed: (in, out / groups, ...)
    output: Strided
    padding: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] = ()  # transposed only
    settings: CudnnSettings = CudnnSettings()

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UsageError(f"no convolutions in {self.dtype}; known are {', '.join(DTYPES)}")
        axes = len(self.input.shape) - 2
        if axes not in (1, 2, 3) or any(len(t.shape) != axes + 2 for t in (self.weight, self.output)):
            raise UsageError(f"{self.input.shape} and {self.weight.shape} make no 1-, 2- or 3-D convolution")
        if not len(self.padding) == len(self.stride) == len(self.dilation) == axes:
            raise UsageError(
                f"padding, stride and dilation of a {axes}-D convolution are {axes} numbers each"
            )
        taken = self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups
        if self.input.shape[1] != taken:
            raise UsageError(f"{self.input.shape[1]} channels do not fit a weight of {self.weight.shape}")

    @property
    def item_bytes(self) -> int:
        """Bytes of one number."""
        return ITEM_BYTES[self.dtype]

    @property
    def result(self) -> Strided:
        """The tensor that is computed, with strides that do not matter."""
        return {Pass.FORWARD: self.output, Pass.DGRAD: self.input, Pass.WGRAD: self.weight}[self.which]


def as_2d(problem: ConvProblem) -> ConvProblem:
    """Return *problem* as torch runs it: a 1-D convolution is a 2-D one of height 1.

    view4d and view1d_as_2d in ATen/native/Convolution.cpp; the input is made contiguous first.
    """
    if len(problem.input.shape) != 3:
        return problem
    return ConvProblem(
        which=problem.which,
        dtype=problem.dtype,
        input=_view4d(Strided.contiguous(problem.input.shape)),
        weight=_view4d(problem.weight),
        output=_view4d(problem.output),
        padding=(0, *problem.padding),
        stride=(1, *problem.stride),
        dilation=(1, *problem.dilation),
        groups=problem.groups,
        transposed=problem.transposed,
        output_padding=(0, *problem.output_padding) if problem.output_padding else (),
        settings=problem.settings,
    )


def _view4d(tensor: Strided) -> Strided:
    """Return *tensor* with an axis of size 1 before its last, as unsqueeze(2) makes it."""
    (n, c, length), (by_n, by_c, by_length) = tensor.shape, tensor.strides
    return Strided((n, c, 1, length), (by_n, by_c, length * by_length, by_length))
