"""What others measured of single convolutions, as work, in the ways that cuDNN can have done it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from latency_rows import read_rows

from vggprof.devices import find_device
from vggprof.latency.convolution import Conv, ways
from vggprof.latency.work import Math, Part, Way, Work
from vggprof.memory.workspaces.convolution import Pass
from vggprof.trace import Phase

_DTYPES = {"fp32": "float32", "fp16": "float16"}
# What a call takes under the profiler of the two machines of kernels.csv, about, once and for each of its
# kernels: in all of NeuSight's rows the least time of one kernel is 0.059 and 0.108 ms, and times of two and
# of four lie so much above what their arithmetic and traffic come to. Less than thrice that says little.
_CALL_MS = {"A100 PCIe 80GB": (0.035, 0.03), "Tesla P100 PCIe 16GB": (0.075, 0.035)}
# What names of kernels tell of an implicit product's tile, and names of algorithms and of kernels of others.
_TILE = re.compile(r"scudnn_(\d+)x(\d+)")
_ALGORITHMS = {"winograd_nonfused": Math.WINOGRAD_4, "winograd": Math.WINOGRAD, "fft": Math.FFT}


@dataclass(frozen=True, slots=True)
class Kernel:
    """One measurement of a single convolution, in one of its passes."""

    gpu: str
    conv: Conv
    cudnn: str
    algorithm: str  # of the forward pass
    ms: float
    launched: bool = False  # what launches take is not in the time

    @property
    def work(self) -> Work:
        """The work, in the ways that it can have been done."""
        device = find_device(self.gpu)
        parts = {Pass.FORWARD: Part.FORWARD, Pass.DGRAD: Part.DGRAD, Pass.WGRAD: Part.WGRAD}
        every = ways(self.conv, tensor_cores=device.tensor_fma_per_sm is not None and self._even, tf32=False)
        taken = tuple(filter(self._taken, every)) or every
        found = tuple(map(self._tiled, taken))
        if self.launched:
            found = tuple(replace(way, launches=0) for way in found)
        return Work(0, None, Phase.FORWARD, parts[self.conv.which], self.conv.macs, found, named=False)

    @property
    def _even(self) -> bool:
        """Whether tensor cores take the channels, which in channels_last nobody fills up before cuDNN 8."""
        return not any(channels % 8 for channels in (self.conv.x[1], self.conv.y[1]))

    def _tiled(self, way: Way) -> Way:
        """Return *way* with the one tile that an implicit product is taken to have had."""
        if way.math is not Math.DIRECT or way.product is None:
            return way
        named = _TILE.search(self.algorithm)
        pointwise = self.conv.which is Pass.WGRAD and self.conv.taps == 1
        if named:
            tile = (int(named[1]), int(named[2]))
        elif self.launched or pointwise:
            return way
        else:
            tile = (128, self._columns(way.product.n))
        return replace(way, product=replace(way.product, tiles=(tile,)))

    def _columns(self, channels: int) -> int:
        """Return how many channels a tile has that cuDNN takes without timing it.

        Up to Pascal, and of weights, 128 where they fill it, about. With that rule forward passes lie 12 %
        about their card's share, small ones as large ones; with the tile that is the quickest 15 %, and small
        ones below it (mean of eight cards; the T4's alone lie 18 % about it with the rule, 17 % without).
        """
        wide = self.conv.which is Pass.WGRAD or find_device(self.gpu).capability < (7, 0)
        if wide and (channels % 128 == 0 or channels > 256):
            return 128
        return 64 if channels > 32 else 32

    def _taken(self, way: Way) -> bool:
        """Whether *way* may have been taken; the algorithm is told of the forward pass.

        DeepBench took what cuDNN recommends, without timing it. Up to the sixth release data gradients had
        the same, or the implicit product; in the fifth nearly all weight gradients had the implicit product:
        they take twice as long as from the sixth on.
        """
        told = next((math for text, math in _ALGORITHMS.items() if text in self.algorithm.lower()), None)
        implicit = way.math in (Math.DIRECT, Math.TENSOR)
        match self.conv.which:
            case Pass.FORWARD:
                return way.math is told if told else implicit
            case Pass.DGRAD:
                return self.cudnn.startswith("7") or implicit or way.math is told
            case Pass.WGRAD:
                return not self.cudnn.startswith("5") or implicit


def kernels() -> Iterator[Kernel]:
    """Yield the square convolutions of convolutions.csv, as vision networks have them, and kernels.csv.

    The P100's in fp16 are left out: strided passes take 20 to 40 times what they take in fp32 there. So
    is the FFT of whole images. Times of kernels.csv are without what the call takes, and those of less than
    three calls are left out.
    """
    for read in read_rows("convolutions.csv"):
        square = read["r"] == read["s"] and read["stride_h"] == read["stride_w"]
        if square and not ("P100" in read["device"] and read["dtype"] == "fp16"):
            yield from _passes(read)
    for read in read_rows("kernels.csv"):
        conv = _conv(read, Pass.FORWARD, "fp32", int(read["stride"]), 2 * (int(read["pad"]),))
        kernel = Kernel(read["device"], conv, read["cudnn"], read["kernel"], float(read["ms"]))
        once, each = _CALL_MS[kernel.gpu]
        call = once + each * kernel.work.ways[0].launches
        if kernel.ms > 3 * call:
            yield replace(kernel, ms=kernel.ms - call, launched=True)


def _passes(read: dict[str, str]) -> Iterator[Kernel]:
    for which, column in ((Pass.FORWARD, "fwd_ms"), (Pass.DGRAD, "dgrad_ms"), (Pass.WGRAD, "wgrad_ms")):
        if read[column] and not _is_whole(read, which):
            pads = (int(read["pad_h"]), int(read["pad_w"]))
            conv = _conv(read, which, read["dtype"], int(read["stride_h"]), pads)
            yield Kernel(read["device"], conv, read["cudnn"], read["algorithm"], float(read[column]))


def _is_whole(read: dict[str, str], which: Pass) -> bool:
    """Whether the pass took cuDNN 5's FFT of whole images, without tiles, which nobody takes who times it.

    The spectra of 128 x 256 kernels, 64 x 33 complex numbers each, are 553 MB to be written and read. Of two
    data gradients one took it too; the other did more than an implicit product can, and nobody tells how.
    """
    return which is not Pass.WGRAD and (read["algorithm"], read["cudnn"]) == ("FFT", "5")


def _conv(read: dict[str, str], which: Pass, dtype: str, stride: int, pads: tuple[int, ...]) -> Conv:
    """Return a pass of the convolution that *read* says.

    fp16 is in channels_last: many passes with a kernel of 1 x 1 take less than copies alone would.
    """
    n, c, k, h, w, r, s = (int(read[name]) for name in ("n", "c", "k", "h", "w", "r", "s"))
    sides = zip((h, w), (r, s), pads, strict=True)
    return Conv(
        which=which,
        dtype=_DTYPES[dtype],
        x=(n, c, h, w),
        w=(k, c, r, s),
        y=(n, k, *((side + 2 * pad - kernel) // stride + 1 for side, kernel, pad in sides)),
        stride=(stride, stride),
        dilation=(1, 1),
        channels_last=dtype == "fp16",
    )
