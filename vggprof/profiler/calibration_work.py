"""What a calibration runs, a stage after the other: what trainings of convolutional networks call.

Every stage runs one ordinary call first and a variety after it. Tensors are small, for the memory they take
is the allocator's; shapes are those of published networks, for cuDNN and cuBLAS choose kernels by shape.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from vggprof.devices.calibrations import Run, Stage
from vggprof.profiler.readings import MORE

# channels in and out, kernel, stride, groups, extent of the input
Conv = tuple[int, int, int, int, int, int]

_CONVS: Final[tuple[Conv, ...]] = (
    (64, 64, 3, 1, 1, 56),  # the ordinary one: VGG, ResNet
    (3, 64, 11, 4, 1, 224),  # AlexNet's first
    (3, 64, 7, 2, 1, 224),  # GoogLeNet's and ResNet's first
    (3, 64, 3, 1, 1, 224),  # VGG's first
    (3, 32, 3, 2, 1, 224),  # MobileNetV2's first
    (64, 192, 5, 1, 1, 27),  # AlexNet
    (16, 32, 5, 1, 1, 28),  # GoogLeNet
    (256, 512, 3, 1, 1, 28),
    (512, 512, 3, 1, 1, 14),
    (128, 128, 3, 2, 1, 56),  # ResNet
    (64, 256, 1, 1, 1, 56),
    (256, 512, 1, 2, 1, 56),
    (1024, 256, 1, 1, 1, 14),
    (16, 96, 1, 1, 1, 112),  # MobileNetV2
    (96, 96, 3, 2, 96, 112),
    (144, 144, 3, 1, 144, 56),
    (128, 128, 3, 1, 32, 28),  # ResNeXt
)
_BATCHES: Final = (8, 1)

# features in and out, rows
_PRODUCTS: Final = ((512, 512, 8), (4096, 4096, 8), (9216, 1024, 32), (2048, 1000, 128), (84, 10, 1))


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how the stages of one run are run."""

    run: Run
    device: torch.device

    @property
    def training(self) -> bool:
        """Whether gradients are wanted."""
        return self.run in (Run.TRAIN_FP32, Run.TRAIN_AMP)

    @property
    def precision(self) -> AbstractContextManager[object]:
        """Autocast, where the run is under it."""
        if self.run is not Run.TRAIN_AMP:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.float16)

    def tensor(self, *shape: int, channels_last: bool = False) -> Tensor:
        """Return ones; made on the host, so that no kernel of a generator is loaded."""
        dtype = torch.float16 if self.run is Run.INFER_FP16 else torch.float32
        layout = torch.channels_last if channels_last else torch.contiguous_format
        ones = torch.ones(shape, dtype=dtype).contiguous(memory_format=layout).to(self.device)
        return ones.requires_grad_(self.training)


def work(run: Run, device: str, parts: Sequence[str] = ("", MORE)) -> Iterator[str]:
    """Run every stage of *run* on *device*; the name of each of its *parts* is given after it ran.

    ``conv_forward`` comes after the ordinary call, ``conv_forward_more`` after the variety.
    """
    bench = Bench(run, torch.device(device))
    torch.zeros(1, device=bench.device)
    yield Stage.CONTEXT.value
    for stage, steps in _stages(bench):
        for suffix in parts:
            with torch.set_grad_enabled(bench.training):
                steps(bench, suffix == MORE)
            yield f"{stage.value}{suffix}"


Steps = Callable[[Bench, bool], None]


def _stages(bench: Bench) -> Iterator[tuple[Stage, Steps]]:
    """Yield the stages in the order in which trainings most often need them: the last are for fewer."""
    yield Stage.CONV_FORWARD, _conv_forward
    if bench.training:
        yield Stage.CONV_BACKWARD, _conv_backward
    yield Stage.LINEAR, _linear
    yield Stage.POOL_LOSS, _pool_loss
    if bench.training:
        yield Stage.OPTIMIZER, _optimizer
    yield Stage.BATCH_NORM, _batch_norm
    yield Stage.CHANNELS_LAST, _channels_last
    yield Stage.BENCHMARK, _benchmark


def _conv_forward(bench: Bench, more: bool) -> None:
    with torch.no_grad():
        _convolutions(bench, more=more)


