"""A pass of a convolution as work: the matrix product that it comes down to, and the ways to do it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Final

from vggprof.latency.work import Math, Product, Tiles, Traffic, Way
from vggprof.memory.workspaces.convolution import Pass
from vggprof.memory.workspaces.plans import Plan
from vggprof.memory.workspaces.query import CudnnQuery
from vggprof.trace import ITEM_BYTES

# A tile of F(m x m, r x r) takes (m + r - 1)^2 multiplications for m^2 results (Lavin and Gray 2015,
# arXiv:1509.09308): 16 for 4, 36 for 16, and 81 for the 25 of a 5 x 5 kernel (winogradForwardData9x9_5x5).
_WINOGRAD_2, _WINOGRAD_4, _WINOGRAD_5 = 2, 4, 5
# cuDNN's FFT tiles, the smaller one for images that it holds whole (fft2d_r2c_16x16, ..._32x32); half of the
# spectrum of real numbers is enough, a complex product is four real ones.
_FFT_IMAGE, _FFT_TILE = 16, 32
_FFT_LEAST_TAPS = 9
# Tensor cores take channels in eights of half precision, in fours of TF32 (cuDNN developer guide).
_HALF_GRAIN, _TF32_GRAIN = 8, 4
_LEAST_SPLIT = 256
# Tiles of the kernels on the fp32 lanes, named after them: pixels and channels of an implicit product
# (maxwell_scudnn_128x32_relu_small_nn), and those of products of transformed tensors, of real
# (maxwell_sgemm_64x64_nn) and of complex numbers (maxwell_gcgemm_64x32_nt).
_PIXEL_TILES: Final[Tiles] = ((128, 128), (128, 64), (128, 32))
_WINOGRAD_TILES: Final[Tiles] = ((128, 128), (64, 64), (128, 32), (32, 128))
_FFT_TILES: Final[Tiles] = ((64, 64), (64, 32), (32, 64), (32, 32))
# Weight gradients have larger ones too, and with a kernel of 1 x 1 none below 128 x 128: with 64 by 64
# channels a multiply-add takes four times as long as with 128 by 128, with 64 by 256 twice (DeepBench, seven
# cards). Winograd's products lose less with 64 channels.
_WEIGHT_TILES: Final[Tiles] = ((256, 128), *_PIXEL_TILES)
_POINTWISE_WEIGHT_TILES: Final[Tiles] = ((256, 128), (128, 128))
_WINOGRAD_WEIGHT_TILES: Final[Tiles] = ((256, 128), (128, 128), (128, 64), (64, 128), (64, 64))
# The kernel that transforms weights (winogradForwardFilter4x4) takes about twice as long a byte as those of
# the tensors do (NeuSight's single convolutions, both GPUs).
_SLOW_WEIGHTS = 2
# A block of Winograd in one kernel makes 32 tiles of 2 x 2 results of 32 channels, in all 16 positions: as
# much as a tile of 128 x 128 of a product. Its tiles lie so: images, rows and columns of them
# (maxwell_scudnn_winograd_128x128_ldg1_ldg4_relu_tile148t_nt).
_FUSED_TILES: Final[Tiles] = ((128, 128),)
_FUSED_SHAPES: Final = ((1, 4, 8), (2, 2, 8), (2, 4, 4), (4, 1, 8), (4, 2, 4), (4, 4, 2))
_FUSED_ROWS: Final = 4 * 32
# Kernels of an implicit product: indices are computed before it (computeOffsetsKernel), backward also what it
# adds to is scaled (scalePackedTensor_kernel), and for weights pieces are prepared.
_DIRECT_LAUNCHES = {Pass.FORWARD: 2, Pass.DGRAD: 3, Pass.WGRAD: 4}


@dataclass(frozen=True, slots=True)
class Conv:
    """One pass of a convolution.

    *x* is (batch, in, height, width), *w* (out, in / groups, height, width) and *y* the output.
    """

    which: Pass
    dtype: str
    x: tuple[int, ...]
    w: tuple[int, ...]
    y: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    channels_last: bool

    @classmethod
    def of_query(cls, query: CudnnQuery) -> "Conv":
        """Return what *query* asks."""
        return cls(
            query.operation,
            query.dtype,
            query.x.shape,
            query.w.shape,
            query.y.shape,
            query.stride,
            query.dilation,
            channels_last=query.x.strides[1] == 1 and prod(query.x.shape[2:]) > 1,
        )

    @property
    def groups(self) -> int:
        """Groups of channels that do not meet."""
        return self.x[1] // self.w[1]

    @property
    def taps(self) -> int:
        """Positions of the kernel."""
        return prod(self.w[2:])

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the sum that defines it; the same for all three passes."""
        return self.y[0] * prod(self.y[2:]) * prod(self.w)

    @property
    def item_bytes(self) -> int:
        """Bytes of one number."""
        return ITEM_BYTES[self.dtype]

    @property
    def nbytes(self) -> int:
        """Bytes of all three tensors: two are read, one is written."""
        return (prod(self.x) + prod(self.w) + prod(self.y)) * self.item_bytes

    def product(self, grain: int = 1) -> Product:
        """Return the implicit matrix product, a group a product; channels filled up to *grain*."""
        groups = self.groups
        taken, given = (_up(n // groups, grain) for n in (self.x[1], self.y[1]))
        images, positions = self.x[0], prod(self.y[2:])
        match self.which:
            case Pass.FORWARD:
                return _split(images * positions, given, taken * self.taps, groups, forward=True)
            case Pass.DGRAD:
                # Each input pixel meets taps / stride^2 of the kernel's. The kernels skip one axis' worth of
                # the rest: with a stride of 2 they take twice the time of the forward pass (DeepBench).
                pixels = prod(self.x[2:])
                steps = max(1, round(given * self.taps * positions * min(self.stride) / pixels))
                return _split(images * pixels, taken, steps, groups, forward=True)
            case Pass.WGRAD:
                return _split(taken * self.taps, given, images * positions, groups, forward=False)


def _split(m: int, n: int, k: int, count: int, *, forward: bool) -> Product:
    return Product(m, n, k, count, 1 if forward else max(1, k // _LEAST_SPLIT))


def _up(n: int, grain: int) -> int:
    return -(-n // grain) * grain


def ways(conv: Conv, *, tensor_cores: bool, tf32: bool) -> tuple[Way, ...]:
    """Return the ways that cuDNN has for *conv*, where nobody says which it takes.

    On GPUs with *tensor_cores* half precision runs on them, and fp32 if *tf32* is theirs too and allowed.
    """
    half = conv.dtype != "float32"
    if half and tensor_cores:
        found: tuple[Way, ...] = (_tensor(conv, Math.TENSOR, copies=None),)
    elif tf32:
        found = (_tensor(conv, Math.TF32, copies=None),)
    else:
        return (_direct(conv), *_transformed(conv))
    odd = any(channels // conv.groups % _TF32_GRAIN for channels in (conv.x[1], conv.y[1]))
    return (*found, _direct(conv)) if odd else found


def named_way(conv: Conv, plan: Plan) -> Way:
    """Return the way that cuDNN's *plan* says: its notes name units and algorithm, its workspace copies."""
    if "TENSOR_CORE" in plan.notes:
        math = Math.TF32 if conv.dtype == "float32" else Math.TENSOR
        return _tensor(conv, math, copies=plan.workspace_bytes)
    if "WINOGRAD" in plan.notes:
        exact = {way.math: way for way in _transformed(conv)}
        fused = "WINOGRAD_TILE_4x4" in plan.notes
        found = (exact.get(Math.WINOGRAD) if fused else None) or exact.get(Math.WINOGRAD_4)
        return found or _direct(conv)
    return _direct(conv)


def _direct(conv: Conv) -> Way:
    tiles = _PIXEL_TILES
    if conv.which is Pass.WGRAD:
        tiles = _WEIGHT_TILES if conv.taps > 1 else _POINTWISE_WEIGHT_TILES
    product = replace(conv.product(), tiles=tiles)
    return Way(Math.DIRECT, product, Traffic.OPERAND, conv.nbytes, launches=_DIRECT_LAUNCHES[conv.which])


def _tensor(conv: Conv, math: Math, *, copies: int | None) -> Way:
    """Return tensor cores' way; contiguous tensors that are read are copied into channels_last first.

    The kernels write contiguous results themselves (their names end in nhwc2nchw). With the workspace of a
    plan, *copies*, only what it has room for.
    """
    grain = _TF32_GRAIN if math is Math.TF32 else _HALF_GRAIN
    read = {Pass.FORWARD: (conv.x,), Pass.DGRAD: (conv.y,), Pass.WGRAD: (conv.x, conv.y)}[conv.which]
    moved = 0 if conv.channels_last else 2 * sum(map(prod, read)) * conv.item_bytes
    if copies is not None:
        moved = min(moved, 2 * copies)
    launches = 1 if not moved else 1 + len(read)
    return Way(math, conv.product(grain), Traffic.OPERAND, conv.nbytes, 0, moved, launches)


def _transformed(conv: Conv) -> Iterator[Way]:
    """Yield Winograd's ways and the FFT's, where they apply."""
    plain = all(step == 1 for step in (*conv.stride, *conv.dilation)) and conv.groups == 1
    if not plain or len(conv.w) != 4:
        return
    if conv.w[2:] == (3, 3) and conv.dtype != "float64":
        # Of weights there is none in one kernel: "not implemented" says cudnn.h, in all its releases.
        if conv.which is not Pass.WGRAD:
            yield _fused_winograd(conv)
        yield _winograd(conv, _WINOGRAD_4)
    if conv.w[2:] == (5, 5) and conv.dtype != "float64":
        yield _winograd(conv, _WINOGRAD_5)
    if conv.taps >= _FFT_LEAST_TAPS and max(conv.w[2:]) <= _FFT_TILE:
        side = max(conv.w[2:]) - 1 + max(_results(conv))
        yield _fft(conv, _FFT_IMAGE if side <= _FFT_IMAGE else _FFT_TILE)


def _results(conv: Conv) -> tuple[int, ...]:
    """Return the rows and columns of what a forward pass or a data gradient writes."""
    return conv.x[2:] if conv.which is Pass.DGRAD else conv.y[2:]


def _fused_winograd(conv: Conv) -> Way:
    """Return F(2x2, 3x3) in one kernel, after one that transforms the weights (generateWinogradTilesKernel).

    It is a product of tiles by channels, four rows and columns to each.
    """
    taken, given = (conv.x, conv.y) if conv.which is Pass.FORWARD else (conv.y, conv.x)
    grid = (given[0], *(-(-n // _WINOGRAD_2) for n in _results(conv)))
    blocks = min(prod(-(-n // side) for n, side in zip(grid, shape, strict=True)) for shape in _FUSED_SHAPES)
    product = Product(blocks * _FUSED_ROWS, 4 * given[1], taken[1], tiles=_FUSED_TILES)
    weights = (prod(conv.w[2:]) + (_WINOGRAD_2 + 2) ** 2) * prod(conv.w[:2]) * 4
    return Way(Math.WINOGRAD, product, Traffic.OPERAND, conv.nbytes, weights, launches=2)


def _winograd(conv: Conv, tile: int) -> Way:
    """Return products of (tiles, in) and (in, out), one for each of a tile's multiplications."""
    side = tile + conv.w[2] - 1
    tiles = conv.x[0] * prod(-(-n // tile) for n in _results(conv))
    kernels = _WINOGRAD_WEIGHT_TILES if conv.which is Pass.WGRAD else _WINOGRAD_TILES
    product = _channels(conv, tiles, side * side, kernels)
    spread = tiles * side * side * 4
    x, y = prod(conv.x) * conv.item_bytes, prod(conv.y) * conv.item_bytes
    weights = prod(conv.w[:2]) * side * side * 4
    transformed = spread * (conv.x[1] + conv.y[1]) + weights
    around = x + y + transformed
    if conv.which is not Pass.WGRAD:
        around += (_SLOW_WEIGHTS - 1) * weights
    return Way(Math.WINOGRAD_4, product, Traffic.OPERAND, transformed, around, launches=4)


def _fft(conv: Conv, side: int) -> Way:
    """Return complex products, one for each frequency of a tile."""
    step = side - max(conv.w[2:]) + 1
    tiles = conv.x[0] * prod(-(-n // step) for n in _results(conv))
    frequencies = side * (side // 2 + 1)
    product = _channels(conv, tiles, frequencies, _FFT_TILES)
    complex_product = replace(product, k=4 * product.k)
    spectrum = 8 * frequencies * (tiles * (conv.x[1] + conv.y[1]) + prod(conv.w[:2]))
    return Way(Math.FFT, complex_product, Traffic.OPERAND, spectrum, conv.nbytes + spectrum, launches=4)


def _channels(conv: Conv, tiles: int, count: int, kernels: Tiles) -> Product:
    """Return the product over channels, or over tiles for a weight gradient, with *kernels*' tiles."""
    match conv.which:
        case Pass.FORWARD:
            return Product(tiles, conv.y[1], conv.x[1], count, tiles=kernels)
        case Pass.DGRAD:
            return Product(tiles, conv.x[1], conv.y[1], count, tiles=kernels)
        case Pass.WGRAD:
            return Product(conv.x[1], conv.y[1], tiles, count, max(1, tiles // _LEAST_SPLIT), kernels)
