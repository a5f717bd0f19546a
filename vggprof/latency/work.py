"""The work of one operator, as kernels that a GPU runs: what a price is asked for.

A kernel may be done in several ways, of which a library takes the quickest; where the library was asked there
is only the one it named. Work knows shapes, bytes and algorithms, but no GPU.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from vggprof.trace import Phase


class Part(StrEnum):
    """Which part of a layer's step a kernel belongs to."""

    FORWARD = "forward"
    DGRAD = "dgrad"  # gradient of the input
    WGRAD = "wgrad"  # gradients of the parameters
    OTHER = "other"  # loss, optimizer, and what belongs to no layer


class Math(StrEnum):
    """How multiply-accumulates are done: the units, and the program on them."""

    DIRECT = "direct"  # a convolution as an implicit matrix product, on the fp32 lanes
    WINOGRAD = "winograd"  # F(2x2, 3x3) in one kernel, on the fp32 lanes
    WINOGRAD_4 = "winograd_4"  # F(4x4, 3x3) or F(5x5, 5x5), transforms through memory, fp32 lanes
    FFT = "fft"  # tiles of 32 x 32 or 16 x 16, on the fp32 lanes
    TENSOR = "tensor"  # a convolution in half precision on tensor cores
    TF32 = "tf32"  # a convolution on tensor cores, fp32 rounded to TF32
    PRODUCT = "product"  # a matrix product on the fp32 lanes
    TENSOR_PRODUCT = "tensor_product"  # a matrix product in half precision on tensor cores
    NATIVE = "native"  # torch's own kernels for depthwise convolutions


# Those of which cuDNN is asked.
CONVOLUTIONS = frozenset({Math.DIRECT, Math.WINOGRAD, Math.WINOGRAD_4, Math.FFT, Math.TENSOR, Math.TF32})


class Traffic(StrEnum):
    """What moves bytes: programs differ in the share of the bandwidth that they reach."""

    OPERAND = "operand"  # tensors of convolutions and products
    STREAM = "stream"  # elementwise, copies, optimizers
    NORM = "norm"  # batch norm, softmax, and sums over axes
    BIAS_GRADIENT = "bias_gradient"  # a sum over all but the channels
    HALF_NORM = "half_norm"  # torch's own batch norm, where its weights are in half precision too
    TRANSFORM = "transform"  # of tensors into Winograd's and Fourier's tiles and back
    POOL = "pool"
    POOL_BACKWARD = "pool_backward"
    LAYOUT = "layout"  # from contiguous to channels_last and back


# Tiles of a product that one block of threads computes: rows and columns.
Tiles: TypeAlias = tuple[tuple[int, int], ...]
# Those of cuBLAS's kernels, named after them (ampere_sgemm_128x128_nn, maxwell_sgemm_32x128_nn, ...).
BLAS_TILES: Final[Tiles] = (
    (256, 128),
    (128, 128),
    (128, 64),
    (64, 128),
    (64, 64),
    (128, 32),
    (32, 128),
    (32, 32),
)


@dataclass(frozen=True, slots=True)
class Product:
    """A product of an (m, k) and a (k, n) matrix, *count* times; what any convolution comes down to.

    *splits* says in how many pieces the inner sum may be done at once, *tiles* for which there are kernels;
    without any nothing is tiled.
    """

    m: int
    n: int
    k: int
    count: int = 1
    splits: int = 1
    tiles: Tiles = BLAS_TILES

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.m * self.n * self.k * self.count


@dataclass(frozen=True, slots=True)
class Way:
    """One way to run a kernel: arithmetic beside traffic, then what must be moved before and after."""

    math: Math | None  # None where nothing is multiplied and accumulated
    product: Product | None
    traffic: Traffic
    nbytes: int  # read and written while it computes
    around_bytes: int = 0  # transforms of an algorithm, moved before and after it
    layout_bytes: int = 0  # copies into another order of axes
    launches: int = 1


@dataclass(frozen=True, slots=True)
class Work:
    """One kernel, or a few that belong together."""

    operator: int  # index into Trace.operators
    layer: int | None
    phase: Phase
    part: Part
    macs: int  # that the operator is about, whatever the algorithm
    ways: tuple[Way, ...]  # not empty
    named: bool  # a library was asked and named its algorithm
