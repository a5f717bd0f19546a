"""What others measured of time: tests/data/latency as values, and the work that each row timed."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from pathlib import Path

from vggprof.devices import Device, find_device
from vggprof.latency.lowering import Lowering
from vggprof.latency.predict import units_of
from vggprof.latency.work import Math, Traffic, Way, Work
from vggprof.memory.forecast import properties_of
from vggprof.memory.rules import Platform
from vggprof.memory.workspaces.convolution import CudnnSettings
from vggprof.memory.workspaces.scratch import Target
from vggprof.trace import Amp, Layout, Mode, Operand, Phase, Setup, Trace
from vggprof.trace.setup import ZeroGrad
from vggprof.trace.traces import Traces

DATA = Path(__file__).parents[1] / "tests" / "data" / "latency"
# Frameworks whose training rows include the optimizer's step.
_STEPS = frozenset({"timm", "mxnet", "tensorflow"})
# PyTorch before 2.0 wrote zeros into gradients between steps, and added the next ones to them.
_ZEROES = frozenset({"pytorch", "timm"})
# What each mode of the file timed.
_PHASES = {
    "infer": (Phase.FORWARD,),
    "forward": (Phase.FORWARD,),
    "backward": (Phase.BACKWARD,),
    "train": (Phase.FORWARD, Phase.LOSS, Phase.BACKWARD),
}
# cuDNN's releases before 5.1; any other version, or none, is later. cudnn.h names their algorithms: R4 has no
# Winograd, 5.0 only that in one kernel, 5.1 that with transforms through memory too.
_EARLY = {"R4": 4.0, "4.": 4.0, "5.0": 5.0}
_LATER = 5.1
# Whose pooling is torch's own, which writes and reads an index beside each number; cuDNN's does not.
_INDEXED = frozenset({"pytorch", "pytorch-ngc", "timm"})
# Who calls cuDNN for one group of a convolution after another: it has groups from its release 7 on.
_ONE_GROUP = frozenset({"torch7"})
# What cuDNN's local response normalisation moves, as if it read all five channels of a window and wrote one;
# backward twice that. No document says so: with a half of it AlexNet's rows are 11 % off, not 9.
_NORMALIZED_TENSORS = 6


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement of a whole network."""

    arch: str
    input: int
    batch: int
    mode: str
    dtype: str
    layout: str
    framework: str
    version: str
    cudnn: str
    gpu: str
    ms: float
    copied: bool  # the batch's way to the GPU is in the time
    excluded: str  # why the row is not used; "" where it is

    @property
    def device(self) -> Device:
        """The GPU."""
        return find_device(self.gpu)

    @property
    def family(self) -> str:
        """``vgg``, ``resnet`` or ``alexnet``."""
        return next(name for name in ("vgg", "resnet", "alexnet") if name in self.arch)

    @property
    def cell(self) -> tuple[str, str, str, str, str]:
        """What is told apart in the tables."""
        return (self.gpu, self.family, self.dtype, self.layout, self.mode)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """What was timed."""
        steps = self.mode == "train" and self.framework in _STEPS
        return (*_PHASES[self.mode], Phase.OPTIMIZER) if steps else _PHASES[self.mode]

    @property
    def copied_bytes(self) -> int:
        """Bytes of the batch, where its way to the GPU is in the time, over a link of the third generation.

        Half of them where the link is of the fourth, as the A100's is, which takes half as long.
        """
        nbytes = self.batch * 3 * self.input**2 * (2 if self.dtype == "fp16" else 4) if self.copied else 0
        return nbytes // 2 if (self.device.link or "").startswith(("4.0", "SXM4")) else nbytes

    @property
    def named(self) -> str:
        """The ARCH that the trace is made of."""
        if (DATA / f"{self.arch}.yaml").exists():
            return str(DATA / f"{self.arch}.yaml")
        if self.arch == "alexnet-2012":
            return self.arch
        parameters = "" if self.input == 224 else f"@input=3x{self.input}x{self.input}"
        return f"torchvision.models:{self.arch}{parameters}"

    @property
    def setup(self) -> Setup:
        """How the trace runs it; whole networks in fp16 are traced in fp32 and cast."""
        return Setup(
            batch=self.batch,
            mode=Mode.INFER if self.mode == "infer" else Mode.TRAIN,
            amp=Amp.FP16 if self.dtype == "amp_fp16" else Amp.OFF,
            layout=Layout(self.layout),
            zero_grad=ZeroGrad.ZERO if self.mode == "train" and self.framework in _ZEROES else ZeroGrad.NONE,
        )


def rows() -> tuple[Row, ...]:
    """Return every row of nets.csv, the excluded ones too."""
    return tuple(map(_row, read_rows("nets.csv")))


