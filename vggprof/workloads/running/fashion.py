"""VGG-11 on Fashion-MNIST, trained and evaluated for real, as the notebook says it.

Images are enlarged by Pillow and divided by 255; plain SGD; weights as Keras begins with them (Glorot
uniform, biases 0). The loop is the one that predictions are of: what a step makes stays bound until the next
one binds it again.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor, nn
from torch.nn import functional

from vggprof.errors import FileFormatError, UsageError
from vggprof.network import materialize
from vggprof.network.load import Network, load
from vggprof.profiler.environment import resident_peak_bytes
from vggprof.profiler.place import choose_device, ran_out_of_memory
from vggprof.spec.arch import parse_arch
from vggprof.workloads.fashion import Epoch, FashionPlan, MeasuredMemory, Pass, Trained
from vggprof.workloads.idx import CLASSES, Pictures, read_pictures
from vggprof.workloads.running.pillow import Image, tensor_of


def train(plan: FashionPlan, say: Callable[[str], None]) -> Trained:
    """Train and evaluate as *plan* says; *say* hears of each epoch. Running out of memory is a result.

    Raises FileFormatError for files that are not what they should be, UsageError for a network that takes
    other images, GpuUnavailable for ``cuda`` without a usable GPU.
    """
    device, note = choose_device(plan.device, does="trains")
    pictures, tests = _data(plan)
    network = _network(plan)
    torch.manual_seed(plan.seed)
    memory = _Memory(device)
    epochs: list[Epoch] = []
    failed = None
    try:
        training = _Training(plan, network, device)
        for number in range(1, plan.epochs + 1):
            epochs.append(Epoch(training.once(pictures), training.evaluate(tests)))
            say(f"epoch {number} of {plan.epochs}: {_said(epochs[-1])}")
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        failed = str(error).splitlines()[0]
    return Trained(device, note, len(pictures), len(tests), tuple(epochs), memory.taken(), failed)


def _data(plan: FashionPlan) -> tuple[Pictures, Pictures]:
    """Return the images to train on and those to test, which have one size."""
    train, test = (read_pictures(plan.data, kind, plan.samples) for kind in ("train", "t10k"))
    if (train.rows, train.columns) != (test.rows, test.columns):
        sizes = f"{train.rows}x{train.columns} to train on, but of {test.rows}x{test.columns} to test"
        raise FileFormatError(f"{plan.data} holds images of {sizes}; both come from one data set")
    return train, test


def _said(epoch: Epoch) -> str:
    train, test = epoch.train, epoch.test
    loss = "not a number" if train.loss is None else f"{train.loss:.3f}"
    return (
        f"loss {loss}, accuracy {train.accuracy:.1%}, on test images {test.accuracy:.1%}; "
        f"{train.samples_per_s:.1f} samples/s"
    )


def _network(plan: FashionPlan) -> Network:
    network = load(parse_arch(plan.arch))
    if len(network.input_shape) != 3 or network.input_shape[0] != 1:
        shape = "x".join(map(str, network.input_shape))
        raise UsageError(f"{plan.arch} takes images of {shape}; Fashion-MNIST's have one channel, 1xHxW")
    return network


class _Training:
    """A network on its device, its optimizer, and the last batch."""

    def __init__(self, plan: FashionPlan, network: Network, device: str) -> None:
        self._batch, self._device = plan.batch, device
        self._size = (network.input_shape[2], network.input_shape[1])  # as Pillow says it: width, height
        self._order = torch.Generator().manual_seed(plan.seed)
        self._module = materialize(network.module, device)
        self._module.apply(_like_keras)
        self._optimizer = torch.optim.SGD(self._module.parameters(), lr=plan.learning_rate)
        self._out = self._loss = torch.empty(0)

    def once(self, pictures: Pictures) -> Pass:
        """Train one epoch on *pictures*, in a new order."""
        self._module.train()
        order = torch.randperm(len(pictures), generator=self._order).tolist()
        return self._through(pictures, order, self._learn)

    def evaluate(self, pictures: Pictures) -> Pass:
        """Return how well *pictures* are told apart."""
        self._module.eval()
        with torch.no_grad():
            return self._through(pictures, list(range(len(pictures))), self._judge)

    def _through(self, pictures: Pictures, order: list[int], step: Callable[[Tensor, Tensor], None]) -> Pass:
        begin, loss, right = perf_counter(), 0.0, 0
        for x, y in self._batches(pictures, order):
            step(x, y)
            loss += self._loss.item() * len(y)
            right += int((self._out.argmax(1) == y).sum())
        count = len(order)
        mean = loss / count
        return Pass(count, mean if math.isfinite(mean) else None, right / count, perf_counter() - begin)

    def _learn(self, x: Tensor, y: Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        self._judge(x, y)
        self._loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    def _judge(self, x: Tensor, y: Tensor) -> None:
        self._out = self._module(x)
        self._check()
        self._loss = functional.cross_entropy(self._out, y)

    def _check(self) -> None:
        if self._out.dim() != 2 or self._out.shape[1] < CLASSES:
            raise UsageError(f"the network gives {tuple(self._out.shape[1:])}; {CLASSES} classes are wanted")

    def _batches(self, pictures: Pictures, order: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
        for begin in range(0, len(order), self._batch):
            chosen = order[begin : begin + self._batch]
            x = torch.stack([enlarged(pictures, index, self._size) for index in chosen])
            y = torch.tensor([pictures.labels[index] for index in chosen])
            yield x.to(self._device), y.to(self._device)


def enlarged(pictures: Pictures, index: int, size: tuple[int, int]) -> Tensor:
    """Return an image at *size* (width, height) as 1 x height x width of floats from 0 to 1.

    By Lanczos: the notebook asks for `Image.ADAPTIVE`, a word for palettes, whose number is that of LANCZOS.
    """
    grey = Image.frombytes("L", (pictures.columns, pictures.rows), pictures.image(index))
    return tensor_of(grey.resize(size, Image.Resampling.LANCZOS))


def _like_keras(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class _Memory:
    """What is taken from here on."""

    def __init__(self, device: str) -> None:
        self._cuda = device == "cuda"
        self._before, self._peak = _resident_bytes(), resident_peak_bytes()
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()

    def taken(self) -> MeasuredMemory:
        """Return the most that was taken so far."""
        if self._cuda:
            return MeasuredMemory(torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved())
        now = resident_peak_bytes()
        if now is None or self._before is None or now == self._peak:  # the process held more before
            return MeasuredMemory()
        return MeasuredMemory(resident_bytes=now - self._before)


def _resident_bytes() -> int | None:
    """Return the physical memory that this process holds now; None elsewhere than on Linux."""
    if sys.platform != "linux":
        return None
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