def _conv_backward(bench: Bench, more: bool) -> None:
    _convolutions(bench, more=more)


def _channels_last(bench: Bench, more: bool) -> None:
    _convolutions(bench, more=more, channels_last=True)


def _benchmark(bench: Bench, more: bool) -> None:
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        _convolutions(bench, more=more)
    finally:
        torch.backends.cudnn.benchmark = before


def _convolutions(bench: Bench, *, more: bool, channels_last: bool = False) -> None:
    """Run the ordinary convolution, or all, and their backward passes where gradients are recorded."""
    for channels, out, kernel, stride, groups, extent in _CONVS if more else _CONVS[:1]:
        for batch in _BATCHES if more else _BATCHES[:1]:
            x = bench.tensor(batch, channels, extent, extent, channels_last=channels_last)
            weight = bench.tensor(out, channels // groups, kernel, kernel, channels_last=channels_last)
            with bench.precision:
                y = F.conv2d(x, weight, bench.tensor(out), stride=stride, padding=kernel // 2, groups=groups)
            _backward(y)


def _linear(bench: Bench, more: bool) -> None:
    for inputs, outputs, rows in _PRODUCTS if more else _PRODUCTS[:1]:
        with bench.precision:
            y = F.linear(bench.tensor(rows, inputs), bench.tensor(outputs, inputs), bench.tensor(outputs))
        _backward(y)


def _pool_loss(bench: Bench, more: bool) -> None:
    for layer in _POINTWISE if more else _POINTWISE[:2]:
        x = bench.tensor(8, 64, 56, 56)
        with bench.precision:
            y = layer(x * 1)
        _backward(y)
    if bench.training:
        labels = torch.zeros(8, dtype=torch.int64).to(bench.device)
        with bench.precision:
            loss = F.cross_entropy(bench.tensor(8, 1000), labels)
        _backward(loss)


_POINTWISE: Final[Sequence[Callable[[Tensor], Tensor]]] = (
    lambda x: F.relu(x, inplace=True),
    lambda x: F.max_pool2d(x, 2),
    F.relu,
    lambda x: F.max_pool2d(x, 3, stride=2),
    lambda x: F.avg_pool2d(x, 2),
    lambda x: F.adaptive_avg_pool2d(x, 7),
    lambda x: F.adaptive_avg_pool2d(x, 1),
    lambda x: F.dropout(x, training=x.requires_grad),
    lambda x: torch.cat([x, x], dim=1),
    lambda x: x + x,
    lambda x: x * torch.sigmoid(x),
    lambda x: torch.flatten(x, 1).clone(),
    lambda x: x.mean(dim=(2, 3)),
    F.relu6,
    F.silu,
    F.hardswish,
    F.gelu,
)


def _optimizer(bench: Bench, more: bool) -> None:
    """Run two steps of each optimizer: the first makes its state."""
    for make in _OPTIMIZERS.values() if more else (_OPTIMIZERS["momentum"],):
        weights = [nn.Parameter(bench.tensor(64, 64).detach()) for _ in range(4)]
        optimizer = make(weights)
        scaler = torch.amp.GradScaler(bench.device.type, enabled=bench.run is Run.TRAIN_AMP)
        for _ in range(2):
            optimizer.zero_grad()
            loss = torch.stack([weight.mean() for weight in weights]).mean()
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()


_OPTIMIZERS: Final[Mapping[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]]] = {
    "momentum": lambda weights: torch.optim.SGD(weights, lr=1e-3, momentum=0.9),
    "sgd": lambda weights: torch.optim.SGD(weights, lr=1e-3),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
}


def _batch_norm(bench: Bench, more: bool) -> None:
    for channels, extent in ((64, 56), (3, 224), (512, 7), (1024, 14), (64, 1)) if more else ((64, 56),):
        norm = nn.BatchNorm2d(channels).to(bench.device).train(bench.training)
        norm = norm.half() if bench.run is Run.INFER_FP16 else norm
        with bench.precision:
            y = norm(bench.tensor(8, channels, extent, extent))
        _backward(y)


def _backward(y: Tensor) -> None:
    """Run the backward pass of *y*, where gradients were recorded."""
    if y.requires_grad:
        torch.autograd.backward(y, torch.ones(y.shape, dtype=y.dtype).to(y.device))