def read_rows(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a file of the data."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _row(read: dict[str, str]) -> Row:
    return Row(
        arch=read["arch"],
        input=int(read["input"]),
        batch=int(read["batch"]),
        mode=read["mode"],
        dtype=read["dtype"],
        layout=read["layout"],
        framework=read["framework"],
        version=read["version"],
        cudnn=read["cudnn"],
        gpu=read["device"],
        ms=float(read["ms"]),
        copied=read["copied"] == "True",
        excluded=read["excluded"],
    )


@cache
def trace_of(named: str, setup: Setup) -> Trace:
    """Return the trace of *named*; batches lie on a line through two."""
    return _traces(named, replace(setup, batch=1))(setup.batch)


@cache
def _traces(named: str, setup: Setup) -> Traces:
    from vggprof import api  # noqa: PLC0415 - imports torch where a trace is made

    return Traces(lambda batch: api.trace_arch(named, replace(setup, batch=batch)))


def work_of(row: Row) -> tuple[Trace, tuple[Work, ...]]:
    """Return the trace of *row* and the work of its last step, where cuDNN was free to take any algorithm.

    All rows are of cuDNNs that cannot be asked, which had timed their algorithms (cudnn.benchmark and the
    like) before.
    """
    trace = _half(trace_of(row.named, row.setup)) if row.dtype == "fp16" else trace_of(row.named, row.setup)
    device = row.device
    platform = Platform(
        target=Target(properties_of(device), (2, 11)),
        cudnn_version=90_000,
        settings=CudnnSettings(benchmark=True),
    )
    units = units_of(device, tf32=row.dtype == "tf32")
    lowered = Lowering(trace, platform.script, {}, units).step(trace.steps - 1)
    found = (work for work in _folded(trace, lowered) if work.phase in row.phases)
    pooled = (_pooled(row, trace, work) for work in found)
    return trace, tuple(_known(row, device, each) for work in pooled for each in _by_group(row, work))


def _half(trace: Trace) -> Trace:
    """Return *trace* with every fp32 number in fp16: ``model.half()``, which also trains so."""

    def cast(operand: Operand) -> Operand:
        return replace(operand, dtype="float16") if operand.dtype == "float32" else operand

    operators = tuple(
        replace(op, inputs=tuple(map(cast, op.inputs)), outputs=tuple(map(cast, op.outputs)))
        for op in trace.operators
    )
    return replace(trace, operators=operators)


def _folded(trace: Trace, lowered: tuple[Work, ...]) -> Iterator[Work]:
    """Yield the work with local response normalisation as one kernel, as cuDNN has it and torch has not."""
    folding = {i for i, layer in enumerate(trace.layers) if layer.op == "LocalResponseNorm"}
    done: set[tuple[int, Phase]] = set()
    for work in lowered:
        if work.layer not in folding or work.layer is None:
            yield work
        elif (work.layer, work.phase) not in done:
            done.add((work.layer, work.phase))
            tensors = _NORMALIZED_TENSORS if work.phase is Phase.FORWARD else 2 * _NORMALIZED_TENSORS
            nbytes = tensors * 4 * prod(trace.layers[work.layer].output_shape or (0,))
            yield replace(work, ways=(Way(None, None, Traffic.NORM, nbytes),))


def _by_group(row: Row, work: Work) -> Iterator[Work]:
    """Yield *work* as it ran, where that was one group of a convolution after another."""
    products = [way.product for way in work.ways if way.math is Math.DIRECT and way.product is not None]
    groups = products[0].count if products else 1
    if groups == 1 or row.framework not in _ONE_GROUP:
        yield work
        return
    ways = tuple(
        replace(way, product=replace(way.product, count=1), nbytes=way.nbytes // groups)
        for way in work.ways
        if way.product is not None
    )
    yield from [replace(work, macs=work.macs // groups, ways=ways)] * groups


def _pooled(row: Row, trace: Trace, work: Work) -> Work:
    """Return *work* as cuDNN's pooling does it, where that runs: without indices, reading what it pooled."""
    operator = trace.operators[work.operator]
    source, gradient = operator.input("self"), operator.input("grad_output")
    if row.framework in _INDEXED or "max_pool2d_with_indices" not in operator.name or source is None:
        return work
    read = source.nbytes + (2 * gradient.nbytes if gradient else 0)
    return replace(work, ways=(replace(work.ways[0], nbytes=read + operator.outputs[0].nbytes),))


def _known(row: Row, device: Device, work: Work) -> Work:
    """Return *work* without the ways that cuDNN did not have."""
    return replace(work, ways=tuple(way for way in work.ways if _had(row, device, way)))


def _had(row: Row, device: Device, way: Way) -> bool:
    """Whether the cuDNN of *row* had *way* for *device*."""
    release = next((number for text, number in _EARLY.items() if row.cudnn.startswith(text)), _LATER)
    match way.math:
        case Math.WINOGRAD:
            return release >= 5.0 and device.capability >= (5, 0) and not _halved(row, device)
        case Math.WINOGRAD_4:
            return release >= _LATER and not _halved(row, device)
        case Math.FFT:
            # Caffe gives cuDNN 8 MiB of workspace (cudnn_conv_layer.cpp), less than any spectrum takes.
            return row.framework != "caffe" and not _halved(row, device)
        case _:
            return True


def _halved(row: Row, device: Device) -> bool:
    """Whether *row* is in fp16 without tensor cores on cuDNN 7.6, which then has the implicit product alone.

    No document says so. The TITAN Xp's rows do: every VGG takes longer than in fp32, and as long as implicit
    products take; with the cuDNN before it, the GTX 1080 Ti's took less.
    """
    return row.dtype == "fp16" and device.tensor_fma_per_sm is None and row.cudnn.startswith("760")
